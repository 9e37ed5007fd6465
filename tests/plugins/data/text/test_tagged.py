"""Promises of tagged sentences: a label sits where its word begins, whatever the tokenizer, and nowhere else."""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from pretask import PretaskError
from pretask_plugins.data.text.corpus import is_for_test
from pretask_plugins.data.text.tagged import NO_TAG
from pretask_plugins.data.text.text import Text

CONLLU = """# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tn't\tnot\tPART\t_\t_\t_\t_\t_\t_
3\tgo\tgo\tVERB\t_\t_\t_\t_\t_\tSpaceAfter=No
3.1\tthere\tthere\tADV\t_\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t_\t_\t_\t_\t_\t_

1\tnaïve\t_\tADJ\t_\t_\t_\t_\t_\t_
2\tfoo\t_\t_\t_\t_\t_\t_\t_\t_

"""
CONLL = "Paris\tB-place\nTexas\tI-place\nis\tO\n\nParis\tB-place\nslept\tO\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def folder(root: Path, ending: str, train: str, test: str) -> Path:
    root.mkdir()
    for part, content in (("train", train), ("test", test)):
        (root / f"en-{part}{ending}").write_text(content, encoding="utf-8")
    return root


def labelled_text(data: Text, row: torch.Tensor, tags: torch.Tensor, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Labels, and the text from each label to the next."""
    places = [*(tags >= 0).nonzero()[:, 0].tolist(), len(row)]
    spans = pairwise(places)
    return [(names[int(tags[begin])], data.decode(row[begin:end]).strip()) for begin, end in spans]


@pytest.mark.parametrize("tokenizer", ["bpe", "wordpiece", "characters", "words"])
def test_a_label_sits_where_its_word_begins_whatever_the_tokenizer(tokenizer: str, tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ".conllu", CONLLU, CONLLU)
    data = Text(root, length=40, tokenizer=tokenizer, vocab_size=300, lowercase=False)  # type: ignore[arg-type]
    rows = data("train")
    assert list(rows.labels) == ["upos"]
    labels = rows.labels["upos"]
    assert labels.names == ("ADJ", "AUX", "PART", "PUNCT", "VERB")
    assert labels.value.shape == rows.data.shape
    found = labelled_text(data, rows.data[0], labels.value[0], labels.names)
    expected = [("AUX", "Do"), ("PART", "n't"), ("VERB", "go"), ("PUNCT", ".")]
    assert [(tag, text.replace(" ", "").replace("##", "")) for tag, text in found] == expected
    (adjective,) = labelled_text(data, rows.data[1], labels.value[1], labels.names)
    assert adjective[0] == "ADJ"
    assert adjective[1].startswith("naïve"[: 1 if tokenizer == "bpe" else None])
    assert all(data.decode([number]).strip() for number in rows.data[labels.value >= 0].tolist())  # never a mere space
    assert not bool((labels.value[rows.data == data.tokenization.vocabulary.id("pad")] != NO_TAG).any())


def test_one_letter_words_of_known_labels_line_up_with_their_ids(tmp_path: Path) -> None:
    content = "\n".join("\n".join(f"{c}\t{c.upper()}" for c in word) + "\n" for word in ("abc", "cab", "b"))
    data = Text(folder(tmp_path / "d", ".conll", content, content), length=6, tokenizer="words", vocab_size=50)
    rows = data("train")
    labels = rows.labels["tag"]
    assert labels.names == ("A", "B", "C")
    assert labels.value.tolist() == [[0, 1, 2, -1, -1, -1], [2, 0, 1, -1, -1, -1], [1, -1, -1, -1, -1, -1]]
    assert rows.present is not None
    assert rows.present.sum(1).tolist() == [4, 4, 2]  # the end token closes a sentence and has no label
    assert [data.decode(row) for row in rows.data] == ["a b c", "c a b", "b"]


def test_words_that_are_cut_off_have_no_label(tmp_path: Path) -> None:
    data = Text(folder(tmp_path / "d", ".conll", CONLL, CONLL), length=3, tokenizer="words", vocab_size=50)
    rows = data("train")
    assert rows.labels["tag"].names == ("B-place", "I-place", "O")
    assert rows.labels["tag"].value.tolist() == [[0, 1, -1], [0, 2, -1]]
    assert rows.data[:, 2].tolist() == [data.tokenization.vocabulary.id("end")] * 2


def test_packed_rows_are_the_same_text_without_labels(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ".conll", CONLL, CONLL)
    data = Text(root, length=7, tokenizer="words", vocab_size=50, packed=True)
    rows = data("train")
    assert rows.labels == {}
    assert data.decode(rows.data.flatten()) == "paris texas is paris slept"
    assert data.extent("train").bytes == len("Paris Texas is") + len("Paris slept")


def test_a_compressed_file_alone_holds_out_a_tenth_of_its_sentences(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(300)]
    (tmp_path / "all.conll.gz").write_bytes(gzip.compress("\n\n".join(f"{word}\tX" for word in words).encode()))
    data = Text(tmp_path / "all.conll.gz", length=4, tokenizer="words", vocab_size=400)
    train, test = data("train"), data("test")
    assert len(train) + len(test) == 300
    assert len(test) == sum(is_for_test(word) for word in words)
    assert data("train").labels["tag"].names == data("test").labels["tag"].names == ("X",)


def test_another_tokenizer_leaves_the_labels_with_their_words(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("paris texas is slept " * 5, encoding="utf-8")
    root = folder(tmp_path / "d", ".conll", CONLL, CONLL)
    data = Text(root, length=30, vocab_size=300, learn_from=tmp_path / "other.txt")
    rows = data("test")
    labels = rows.labels["tag"]
    found = labelled_text(data, rows.data[0], labels.value[0], labels.names)
    assert found == [("B-place", "Paris"), ("I-place", "Texas"), ("O", "is")]


def test_lines_and_labels_that_are_no_good_are_told(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match=r"line 2 of .*train\.conll"):
        Text(folder(tmp_path / "bare", ".conll", "a\tX\nb\n", "a\tX\n"), vocab_size=300)("train")
    with pytest.raises(PretaskError, match=r"columns of CoNLL-U .* line 1 of"):
        Text(folder(tmp_path / "spaces", ".conllu", "1 a a X\n", "1\ta\ta\tX\n"), vocab_size=300)("train")
    with pytest.raises(PretaskError, match=r"'Y' in the sentence of line 3"):
        Text(folder(tmp_path / "odd", ".conll", "a\tX\n", "a\tX\n\nb\tY\n"), vocab_size=300)("test")
    mixed = folder(tmp_path / "mixed", ".conll", "a\tX\n", "a\tX\n")
    (mixed / "more.txt").write_text("a")
    with pytest.raises(PretaskError, match="one kind"):
        Text(mixed, vocab_size=300)("train")

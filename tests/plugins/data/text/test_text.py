"""Promises of the data `text`: parts, rows, labels, and what is said of files that are no good."""

import gzip
import os
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import Draws, PretaskError
from pretask_plugins.data.text.corpus import MAX_PIECE_CHARACTERS, cut, is_for_test
from pretask_plugins.data.text.sentence_pairs import SentencePairs
from pretask_plugins.data.text.text import Text
from pretask_plugins.methods.causal_lm.split import NextToken

PAD, END, SEPARATOR = 0, 3, 4


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def folder(root: Path, **files: str) -> Path:
    """A folder with files; `_` in a name is a dot and `__` a slash."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


def characters(root: Path, length: int = 8, **options: object) -> Text:
    return Text(root, length=length, tokenizer="characters", vocab_size=200, **options)  # type: ignore[arg-type]


def test_packed_rows_are_the_documents_one_after_the_other(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", train__a_txt="abcdefghij", train__b_txt="klmnopq", test__c_txt="abcdefgh")
    data = characters(root)
    rows = data("train")
    assert rows.data.shape == (2, 8)
    assert rows.present is None
    stream = rows.data.flatten().tolist()
    assert stream[10] == END
    assert data.decode(stream) == "abcdefghijklmno"
    assert data("test").data.shape == (1, 8)
    assert rows.observed.vocabulary == data.tokenization.vocabulary


def test_rows_that_cross_no_document_are_padded_and_predict_nothing_beyond_it(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", train_txt="abcdefghij\n\nklmnopq\n\nrs\n\ntuvwxyzabcdefg\n\nh", test_txt="a")
    data = characters(root, document="paragraph", cross_documents=False)
    rows = data("train")
    assert [data.decode(row) for row in rows.data] == ["abcdefgh", "ij", "klmnopq", "rs", "tuvwxyza", "bcdefg", "h"]
    assert rows.present is not None
    assert rows.present.sum(1).tolist() == [8, 3, 8, 3, 8, 7, 2]  # the end token closes every document
    assert (rows.data == END).sum(1).tolist() == [0, 1, 1, 1, 0, 1, 1]
    batch = rows.batch(torch.arange(len(rows)), torch.device("cpu"))
    _, targets = NextToken()(batch, Draws(batch.index))
    assert targets["next"].weight.sum(1).tolist() == [7, 2, 7, 2, 7, 6, 1]  # type: ignore[union-attr]
    whole = characters(folder(tmp_path / "w", train_txt="abcdefgh\n\nij", test_txt="a"), document="paragraph")
    alone = [whole.decode(row) for row in replace(whole, cross_documents=False)("train").data]
    assert alone == ["abcdefgh", "ij"]  # the end token of the first would be alone in its row, and is left out


def test_separate_rows_hold_a_document_each_and_say_what_is_padding(tmp_path: Path) -> None:
    data = characters(
        folder(tmp_path / "d", train_txt="ab\n\nabcdefgh\nabcdefg", test_txt="a"), packed=False, document="line"
    )
    rows = data("train")
    assert [data.decode(row) for row in rows.data] == ["ab", "abcdefg", "abcdefg"]
    assert rows.present is not None
    assert rows.present.sum(1).tolist() == [3, 8, 8]
    assert rows.data[:, 2].tolist()[0] == END
    assert rows.data[1:, 7].tolist() == [END, END]
    assert torch.equal(rows.present, rows.data != PAD)


@pytest.mark.parametrize(("unit", "ends"), [("file", 1), ("paragraph", 2), ("line", 3)])
def test_documents_are_files_paragraphs_or_lines(unit: str, ends: int, tmp_path: Path) -> None:
    data = characters(folder(tmp_path / "d", train_txt="a b\nc\n\n\nd e\n", test_txt="abc"), length=2, document=unit)
    assert int((data("train").data == END).sum()) in (
        ends,
        ends - 1,
    )  # the last one may stand in a row that is not full
    assert data.extent("train").tokens == len("a b\nc\n\n\nd e\n" if unit == "file" else "a b\nc" + "d e") + ends - (
        unit == "line"
    )


def test_a_table_gives_labels_and_its_classes_are_those_of_training(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", train_tsv="bad\tab\ngood\tcd\nbad\tef\n", test_tsv="good\tab\n", dev_tsv="odd\tx\n")
    data = characters(root)
    train, test = data("train"), data("test")
    assert train.labels["class"].names == test.labels["class"].names == ("bad", "good")
    assert train.labels["class"].value.tolist() == [0, 1, 0]
    assert test.labels["class"].value.tolist() == [1]
    assert [data.decode(row) for row in train.data] == ["ab", "cd", "ef"]


def test_two_texts_of_a_line_have_a_separator_between_them(tmp_path: Path) -> None:
    data = characters(folder(tmp_path / "d", train_tsv="1\tab\tcd\n", test_tsv="1\ta\tb\n"))
    row = data("train").data[0].tolist()
    assert row[2] == SEPARATOR
    assert row[5:] == [END, PAD, PAD]


def test_one_text_is_divided_where_nine_tenths_of_it_are_read(tmp_path: Path) -> None:
    text = "".join(chr(97 + place % 26) for place in range(1000))
    (tmp_path / "one.txt").write_text(text)
    data = characters(tmp_path / "one.txt", length=10)
    assert data.extent("train").bytes == 900
    assert data.decode(data("train").data.flatten()) == text[:900]
    assert data.decode(data("test").data.flatten()) == text[900:]


def test_one_table_is_divided_by_the_hash_of_its_lines(tmp_path: Path) -> None:
    lines = [f"{number % 2}\t{number:03d}" for number in range(300)]
    (tmp_path / "one.tsv").write_text("\n".join(lines))
    data = characters(tmp_path / "one.tsv")
    test = [data.decode(row) for row in data("test").data]
    assert test == [line.partition("\t")[2] for line in lines if is_for_test(line)]
    assert 15 < len(test) < 50
    assert len(data("train")) == 300 - len(test)


def test_of_many_unnamed_texts_a_tenth_is_for_testing(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", **{f"book{number}_txt": f"text number {number}" for number in range(15)})
    parts = {part: characters(root, packed=False, length=20)(part) for part in ("train", "test")}
    assert {part: len(samples) for part, samples in parts.items()} == {"train": 13, "test": 2}


def test_valid_is_for_testing_only_where_there_is_no_test(tmp_path: Path) -> None:
    both = folder(tmp_path / "both", train_txt="abab" * 9, valid_txt="aaaa", test_txt="bbbb")
    one = folder(tmp_path / "one", train_txt="abab" * 9, valid_txt="aaaa")
    for root, content in ((both, "bbbb"), (one, "aaaa")):
        data = characters(root, length=4)
        assert data.decode(data("test").data[0]) == content


def test_the_tokenizer_learns_of_the_training_part_only(tmp_path: Path) -> None:
    data = characters(folder(tmp_path / "d", train_txt="abc" * 9, test_txt="abcdefgh"))
    assert data.tokenization.vocabulary.size == 7 + 3
    assert (data("test").data == data.tokenization.vocabulary.id("unknown")).sum() == 5


@pytest.mark.parametrize("kind", ["packed", "by document", "pairs"])
def test_rows_of_a_corpus_larger_than_memory_are_made_piece_by_piece(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("rows.BATCH_CHARACTERS", 1 << 13), ("rows.BATCH_ROWS", 64), ("sentence_pairs.BLOCK", 64)):
        monkeypatch.setattr(f"pretask_plugins.data.text.{name}", value)
    for name in ("pretask.cache.CHUNK", "pretask_plugins.shared.listing.digests.CHUNK"):
        monkeypatch.setattr(name, 1 << 13)
    monkeypatch.setattr("pretask_plugins.data.text.characters.CHUNK_BYTES", 1 << 13)
    paragraph = f"{'Verylong' * 20} word here. So again and again. " * 10 + "\n\n"
    root = folder(tmp_path / "d", train_txt=paragraph * 300, test_txt=paragraph * 2)
    size = (root / "train.txt").stat().st_size
    options = {"length": 32, "tokenizer": "words", "vocab_size": 40, "document": "paragraph"}
    data = (
        SentencePairs(root=root, **options)  # type: ignore[arg-type]
        if kind == "pairs"
        else Text(root, **options, cross_documents=kind == "packed")  # type: ignore[arg-type]
    )
    data("test")  # the tokenizer is learned by the library, outside of what is measured
    tracemalloc.start()
    try:
        samples = data("train")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 550_000
    assert len([*(tmp_path / "cache").rglob("present.npy")]) == (0 if kind == "packed" else 2)  # mapped as well
    assert peak < 200_000 + 24 * (len(samples) + 6000)  # pieces in work, and a few numbers for every row and sentence
    assert data.extent("train").bytes > 0.98 * size


def test_a_tokenizer_of_one_corpus_reads_another(tmp_path: Path) -> None:
    home = folder(tmp_path / "home", train_txt="abcdef" * 9, test_txt="abcdefgh")
    away = folder(tmp_path / "away", train_tsv="0\tfad\n1\tzed\n", test_tsv="0\tab\n")
    data = characters(away, learn_from=home)
    assert data.tokenizer_json == characters(home).tokenizer_json
    assert data.decode(data("train").data[0]) == "fad"
    assert data.tokenizer_name == "characters of 13 tokens learned from home"
    (tmp_path / "it.json").write_text(data.tokenizer_json)
    assert torch.equal(characters(away, learn_from=tmp_path / "it.json")("train").data, data("train").data)


def test_compressed_and_plain_files_give_the_same_rows(tmp_path: Path) -> None:
    text = "one line\r\nand\ranother\n" * 40
    (tmp_path / "plain.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    with gzip.open(tmp_path / "small.txt.gz", "wb") as file:
        file.write(text.encode())
    plain, small = (characters(tmp_path / name)("train") for name in ("plain.txt", "small.txt.gz"))
    assert plain.fingerprint == small.fingerprint


def pack(path: Path, folder: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_shards_in_the_layout_of_webdataset_are_read_with_their_classes(tmp_path: Path, ending: str) -> None:
    for shard in range(10):  # more than may be open at once
        part = "train" if shard < 9 else "val"
        files = {"1_txt": f"one {shard}", "1_cls": "b", "2_txt": "two", "2_json": "[]"}
        pack(tmp_path / "d" / f"my-{part}-{shard:06d}{ending}", folder(tmp_path / str(shard), **files))
    data = characters(tmp_path / "d")
    train, test = data("train"), data("test")
    assert [data.decode(row) for row in train.data] == [text for n in range(9) for text in (f"one {n}", "two")]
    assert train.labels["class"].names == ("b",)
    assert train.labels["class"].value.tolist() == [0, -1] * 9
    assert [data.decode(row) for row in test.data] == ["one [UNKNOWN]", "two"]  # no 9 was learned from


def test_a_tar_file_gives_the_rows_of_the_folder_that_was_packed(tmp_path: Path) -> None:
    long = "x" * 100_000 + "\na"
    root = folder(tmp_path / "d", **{f"{name}_txt": f"{name} {long}" for name in ("one", "two", "walden", "lots")})
    with gzip.open(root / "more.txt.gz", "wb") as file:
        file.write(b"more" * 9)
    pack(tmp_path / "d.tar", root)
    packed, plain = (characters(tmp_path / name, document="line") for name in ("d.tar", "d"))
    for part in ("train", "test"):
        assert packed(part).fingerprint == plain(part).fingerprint


def test_rows_are_made_once_and_anew_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "d", train_txt="abcdefgh" * 9, test_txt="abcdefgh")
    first = characters(root)("train").fingerprint
    with monkeypatch.context() as patch:
        patch.setattr("pretask_plugins.data.text.text.Corpus.pieces", lambda *_: pytest.fail("read again"))
        assert characters(root)("train").fingerprint == first
    folder(root, train_txt="hgfedcba" * 10)
    assert characters(root)("train").fingerprint != first


def test_a_document_is_cut_before_spaces_and_nothing_of_it_is_lost() -> None:
    text = "word " * 40_000 + "x" * 200_000
    pieces = list(cut([text[:7], text[7:]]))
    assert "".join(piece.text for piece in pieces) == text
    assert max(len(piece.text) for piece in pieces) <= MAX_PIECE_CHARACTERS
    assert [piece.then for piece in pieces] == [""] * (len(pieces) - 1) + ["end"]
    assert pieces[1].text.startswith(" word")


def test_byte_pairs_of_one_long_line_come_back_whole(tmp_path: Path) -> None:
    text = "never a line break, only words " * 8000
    folder(tmp_path / "d", train_txt=text, test_txt="words " * 20)
    data = Text(tmp_path / "d", length=16, vocab_size=300)
    back = data.decode(data("train").data.flatten())
    assert text.startswith(back)
    assert len(text) - len(back) < 16 * 30
    assert data.extent("train").bytes == len(text)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"good\xff\xfebad", "near byte 4"),
        (b"PK\x03\x04\x00\x00", "zero byte"),
        (b"", "0 tokens"),
        (b" \n\n \t\n", "0 tokens"),
        (b"abc", r"at least 8 tokens \(data\.length\)"),
    ],
    ids=["invalid", "binary", "empty", "blank", "short"],
)
def test_files_that_hold_no_text_are_told(content: bytes, reason: str, tmp_path: Path) -> None:
    folder(tmp_path / "d", test_txt="abcdefgh")
    (tmp_path / "d" / "train.txt").write_bytes(content)
    with pytest.raises(PretaskError, match=reason):
        characters(tmp_path / "d")("train")


def test_marks_of_utf8_other_line_ends_quotes_and_empty_texts_are_what_they_are(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", train_tsv='\ufeffno\t"a" b\r\n\r\nyes\t\r\nno\t"c\r', test_tsv="yes\ta\n")
    data = characters(root)
    train = data("train")
    assert [data.decode(row) for row in train.data] == ['"a" b', "", '"c']
    assert train.labels["class"].names == ("no", "yes")
    assert train.labels["class"].value.tolist() == [0, 1, 0]
    assert train.present is not None
    assert train.present.sum(1).tolist() == [6, 1, 3]  # the end token closes an empty text as well
    words = folder(tmp_path / "w", train_conll='\ufeffa\tX\r\n"\tY\r\n\r\n\r\nb\tX\r', test_conll="b\tX\n")
    tagged = characters(words)("train")
    assert tagged.labels["tag"].value.tolist() == [[0, -1, 1, -1, -1, -1, -1, -1], [0, -1, -1, -1, -1, -1, -1, -1]]


def test_another_encoding_can_be_named(tmp_path: Path) -> None:
    folder(tmp_path / "d", test_txt="abcdefgh")
    (tmp_path / "d" / "train.txt").write_bytes("naïve café".encode("latin-1"))
    data = characters(tmp_path / "d", encoding="latin-1", packed=False, length=20)
    assert data.decode(data("train").data[0]) == "naïve café"
    with pytest.raises(PretaskError, match=r"data\.encoding"):
        characters(tmp_path / "d", encoding="latin-0")("train")


def test_a_broken_archive_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(b"abc" * 1000)
    (tmp_path / "broken.txt.gz").write_bytes(whole[:-9])
    with pytest.raises(PretaskError, match="to its end"):
        characters(tmp_path / "broken.txt.gz")("train")


def test_roots_and_tables_that_are_no_good_are_told(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="does not exist"):
        characters(tmp_path / "nowhere")("train")
    with pytest.raises(PretaskError, match="one kind"):
        characters(folder(tmp_path / "mixed", train_txt="a", test_tsv="0\ta"))("train")
    with pytest.raises(PretaskError, match=r"line 2 of .*train\.tsv"):
        characters(folder(tmp_path / "bare", train_tsv="0\ta\nb\n", test_tsv="0\ta"))("train")
    with pytest.raises(PretaskError, match="'2' in line 1"):
        characters(folder(tmp_path / "odd", train_tsv="0\ta\n1\tb\n", test_tsv="2\ta"))("test")
    with pytest.raises(PretaskError, match="for the part test"):
        characters(folder(tmp_path / "half", train_txt="abcdefgh"))("test")


@pytest.mark.parametrize(
    ("lines", "texts", "classes"),
    [
        ("label\ttext\ngood\tab\nbad\tcd\n", ["ab", "cd"], ("bad", "good")),
        ("sentence\tlabel\nab\tgood\ncd\tbad\n", ["ab", "cd"], ("bad", "good")),
        ("stars\twords\n1\tab\n2\tcd\n1\tef\n2\tgh\n", ["ab", "cd", "ef", "gh"], ("1", "2")),
        ("good\tab\nbad\tcd\nbad\tef\n", ["ab", "cd", "ef"], ("bad", "good")),
        ("odd\tab\ngood\ta b\ngood\tc d\nbad\te\n", ["ab", "a b", "c d", "e"], ("bad", "good", "odd")),
    ],
    ids=["named", "label last", "by count", "no header", "a rare class"],
)
def test_a_line_that_names_the_columns_is_no_text(
    lines: str, texts: list[str], classes: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = characters(folder(tmp_path / "d", train_tsv=lines, test_tsv=lines))
    rows = data("train")
    assert rows.labels["class"].names == classes
    assert [data.decode(row) for row in rows.data] == texts
    assert ("names the columns" in capsys.readouterr().err) == (len(texts) < len(lines.splitlines()))


def test_texts_that_differ_in_nothing_but_their_bytes_are_told_apart(tmp_path: Path) -> None:
    found = []
    for letter in "ab":
        root = folder(tmp_path / "d", train_txt=letter * 90, test_txt="ab" * 9)
        for path in root.iterdir():
            os.utime(path, ns=(0, 0))
        data = characters(root)
        found.append(data.decode(data("train").data[0]))
    assert found == ["a" * 8, "b" * 8]

"""Promises of pairs of sentences: they are the released code's, and come back out of the files of documents."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Draws, PretaskError
from pretask_plugins.data.text.rows import Piece
from pretask_plugins.data.text.sentence_pairs import Pair, SentencePairs, pair_document
from pretask_plugins.data.text.sentences import Sentences, split
from pretask_plugins.methods.masked_lm.pair import MaskTokensPair

CPU = torch.device("cpu")
Documents = list[list[list[int]]]  # documents of sentences of ids


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write_documents(count: int, most: int = 40) -> Documents:
    """Documents of 3 to 40 sentences of 8 to 40 tokens, all tokens different."""
    chance, number = random.Random(0), 0
    documents: Documents = []
    for _ in range(count):
        sizes = [chance.randint(8, 40) for _ in range(chance.randint(3, most))]
        documents.append([])
        for size in sizes:
            documents[-1].append([*range(number, number + size)])
            number += size
    return documents


def as_sentences(documents: Documents) -> Sentences:
    sizes = [len(sentence) for document in documents for sentence in document]
    ids = [token for document in documents for sentence in document for token in sentence]
    begins = np.cumsum([0, *sizes])
    return Sentences(np.array(ids), begins, np.cumsum([0, *map(len, documents)]))


def released(documents: Documents, number: int, room: int, short: float, rng: random.Random) -> list[Pair]:
    """`create_instances_from_document` and `truncate_seq_pair` of the released code, without masks."""
    document, made = documents[number], []
    target_length = rng.randint(2, room) if rng.random() < short else room
    chunk: list[list[int]] = []
    length = i = 0
    while i < len(document):
        chunk.append(document[i])
        length += len(document[i])
        if i == len(document) - 1 or length >= target_length:
            a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
            tokens_a = [token for sentence in chunk[:a_end] for token in sentence]
            tokens_b: list[int] = []
            is_random = len(chunk) == 1 or rng.random() < 0.5
            if is_random:
                for _ in range(10):
                    other = rng.randint(0, len(documents) - 1)
                    if other != number:
                        break
                start = rng.randint(0, len(documents[other]) - 1)
                for sentence in documents[other][start:]:
                    tokens_b.extend(sentence)
                    if len(tokens_b) >= target_length - len(tokens_a):
                        break
                i -= len(chunk) - a_end
            else:
                tokens_b = [token for sentence in chunk[a_end:] for token in sentence]
            while len(tokens_a) + len(tokens_b) > room:
                longer = tokens_a if len(tokens_a) > len(tokens_b) else tokens_b
                if rng.random() < 0.5:
                    del longer[0]
                else:
                    longer.pop()
            made.append(Pair(tokens_a, tokens_b, not is_random))
            chunk, length = [], 0
        i += 1
    return made


def draw(documents: Documents, length: int, **options: object) -> list[Pair]:
    return [*SentencePairs(root=Path(), length=length, **options).draw_pairs(as_sentences(documents), 0)]  # type: ignore[arg-type]


def test_pairs_are_those_of_the_released_code_choice_by_choice() -> None:
    documents, rng = write_documents(60), random.Random("0 0")
    theirs = [pair for number in range(60) for pair in released(documents, number, 126, 0.1, rng)]
    assert draw(documents, 128) == theirs
    assert len(theirs) > 100


@pytest.mark.parametrize(("variant", "low", "high"), [("released", 0.56, 0.60), ("half", 0.48, 0.52)])
def test_more_than_half_of_the_second_spans_are_random_in_the_released_variant(
    variant: str, low: float, high: float
) -> None:
    pairs = draw(write_documents(1500), 128, random_next=variant)
    share = sum(not pair.is_next for pair in pairs) / len(pairs)
    assert len(pairs) > 6000  # 0.02 is more than three standard deviations
    assert low <= share <= high


def test_a_single_sentence_is_random_or_takes_the_next_one_along() -> None:
    documents = [[[1] * 40, [2] * 40, [3] * 40], [[9] * 5]]
    sentences, chance = as_sentences(documents), random.Random(0)
    alone = [*pair_document(sentences, 0, 30, 60, chance, "released")]
    assert [pair.is_next for pair in alone] == [False] * 3
    along = [*pair_document(sentences, 0, 30, 60, chance, "half")]
    assert all(pair.second[0] in ({2, 3} if pair.is_next else {9}) for pair in along)
    assert [*pair_document(sentences, 1, 30, 60, chance, "half")] == []


def test_a_second_span_that_follows_is_what_comes_next_and_another_is_of_another_document() -> None:
    documents = write_documents(200)
    of = {token: number for number, document in enumerate(documents) for sentence in document for token in sentence}
    for first, second, is_next in draw(documents, 64):
        spans = [*first, *second]
        assert len(first) > 0 < len(second)
        assert len(spans) <= 62
        assert (of[first[0]] == of[second[0]]) == is_next
        if is_next and len(spans) < 62:  # nothing was cut off
            assert spans == [*range(spans[0], spans[0] + len(spans))]


def write_stories(root: Path, part: str, count: int) -> Path:
    """Stories whose sentences name story and place: `A3 x x 7.`"""
    root.mkdir(exist_ok=True)
    stories = [
        " ".join(f"A{story} {'x ' * (place % 4)}{place}." for place in range(5 + story % 7)) for story in range(count)
    ]
    (root / f"{part}.txt").write_text("\n\n".join(stories))
    return root


def data_of(root: Path, **options: object) -> SentencePairs:
    words = {"tokenizer": "words", "vocab_size": 400, "lowercase": False, "length": 24, "document": "paragraph"}
    return SentencePairs(root=root, **{**words, **options})  # type: ignore[arg-type]


def test_the_split_hides_how_a_row_ends_and_asks_for_it(tmp_path: Path) -> None:
    data = data_of(write_stories(write_stories(tmp_path / "d", "train", 60), "test", 8))
    samples = data("train")
    vocabulary = samples.observed.vocabulary
    assert vocabulary is not None
    split_pair = MaskTokensPair(pieces="given").fit(samples.observed, [])
    assert split_pair.partners == 0
    assert split_pair.spec(samples.observed)[0].shape == (24,)
    batch = samples.batch(torch.arange(len(samples)), CPU)
    inputs, targets = split_pair(batch, Draws(batch.index))
    assert torch.equal(targets["is_next"].value, samples.labels["is_next"].value)
    assert 0 < int(targets["is_next"].value.sum()) < len(samples)
    assert not (inputs.data == vocabulary.id("end")).any()
    separators = (inputs.data[:, 0] == vocabulary.id("separator")).sum(1)
    assert separators.unique().tolist() == [2]
    shown, segment = inputs.data[0, 0].tolist(), inputs.segment[0, 0].tolist()  # type: ignore[index]
    first = shown.index(vocabulary.id("separator"))
    assert segment[: first + 2] == [0] * (first + 1) + [1]
    assert torch.equal(inputs.present[:, 0], batch.data != 0)  # type: ignore[index]
    labeled = targets["token"].weight.bool()  # type: ignore[union-attr]
    assert not labeled[(batch.data == vocabulary.id("separator")) | (batch.data == vocabulary.id("end"))].any()
    x = replace(split_pair, mask_ratio=1e-6)(batch, Draws(batch.index))[0].data  # but for one token
    other = replace(batch, data=batch.data.where(batch.data != vocabulary.id("end"), vocabulary.id("separator")))
    assert torch.equal(x, replace(split_pair, mask_ratio=1e-6)(other, Draws(batch.index))[0].data)


def test_spans_come_from_the_documents_and_sentences_end_where_punctuation_says(tmp_path: Path) -> None:
    data = data_of(write_stories(write_stories(tmp_path / "d", "train", 60), "test", 8))
    samples = data("train")
    separator = data.tokenization.vocabulary.id("separator")
    stories = [[f"A{story}" for _ in range(5 + story % 7)] for story in range(60)]
    assert data.extent("train").bytes == len((tmp_path / "d" / "train.txt").read_bytes()) - 2 * 59
    for row, is_next in zip(samples.data.tolist(), samples.labels["is_next"].value.tolist(), strict=True):
        cut = row.index(separator)
        first, second = (
            {word for word in data.decode(part).split() if word[0] == "A"} for part in (row[:cut], row[cut:])
        )
        assert len(first) == 1
        assert (first == second) == bool(is_next) or not second  # its name may have been cut off
    assert len(stories) == 60


def test_sentences_are_lines_in_the_released_codes_own_layout(tmp_path: Path) -> None:
    root = tmp_path / "d"
    root.mkdir()
    (root / "train.txt").write_text("one two\nthree. Four\n\nfive\nsix\n")
    (root / "test.txt").write_text("one\ntwo\n\nsix\n")
    data = data_of(root, sentences="line", random_next="half", length=12, short_prob=0.0)
    rows = {data.decode(row) for row in data("train").data.tolist()}
    assert rows <= {
        "one two three . Four", "five six", "one two five six", "one two six", "five one two three . Four",
        "five three . Four", "one two five", "five one two",
    }  # fmt: skip


def test_one_document_and_tables_are_refused(tmp_path: Path) -> None:
    root = write_stories(write_stories(tmp_path / "d", "train", 3), "test", 3)
    with pytest.raises(PretaskError, match=r"two documents or more.*got 1. Use more files, or set data.document=par"):
        data_of(root, document="file")("train")
    (tmp_path / "t.tsv").write_text("a\tb\nb\tc\n")
    with pytest.raises(PretaskError, match="files of plain text"):
        data_of(tmp_path / "t.tsv")("train")


def test_a_sentence_goes_on_in_the_next_piece_and_none_is_endless() -> None:
    text = "Mr. Bean of St. Ives ran! 3 men (e.g. he) saw J. Smith. " * 50
    whole = [*split([Piece(text, "end")], "punctuation")]
    parts = [
        Piece(text[begin : begin + 7], "end" if begin + 7 >= len(text) else "") for begin in range(0, len(text), 7)
    ]
    assert [sentence.text.strip() for sentence in split(parts, "punctuation")] == [
        sentence.text.strip() for sentence in whole
    ]
    assert [sentence.text for sentence in whole[:2]] == ["Mr. Bean of St. Ives ran!", " 3 men (e.g. he) saw J. Smith."]
    endless = [*split([Piece("word " * 10_000, "end")], "punctuation")]
    assert max(len(sentence.text) for sentence in endless) < 60_000

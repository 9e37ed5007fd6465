"""Promises of tokenizers: text comes back, special tokens are safe, the same corpus teaches the same."""

import json
from pathlib import Path

import pytest
from pretask import PretaskError
from pretask_plugins.data.text.tokenization import ROLES, SPECIAL, Tokenization, learn, read_tokenizer
from processes import run_python

CORPUS = ["the cat sat on the mat. " * 20, "A dog, the cat's friend — naïve café\nwith 42 mats!\n" * 20]
KINDS = ("bpe", "wordpiece", "bytes", "characters", "words")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def made(kind: str, size: int = 320, lower: bool = True) -> Tokenization:
    return learn(kind, size, lower, {"corpus": "canned"}, lambda: iter(CORPUS), "canned")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_the_first_seven_in_their_order(kind: str) -> None:
    vocabulary = made(kind).vocabulary
    assert vocabulary.special == tuple((role, number) for number, role in enumerate(ROLES))
    assert vocabulary.size <= 320


@pytest.mark.parametrize("text", ["the cat", " two  spaces\n\n\ttabs ", "日本 \u200b ﬁ é", "[MASK] [PAD]", ""])
def test_byte_pairs_bring_any_text_back_as_it_was(text: str) -> None:
    tokenization = made("bpe")
    (ids,) = tokenization.encode([text])
    assert tokenization.decode(ids) == text
    assert min(ids, default=len(ROLES)) >= len(ROLES)


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_looks_like_a_special_token_is_none(kind: str) -> None:
    (ids,) = made(kind).encode([" ".join(SPECIAL)])
    assert set(ids) & set(range(len(ROLES))) <= {made(kind).vocabulary.id("unknown")}


def test_characters_come_back_and_unknown_ones_are_told() -> None:
    tokenization = made("characters")
    (ids,) = tokenization.encode(["the café\nsat Ω"])
    assert len(ids) == len("the café\nsat Ω")
    assert tokenization.decode(ids) == "the café\nsat [UNKNOWN]"


@pytest.mark.parametrize("kind", ["wordpiece", "words"])
def test_words_are_in_lower_case_only_where_that_is_wanted(kind: str) -> None:
    low, kept = made(kind), made(kind, lower=False)
    assert low.encode(["A CAT"]) == low.encode(["a cat"])
    assert kept.encode(["A dog"]) != kept.encode(["a dog"])


def test_a_rare_word_is_made_of_pieces() -> None:
    tokenization = made("wordpiece")
    assert len(tokenization.encode(["cat"])[0]) == 1
    assert len(tokenization.encode(["tacos"])[0]) > 1
    assert tokenization.decode(tokenization.encode(["the tacos"])[0]) == "the tacos"


def test_special_tokens_are_left_out_of_what_is_decoded() -> None:
    tokenization = made("bpe")
    ids = tokenization.encode(["cat"])[0]
    assert tokenization.decode([2, 5, *ids, 4, 3, 0, 0]) == "cat"


LEARN = """
import json
from pretask_plugins.data.text.tokenization import LEARNERS
words = [f"{a}{b}{c}" for a in "bcdfgh" for b in "aeiou" for c in "lmnprst"]
corpus = [" ".join(words[i::7] * (i + 1)) for i in range(7)]
print(json.dumps([json.loads(learn(lambda: iter(corpus), 350, True))["model"]["vocab"] for learn in LEARNERS.values()]))
"""


def test_the_same_corpus_teaches_the_same_in_every_process() -> None:
    one, two = (
        json.loads(run_python("-c", LEARN, environment=threads).out)
        for threads in ({"RAYON_NUM_THREADS": "1"}, {"RAYON_NUM_THREADS": "4"})
    )
    assert min(map(len, one)) > 20
    assert one == two


def test_a_corpus_teaches_once() -> None:
    first = made("bpe")
    again = learn("bpe", 320, True, {"corpus": "canned"}, lambda: pytest.fail("learned again"), "canned")
    assert again.content == first.content


@pytest.mark.parametrize(("kind", "least"), [("bpe", 263), ("bytes", 263), ("words", 8)])
def test_a_vocabulary_without_room_is_refused(kind: str, least: int) -> None:
    assert made(kind, least).vocabulary.size == least
    with pytest.raises(PretaskError, match=f"at least {least}"):
        made(kind, least - 1)


def test_a_tokenizer_is_read_from_its_file(tmp_path: Path) -> None:
    one = made("bpe")
    (tmp_path / "mine.json").write_text(one.content, encoding="utf-8")
    other = read_tokenizer(tmp_path / "mine.json")
    assert other.encode(CORPUS) == one.encode(CORPUS)
    assert other.name == f"{one.name.removesuffix('canned')}mine.json"


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{}")
    with pytest.raises(PretaskError, match="tokenizer's JSON"):
        read_tokenizer(path)


def test_a_tokenizer_that_was_trained_elsewhere_keeps_its_ids_and_gets_what_it_lacks(tmp_path: Path) -> None:
    """Names as in RoBERTa; no separator and no class token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer, theirs.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    theirs.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    )
    theirs.save(str(tmp_path / "theirs.json"))
    ours = read_tokenizer(tmp_path / "theirs.json")
    size = theirs.get_vocab_size()
    assert ours.vocabulary.size == size + 2
    roles = {"start": 0, "pad": 1, "end": 2, "unknown": 3, "mask": 4, "separator": size, "class": size + 1}
    assert dict(ours.vocabulary.special) == roles
    assert ours.encode(CORPUS) == [encoding.ids for encoding in theirs.encode_batch(list(CORPUS))]
    assert ours.decode([0, *ours.encode(["a <mask> b"])[0], 2, 1]) == "a <mask> b"

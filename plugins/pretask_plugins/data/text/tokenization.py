"""Tokenization: text to numbers and back, by a tokenizer that is learned from a corpus and kept in the cache.

Source: Sennrich, Haddow and Birch, ACL 2016 (byte pairs, here of bytes as in GPT-2); Schuster and Nakajima, ICASSP 2012
(word pieces); both as in the tokenizers library.
Differs: the special tokens of a learned one are the first seven, in the order of ROLES, and text that looks like one
stays text. The library numbers the letters of word pieces by chance; they are handed to it in order.
Axes: L tokens.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from jaxtyping import Int
from pretask import PretaskError, Vocabulary
from pretask.cache import cached
from pretask.options import MAX_SIZE, Interval
from torch import Tensor

Kind = Literal["bpe", "wordpiece", "bytes", "characters", "words"]

ROLES = ("pad", "mask", "start", "end", "separator", "class", "unknown")
SPECIAL = tuple(f"[{role.upper()}]" for role in ROLES)
UNKNOWN = SPECIAL[-1]
ELSEWHERE: Mapping[str, tuple[str, ...]] = {  # what tokenizers that others trained call them
    "pad": ("<pad>", "<|pad|>"),
    "mask": ("<mask>",),
    "start": ("<s>", "[BOS]", "<|begin_of_text|>"),
    "end": ("</s>", "[EOS]", "<|endoftext|>", "<|end_of_text|>"),
    "separator": ("[SEP]", "<sep>"),
    "class": ("[CLS]", "<cls>"),
    "unknown": ("[UNK]", "<unk>"),
}
ORDINARY = len(ROLES)  # the first id that is no special token
MAX_LETTERS = 1000  # different ones that word pieces may be made of; rarer ones are unknown
BYTES = 256
VocabularySize = Annotated[int, Interval(ge=ORDINARY + 1, le=MAX_SIZE)]  # special tokens and one other, or more


@dataclass(frozen=True)
class Tokenization:
    """A tokenizer, ready to use.

    Args:
        kind: What it cuts text into.
        content: The tokenizer as the tokenizers library writes it, JSON.
        learned_from: For people.
    """

    kind: str
    content: str
    learned_from: str = ""

    @cached_property
    def tokenizer(self) -> Any:
        """The library's object."""
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(self.content)
        made.encode_special_tokens = True  # "[MASK]" in a text is seven characters and no mask
        return made

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """How many ids there are, which are special, and how they are spelled."""
        pairs = ((role, find_special(self.tokenizer, role)) for role in ROLES)
        size = self.tokenizer.get_vocab_size()
        return Vocabulary(
            size,
            tuple((role, number) for role, number in pairs if number is not None),
            tuple(self.tokenizer.id_to_token(number) or "" for number in range(size)),
        )

    @property
    def name(self) -> str:
        """Kind, size and origin, for tables: perplexities of different tokenizers cannot be compared."""
        return f"{self.kind} of {self.vocabulary.size} tokens" + (
            f" learned from {self.learned_from}" if self.learned_from else ""
        )

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode every text as ids, without special ones."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Encode every text as ids, and the characters begin … end that each of them stands for."""
        made = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, encoding.offsets) for encoding in made]

    def decode(self, ids: Iterable[int] | Int[Tensor, " L"]) -> str:
        """Decode ids as text; special tokens are left out, but for the unknown one."""
        dropped = {number for role, number in self.vocabulary.special if role != "unknown"}
        numbers = ids.tolist() if isinstance(ids, Tensor) else ids
        kept = [number for number in numbers if number not in dropped]
        text: str = self.tokenizer.decode(kept, skip_special_tokens=False)
        return text


def find_special(tokenizer: Any, role: str) -> int | None:
    """Return the id of a special token: by our name, else by one that it has elsewhere; None where it has none."""
    names = (f"[{role.upper()}]", *ELSEWHERE[role])
    return next((number for name in names if (number := tokenizer.token_to_id(name)) is not None), None)


def learn(
    kind: Kind, size: int, lower: bool, facts: Mapping[str, Any], texts: Callable[[], Iterable[str]], name: str
) -> Tokenization:
    """Return the tokenizer of a corpus: from the cache, else learned.

    Args:
        kind: What to cut text into.
        size: Ids at most, special ones included.
        lower: Whether words and word pieces are in lower case and without accents.
        facts: What determines the corpus.
        texts: Pieces of the corpus; called only where the tokenizer must be learned.
        name: Of the corpus, for people.

    Raises:
        PretaskError: The size has no room for what every tokenizer of the kind holds.
    """
    check_size(kind, size)

    def make(_: Path) -> Mapping[str, Any]:
        return {"tokenizer": LEARNERS[kind](texts, size, lower)}

    wanted = {"kind": kind, "size": size, "lower": lower and kind in ("wordpiece", "words"), "corpus": dict(facts)}
    _, notes = cached("tokenizers", wanted, make)
    return Tokenization(kind, notes["tokenizer"], name)


def check_size(kind: str, size: int) -> None:
    """Raise PretaskError unless special tokens, and bytes where they are tokens, have room."""
    has_bytes = kind in ("bpe", "bytes")
    least = ORDINARY + (BYTES if has_bytes else 1)
    if size < least:
        raise PretaskError(
            f"the tokenizer '{kind}'",
            f"data.vocab_size of at least {least} ({ORDINARY} special tokens"
            + (f" and {BYTES} bytes)" if has_bytes else " and one other)"),
            f"{size}",
            "Set a larger data.vocab_size.",
            exit_code=2,
        )


def read_tokenizer(path: Path) -> Tokenization:
    """Read a tokenizer from a file of the tokenizers library, whoever trained it.

    Special tokens that it has under no name that is known are added after all others.

    Raises:
        PretaskError: It is no such file.
    """
    from tokenizers import Tokenizer

    content = path.read_text(encoding="utf-8")
    try:
        made = Tokenizer.from_str(content)
        kind = json.loads(content)["model"]["type"].lower()
    except Exception as error:  # the library raises bare Exception
        raise PretaskError("data.learn_from", "a tokenizer's JSON file", f"{path} ({error})", "Name another.") from None
    missing = [token for role, token in zip(ROLES, SPECIAL, strict=True) if find_special(made, role) is None]
    made.add_special_tokens(missing)
    return Tokenization(kind, made.to_str() if missing else content, path.name)


def learn_bpe(texts: Callable[[], Iterable[str]], size: int, lower: bool) -> str:
    """Learn byte pairs: any text can be written, and read back as it was."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    return train_tokenizer(made, texts, trainer)


def learn_bytes(texts: Callable[[], Iterable[str]], size: int, lower: bool) -> str:
    """Return bytes alone, of which nothing is learned."""
    return learn_bpe(tuple, ORDINARY + BYTES, lower)


def learn_wordpiece(texts: Callable[[], Iterable[str]], size: int, lower: bool) -> str:
    """Learn word pieces: words and parts of them, as in BERT; spaces are not kept."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    normal = normalizers.BertNormalizer(lowercase=lower)
    count = Counter(letter for text in texts() for letter in normal.normalize_str(text) if not letter.isspace())
    letters = sorted(sorted(count, key=lambda letter: (-count[letter], letter))[:MAX_LETTERS])
    inner = [f"##{letter}" for letter in letters][: max(size - ORDINARY, 0)]
    draft = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    draft.normalizer, draft.pre_tokenizer = normal, pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[*SPECIAL, *inner], limit_alphabet=MAX_LETTERS, show_progress=False
    )
    draft.train_from_iterator(texts(), trainer)
    made = Tokenizer(models.WordPiece(vocab=draft.get_vocab(with_added_tokens=True), unk_token=UNKNOWN))
    made.normalizer, made.pre_tokenizer, made.decoder = normal, draft.pre_tokenizer, decoders.WordPiece()
    made.add_special_tokens(list(SPECIAL))
    text: str = made.to_str()
    return text


def learn_characters(texts: Callable[[], Iterable[str]], size: int, lower: bool) -> str:
    """Learn single characters, the commonest ones where there are too many."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    return train_tokenizer(made, texts, trainer)


def learn_words(texts: Callable[[], Iterable[str]], size: int, lower: bool) -> str:
    """Learn whole words and punctuation marks, the commonest ones where there are too many."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    return train_tokenizer(made, texts, trainer)


def train_tokenizer(tokenizer: Any, texts: Callable[[], Iterable[str]], trainer: Any) -> str:
    """Train a tokenizer on texts, and return it as JSON."""
    tokenizer.train_from_iterator(texts(), trainer)
    content: str = tokenizer.to_str()
    return content


LEARNERS: Mapping[str, Callable[[Callable[[], Iterable[str]], int, bool], str]] = {
    "bpe": learn_bpe,
    "wordpiece": learn_wordpiece,
    "bytes": learn_bytes,
    "characters": learn_characters,
    "words": learn_words,
}

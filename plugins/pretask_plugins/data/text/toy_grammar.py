"""Toy grammar: endless sentences of a small grammar, or of a chain of words; the lowest loss of any model is known.

    sentence   determiner (adjective) noun (preposition the place) verb (the noun | adverb)

The verb agrees with its noun, whatever place stands between them. A sentence is about money or about nature; `bank` is
in both and `plant` is a noun and a verb, so that no word by itself decides which is meant. In a chain, a word
depends on the one before it and on nothing else.
Axes: N sentences, B batch, L tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Int
from pretask import Draws, Labels, Observed, Samples
from pretask.cache import fingerprint
from pretask.options import MAX_SIZE, AnyInt, Interval, SampleCount, require_range
from pretask.room import require_memory
from torch import Tensor

from pretask_plugins.data.text.automaton import Automaton, Context, Sentences, build_automaton
from pretask_plugins.data.text.rows import Extent, choose_dtype
from pretask_plugins.data.text.spoken import TextData
from pretask_plugins.data.text.tokenization import SPECIAL, UNKNOWN, Tokenization
from pretask_plugins.shared.parts import check_part

TAGS = ("determiner", "adjective", "noun", "preposition", "verb", "adverb")
TOPICS = ("money", "nature")
END = SPECIAL[3]
MAX_SENTENCE_TOKENS = 10  # tokens of a sentence, its end included
START = "start"  # state of a chain
LOGIT_STD = 2.0  # of the logarithms of a chain's probabilities

ADJECTIVES, PREPOSITIONS, ADVERBS = ("old", "small", "quiet", "busy"), ("near", "behind", "beyond"), ("early", "late")
# Singular and plural.
BANK = ("bank", "banks")
PLACES = (("road", "roads"), ("house", "houses"), ("hill", "hills"))
SUBJECTS = (
    (("clerk", "clerks"), ("client", "clients")),
    (("otter", "otters"), ("gardener", "gardeners"), ("plant", "plants")),
)
OBJECTS = ((BANK, ("loan", "loans"), ("bill", "bills")), (BANK, ("tree", "trees"), ("plant", "plants")))
# As they go with a singular and with a plural noun.
TAKE_OBJECT = ((("pays", "pay"), ("owes", "owe")), (("plants", "plant"), ("waters", "water")))
TAKE_NONE = ((("retires", "retire"), ("saves", "save")), (("grows", "grow"), ("sleeps", "sleep")))


class State(NamedTuple):
    """Where a sentence is: what comes next, and what must be remembered for it."""

    then: str
    topic: int = -1
    number: int = -1  # 0 singular, 1 plural, of the noun that the verb must agree with


Way = tuple[float, str, str, int, "State | None"]  # probability, word, tag, topic, and what comes then


@dataclass(frozen=True)
class ToyGrammar(TextData):
    """Rows (L,) of ids, one sentence each. Sentence i is the same whatever the size.

    Args:
        size: How many there are to train on.
        test_size: How many there are to test on. There are not so many different sentences that none would be in both.
        length: Tokens of a row.
        grammar: `phrases`, labeled by topic (`class`), part of speech (`tag`) and the sense of `bank` (`sense`); or
            `chain`, in which one word of context is all there is to know, without labels.
        words: Of a chain.
        seed: Of the sentences, and of a chain's probabilities.

    Raises:
        PretaskError: The length has no room for the longest sentence, or a chain has fewer than two words.
    """

    size: SampleCount = 4096
    test_size: SampleCount = 1024
    length: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 12
    grammar: Literal["phrases", "chain"] = "phrases"
    words: Annotated[int, Interval(ge=2, le=1 << 12)] = 16
    seed: AnyInt = 0

    def __post_init__(self) -> None:
        length = Interval(ge=MAX_SENTENCE_TOKENS if self.grammar == "phrases" else 2)
        require_range("toy-grammar", "data", self, length=length)

    def __call__(self, part: str, /) -> Samples:
        """Return one part; it is drawn anew every time."""
        sentences = self.draw_sentences(part)
        ids = self.ids(sentences)
        labels = self.labels(sentences)
        count = len(ids)
        seen = Observed("text", (self.length,), "int64", count, self.tokenization.vocabulary)
        known = fingerprint(ids.numpy(), *(label.value.numpy() for label in labels.values()), names=list(self.lexicon))
        kept = ids.to(getattr(torch, choose_dtype(self.tokenization.vocabulary.size)))
        return Samples(seen, kept, labels, sentences.words >= 0, known)

    def extent(self, part: str) -> Extent:
        """Return the tokens and bytes of a part."""
        ids = self.ids(self.draw_sentences(part))
        return Extent(int((ids != 0).sum()), sum(len(self.decode(row).encode()) for row in ids))

    def entropy(self, context: Context = "all", first: bool = False) -> float:
        """Return the cross-entropy of the best prediction of a token, in nats: no loss can be below it.

        Args:
            context: Whether the prediction knows nothing, the token before, or all tokens before.
            first: Whether the first token of a sentence is predicted as well, with nothing before it.
        """
        return self.automaton.cross_entropy(context, self.length, first)

    def is_grammatical(self, ids: Sequence[int]) -> bool:
        """Return whether tokens, the end included, are a sentence that the grammar can make; of a chain, some words."""
        words = [self.words_by_id.get(token, -1) for token in ids]
        state = self.automaton.follow(words)
        return state == -1 if self.grammar == "phrases" else state is not None

    def draw_sentences(self, part: str) -> Sentences:
        """Draw the sentences of a part."""
        check_part("toy-grammar", part)
        count = self.size if part == "train" else self.test_size
        require_memory(
            "toy-grammar", f"{count} sentences", count * self.length * 64, "Set smaller sizes with --set data.…"
        )
        index = torch.arange(count)
        return self.automaton.draw_sentences(Draws(index, self.seed).branch(part), self.length)

    def ids(self, sentences: Sentences) -> Int[Tensor, "N L"]:
        """Return sentences as token ids, padded."""
        table = torch.tensor([self.numbers[word] for word in self.lexicon] + [self.numbers[SPECIAL[0]]])
        return table[sentences.words]

    def labels(self, sentences: Sentences) -> dict[str, Labels]:
        """Return topic, parts of speech, and what every `bank` means."""
        if self.grammar == "chain":
            return {}
        bank = torch.isin(sentences.words, torch.tensor([self.lexicon.index(word) for word in BANK]))
        return {
            "class": Labels(sentences.topics, TOPICS),
            "tag": Labels(sentences.tags, TAGS),
            "sense": Labels(
                torch.where(bank, sentences.topics[:, None], -1), tuple(f"bank of {topic}" for topic in TOPICS)
            ),
        }

    @property
    def lexicon(self) -> tuple[str, ...]:
        """The words by their number in the automaton; the last one of sentences is their end."""
        if self.grammar == "chain":
            return tuple(f"w{number}" for number in range(self.words))
        return LEXICON

    @property
    def automaton(self) -> Automaton:
        """The automaton that draws the sentences."""
        return phrases() if self.grammar == "phrases" else chain(self.words, self.seed)

    @property
    def numbers(self) -> dict[str, int]:
        """The id of every token."""
        words = [word for word in self.lexicon if word not in SPECIAL]
        return {token: number for number, token in enumerate([*SPECIAL, *words])}

    @cached_property
    def words_by_id(self) -> dict[int, int]:
        """The number in the automaton of every id that is a word or the end."""
        return {self.numbers[word]: number for number, word in enumerate(self.lexicon)}

    @cached_property
    def tokenization(self) -> Tokenization:
        """A tokenizer that knows the words."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        made = Tokenizer(models.WordLevel(vocab=self.numbers, unk_token=UNKNOWN))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        made.add_special_tokens(list(SPECIAL))
        return Tokenization("words", made.to_str(), "toy-grammar")


def ways(state: State) -> list[Way]:
    """Return every way on from a state: the grammar."""
    then, topic, number = state
    if then == "sentence":
        begin = ((0.5, "the", -1), (0.25, "a", 0), (0.25, "some", 1))
        return [
            (probability, word, "determiner", -1, State("adjective or noun", -1, n)) for probability, word, n in begin
        ]
    if then == "adjective or noun":
        noun = State("noun", -1, number)
        adjectives = [(0.3 / len(ADJECTIVES), word, "adjective", -1, noun) for word in ADJECTIVES]
        return [*adjectives, *scale(0.7, subjects(number))]
    if then == "noun":
        return subjects(number)
    if then == "place or verb":
        the = State("the place", topic, number)
        places = [(0.4 / len(PREPOSITIONS), word, "preposition", -1, the) for word in PREPOSITIONS]
        return [*places, *scale(0.6, verbs(topic, number))]
    if then == "the place":
        return [(1.0, "the", "determiner", -1, State("place", topic, number))]
    if then == "place":
        return nouns(PLACES, -1, -1, State("verb", topic, number))
    if then == "verb":
        return verbs(topic, number)
    if then == "the object":
        return [(1.0, "the", "determiner", -1, State("object", topic))]
    if then == "object":
        return nouns(OBJECTS[topic], topic, -1, State("end"))
    if then == "adverb or end":
        adverbs = [(0.3 / len(ADVERBS), word, "adverb", -1, State("end")) for word in ADVERBS]
        return [*adverbs, *scale(0.7, ways(State("end")))]
    return [(1.0, END, "", -1, None)]


def subjects(number: int) -> list[Way]:
    """Return the nouns that a sentence can begin with: three in ten are banks, whose topic the verb decides."""
    banks = remember_number(nouns((BANK,), -1, number, State("place or verb")))
    others = [remember_number(nouns(SUBJECTS[topic], topic, number, State("place or verb", topic))) for topic in (0, 1)]
    return [*scale(0.3, banks), *scale(0.35, others[0]), *scale(0.35, others[1])]


def nouns(pairs: Sequence[tuple[str, str]], topic: int, number: int, then: State) -> list[Way]:
    """Return nouns of a number, or of both, all equally likely."""
    forms = (0, 1) if number < 0 else (number,)
    probability = 1 / (len(pairs) * len(forms))
    return [(probability, pair[form], "noun", topic, then) for pair in pairs for form in forms]


def remember_number(ways_to_nouns: list[Way]) -> list[Way]:
    """Return the same nouns; what comes then remembers whether they are plural."""
    plural = {pair[1] for pair in (BANK, *SUBJECTS[0], *SUBJECTS[1])}
    return [
        (probability, word, tag, topic, then._replace(number=int(word in plural)) if then else None)
        for probability, word, tag, topic, then in ways_to_nouns
    ]


def verbs(topic: int, number: int) -> list[Way]:
    """Return the verbs of a topic, or of both, in the form that agrees."""
    if topic < 0:
        return [*scale(0.5, verbs(0, number)), *scale(0.5, verbs(1, number))]
    kinds = ((0.6, TAKE_OBJECT[topic], State("the object", topic)), (0.4, TAKE_NONE[topic], State("adverb or end")))
    return [
        (probability / len(pairs), pair[number], "verb", topic, then)
        for probability, pairs, then in kinds
        for pair in pairs
    ]


def scale(factor: float, some_ways: list[Way]) -> list[Way]:
    """Return the same ways with their probabilities multiplied by a factor."""
    return [(factor * probability, *rest) for probability, *rest in some_ways]  # type: ignore[misc]


def every_word() -> tuple[str, ...]:
    """List the words of the grammar in alphabetical order, and the end."""
    pairs = (
        BANK,
        *PLACES,
        *(pair for sets in (SUBJECTS, OBJECTS, TAKE_OBJECT, TAKE_NONE) for topic in sets for pair in topic),
    )
    words = {"the", "a", "some", *ADJECTIVES, *PREPOSITIONS, *ADVERBS, *(word for pair in pairs for word in pair)}
    return (*sorted(words), END)


LEXICON = every_word()


@lru_cache(maxsize=1)
def phrases() -> Automaton:
    """Return the grammar as an automaton."""

    def list_arcs(state: Any) -> list[tuple[float, int, int, int, object]]:
        return [
            (probability, LEXICON.index(word), TAGS.index(tag) if tag else -1, topic, then)
            for probability, word, tag, topic, then in ways(state)
        ]

    return build_automaton(State("sentence"), list_arcs, len(LEXICON))


@lru_cache(maxsize=4)
def chain(words: int, seed: int) -> Automaton:
    """Return a chain that begins with its own long-run distribution, so that all places of a row are alike."""
    moves = (LOGIT_STD * Draws(torch.arange(words), seed).branch("chain").normal("weight", words)).double().softmax(1)
    start = torch.linalg.matrix_power(moves, 1 << 10)[0]
    start = start / start.sum()

    def list_arcs(state: Any) -> list[tuple[float, int, int, int, object]]:
        probability = start if state is START else moves[state]
        return [(float(p), word, -1, -1, word) for word, p in enumerate(probability)]

    return build_automaton(START, list_arcs, words)

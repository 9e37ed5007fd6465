"""Automaton: sentences that are drawn word by word, and what the best prediction of the next word costs.

A state's arcs bear different words, so that the words so far tell the state: the entropy of the next word, given all
before it, is that of the state's arcs. Less context costs more, and how much is computed, not estimated.
Axes: B sentences, L words, S states, A arcs of a state, W words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pretask import Draws
from torch import Tensor

Context = Literal["none", "one", "all"]


class Arc(NamedTuple):
    """One way on from a state.

    Args:
        probability: Of this way; those of a state add up to 1.
        word: Number of the word.
        tag: Number of its part of speech; -1 where it has none.
        topic: That it gives the sentence; -1 where it gives none.
        after: The state that it leads to; -1 ends the sentence.
    """

    probability: float
    word: int
    tag: int
    topic: int
    after: int


@dataclass(frozen=True)
class Sentences:
    """Sentences that were drawn.

    Args:
        words: -1 after the end.
        tags: Of every word.
        topics: Of every sentence.
    """

    words: Int[Tensor, "B L"]
    tags: Int[Tensor, "B L"]
    topics: Int[Tensor, " B"]


@dataclass(frozen=True)
class Automaton:
    """States and the arcs between them; the first state is where every sentence begins.

    Args:
        arcs: Of every state.
        words: How many words there are.
    """

    arcs: tuple[tuple[Arc, ...], ...]
    words: int

    @cached_property
    def table(self) -> Mapping[str, Tensor]:
        """The fields of all arcs, (S + 1, A); the last state is the end, which has no word and leads to itself."""
        most = max(map(len, self.arcs))
        end = Arc(0.0, -1, -1, -1, -1)
        rows = [(*arcs, *[end] * (most - len(arcs))) for arcs in self.arcs]
        rows.append((end._replace(probability=1.0), *[end] * (most - 1)))
        columns = {name: [[getattr(arc, name) for arc in row] for row in rows] for name in Arc._fields}
        return {
            name: torch.tensor(column, dtype=torch.float64 if name == "probability" else torch.int64)
            for name, column in columns.items()
        }

    def draw_sentences(self, draws: Draws, length: int) -> Sentences:
        """Draw sentences of at most `length` words; longer ones are broken off."""
        state = torch.zeros(len(draws.index), dtype=torch.int64)
        columns: dict[str, list[Tensor]] = {"word": [], "tag": [], "topic": []}
        for step in range(length):
            chosen = choose(self.table["probability"][state], draws.uniform(f"word {step}"))
            for name, column in columns.items():
                column.append(self.table[name][state, chosen])
            state = self.table["after"][state, chosen] % (len(self.arcs) + 1)
        topics = torch.stack(columns["topic"], 1)
        return Sentences(torch.stack(columns["word"], 1), torch.stack(columns["tag"], 1), topics.amax(1))

    def follow(self, words: Iterable[int]) -> int | None:
        """Return the state that a sentence's words lead to, -1 where they end it; None where no way has these words.

        >>> [Automaton(((Arc(1.0, 7, -1, -1, -1),),), 8).follow(words) for words in ([7], [], [7, 7])]
        [-1, 0, None]
        """
        state = 0
        for word in words:
            arcs = self.arcs[state] if state >= 0 else ()
            after = next((arc.after for arc in arcs if arc.word == word and arc.probability > 0), None)
            if after is None:
                return None
            state = after
        return state

    @cached_property
    def moves(self) -> Float[Tensor, "S W S+1"]:
        """The probability of every word and next state, by state."""
        moves = torch.zeros(len(self.arcs), self.words, len(self.arcs) + 1, dtype=torch.float64)
        for state, arcs in enumerate(self.arcs):
            for arc in arcs:
                moves[state, arc.word, arc.after] += arc.probability
        return moves

    def cross_entropy(self, context: Context, length: int, first: bool = False) -> float:
        """Return the cross-entropy of the best prediction of a word, in nats.

        Args:
            context: Whether the prediction knows nothing, the word before, or all words before.
            length: Words of a sentence at most.
            first: Whether the first word is predicted as well.
        """
        joint = self.joint(length, first)
        if context == "none":
            return entropy(joint.sum((0, 1)))
        if context == "one":
            return conditional_entropy(joint.sum(0))
        return conditional_entropy(joint.flatten(0, 1))

    def joint(self, length: int, first: bool) -> Float[Tensor, "S V W"]:
        """Return how often a state, the word before (the last of V is none) and a word come together."""
        states = len(self.arcs)
        now = torch.zeros(states, self.words + 1, dtype=torch.float64)
        now[0, -1] = 1
        total = torch.zeros(states, self.words + 1, self.words, dtype=torch.float64)
        for step in range(length):
            if step or first:
                total += now[:, :, None] * self.moves.sum(2)[:, None]
            now = torch.einsum("s,swt->tw", now.sum(1), self.moves)[:states]
            now = torch.nn.functional.pad(now, (0, 1))
        return total / total.sum()


def choose(probability: Float[Tensor, "B A"], unit: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return the arc that a number in [0, 1) falls on.

    >>> choose(torch.tensor([[0.25, 0.75, 0.0]] * 3), torch.tensor([0.0, 0.3, 0.9999999])).tolist()
    [0, 1, 1]
    """
    last = (probability > 0).sum(1) - 1
    return (unit[:, None] >= probability.cumsum(1)).sum(1).minimum(last)


def entropy(distribution: Float[Tensor, " W"]) -> float:
    """Return the entropy of a distribution, in nats.

    >>> round(entropy(torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)), 4)
    0.6931
    """
    return float(torch.special.entr(distribution).sum())


def conditional_entropy(joint: Float[Tensor, "V W"]) -> float:
    """Return the entropy of the second, given the first, in nats."""
    return float(torch.special.entr(joint).sum() - torch.special.entr(joint.sum(1)).sum())


def build_automaton(
    start: object, list_arcs: Callable[[object], Sequence[tuple[float, int, int, int, object]]], words: int
) -> Automaton:
    """Build an automaton from a function that names a state's arcs by the states that they lead to; None is the end."""
    numbers: dict[object, int] = {start: 0}
    arcs: list[tuple[Arc, ...]] = []
    waiting = [start]
    for state in waiting:  # grows while it is walked
        row = []
        for probability, word, tag, topic, after in list_arcs(state):
            if after is not None and after not in numbers:
                numbers[after] = len(numbers)
                waiting.append(after)
            row.append(Arc(probability, word, tag, topic, -1 if after is None else numbers[after]))
        arcs.append(tuple(row))
    return Automaton(tuple(arcs), words)

"""Tagging: the standard probe on single positions, version 1. How much of a word's class can a line read off a vector?

All is as in linear.py, with labelled positions in the place of samples: every layer, the same regularisers, chosen on
held-out data, solved again, tested once. What is held out is whole sentences, because the words of one are alike. The
first layer of our models of text is the tokens' own vectors (with their places, in gpt2 and bert): what it reaches
needs no context. `lexical` needs no vectors either: the class that a token has most often in the training part.

Source: Peters et al., EMNLP 2018 (linear probes of every layer for parts of speech); Tenney et al., ICLR 2019 (the
lexical layer as what must be beaten).
Differs: a line with the standard regularisers, where they train networks.
Axes: N sentences, L positions, P labelled positions, Q of them to test on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from pretask import Budget, Choice, Data, Draws, Items, PretaskError, Samples, Task
from pretask.extraction import extract_positions
from torch import Tensor

from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.validation_split import Labelled, Probed, check_share, label_name


@dataclass(frozen=True)
class Tagging:
    """Multinomial logistic regression on the features of labelled positions.

    Args:
        label: Name of the labels; the first ones that are per position when empty.
        held_out: Share of the training sentences on which regulariser and layer are chosen.
        most: Training positions at most, of whole sentences drawn by the seed; 0 for all.
        dtype: Of the arithmetic; bfloat16 is for products of matrices alone.
    """

    label: str = ""
    held_out: float = 0.1
    most: int = 20_000
    dtype: Literal["bfloat16", "float32", "float64"] = "float32"

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """What `linear` yields, and `lexical`.

        Raises:
            PretaskError: There are no labels per position, too few of them, or the encoder does not keep positions.
        """
        train, test = data("train"), data("test")
        name = label_name("tagging", train, self.label, "position")
        label_name("tagging", test, name, "position")
        train = some_sentences(train, name, self.most, budget.seed)
        probe = self.probed(task, train, test, name, budget)
        yield from LinearProbe(dtype=self.dtype).measure(probe)
        tokens = [samples.data[samples.labels[name].value >= 0] for samples in (train, test)]
        yield "lexical", lexical(tokens[0], probe.train.labels, tokens[1], probe.test.labels, probe.classes)

    def probed(self, task: Task, train: Samples, test: Samples, name: str, budget: Budget) -> Probed:
        """Features of all labelled positions with their labels, and which of them are held out."""
        check_share("tagging", self.held_out)
        where = [samples.labels[name].value >= 0 for samples in (train, test)]
        labels = [samples.labels[name].value[at] for samples, at in zip((train, test), where, strict=True)]
        held = held_sentences(where[0].any(1), self.held_out, budget.seed)[:, None].expand_as(where[0])[where[0]]
        check_tags(labels[0], labels[1], held)
        parts = [
            Labelled(extract_positions(task, samples, budget, at), label)
            for samples, at, label in zip((train, test), where, labels, strict=True)
        ]
        return Probed(parts[0], parts[1], len(train.labels[name].names), held)


def some_sentences(samples: Samples, name: str, most: int, seed: int) -> Samples:
    """Sentences in an order drawn by the seed, as many as have no more labelled positions than wanted, at least one."""
    count = (samples.labels[name].value >= 0).sum(1)
    if not most or int(count.sum()) <= most:
        return samples
    order = Draws(torch.arange(len(samples)), seed).branch("tagging").uniform("sentence").argsort()
    taken = int((count[order].cumsum(0) <= most).sum())
    pick = order[: max(taken, 1)].sort().values
    return samples.some(pick, f"{most} positions of {name} by seed {seed}")


def held_sentences(labelled: Bool[Tensor, " N"], share: float, seed: int) -> Bool[Tensor, " N"]:
    """Which sentences are held out: the share of those with labels, at least one, by a hash of seed and place.

    >>> int(held_sentences(torch.ones(20, dtype=torch.bool), 0.1, seed=0).sum())
    2
    """
    order = Draws(torch.arange(len(labelled)), seed).branch("held out").uniform("place")
    members = labelled.nonzero()[:, 0]
    held = torch.zeros_like(labelled)
    held[members[order[members].argsort()[: max(1, round(share * len(members)))]]] = True
    return held


def check_tags(train: Int[Tensor, " P"], test: Int[Tensor, " Q"], held: Bool[Tensor, " P"]) -> None:
    """Raise PretaskError unless there are labels to test on, and two classes to learn among what is not held out."""
    if not len(test) or len(torch.bincount(train[~held]).nonzero()) < 2:
        raise PretaskError(
            "tagging",
            "two sentences or more with labels of at least two classes, and labels to test on",
            f"{len(train)} labels to train on and {len(test)} to test on",
            "Use more data, or a larger tagging.most.",
        )


def lexical(
    known: Int[Tensor, " P"],
    labels: Int[Tensor, " P"],
    asked: Int[Tensor, " Q"],
    answers: Int[Tensor, " Q"],
    classes: int,
) -> float:
    """The share of answers that are the commonest class of their token, or of all where the token is new.

    >>> lexical(torch.tensor([5, 5, 6]), torch.tensor([1, 1, 0]), torch.tensor([5, 6, 7]), torch.tensor([1, 0, 1]), 2)
    1.0
    """
    size = int(torch.cat([known, asked]).max()) + 1
    count = torch.bincount(known * classes + labels, minlength=size * classes).view(size, classes)
    commonest = torch.where(count.any(1), count.argmax(1), torch.bincount(labels, minlength=classes).argmax())
    return float((commonest[asked] == answers).float().mean())

"""Tagging: the standard probe on single positions, version 1. Logistic regression on the features of words.

All is as in linear.py, with labeled positions in the place of samples: every layer, the same regularizers, chosen on
held-out data, solved again, tested once. What is held out is whole sentences, because the words of one are alike. The
first layer of our models of text is the tokens' own vectors (with their places, in gpt2 and bert): what it reaches
needs no context. `lexical` needs no vectors either: the class that a token has most often in the training part.

Source: Peters et al., EMNLP 2018 (linear probes of every layer for parts of speech); Tenney et al., ICLR 2019 (the
lexical layer as what must be beaten).
Differs: a line with the standard regularizers, where they train networks.
Axes: N sentences, L positions, P labeled positions, Q of them to test on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from pretask import Budget, Choice, Data, Draws, Items, PretaskError, Samples, Task
from pretask.extraction import extract_positions
from pretask.options import InnerFraction, NonNegativeInt
from torch import Tensor

from pretask_plugins.evaluators.probes.linear import LinearProbe, Readout
from pretask_plugins.evaluators.probes.validation_split import (
    LabeledFeatures,
    ProbeData,
    check_val_fraction,
    common_label,
)


@dataclass(frozen=True)
class Tagging:
    """Multinomial logistic regression on the features of labeled positions.

    Args:
        label: Name of the labels; the first ones that are per position when empty.
        val_fraction: Fraction of the training sentences on which regularizer and layer are chosen.
        max_positions: Training positions at most, of whole sentences drawn by the seed; 0 for all.
        dtype: Of the arithmetic; bfloat16 is for products of matrices alone.
        readout: Whether the headline is of the best layer, or of all of them, mixed (scalar_mix.py).
    """

    label: str = ""
    val_fraction: InnerFraction = 0.1
    max_positions: NonNegativeInt = 20_000
    dtype: Literal["bfloat16", "float32", "float64"] = "float32"
    readout: Readout = "layer"

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels per position."""
        common_label("tagging", data, self.label, "position")

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """Yield what `linear` yields, and `lexical`.

        Raises:
            PretaskError: There are no labels per position, too few of them, or the encoder does not keep positions.
        """
        name = common_label("tagging", data, self.label, "position")
        train, test = data("train"), data("test")
        train = draw_sentences(train, name, self.max_positions, budget.seed)
        probe = self.build_probe_data(task, train, test, name, budget)
        yield from LinearProbe(dtype=self.dtype, readout=self.readout).measure(probe, "tagging", budget.seed)
        tokens = [samples.take(samples.labels[name].value >= 0) for samples in (train, test)]
        yield "lexical", lexical_accuracy(tokens[0], probe.train.labels, tokens[1], probe.test.labels, probe.classes)

    def build_probe_data(self, task: Task, train: Samples, test: Samples, name: str, budget: Budget) -> ProbeData:
        """Build features of all labeled positions with their labels, and which of them are held out."""
        check_val_fraction("tagging", self.val_fraction)
        where = [samples.labels[name].value >= 0 for samples in (train, test)]
        labels = [samples.labels[name].value[at] for samples, at in zip((train, test), where, strict=True)]
        validation = split_sentences(where[0].any(1), self.val_fraction, budget.seed)[:, None].expand_as(where[0])[
            where[0]
        ]
        check_tags(labels[0], labels[1], validation)
        parts = [
            LabeledFeatures(extract_positions(task, samples, budget, at), label)
            for samples, at, label in zip((train, test), where, labels, strict=True)
        ]
        return ProbeData(parts[0], parts[1], len(train.labels[name].names), validation)


def draw_sentences(samples: Samples, name: str, max_positions: int, seed: int) -> Samples:
    """Draw sentences in an order by the seed, as many as have no more labeled positions than wanted, at least one."""
    count = (samples.labels[name].value >= 0).sum(1)
    if not max_positions or int(count.sum()) <= max_positions:
        return samples
    order = Draws(torch.arange(len(samples)), seed).branch("tagging").uniform("sentence").argsort()
    taken = int((count[order].cumsum(0) <= max_positions).sum())
    pick = order[: max(taken, 1)].sort().values
    return samples.some(pick, f"{max_positions} positions of {name} by seed {seed}")


def split_sentences(keep_labeled: Bool[Tensor, " N"], val_fraction: float, seed: int) -> Bool[Tensor, " N"]:
    """Choose which sentences are held out: a fraction of those with labels, at least one, by a hash of seed and place.

    >>> int(split_sentences(torch.ones(20, dtype=torch.bool), 0.1, seed=0).sum())
    2
    """
    order = Draws(torch.arange(len(keep_labeled)), seed).branch("held out").uniform("place")
    members = keep_labeled.nonzero()[:, 0]
    validation = torch.zeros_like(keep_labeled)
    validation[members[order[members].argsort()[: max(1, round(val_fraction * len(members)))]]] = True
    return validation


def check_tags(train: Int[Tensor, " P"], test: Int[Tensor, " Q"], validation: Bool[Tensor, " P"]) -> None:
    """Raise PretaskError unless there are labels to test on, and two classes to learn among what is not held out."""
    if not len(test) or len(torch.bincount(train[~validation]).nonzero()) < 2:
        raise PretaskError(
            "tagging",
            "two sentences or more with labels of at least two classes, and labels to test on",
            f"{len(train)} labels to train on and {len(test)} to test on",
            "Use more data, or a larger tagging.max_positions.",
        )


def lexical_accuracy(
    train_tokens: Int[Tensor, " P"],
    train_labels: Int[Tensor, " P"],
    test_tokens: Int[Tensor, " Q"],
    test_labels: Int[Tensor, " Q"],
    classes: int,
) -> float:
    """Return the fraction of test labels that are the most common class of their token, or of all where it is new.

    >>> train, test = torch.tensor([5, 5, 6]), torch.tensor([5, 6, 7])
    >>> lexical_accuracy(train, torch.tensor([1, 1, 0]), test, torch.tensor([1, 0, 1]), 2)
    1.0
    """
    size = int(torch.cat([train_tokens, test_tokens]).max()) + 1
    count = torch.bincount(train_tokens * classes + train_labels, minlength=size * classes).view(size, classes)
    most_common = torch.where(count.any(1), count.argmax(1), torch.bincount(train_labels, minlength=classes).argmax())
    return float((most_common[test_tokens] == test_labels).float().mean())

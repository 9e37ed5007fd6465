"""Held out: the labelled features of both parts, and the share of the training part on which everything is chosen.

Axes: N samples, C classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from pretask import Budget, Data, Draws, Items, PretaskError, Samples, Task
from pretask.extraction import LayerFeatures, extract
from torch import Tensor

from pretask_plugins.evaluators.moments import Rows


@dataclass(frozen=True)
class Part:
    """Some samples of one layer, left where they are, and their classes."""

    rows: Rows
    labels: Int[Tensor, " N"]


@dataclass(frozen=True)
class Labelled:
    """One part of the data.

    Args:
        features: By layer.
        labels: A class per sample.
        index: Which rows of the features have a label; None for all.
    """

    features: LayerFeatures
    labels: Int[Tensor, " N"]
    index: Int[Tensor, " N"] | None = None

    def rows(self, name: str) -> Rows:
        """The samples of one layer, left where they are."""
        return Rows(self.features[name], self.index)

    def some(self, name: str, places: Int[Tensor, " M"]) -> Part:
        """Some of the samples."""
        return Part(
            Rows(self.features[name], places if self.index is None else self.index[places]), self.labels[places]
        )


@dataclass(frozen=True)
class Probed:
    """What a probe works on.

    Args:
        train: To fit and to choose on.
        test: Scored once.
        classes: How many.
        held: Which training samples are held out to choose on.
    """

    train: Labelled
    test: Labelled
    classes: int
    held: Bool[Tensor, " N"]

    def parted(self, name: str) -> tuple[Part, Part]:
        """The training samples of one layer: those to fit on, and those to choose on."""
        fit, held = (self.train.some(name, each.nonzero()[:, 0]) for each in (~self.held, self.held))
        return fit, held


def probed(who: str, task: Task, data: Data, budget: Budget, label: str, share: float) -> Probed:
    """Features of both parts with their labels, and a held-out share of the training part.

    Args:
        who: The evaluator, for errors.
        task: Whose encoder is measured.
        data: With labels.
        budget: Seed, batch, cache.
        label: Name of the labels; the first ones when empty.
        share: How much of the training part is held out.

    Raises:
        PretaskError: There are no such labels, only one class, a class with a single sample, or no such share.
    """
    check_share(who, share)
    train, test = data("train"), data("test")
    name = label_name(who, train, label)
    label_name(who, test, name)
    classes = len(train.labels[name].names)
    keep = {part: samples.labels[name].value >= 0 for part, samples in (("train", train), ("test", test))}
    check_classes(who, train, name, keep["train"])
    parts = [
        labelled(extract(task, samples, budget), samples.labels[name].value, keep[part])
        for part, samples in (("train", train), ("test", test))
    ]
    return Probed(parts[0], parts[1], classes, stratified(parts[0].labels, classes, share, budget.seed))


def check_share(who: str, share: float) -> None:
    """Raise PretaskError unless something is held out, and not all."""
    if not 0 < share < 1:
        raise PretaskError(f"{who}.held_out", "a share between 0 and 1", str(share), "Set it to 0.1.", exit_code=2)


def labelled(features: LayerFeatures, labels: Tensor, keep: Tensor) -> Labelled:
    """The samples that have a label."""
    if bool(keep.all()):
        return Labelled(features, labels)
    return Labelled(features, labels[keep], keep.nonzero()[:, 0])


def label_name(who: str, samples: Samples, label: str, per: Literal["sample", "position"] = "sample") -> str:
    """The name of the labels to use; raises PretaskError where there are none, or not one per sample or position."""
    known = [name for name, each in samples.labels.items() if each.value.ndim == (1 if per == "sample" else 2)]
    if not known or (label and label not in known):
        raise PretaskError(
            who,
            f"labels called '{label}'" if label else f"labelled data, one class per {per}",
            ", ".join(known) or "none",
            f"Set {who}.label, or use data with classes.",
        )
    return label or known[0]


def check_classes(who: str, samples: Samples, name: str, keep: Tensor) -> None:
    """Raise PretaskError unless there are two classes or more, each with two samples or more to learn from."""
    labels = samples.labels[name]
    count = torch.bincount(labels.value[keep], minlength=len(labels.names))
    if int((count > 0).sum()) < 2:
        raise PretaskError(who, "at least two classes", f"{int((count > 0).sum())}", "Use data with more classes.")
    lonely = [labels.names[number] for number in (count == 1).nonzero()[:, 0].tolist()]
    if lonely:
        raise PretaskError(
            who,
            "at least two training samples of every class, one to fit and one to choose on",
            f"one of {', '.join(lonely[:3])}",
            "Add samples, or leave the class out.",
        )


def stratified(labels: Int[Tensor, " N"], classes: int, share: float, seed: int) -> Bool[Tensor, " N"]:
    """Which samples are held out: the share of every class, at least one and never all, by a hash of seed and place.

    >>> stratified(torch.tensor([0] * 10 + [1] * 20), 2, 0.1, seed=0).nonzero().shape
    torch.Size([3, 1])
    """
    order = Draws(torch.arange(len(labels)), seed).branch("held out").uniform("place")
    held = torch.zeros(len(labels), dtype=torch.bool)
    for each in range(classes):
        members = (labels == each).nonzero()[:, 0]
        if len(members):
            wanted = min(max(1, round(share * len(members))), len(members) - 1)
            held[members[order[members].argsort()[:wanted]]] = True
    return held


def report(probe: Probed, best: str, guesses: Mapping[str, Int[Tensor, " N"]]) -> Iterator[tuple[str, float | Items]]:
    """What is said of the guesses of every layer's chosen probe, when held-out data chose the layer `best`."""
    correct = guesses[best] == probe.test.labels
    yield "accuracy", float(correct.float().mean())
    yield "balanced_accuracy", balanced_accuracy(guesses[best], probe.test.labels, probe.classes)
    for name, guess in guesses.items():
        yield f"{name}.accuracy", float((guess == probe.test.labels).float().mean())
    yield "majority", majority(probe)
    yield "accuracy", Items(correct)


def balanced_accuracy(guess: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: int) -> float:
    """The mean over classes of the share of their samples that is right."""
    right = torch.bincount(labels[guess == labels], minlength=classes)
    count = torch.bincount(labels, minlength=classes)
    present = count > 0
    return float((right[present] / count[present]).mean())


def majority(probe: Probed) -> float:
    """The share of test samples that belong to the training part's largest class: what a blind guess reaches."""
    largest = int(torch.bincount(probe.train.labels, minlength=probe.classes).argmax())
    return float((probe.test.labels == largest).float().mean())

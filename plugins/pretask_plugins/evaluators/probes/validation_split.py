"""Validation split: labeled features of training and test samples, and on which of these everything is chosen.

Features have the names of `extract`: a layer, and how it was pooled. Both are chosen alike.

Axes: N samples, C classes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from jaxtyping import Bool, Int
from pretask import Budget, Choice, Data, Draws, Items, PretaskError, Samples, Task
from pretask.extraction import LayerFeatures, extract
from pretask.pooling import KNOWN_POOLINGS, POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import Rows

Per = Literal["sample", "position"]  # what has a label of its own


@dataclass(frozen=True)
class LabeledRows:
    """Some rows of one layer's features, left where they are, and their classes."""

    rows: Rows
    labels: Int[Tensor, " N"]


@dataclass(frozen=True)
class LabeledFeatures:
    """The features of all labeled training or test samples.

    Args:
        features: By layer and pooling.
        labels: A class per sample.
        index: Which rows of the features have a label; None for all.
    """

    features: LayerFeatures
    labels: Int[Tensor, " N"]
    index: Int[Tensor, " N"] | None = None

    def rows(self, name: str) -> Rows:
        """Return the samples of one layer, left where they are."""
        return Rows(self.features[name], self.index)

    def select(self, name: str, indices: Int[Tensor, " M"]) -> LabeledRows:
        """Return some of the samples of one layer."""
        rows = indices if self.index is None else self.index[indices]
        return LabeledRows(Rows(self.features[name], rows), self.labels[indices])


@dataclass(frozen=True)
class ProbeData:
    """What a probe works on.

    Args:
        train: To fit and to choose on.
        test: Scored once.
        classes: How many.
        validation: Which training samples are the validation split, on which all is chosen.
    """

    train: LabeledFeatures
    test: LabeledFeatures
    classes: int
    validation: Bool[Tensor, " N"]

    def layers(self) -> list[list[str]]:
        """List the names of features, those of one layer together."""
        return [list(names) for _, names in groupby(self.train.features, layer_name)]

    def fit_and_validation(self, name: str) -> tuple[LabeledRows, LabeledRows]:
        """Split the training samples of one layer: those to fit on, and those to choose on."""
        fit, validation = (
            self.train.select(name, chosen.nonzero()[:, 0]) for chosen in (~self.validation, self.validation)
        )
        return fit, validation


@dataclass(frozen=True)
class LayerChoice:
    """The regularizer that was chosen for a layer, pooled in one way.

    Args:
        regularizer: Its index in the grid.
        val_accuracy: That it reached on the validation split.
    """

    regularizer: int
    val_accuracy: float


def build_probe_data(
    who: str,
    task: Task,
    data: Data,
    budget: Budget,
    label: str,
    val_fraction: float,
    poolings: Collection[str] = POOLINGS,
) -> ProbeData:
    """Build features of both parts with their labels, and a validation split of the training part.

    Args:
        who: The evaluator, for errors.
        task: Whose encoder is measured.
        data: With labels.
        budget: Seed, batch, cache.
        label: Name of the labels; the first ones when empty.
        val_fraction: How much of the training part is the validation split.
        poolings: Those that are tried.

    Raises:
        PretaskError: There are no such labels, only one class, a class with a single sample, no such fraction, or no
            layer that offers one of the poolings.
    """
    check_val_fraction(who, val_fraction)
    name = find_classes(who, data, label)
    train, test = data("train"), data("test")
    classes = len(train.labels[name].names)
    keep = {part: samples.labels[name].value >= 0 for part, samples in (("train", train), ("test", test))}
    parts = [
        keep_labeled(extract(task, samples, budget, poolings), samples.labels[name].value, keep[part])
        for part, samples in (("train", train), ("test", test))
    ]
    check_offered(who, parts[0].features, poolings)
    return ProbeData(parts[0], parts[1], classes, split_stratified(parts[0].labels, classes, val_fraction, budget.seed))


def check_neighbors(who: str, k: Collection[int]) -> None:
    """Raise PretaskError unless there are numbers of neighbors, each of 1 or more."""
    if not k or min(k) < 1:
        raise PretaskError(f"{who}.k", "numbers of neighbors from 1", str(k), "Set it to (20,).", exit_code=2)


def check_val_fraction(who: str, val_fraction: float) -> None:
    """Raise PretaskError unless something is held out, and not all."""
    if not 0 < val_fraction < 1:
        raise PretaskError(
            f"{who}.val_fraction", "a fraction between 0 and 1", str(val_fraction), "Set it to 0.1.", exit_code=2
        )


def check_poolings(who: str, poolings: Collection[str]) -> None:
    """Raise PretaskError unless there is a pooling, and all are known."""
    if not poolings or not {*poolings} <= {*KNOWN_POOLINGS}:
        needs, got = f"some of {', '.join(KNOWN_POOLINGS)}", ", ".join(poolings) or "none"
        raise PretaskError(f"{who}.pooling", needs, got, "Leave it out.", exit_code=2)


def check_offered(who: str, features: LayerFeatures, poolings: Collection[str]) -> None:
    """Raise PretaskError where no layer offers one of the poolings."""
    if not features:
        raise PretaskError(
            f"{who}.pooling", f"a layer that offers {' or '.join(poolings)}", "none", f"Set {who}.pooling to mean."
        )


def keep_labeled(features: LayerFeatures, labels: Tensor, keep: Tensor) -> LabeledFeatures:
    """Keep the samples that have a label."""
    if bool(keep.all()):
        return LabeledFeatures(features, labels)
    return LabeledFeatures(features, labels[keep], keep.nonzero()[:, 0])


def label_name(who: str, samples: Samples, label: str, per: Per = "sample") -> str:
    """Return the name of the labels to use; raise PretaskError where none fits, one per sample or position."""
    axes = 1 if per == "sample" else 2
    known = [name for name, labels in samples.labels.items() if labels.value.ndim == axes and not labels.multiple]
    if not known or (label and label not in known):
        raise PretaskError(
            who,
            f"labels called '{label}'" if label else f"labeled data, one class per {per}",
            ", ".join(known) or "none",
            f"Set {who}.label, use data with classes, or leave {who} out of --evaluate.",
        )
    return label or known[0]


def find_classes(who: str, data: Data, label: str) -> str:
    """Return the name of the labels to use, which both parts have; raise PretaskError where none allow a probe."""
    name = common_label(who, data, label)
    train = data("train")
    check_classes(who, train, name, train.labels[name].value >= 0)
    return name


def common_label(who: str, data: Data, label: str, per: Per = "sample") -> str:
    """Return the name of the labels to use, one per sample or position, which both parts have."""
    name = label_name(who, data("train"), label, per)
    return label_name(who, data("test"), name, per)


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


def split_stratified(labels: Int[Tensor, " N"], classes: int, val_fraction: float, seed: int) -> Bool[Tensor, " N"]:
    """Choose the held-out samples: a fraction of every class, at least one, never all, by a hash of seed and place.

    >>> split_stratified(torch.tensor([0] * 10 + [1] * 20), 2, 0.1, seed=0).nonzero().shape
    torch.Size([3, 1])
    """
    order = Draws(torch.arange(len(labels)), seed).branch("held out").uniform("place")
    validation = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(classes):
        members = (labels == label).nonzero()[:, 0]
        if len(members):
            wanted = min(max(1, round(val_fraction * len(members))), len(members) - 1)
            validation[members[order[members].argsort()[:wanted]]] = True
    return validation


def best_poolings(val_accuracy: Mapping[str, float]) -> list[str]:
    """Choose, for every layer, the name under which it does best on validation data; of equals, the first.

    >>> best_poolings({"layer1.mean": 0.5, "layer1.last": 0.7, "layer2.mean": 0.6, "layer2.last": 0.6})
    ['layer1.last', 'layer2.mean']
    """
    best: dict[str, str] = {}
    for name, score in val_accuracy.items():
        layer = layer_name(name)
        if layer not in best or score > val_accuracy[best[layer]]:
            best[layer] = name
    return [*best.values()]


def layer_name(name: str) -> str:
    """Return the layer in the name of features.

    >>> layer_name("layer3.mean-max"), layer_name("layer3")
    ('layer3', 'layer3')
    """
    return name.partition(".")[0]


def report(
    probe: ProbeData, best: str, predictions: Mapping[str, Int[Tensor, " N"]]
) -> Iterator[tuple[str, float | Items | Choice]]:
    """Yield the numbers of every layer's chosen probe, when held-out data chose the features `best`."""
    correct = predictions[best] == probe.test.labels
    yield "accuracy", float(correct.float().mean())
    yield "balanced_accuracy", balanced_accuracy(predictions[best], probe.test.labels, probe.classes)
    for name, prediction in predictions.items():
        yield f"{layer_name(name)}.accuracy", float((prediction == probe.test.labels).float().mean())
    yield "majority", majority(probe)
    yield "accuracy", Items(correct)
    yield from name_choices(best, predictions)


def name_choices(best: str, names: Collection[str]) -> Iterator[tuple[str, Choice]]:
    """Yield the layer and the pooling that were chosen, and the pooling of every layer; positions have none."""
    yield "layer", Choice(layer_name(best))
    for name, source in (("pooling", best), *((f"{layer_name(name)}.pooling", name) for name in names)):
        if pooling := source.partition(".")[2]:
            yield name, Choice(pooling)


def balanced_accuracy(prediction: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: int) -> float:
    """Return the mean over classes of the fraction of their samples that is correct."""
    correct = torch.bincount(labels[prediction == labels], minlength=classes)
    count = torch.bincount(labels, minlength=classes)
    present = count > 0
    return float((correct[present] / count[present]).mean())


def majority(probe: ProbeData) -> float:
    """Return the accuracy of predicting the most frequent class of the training part for every test sample."""
    largest = int(torch.bincount(probe.train.labels, minlength=probe.classes).argmax())
    return float((probe.test.labels == largest).float().mean())

"""Multi-label: the standard probe where a sample may be of several classes, version 1. One class against the rest.

For every class a logistic regression on frozen features (logistic.py) says how sure it is that a sample is of it, and
the average precision of the class is the area below precision over recall. As in linear.py a tenth of the training part
is held out: on it the regularizer of every class is chosen, and by their mean the pooling of every layer and the layer
of the headline. The chosen ones are solved again on the whole training part, and the test part is scored once.
Samples of which a class is unknown (VOC's difficult objects) are left out for that class.

Source: Everingham et al. 2010 (one against rest, average precision); Doersch, Gupta and Efros 2015 and Zhang, Isola and
Efros 2016 (VOC 2007 classification of frozen features).
Differs: logistic regression, where they train networks or support vector machines; the area below the precisions as
    they are, where VOC 2007 reads the best ones from eleven recalls on.
Axes: N samples, M test samples, P labeled ones, K classes, G regularizers, C here 2: the rest, and the class.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Budget, Choice, Data, Items, PretaskError, Samples, Task
from pretask.extraction import LayerFeatures, extract
from pretask.options import InnerFraction
from pretask.pooling import POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.logistic import GRID, Solution, fit_grid
from pretask_plugins.evaluators.probes.moments import Rows
from pretask_plugins.evaluators.probes.validation_split import (
    best_poolings,
    check_offered,
    check_poolings,
    check_val_fraction,
    layer_name,
    name_choices,
    split_stratified,
)

WHO = "multi-label"
REGULARIZERS = GRID[::4]  # every fourth: a class is a problem of its own, so there are many
SURE = 0.0  # difference of logits from which a sample counts as of the class


@dataclass(frozen=True)
class MultiLabelProbe:
    """Logistic regression of one class against the rest, on every layer.

    Args:
        label: Name of the labels; the first ones that allow several classes when empty.
        val_fraction: Fraction of the training part on which all is chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max,
            segments and quarters, which keep the order of time and what is where (pretask.pooling).
    """

    label: str = ""
    val_fraction: InnerFraction = 0.1
    pooling: tuple[str, ...] = POOLINGS

    def __post_init__(self) -> None:
        check_poolings(WHO, self.pooling)

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where no labels allow several classes."""
        find_common_labels(data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """Yield `mAP` of the layer and pooling chosen on validation data, that of each layer, and `frequency_mAP`.

        `frequency_mAP` is what scores without any relation to the sample reach: the mean share of samples of a class.
        `answers.accuracy`, with items, is the fraction of the known answers (one for every sample and class) that are
        right.

        Raises:
            PretaskError: No labels allow several classes, or too few samples are of a class or not of it.
        """
        train, test = (data(part) for part in ("train", "test"))
        name = find_common_labels(data, self.label)
        known, truth = train.labels[name].value, test.labels[name].value
        features, held_out = (extract(task, samples, budget, self.pooling) for samples in (train, test))
        check_offered(WHO, features, self.pooling)
        usable = [number for number in range(known.shape[1]) if is_usable(known[:, number], truth[:, number])]
        if not usable:
            needs = "a class that two training samples and a test sample are of, and as many are not"
            raise PretaskError(WHO, needs, "none", "Use more data.")
        check_val_fraction(WHO, self.val_fraction)
        probe = Probe(features, held_out, known, truth, usable, self.val_fraction, budget.seed)
        yield from probe.measure()


def find_common_labels(data: Data, label: str) -> str:
    """Return the name of the labels to use, which both parts have."""
    name = find_labels(data("train"), label)
    find_labels(data("test"), name)
    return name


def find_labels(samples: Samples, label: str) -> str:
    """Return the name of the labels to use; raise PretaskError where none allows several classes."""
    known = [name for name, labels in samples.labels.items() if labels.multiple]
    if not known or (label and label not in known):
        needs = f"labels of several classes called '{label}'" if label else "labels of several classes for a sample"
        raise PretaskError(WHO, needs, ", ".join(known) or "none", "Set multi-label.label, or use data such as voc.")
    return label or known[0]


def is_usable(known: Int[Tensor, " N"], truth: Int[Tensor, " M"]) -> bool:
    """Return whether some samples are of the class and others are not: two to train on, so that one is held out."""
    return all(int((known == answer).sum()) >= 2 and bool((truth == answer).any()) for answer in (0, 1))


@dataclass(frozen=True)
class Probe:
    """What is fitted and measured on.

    Args:
        features: Of the training part, by layer and pooling.
        held_out: Of the test part.
        known: Whether a training sample is of a class: 1, 0, or -1 where that is unknown.
        truth: Of the test samples.
        classes: Numbers of those that can be measured.
        val_fraction: Fraction of the training samples of a class, and of the others, on which all is chosen.
        seed: By which these are drawn.
    """

    features: LayerFeatures
    held_out: LayerFeatures
    known: Int[Tensor, "N K"]
    truth: Int[Tensor, "M K"]
    classes: list[int]
    val_fraction: float
    seed: int

    def measure(self) -> Iterator[tuple[str, float | Items | Choice]]:
        """Choose, fit again, and yield what the test part says."""
        chosen = {name: [self.choose(name, number) for number in self.classes] for name in self.features}
        ratings = {name: sum(score for score, _ in choices) / len(choices) for name, choices in chosen.items()}
        names = best_poolings(ratings)
        scores = {name: self.predict(name, [regularizer for _, regularizer in chosen[name]]) for name in names}
        best = max(names, key=lambda name: ratings[name])
        yield "mAP", self.mean_precision(scores[best])
        for name in names:
            yield f"{layer_name(name)}.mAP", self.mean_precision(scores[name])
        truth = self.truth[:, self.classes]
        shares = [(column == 1).sum() / (column >= 0).sum() for column in truth.unbind(1)]
        yield "frequency_mAP", float(torch.stack(shares).mean())
        correct = ((scores[best] > SURE) == (truth == 1))[truth >= 0]
        yield "answers.accuracy", float(correct.double().mean())
        yield "answers.accuracy", Items(correct)
        yield from name_choices(best, names)

    def choose(self, name: str, number: int) -> tuple[float, int]:
        """Return the best average precision of a class on validation data, and its regularizer; of equals, by loss."""
        labeled = self.labeled(number)
        validation = split_stratified(self.known[labeled, number], 2, self.val_fraction, self.seed)
        solution = self.fit(name, number, labeled[~validation], len(REGULARIZERS))
        where = labeled[validation]
        rows, answers = Rows(self.features[name], where), self.known[where, number]
        scores = [average_precision(margin, answers) for margin in list_margins(solution, rows)]
        nats = solution.nats(rows, answers).tolist()
        best = max(range(len(scores)), key=lambda place: (scores[place], -nats[place]))
        return scores[best], best

    def labeled(self, number: int) -> Int[Tensor, " P"]:
        """Return the training samples of which it is known whether they are of a class."""
        return (self.known[:, number] >= 0).nonzero()[:, 0]

    def fit(self, name: str, number: int, where: Int[Tensor, " P"], count: int) -> Solution:
        """Solve for a class with the first `count` regularizers on some of the training samples."""
        return fit_grid(Rows(self.features[name], where), self.known[where, number], 2, REGULARIZERS[:count])

    def predict(self, name: str, regularizers: list[int]) -> Float[Tensor, "M K"]:
        """Say how sure every class is of every test sample, fitted on the whole training part as chosen."""
        columns = [
            list_margins(self.fit(name, number, self.labeled(number), place + 1), Rows(self.held_out[name]))[-1]
            for number, place in zip(self.classes, regularizers, strict=True)
        ]
        return torch.stack(columns, 1)

    def mean_precision(self, scores: Float[Tensor, "M K"]) -> float:
        """Return the mean over classes of the average precision on the test part."""
        found = []
        for place, number in enumerate(self.classes):
            known = self.truth[:, number] >= 0
            found.append(average_precision(scores[known, place], self.truth[known, number]))
        return sum(found) / len(found)


def list_margins(solution: Solution, rows: Rows) -> list[Float[Tensor, " N"]]:
    """Return, for every regularizer, by how much the class is ahead of the rest."""
    rotated = torch.cat([solution.basis(chunk) for chunk in rows.chunks()], 1)
    return [(weights[1] - weights[0]) @ rotated for weights in solution.weights]


def average_precision(scores: Float[Tensor, " N"], truth: Int[Tensor, " N"]) -> float:
    """Return the area below precision over recall."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth.numpy(), scores.numpy()))

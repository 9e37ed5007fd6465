"""Fine-tune: what an encoder is worth where all of it is trained further on labels, of any modality. Version 1.

A line on the model's own pooled vector (a class token, a mean, the last token) predicts the class; see engine.py for
what is trained and how it is chosen. Beside it, `random-init` is the same network trained on the same labels alone, and
`raw-input` a line on the input.

Source: see engine.py.
Axes: N samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from pretask import Budget, Choice, Data, Items, Samples, Task
from torch import Tensor

from pretask_plugins.evaluators.probes.fine_tuning.engine import AuxiliaryLoss, Trainer, Tuning
from pretask_plugins.evaluators.probes.fine_tuning.forms import ClassForm, Show
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import make_rows
from pretask_plugins.evaluators.probes.validation_split import (
    balanced_accuracy,
    find_classes,
    split_stratified,
)

Yielded = Iterator[tuple[str, float | Items | Choice]]


@dataclass(frozen=True, kw_only=True)
class FineTune(Tuning):
    """A classifier of whole samples, trained with the network below it.

    Args:
        label: Name of the labels; the first ones when empty.
    """

    label: str = ""

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels, or too few samples of a class."""
        find_classes("fine-tune", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `accuracy`, `balanced_accuracy`, `majority` (the most frequent class), `items`, and the chosen point.

        `train_labels` is how many labels there were to learn from.

        Raises:
            PretaskError: There are no labels, or too few samples of a class.
        """
        show = show_samples(task, data("train"))
        yield from yield_class_metrics(*classify("fine-tune", self, self.label, task, data, budget, show))


@dataclass(frozen=True)
class Classified:
    """Labeled test samples as they were classified.

    Args:
        predictions: Class numbers.
        labels: The right ones.
        names: Of the classes.
        majority: The most frequent class of the training part.
        learned: How many training samples have a label.
    """

    predictions: Int[Tensor, " N"]
    labels: Int[Tensor, " N"]
    names: tuple[str, ...]
    majority: int
    learned: int


def show_samples(task: Task, samples: Samples) -> Show:
    """Return how samples of any modality are shown undivided; rows of text as GPT-1 has them, and no longer than is."""
    if samples.observed.vocabulary is not None and len(samples.observed.shape) == 1:
        return make_rows("fine-tune", task, samples, in_pieces=False)
    return task.split.whole


def classify(
    who: str,
    options: Tuning,
    label: str,
    task: Task,
    data: Data,
    budget: Budget,
    show: Show,
    auxiliary: AuxiliaryLoss | None = None,
) -> tuple[Classified, list[tuple[str, Choice]]]:
    """Train a classifier, and return what it says of the test part with the point that was chosen."""
    name = find_classes(who, data, label)
    train, test = data("train"), data("test")
    labels = train.labels[name]
    keep = labels.value >= 0
    units = keep.nonzero()[:, 0]
    classes = len(labels.names)
    validation = split_stratified(labels.value[units], classes, options.val_fraction, budget.seed)
    form = ClassForm(labels.value, classes, show)
    trainer = Trainer(who, task, form, train, options, budget.seed, budget.batch, auxiliary)
    fitted = trainer.fit_best(units, validation)
    right = test.labels[name].value
    tested = (right >= 0).nonzero()[:, 0]
    predictions = trainer.predict(fitted.network, test, tested)
    majority = int(torch.bincount(labels.value[units], minlength=classes).argmax())
    found = Classified(predictions, right[tested], labels.names, majority, len(units))
    return found, [*fitted.choices()]


def yield_class_metrics(found: Classified, choices: list[tuple[str, Choice]]) -> Yielded:
    """Yield the numbers that every classifier has."""
    correct = found.predictions == found.labels
    yield "accuracy", float(correct.double().mean())
    yield "balanced_accuracy", balanced_accuracy(found.predictions, found.labels, len(found.names))
    yield "majority", float((found.labels == found.majority).double().mean())
    yield "train_labels", float(found.learned)
    yield "accuracy", Items(correct)
    yield from choices

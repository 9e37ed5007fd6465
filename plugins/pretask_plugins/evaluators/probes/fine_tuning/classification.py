"""Classification: texts, or pairs of texts, by fine-tuning. Version 1.

`classification` reads one text. `pair-classification` reads two in one row: to a network that has seen segments they
differ by these and by the separator, to any other by the separator alone; see text_rows.py, also for what a
causal network is shown. A causal language model keeps half of its loss beside that of the classes (Radford 2018).

Source: Devlin et al., NAACL 2019; Radford et al. 2018; see engine.py.
Axes: N samples.
"""

from dataclasses import dataclass

import torch
from pretask import Budget, Data, PretaskError, Samples, Task
from pretask.options import NonNegativeFloat

from pretask_plugins.evaluators.probes.fine_tuning.engine import Tuning
from pretask_plugins.evaluators.probes.fine_tuning.fine_tune import Classified, Yielded, classify, yield_class_metrics
from pretask_plugins.evaluators.probes.fine_tuning.overlap import measure_overlap, predict_by_overlap
from pretask_plugins.evaluators.probes.fine_tuning.scores import f1_score, matthews
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import LM_WEIGHT, find_language_loss, make_rows
from pretask_plugins.evaluators.probes.validation_split import find_classes, label_name


@dataclass(frozen=True, kw_only=True)
class Classification(Tuning):
    """A classifier of texts.

    Args:
        label: Name of the labels; the first ones when empty.
        lm_weight: Of a causal language model's own loss beside that of the classes.
    """

    label: str = ""
    lm_weight: NonNegativeFloat = LM_WEIGHT

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels, or too few samples of a class."""
        find_classes("classification", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield what `fine-tune` yields, `f1` and `matthews`; `constant_f1` is the best F1 of one answer for all.

        Of two classes, `f1` is that of the second; of several, the mean.

        Raises:
            PretaskError: The data is no text, there are no labels, or too few texts of a class.
        """
        rows = make_rows("classification", task, data("train"), in_pieces=False)
        auxiliary = find_language_loss(task, rows, data("train"), self.lm_weight)
        found, choices = classify("classification", self, self.label, task, data, budget, rows, auxiliary)
        yield from yield_class_metrics(found, choices)
        yield from yield_text_metrics(found)


@dataclass(frozen=True, kw_only=True)
class PairClassification(Tuning):
    """A classifier of pairs of texts.

    Args:
        label: Name of the labels; the first ones when empty.
        lm_weight: Of a causal language model's own loss beside that of the classes.
        both_orders: Whether the network reads the pair in either order and both vectors are added, as GPT-1 does where
            the order says nothing (similarity).
    """

    label: str = ""
    lm_weight: NonNegativeFloat = LM_WEIGHT
    both_orders: bool = False

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels, or too few samples of a class."""
        find_classes("pair-classification", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield what `classification` yields, and `overlap`, the accuracy of telling the class by shared tokens alone.

        Raises:
            PretaskError: The data is no text, no row holds two pieces, there are no labels, or too few pairs of a
                class.
        """
        who, train = "pair-classification", data("train")
        rows = make_rows(who, task, train, in_pieces=True, both_orders=self.both_orders)
        check_pairs(who, train)
        auxiliary = find_language_loss(task, rows, train, self.lm_weight)
        found, choices = classify(who, self, self.label, task, data, budget, rows, auxiliary)
        yield from yield_class_metrics(found, choices)
        yield from yield_text_metrics(found)
        yield "overlap", rate_overlap(train, data("test"), label_name(who, train, self.label))


def rate_overlap(train: Samples, test: Samples, name: str) -> float:
    """Return the accuracy of telling the class by how much of the second text the first one has."""
    labels, right = train.labels[name], test.labels[name].value
    known, tested = labels.value >= 0, right >= 0
    shared = measure_overlap(train)[known], measure_overlap(test)[tested]
    predictions = predict_by_overlap(shared[0], labels.value[known], shared[1], len(labels.names))
    return float((predictions == right[tested]).double().mean())


def check_pairs(who: str, samples: Samples) -> None:
    """Raise PretaskError where no row has a separator."""
    vocabulary = samples.observed.vocabulary
    separator = vocabulary.id("separator") if vocabulary is not None else None
    if separator is None or not bool((samples.data == separator).any()):
        raise PretaskError(
            who, "rows of two texts with a separator between them", "none", "Use data of pairs, or classification."
        )


def yield_text_metrics(found: Classified) -> Yielded:
    """Yield F1, the best that one answer for all reaches, and Matthews' correlation."""
    classes = len(found.names)
    constant = [f1_score(torch.full_like(found.labels, number), found.labels, classes) for number in range(classes)]
    yield "f1", f1_score(found.predictions, found.labels, classes)
    yield "constant_f1", max(constant)
    yield "matthews", matthews(found.predictions, found.labels)

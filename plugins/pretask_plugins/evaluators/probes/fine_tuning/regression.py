"""Regression: a number of every text or pair of texts, by fine-tuning; how similar two sentences are. Version 1.

Labels are classes whose names are numbers, such as 0.0 and 3.25; two classes of other names are 0 and 1. A line on the
pooled vector predicts the number, in standard deviations from the mean of the training part, by squared error. The
scores are Pearson's and Spearman's correlation with the right numbers. `overlap_spearman` is that of the fraction of
the second text's tokens which the first one has.

Source: Devlin et al., NAACL 2019, section 4.1 (STS-B); Cer et al., SemEval 2017; Radford et al. 2018, section 3.3
(both orders of a pair, added).
Axes: N samples.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Budget, Data, Labels, PretaskError, Task
from pretask.options import NonNegativeFloat
from torch import Tensor

from pretask_plugins.evaluators.probes.fine_tuning.engine import Trainer, Tuning
from pretask_plugins.evaluators.probes.fine_tuning.fine_tune import Yielded
from pretask_plugins.evaluators.probes.fine_tuning.forms import NumberForm
from pretask_plugins.evaluators.probes.fine_tuning.overlap import measure_overlap
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import LM_WEIGHT, find_language_loss, make_rows
from pretask_plugins.evaluators.probes.tagging import split_sentences
from pretask_plugins.evaluators.probes.validation_split import common_label
from pretask_plugins.shared.correlation import pearson, spearman

WHO = "regression"
MIN_TEXTS = 3  # of which one is held out, and two may differ


@dataclass(frozen=True, kw_only=True)
class Regression(Tuning):
    """A predictor of numbers.

    Args:
        label: Name of the labels; the first ones when empty.
        lm_weight: Of a causal language model's own loss beside that of the numbers.
        both_orders: Whether the network reads a pair in either order and both vectors are added.
    """

    label: str = ""
    lm_weight: NonNegativeFloat = LM_WEIGHT
    both_orders: bool = False

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels."""
        common_label(WHO, data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `spearman`, `pearson` and `overlap_spearman`.

        Raises:
            PretaskError: The data is no text, or its labels are no numbers.
        """
        name = common_label(WHO, data, self.label)
        train, test = data("train"), data("test")
        values, right = (read_values(samples.labels[name]) for samples in (train, test))
        units, tested = values.isfinite().nonzero()[:, 0], right.isfinite().nonzero()[:, 0]
        if len(units) < MIN_TEXTS or not len(tested):
            needs, got = f"{MIN_TEXTS} texts with numbers, and one to test on", f"{len(units)} and {len(tested)}"
            raise PretaskError(WHO, needs, got, "Use more data.")
        rows = make_rows(WHO, task, train, in_pieces=True, both_orders=self.both_orders)
        form = NumberForm(values.nan_to_num(float(values[units].mean())), rows, spearman)
        auxiliary = find_language_loss(task, rows, train, self.lm_weight)
        validation = split_sentences(values.isfinite(), self.val_fraction, budget.seed)[units]
        trainer = Trainer(WHO, task, form, train, self, budget.seed, budget.batch, auxiliary)
        fitted = trainer.fit_best(units, validation)
        predictions = trainer.predict(fitted.network, test, tested)
        yield "spearman", spearman(predictions, right[tested])
        yield "pearson", pearson(predictions, right[tested])
        yield "overlap_spearman", spearman(measure_overlap(test)[tested], right[tested])
        yield "train_labels", float(len(units))
        yield from fitted.choices()


def read_values(labels: Labels) -> Float[Tensor, " N"]:
    """Return labels as numbers, NaN where there is none; raise PretaskError where their names are none.

    >>> read_values(Labels(torch.tensor([1, -1, 0]), ("0.5", "2"))).tolist()
    [2.0, nan, 0.5]
    """
    try:
        numbers = [float(name) for name in labels.names]
    except ValueError:
        if len(labels.names) != 2:
            some = ", ".join(labels.names[:5])
            raise PretaskError(
                WHO, "labels that are numbers, or two classes", some, "Use classification, or correct the labels."
            ) from None
        numbers = [0.0, 1.0]
    return torch.tensor([*numbers, float("nan")], dtype=torch.float64)[labels.value]

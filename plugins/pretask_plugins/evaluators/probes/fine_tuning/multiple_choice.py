"""Multiple choice: the right one of several texts, by fine-tuning. Version 1.

Every choice is a row, `beginning, separator, ending, end`; those of a question stand one after the other. A line on the
pooled vector gives each one number, and the softmax over the choices of a question is the answer.

Source: Devlin et al., NAACL 2019, section 4.4; Zellers et al., EMNLP 2018 (SWAG); Radford et al. 2018, section 3.3.
Axes: N rows, U questions, K choices.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from pretask import Budget, Data, Draws, Items, PretaskError, Task, source_of
from pretask.options import NonNegativeFloat, NonNegativeInt
from torch import Tensor

from pretask_plugins.evaluators.probes.fine_tuning.engine import Trainer, Tuning
from pretask_plugins.evaluators.probes.fine_tuning.fine_tune import Yielded
from pretask_plugins.evaluators.probes.fine_tuning.forms import ChoiceForm, choose_right
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import LM_WEIGHT, find_language_loss, make_rows
from pretask_plugins.evaluators.probes.validation_split import common_label
from pretask_plugins.shared.questions import OffersChoices

WHO = "multiple-choice"
MIN_QUESTIONS = 2  # one to learn from and one to choose on


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Tuning):
    """A chooser among texts.

    Args:
        label: Name of the labels, of which the last class is right; the first ones when empty.
        choices: Rows of a question; 0 for what the data says.
        lm_weight: Of a causal language model's own loss beside that of the choice.
    """

    label: str = ""
    choices: NonNegativeInt = 0
    lm_weight: NonNegativeFloat = LM_WEIGHT

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels."""
        common_label(WHO, data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `accuracy` (of questions), `chance` and items.

        Raises:
            PretaskError: The data does not say how many choices there are, has no labels, or too few questions.
        """
        name = common_label(WHO, data, self.label)
        train, test = data("train"), data("test")
        count = self.choices or count_choices(data)
        right = train.labels[name].value == len(train.labels[name].names) - 1
        units = find_questions(right, count)
        tested_right = test.labels[name].value == len(test.labels[name].names) - 1
        tested = find_questions(tested_right, count)
        if len(units) < MIN_QUESTIONS or not len(tested):
            needs, got = f"{MIN_QUESTIONS} questions with one right choice to learn from, one to test on", ""
            got = f"{len(units)} and {len(tested)} of {count} choices"
            raise PretaskError(WHO, needs, got, "Use more questions, or set multiple-choice.choices.")
        rows = make_rows(WHO, task, train, in_pieces=True)
        form = ChoiceForm(right.float(), rows, count)
        auxiliary = find_language_loss(task, rows, train, self.lm_weight)
        validation = torch.zeros(len(units), dtype=torch.bool)
        order = Draws(units, budget.seed).branch("held out").uniform("question").argsort()
        validation[order[: min(max(1, round(self.val_fraction * len(units))), len(units) - 1)]] = True
        trainer = Trainer(WHO, task, form, train, self, budget.seed, budget.batch, auxiliary)
        fitted = trainer.fit_best(units, validation)
        numbers = trainer.predict(fitted.network, test, tested).view(-1, count)
        correct = choose_right(numbers, tested_right[trainer.rows(tested)].float().view(-1, count))
        yield "accuracy", float(correct.double().mean())
        yield "chance", float(tested_right[trainer.rows(tested)].double().mean())
        yield "train_labels", float(len(units))
        yield "accuracy", Items(correct)
        yield from fitted.choices()


def count_choices(data: Data) -> int:
    """Return how many choices a question of a data set has, its `choices`; raise PretaskError where it has none."""
    source = source_of(data)
    count = source.choices if isinstance(source, OffersChoices) else 0
    if count < 1:
        needs = "data that says how many choices a question has (choices)"
        raise PretaskError(WHO, needs, "none", "Set multiple-choice.choices, or use the data choices.")
    return count


def find_questions(right: Bool[Tensor, " N"], count: int) -> Int[Tensor, " U"]:
    """Return the numbers of the questions that are whole and have one right choice.

    >>> find_questions(torch.tensor([True, False, False, False, True]), 2).tolist()
    [0]
    """
    whole = right[: len(right) // count * count].view(-1, count)
    return (whole.sum(1) == 1).nonzero()[:, 0]

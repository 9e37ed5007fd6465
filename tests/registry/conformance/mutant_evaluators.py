"""A sound evaluator, and what goes wrong in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pretask import Budget, Choice, Data, Items, PretaskError, Samples, Task
from pretask.pretext_score import evaluation_mode
from torch import Tensor


@dataclass(frozen=True)
class Centroid:
    """The class whose mean is nearest, in standardised features."""

    fault: str = ""

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, Any]]:
        train, test = data("train"), data("test")
        if not train.labels:
            raise PretaskError("centroid", "labels", "none", "Use other data.")
        name = next(iter(train.labels))
        fit, call_hook = (encoded(task, samples) for samples in (train, test))
        label, answer = train.labels[name].value, test.labels[name].value
        guess = self.guesses(fit[label >= 0], label[label >= 0], call_hook, answer)
        right = (guess == answer)[answer >= 0]
        if self.fault == "scores-what-it-learned":
            right = (torch.cdist(fit, fit).argmin(1) == torch.arange(len(fit)))[: len(right)]
        if self.fault == "ambient-choice":
            right = right ^ (torch.rand(len(right)) < 0.5)
            yield "chosen", float(torch.rand(()))  # of few items, as many may be right by another choice
        if self.fault == "leaves-evaluation-on":
            task.model.eval()
        if self.fault == "changes-weights":
            next(task.model.parameters()).data.add_(1e-3)
        yield "accuracy", float(right.float().mean())
        yield "accuracy", Items(~right if self.fault == "items-of-another-number" else right)
        on = call_hook if self.fault == "chooses-on-test" else fit
        yield "feature", Choice(str(int(on.std(0).argmax())))
        if self.fault == "yields-text":
            yield "verdict", "good"

    def guesses(self, fit: Tensor, label: Tensor, call_hook: Tensor, answer: Tensor) -> Tensor:
        """The class of every test sample."""
        if self.fault == "guesses-the-commonest":
            return label.mode().values.expand(len(call_hook))
        if self.fault == "fits-on-test":
            fit, label = torch.cat([fit, call_hook[answer >= 0]]), torch.cat([label, answer[answer >= 0]])
        by = call_hook if self.fault == "standardises-by-test" else fit
        fit, call_hook = ((features - by.mean(0)) / by.std(0).clamp(min=1e-6) for features in (fit, call_hook))
        classes = int(label.max()) + 1
        means = torch.stack([fit[label == category].mean(0) for category in range(classes)])
        return torch.cdist(call_hook, means).argmin(1)


class Retrieve(Centroid):
    """The same under another name than accuracy, as a plugin may declare for its headline."""

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, Any]]:
        yield from ((name.replace("accuracy", "hits"), value) for name, value in super().__call__(task, data, budget))
        if self.fault == "number-of-no-unit":
            yield "closeness", 1.0


def encoded(task: Task, samples: Samples) -> Tensor:
    """The pooled vector of every sample."""
    with evaluation_mode(task), torch.no_grad():
        made = [task.encode(batch) for batch in samples.batches(64, task.device)]
    return torch.cat([next(iter(features.pooled.values())).flatten(1) for features in made])

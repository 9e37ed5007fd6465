"""Latent linear: the standard linear probe on the means of codes, beside principal components of as many dimensions.

A code is what a latent-variable model keeps of x; principal components keep the most variance that as many numbers can.
Both are probed alike: regularizer chosen on a held-out tenth of the training part, fitted again, the test part scored
once (evaluators/probes/linear.py). What an encoder's wider layers are worth is said by the evaluator linear.

Source: Kornblith, Shlens and Le, CVPR 2019 (the probe); Pearson 1901 (principal components).
Axes: N samples, D dimensions of the code, P numbers of x.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Budget, Data, Items, Samples, Task
from pretask.extraction import LayerFeatures
from pretask.options import InnerFraction
from pretask.pretext_score import evaluation_mode
from torch import Tensor

from pretask_plugins.evaluators.density.density import require_latent_model
from pretask_plugins.evaluators.density.distances import covariance
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.validation_split import (
    ProbeData,
    balanced_accuracy,
    find_classes,
    keep_labeled,
    majority,
    split_stratified,
)

WHO = "latent-linear"
CODE, COMPONENTS = "code", "pca"


@dataclass(frozen=True)
class LatentLinear:
    """Logistic regression on posterior means, and on principal components of x.

    Args:
        label: Name of the labels; the first ones when empty.
        val_fraction: Fraction of the training part on which the regularizer is chosen.
    """

    label: str = ""
    val_fraction: InnerFraction = 0.1

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the objective has no latent variables, or there are no labels to probe."""
        require_latent_model(WHO, task)
        find_classes(WHO, data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items]]:
        """Yield `accuracy` and `balanced_accuracy` of the code with its items, `pca.accuracy`, and `majority`.

        Raises:
            PretaskError: The objective has no latent variables, or there are no labels to probe.
        """
        require_latent_model(WHO, task)
        probe = self.build(task, data, budget)
        linear = LinearProbe(val_fraction=self.val_fraction)
        for name in (CODE, COMPONENTS):
            prediction, _ = linear.refit(probe, name, linear.choose(probe, name))
            correct = prediction == probe.test.labels
            if name == CODE:
                yield "accuracy", float(correct.double().mean())
                yield "balanced_accuracy", balanced_accuracy(prediction, probe.test.labels, probe.classes)
                yield "accuracy", Items(correct.cpu())
            else:
                yield f"{COMPONENTS}.accuracy", float(correct.double().mean())
        yield "majority", majority(probe)

    def build(self, task: Task, data: Data, budget: Budget) -> ProbeData:
        """Return codes and principal components of both parts with their labels."""
        name = find_classes(WHO, data, self.label)
        train, test = data("train"), data("test")
        labels = [part.labels[name].value for part in (train, test)]
        inputs = [read_inputs(task, part, budget) for part in (train, test)]
        axes = principal_axes(inputs[0], task.objective.latent_dim)
        features: list[LayerFeatures] = [
            {CODE: encode_means(task, part, budget), COMPONENTS: (flat - inputs[0].mean(0)) @ axes}
            for part, flat in zip((train, test), inputs, strict=True)
        ]
        learned, scored = (keep_labeled(one, known, known >= 0) for one, known in zip(features, labels, strict=True))
        classes = len(train.labels[name].names)
        return ProbeData(
            learned, scored, classes, split_stratified(learned.labels, classes, self.val_fraction, budget.seed)
        )


@torch.no_grad()
def encode_means(task: Task, samples: Samples, budget: Budget) -> Float[Tensor, "N D"]:
    """Return the posterior means of undivided samples, on the CPU."""
    with evaluation_mode(task):
        means = [
            task.objective.posterior(task.encode(batch)).mean.cpu()
            for batch in samples.resident(task.device).batches(budget.batch, task.device)
        ]
    return torch.cat(means)


def read_inputs(task: Task, samples: Samples, budget: Budget) -> Float[Tensor, "N P"]:
    """Return undivided samples as the split shows them, laid out flat, on the CPU."""
    batches = samples.batches(budget.batch, task.device)
    return torch.cat([task.split.whole(batch).data.flatten(1).float().cpu() for batch in batches])


def principal_axes(rows: Float[Tensor, "N P"], count: int) -> Float[Tensor, "P D"]:
    """Return the directions of the most variance; as many as there are, where fewer than wanted.

    >>> principal_axes(torch.tensor([[0.0, 0.0], [0.0, 4.0], [1.0, 2.0]]), 1).abs().round().flatten().tolist()
    [0.0, 1.0]
    """
    _, vectors = torch.linalg.eigh(covariance(rows.double()))
    axes: Tensor = vectors.flip(1)[:, :count].float()
    return axes

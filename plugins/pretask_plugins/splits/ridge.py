"""Ridge: what a linear map of the visible part predicts of what is hidden, where the mask is the same for all samples.

The visible part is averaged down to some hundred numbers; a regularized linear map of these predicts the target, or
what linear interpolation across the holes leaves of it. Which of the two, and how strongly it is regularized, is chosen
on an eighth of the samples; the mean and the interpolation alone are among the choices. Source: Hoerl and Kennard 1970.
Axes: N samples, F features, O numbers that are predicted.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from pretask import Batch
from torch import Tensor
from torch.nn import functional as F

MAX_FEATURES = 512
MAX_SAMPLES = 4096  # of the training part
MAX_NUMBERS = 1 << 25  # samples or features times predicted numbers: 128 MB
VALIDATION_STEP = 8  # every so many-th sample chooses the strength
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # in units of the mean variance of a feature


class Examples(NamedTuple):
    """Samples to fit to: features, linear interpolation across the holes, the target, and how much it counts."""

    features: Float[Tensor, "N F"]
    interpolated: Float[Tensor, "N O"]
    target: Float[Tensor, "N O"]
    weight: Float[Tensor, "N O"]

    def select(self, samples: Bool[Tensor, " N"]) -> "Examples":
        """Return some of the samples."""
        return Examples(self.features[samples], self.interpolated[samples], self.target[samples], self.weight[samples])


@dataclass(frozen=True)
class LinearMap:
    """A linear map of centered features, added to the interpolation or to nothing.

    Args:
        interpolation_factor: How much of the interpolation it starts from, 0 or 1.
        center: Mean features.
        weight: The map.
        bias: What is added whatever the features are.
    """

    interpolation_factor: float
    center: Float[Tensor, " F"]
    weight: Float[Tensor, "F O"]
    bias: Float[Tensor, " O"]

    def __call__(self, features: Float[Tensor, "N F"], interpolated: Float[Tensor, "N O"]) -> Float[Tensor, "N O"]:
        """Return the prediction of every sample."""
        return self.interpolation_factor * interpolated + (features - self.center) @ self.weight + self.bias


def fit_ridge(examples_of: Callable[[Batch], Examples], batches: Iterable[Batch]) -> LinearMap:
    """Return the map that does best on validation samples; the mean alone where there are too few to fit."""
    examples = collect_examples(examples_of, batches)
    number = torch.arange(len(examples.features), device=examples.features.device)
    is_validation = number % VALIDATION_STEP == VALIDATION_STEP - 1
    fitted, validation = examples.select(~is_validation), examples.select(is_validation)
    zero = examples.features.new_zeros(examples.features.shape[1], examples.interpolated.shape[1])
    best = LinearMap(1.0, examples.features.mean(0), zero, zero.sum(0))
    lowest = squared_error(best, validation)
    for factor in (0.0, 1.0):
        for candidate in candidate_maps(factor, fitted.features, fitted.target - factor * fitted.interpolated):
            error = squared_error(candidate, validation)
            if error < lowest:
                best, lowest = candidate, error
    return best


def candidate_maps(
    interpolation_factor: float, features: Float[Tensor, "N F"], residual: Float[Tensor, "N O"]
) -> Iterator[LinearMap]:
    """Yield a map for every regularization, and one of zeros, fitted to what the interpolation leaves."""
    center, bias = features.mean(0), residual.mean(0)
    centered = features - center
    eigenvalues, axes = torch.linalg.eigh(centered.T @ centered)
    gradient = axes.T @ (centered.T @ (residual - bias))
    eigenvalues = eigenvalues.clamp(min=0) + 1e-9
    for strength in STRENGTHS:
        shrunk = gradient / (eigenvalues + strength * eigenvalues.mean())[:, None]
        yield LinearMap(interpolation_factor, center, axes @ shrunk, bias)
    yield LinearMap(interpolation_factor, center, torch.zeros_like(gradient), bias)


def remember_first(batches: Iterable[Batch], first: list[Batch]) -> Iterator[Batch]:
    """Yield the batches, and append the first ones to a list, as many as there is room for."""
    samples = numbers = 0
    for batch in batches:
        if samples < MAX_SAMPLES and numbers < MAX_NUMBERS:
            first.append(batch)
            samples, numbers = samples + len(batch), numbers + batch.data.numel()
        yield batch


def collect_examples(examples_of: Callable[[Batch], Examples], batches: Iterable[Batch]) -> Examples:
    """Return as many examples as there is room for."""
    found: list[Examples] = []
    count = 0
    for batch in batches:
        found.append(examples_of(batch))
        count += len(batch)
        if count >= min(MAX_SAMPLES, max(MAX_NUMBERS // found[0].interpolated.shape[1], VALIDATION_STEP)):
            break
    return Examples(*map(torch.cat, zip(*found, strict=True)))


def squared_error(linear: LinearMap, examples: Examples) -> float:
    """Return the squared error where it counts."""
    error = linear(examples.features, examples.interpolated) - examples.target
    return float((error.square() * examples.weight).sum())


def pool_features(values: Float[Tensor, "N ..."], outputs: int) -> Float[Tensor, "N F"]:
    """Average images, frames or a signal down to as many numbers as there is room for beside `outputs` of them."""
    max_outputs = max(min(MAX_FEATURES, MAX_NUMBERS // outputs), 1)
    if values.ndim < 4:
        return F.adaptive_avg_pool1d(values.flatten(1)[:, None], min(values[0].numel(), max_outputs))[:, 0]
    planes = values.flatten(1, -3)
    side = max(int((max_outputs / planes.shape[1]) ** 0.5), 1)
    sides = (min(side, planes.shape[2]), min(side, planes.shape[3]))
    return F.adaptive_avg_pool2d(planes, sides).flatten(1)

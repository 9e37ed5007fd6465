"""Ridge: what a linear map of the visible part tells of what is hidden, where the same part is hidden of every sample.

The visible part is averaged down to some hundred numbers; a regularised linear map of these guesses the truth, or what
a straight line across the holes leaves of it. Which of the two, and how strongly it is regularised, is chosen on an
eighth of the samples; the mean and the line alone are among the choices.
Source: Hoerl and Kennard 1970.
Axes: N samples, F features, O numbers that are asked for.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Batch
from torch import Tensor
from torch.nn import functional as F

FEATURES = 512  # at most
SAMPLES = 4096  # of the training part, at most
NUMBERS = 1 << 25  # samples or features times what is asked for, at most: 128 MB
HELD = 8  # every so many-th sample chooses the strength
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # in units of the mean variance of a feature

# Features, a straight line, the truth, and how much it counts, for every sample of a batch.
Known = Callable[[Batch], tuple[Tensor, Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class LinearGuess:
    """A linear map of centred features, added to a straight line or to nothing.

    Args:
        line: How much of the straight line it starts from, 0 or 1.
        centre: Mean features.
        weight: The map.
        bias: What is added whatever the features are.
    """

    line: float
    centre: Float[Tensor, " F"]
    weight: Float[Tensor, "F O"]
    bias: Float[Tensor, " O"]

    def __call__(self, features: Float[Tensor, "N F"], line: Float[Tensor, "N O"]) -> Float[Tensor, "N O"]:
        """The guess of every sample."""
        return self.line * line + (features - self.centre) @ self.weight + self.bias


def fitted(known: Known, batches: Iterable[Batch]) -> LinearGuess:
    """The guess that does best on samples which it was not fitted to; the line itself where there are too few."""
    features, line, truth, weight = gathered(known, batches)
    held = torch.arange(len(features), device=features.device) % HELD == HELD - 1
    nothing = features.new_zeros(features.shape[1], line.shape[1])
    best = LinearGuess(1.0, features.mean(0), nothing, nothing.sum(0))
    least = lost(best, *(each[held] for each in (features, line, truth, weight)))
    for share in (0.0, 1.0):
        for made in maps(share, features[~held], truth[~held] - share * line[~held]):
            error = lost(made, *(each[held] for each in (features, line, truth, weight)))
            if error < least:
                best, least = made, error
    return best


def maps(line: float, features: Float[Tensor, "N F"], rest: Float[Tensor, "N O"]) -> Iterator[LinearGuess]:
    """A guess for every strength, the last one without any map, fitted to what a line leaves."""
    centre, bias = features.mean(0), rest.mean(0)
    away = features - centre
    size, axes = torch.linalg.eigh(away.T @ away)
    along = axes.T @ (away.T @ (rest - bias))
    size = size.clamp(min=0) + 1e-9
    for strength in STRENGTHS:
        yield LinearGuess(line, centre, axes @ (along / (size + strength * size.mean())[:, None]), bias)
    yield LinearGuess(line, centre, torch.zeros_like(along), bias)


def remembered(batches: Iterable[Batch], kept: list[Batch]) -> Iterator[Batch]:
    """The batches, of which the first ones are kept in a list, as many as there is room for."""
    samples = numbers = 0
    for batch in batches:
        if samples < SAMPLES and numbers < NUMBERS:
            kept.append(batch)
            samples, numbers = samples + len(batch), numbers + batch.data.numel()
        yield batch


def gathered(known: Known, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is known of as many samples as there is room for."""
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    count = 0
    for batch in batches:
        found.append(known(batch))
        count += len(batch)
        if count >= min(SAMPLES, max(NUMBERS // found[0][1].shape[1], HELD)):
            break
    features, line, truth, weight = (torch.cat(each) for each in zip(*found, strict=True))
    return features, line, truth, weight


def lost(guess: LinearGuess, features: Tensor, line: Tensor, truth: Tensor, weight: Tensor) -> float:
    """Squared error where it counts."""
    return float(((guess(features, line) - truth).square() * weight).sum())


def pooled(values: Float[Tensor, "N ..."], outputs: int) -> Float[Tensor, "N F"]:
    """Images, frames or a signal averaged down to as many numbers as there is room for."""
    room = max(min(FEATURES, NUMBERS // outputs), 1)
    if values.ndim < 4:
        return F.adaptive_avg_pool1d(values.flatten(1)[:, None], min(values[0].numel(), room))[:, 0]
    planes = values.flatten(1, -3)
    side = max(int((room / planes.shape[1]) ** 0.5), 1)
    sides = (min(side, planes.shape[2]), min(side, planes.shape[3]))
    return F.adaptive_avg_pool2d(planes, sides).flatten(1)

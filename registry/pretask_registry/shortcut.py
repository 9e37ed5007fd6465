"""Shortcut: how well the pretext task is solved from low-level statistics alone.

A linear classifier, and one of random features, on low-level statistics of x: edges, black lines, means and stds
of channels, gradients, color fringes, the grid of a compression, brightness from view to view; counts and places of
tokens; energy over time. A task that they nearly solve teaches these and nothing else.

Source: Doersch, Gupta and Efros, ICCV 2015, section 3.1 (color fringes); Wei et al., CVPR 2018, section 3 (black bars,
compression); Minderer et al., ICML 2020 (shortcuts are found by solving the task at a low level).
Axes: B samples, V views, C channels, H W image, L tokens, F frames of sound, M its bands, K statistics.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pretask import Categories, Draws, Inputs, Samples, TargetSpec
from pretask.protocols import scored_part
from torch import Tensor
from torch.nn import functional as F

from pretask_registry.conformance.material import CPU, make_batch

SOLVED = 0.8  # of the way from chance to 1: above it low-level statistics all but solve a task
EPOCHS = 3  # draws of every training sample
BATCH = 64
DARK = 0.02  # below which a line is black
GRID = 8  # pixels of a block of compression
BINS = 64  # of token ids
HIDDEN = 128  # random features
SHRINKAGE = 0.02  # of standardised statistics' covariance towards a ball
PIXEL_MODALITIES = ("image", "video")


@dataclass(frozen=True)
class Shortcut:
    """The held-out accuracy of the better of the two classifiers, beside that of the majority class."""

    accuracy: float
    chance: float

    @property
    def solved(self) -> bool:
        """Whether the task is as good as solved."""
        return self.accuracy > self.chance + SOLVED * (1 - self.chance)

    def __str__(self) -> str:
        return f"{self.accuracy:.2f} (chance {self.chance:.2f})"


def measure_shortcuts(split: Any, train: Samples, test: Samples, seed: int = 0) -> dict[str, Shortcut]:
    """Score, for every target with one class per sample, how well low-level statistics of x tell it.

    Args:
        split: Already fitted.
        train: To learn from; of a split whose classes are the training samples, to test on as well, with other draws.
        test: To test on.
        seed: Of the draws.
    """
    names = list(select_targets(split.spec(train.observed)[1]))
    if not names:
        return {}
    if scored_part(split) == "train":
        test = train
    train_labeled = collect_statistics(split, train, seed, range(EPOCHS), names)
    test_labeled = collect_statistics(split, test, seed, range(EPOCHS, EPOCHS + 1), names)
    return {name: score_classifiers(train_labeled[name], test_labeled[name], seed) for name in names}


def select_targets(specs: Mapping[str, TargetSpec]) -> Iterator[str]:
    """Yield the targets with one class per sample."""
    for name, spec in specs.items():
        if isinstance(spec, Categories) and not spec.grid and spec.views is None:
            yield name


class LabeledStatistics(NamedTuple):
    """Statistics (N, K) and classes (N,) of some samples."""

    statistics: Tensor
    labels: Tensor


def collect_statistics(
    split: Any, samples: Samples, seed: int, epochs: range, names: list[str]
) -> dict[str, LabeledStatistics]:
    """Collect statistics and classes of all samples by target, once for every epoch; only of those that are valid."""
    batches: dict[str, list[LabeledStatistics]] = {name: [] for name in names}
    for epoch in epochs:
        for start in range(0, len(samples), BATCH):
            batch = make_batch(samples, split, min(BATCH, len(samples) - start), start)
            inputs, targets = split(batch, Draws(batch.index, seed, epoch).branch("split"))
            statistics = compute_statistics(inputs)
            for name in names:
                target = targets[name]
                is_valid = torch.ones(len(batch), dtype=torch.bool) if target.weight is None else target.weight > 0
                batches[name].append(LabeledStatistics(statistics[is_valid], most_likely_class(target)[is_valid]))
    return {name: LabeledStatistics(*map(torch.cat, zip(*batches[name], strict=True))) for name in names}


def most_likely_class(target: Any) -> Tensor:
    """Return the class, or the most likely of soft ones."""
    if target.probability is None:
        value: Tensor = target.value
        return value
    most_likely: Tensor = target.value.gather(-1, target.probability.argmax(-1, keepdim=True))[..., 0]
    return most_likely


def score_classifiers(train: LabeledStatistics, test: LabeledStatistics, seed: int) -> Shortcut:
    """Return the accuracy of the better classifier, linear or on random features, beside the majority class's."""
    majority_class = train.labels.bincount().argmax()
    chance = float((test.labels == majority_class).float().mean())
    mean, std = train.statistics.mean(0), train.statistics.std(0).clamp(min=1e-6)
    train_x, test_x = ((labeled.statistics - mean) / std for labeled in (train, test))
    num_statistics = train_x.shape[1]
    weights = Draws(torch.arange(num_statistics), seed).branch("shortcut").normal("weights", HIDDEN)
    projection = weights / num_statistics**0.5
    linear = discriminant_accuracy(train_x, train.labels, test_x, test.labels)
    random_features = discriminant_accuracy(
        (train_x @ projection).tanh(), train.labels, (test_x @ projection).tanh(), test.labels
    )
    return Shortcut(max(linear, random_features), chance)


def discriminant_accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Return the accuracy of the nearest class mean by the covariance within classes: Fisher's discriminant."""
    classes = train_labels.bincount().nonzero()[:, 0]
    means = torch.stack([train[train_labels == number].mean(0) for number in classes.tolist()])
    centered = train - means[torch.searchsorted(classes, train_labels)]
    covariance = centered.T @ centered / len(train) + SHRINKAGE * torch.eye(train.shape[1])
    root = torch.linalg.cholesky(covariance)
    whitened, center = (torch.linalg.solve_triangular(root, rows.T, upper=False).T for rows in (test, means))
    prior = torch.stack([(train_labels == number).float().mean() for number in classes.tolist()]).log()
    prediction = (prior - torch.cdist(whitened, center).square() / 2).argmax(1)
    return float((classes[prediction] == test_labels).float().mean())


def compute_statistics(inputs: Inputs) -> Tensor:
    """Compute low-level statistics of x, (B, K), whatever it is."""
    data = inputs.data.to(CPU)
    if data.ndim == 5:
        return torch.cat(list(describe_images(data.float())), 1)
    if not data.is_floating_point():
        return torch.cat(list(describe_tokens(data)), 1)
    return torch.cat(list(describe_sound(data.flatten(3) if data.ndim > 3 else data[..., None])), 1)


def describe_images(data: Tensor) -> Iterator[Tensor]:
    """Compute statistics of (B, V, C, H, W), each view by itself."""
    edges = [data[..., 0, :], data[..., -1, :], data[..., :, 0], data[..., :, -1]]
    for edge in edges:
        yield F.adaptive_avg_pool1d(edge.flatten(0, 2), 2).view(len(data), -1)
        yield (edge.amax(2) < DARK).float().mean(2)
    for rows in (slice(0, 2), slice(-2, None)):
        for columns in (slice(0, 2), slice(-2, None)):
            yield data[..., rows, columns].mean((3, 4)).flatten(1)
    yield data.mean((3, 4)).flatten(1)
    yield data.std((3, 4)).flatten(1)
    across, down = data.diff(dim=4), data.diff(dim=3)
    yield from (steps.abs().mean((3, 4)).flatten(1) for steps in (across, down))
    yield from measure_compression(across.abs().mean((2, 3)), down.abs().mean((2, 4)))
    if data.shape[2] == 3:
        yield from measure_fringes(data, edges)


def measure_compression(across: Tensor, down: Tensor) -> Iterator[Tensor]:
    """Measure how much pixels differ from the ones before, by their position in blocks of eight, (B, V, …)."""
    for differences in (across, down):
        position = torch.arange(differences.shape[2]) % GRID
        means = [differences[..., position == offset].mean(2) for offset in range(min(GRID, differences.shape[2]))]
        yield (torch.stack(means, 2) / differences.mean(2, keepdim=True).clamp(min=1e-6)).flatten(1)


def measure_fringes(data: Tensor, edges: list[Tensor]) -> Iterator[Tensor]:
    """Measure differences of colors at the edges, and by how much red and blue lie off green, by least squares."""
    for edge in edges:
        yield (edge[:, :, 0] - edge[:, :, 1]).mean(2)
        yield (edge[:, :, 2] - edge[:, :, 1]).mean(2)
    green = data[:, :, 1]
    for slope in torch.gradient(green, dim=(2, 3)):
        size = slope.square().mean((2, 3)).clamp(min=1e-6)
        yield from (((data[:, :, channel] - green) * slope).mean((2, 3)) / size for channel in (0, 2))


def describe_tokens(data: Tensor) -> Iterator[Tensor]:
    """Count how often tokens occur, by their ids' remainder, and average the place of each; of (B, V, L)."""
    one_hot = F.one_hot(data.flatten(1) % BINS, BINS).float()
    count = one_hot.sum(1)
    position = torch.linspace(-1, 1, one_hot.shape[1])[:, None]
    yield count
    yield (one_hot * position).sum(1) / count.clamp(min=1)


def describe_sound(data: Tensor) -> Iterator[Tensor]:
    """Compute energy over time, and mean and std of each band; of (B, V, F, M)."""
    energy = data.square().mean(3)
    yield F.adaptive_avg_pool1d(energy, min(8, energy.shape[2])).flatten(1)
    yield data.mean(2).flatten(1)
    yield data.std(2).flatten(1)

"""Trivial predictors of the generic splits: a mean, a filled hole, a linear map; how often tokens occur.

Axes: B batch, L tokens, K numbers in a prediction, C size of the vocabulary.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from pretask import Batch, Draws, Predictor, SplitFn
from torch import Tensor

from pretask_plugins.shared.ngrams import bigram_log_probs, count_ngrams, unigram_log_probs, valid_rows
from pretask_plugins.splits import fill, ridge
from pretask_plugins.splits.patches import as_signal, batch_target_name

if TYPE_CHECKING:
    from pretask_plugins.splits.masking import Masking

VisibleTokens = Callable[[Batch, Draws], Bool[Tensor, "B L"]]


def masking_predictors(split: "Masking", batches: Iterable[Batch]) -> Mapping[str, Predictor]:
    """Return the trivial predictors of a masking split, fitted to some batches."""
    if split.vocabulary is not None:
        return token_predictors(batches, split.vocabulary.size, lambda *sample: split.mask(*sample).visible[:, 0])
    first: list[Batch] = []
    predictors = {
        "mean": mean_predictor(split, ridge.remember_first(batches, first)),
        "nearest": fill_predictor(split, fill.fill_with_nearest),
        "interpolation": fill_predictor(split, fill.interpolate),
    }
    if split.generator.is_constant:
        predictors["ridge"] = ridge_predictor(split, first)
    axis = split.generator.mirror_axis
    if axis is not None:
        predictors["reflection"] = fill_predictor(
            split, lambda values, visible, axes: fill.mirror(values, visible, axes[axis : axis + 1])
        )
    return predictors


def mean_predictor(split: SplitFn, batches: Iterable[Batch]) -> Predictor:
    """Return the predictor of the training mean."""
    means = compute_means(split, batches)
    return lambda batch, draws: {name: mean.expand(len(batch), *mean.shape) for name, mean in means.items()}


def compute_means(split: SplitFn, batches: Iterable[Batch]) -> Mapping[str, Tensor]:
    """Return the mean of every target over the training samples, place by place.

    A place that is never predicted has the mean over all places.
    """
    sums: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for batch in batches:
        _, targets = split(batch, Draws(batch.index))
        for name, target in targets.items():
            value = target.value.double()
            weight = torch.ones_like(value[..., :1]) if target.weight is None else target.weight.double()[..., None]
            sums[name] = sums.get(name, 0) + (value * weight).sum(0)
            weights[name] = weights.get(name, 0) + weight.sum(0)
    return {name: divide_by_weight(sums[name], weights[name]) for name in sums}


def divide_by_weight(total: Float[Tensor, "... K"], weight: Float[Tensor, "... 1"]) -> Float[Tensor, "... K"]:
    """Return sums over weights, and the mean of all where there is no weight."""
    over = tuple(range(total.ndim - 1))
    everywhere = total.sum(over) / weight.sum().clamp(min=1)
    return torch.where(weight > 0, total / weight.clamp(min=1e-12), everywhere).float()


def fill_predictor(split: "Masking", rule: fill.Rule) -> Predictor:
    """Return the predictor that fills the holes of x by a rule of fill.py."""

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return {batch_target_name(batch): split.target_values(batch, fill_holes(split, batch, draws, rule))}

    return predict


def fill_holes(split: "Masking", batch: Batch, draws: Draws, rule: fill.Rule) -> Float[Tensor, "B V ..."]:
    """Return x with its holes filled by a rule of fill.py."""
    inputs, _ = split(batch, draws)
    values, visible = inputs.data, inputs.visible
    assert visible is not None
    visible = (visible[:, :, None] if values.ndim == 5 else visible[..., None]).expand_as(values)
    return rule(as_signal(values), as_signal(visible), neighbor_axes(split, batch)).view_as(values)


def neighbor_axes(split: "Masking", batch: Batch) -> tuple[int, ...]:
    """Return the axes of the signal along which neighbors are looked for."""
    if batch.data.ndim < 4:
        return (2,)
    whole_frames = batch.data.ndim == 5 and split.generator.target_frames(batch.data.shape[1]) is not None
    return (1,) if whole_frames else (3, 4)


def ridge_predictor(split: "Masking", batches: Iterable[Batch]) -> Predictor:
    """Return the predictor by a linear map of what is visible, fitted to some batches."""

    def features_and_line(batch: Batch, draws: Draws) -> tuple[Tensor, Tensor]:
        values = fill_holes(split, batch, draws, fill.interpolate)
        line = split.target_values(batch, values)
        return ridge.pool_features(values, line[0].numel()), line

    def examples(batch: Batch) -> ridge.Examples:
        draws = Draws(batch.index)
        features, line = features_and_line(batch, draws)
        target = split(batch, draws)[1][batch_target_name(batch)]
        weight = torch.ones_like(line) if target.weight is None else target.weight[..., None].expand_as(line)
        return ridge.Examples(features, line.flatten(1), target.value.flatten(1), weight.flatten(1))

    linear = ridge.fit_ridge(examples, batches)

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        features, line = features_and_line(batch, draws)
        return {batch_target_name(batch): linear(features, line.flatten(1)).view_as(line)}

    return predict


def token_predictors(
    batches: Iterable[Batch], size: int, visible_tokens: VisibleTokens | None
) -> Mapping[str, Predictor]:
    """Return a unigram, and a bigram where a split hides something and the vocabulary is small enough.

    Args:
        batches: To fit them to.
        size: Of the vocabulary.
        visible_tokens: Which tokens the split shows; None where it shows all.
    """
    counts = count_ngrams(valid_rows(batches), size)
    unigram = unigram_log_probs(counts.unigrams)
    predictors = {"unigram": unigram_predictor(unigram)}
    if counts.bigrams is not None and visible_tokens is not None:
        forward = bigram_log_probs(counts.bigrams, unigram)
        backward = bigram_log_probs(counts.bigrams.T, unigram)
        predictors["bigram"] = bigram_predictor(unigram, forward, backward, visible_tokens)
    return predictors


def unigram_predictor(log_probs: Float[Tensor, " C"]) -> Predictor:
    """Return the predictor that knows only how often tokens occur."""
    return lambda batch, draws: {"tokens": log_probs.to(batch.device).expand(*batch.data.shape, -1)}


def bigram_predictor(
    unigram: Float[Tensor, " C"],
    forward: Float[Tensor, "C C"],
    backward: Float[Tensor, "C C"],
    visible_tokens: VisibleTokens,
) -> Predictor:
    """Return the predictor that looks at the token before, or else at the one after, where the split shows it.

    Args:
        unigram: Log-probabilities where neither is shown.
        forward: Log-probabilities given the token before.
        backward: Log-probabilities given the token after.
        visible_tokens: Which tokens the split shows.
    """

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        tokens, visible = batch.data, visible_tokens(batch, draws)
        before, after = shift(visible, 1)[..., None], shift(visible, -1)[..., None]
        from_after = torch.where(after, backward.to(batch.device)[tokens.roll(-1, 1)], unigram.to(batch.device))
        return {"tokens": torch.where(before, forward.to(batch.device)[tokens.roll(1, 1)], from_after)}

    return predict


def shift(visible: Bool[Tensor, "B L"], offset: int) -> Bool[Tensor, "B L"]:
    """Return whether the place before (1) or after (-1) every place is visible; beyond the ends nothing is.

    >>> shift(torch.tensor([[True, False, True]]), 1).tolist()
    [[False, True, False]]
    """
    shifted = visible.roll(offset, 1).clone()
    shifted[:, 0 if offset > 0 else -1] = False
    return shifted

"""Predictors without any idea of order: the prior of the labels, and the differences between frames.

A wrong middle frame lies outside the first and the last one, so that it looks less like the far one of them than a
correct one does: the three differences alone give some of it away.
Axes: B batch.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Inputs, Predictor
from torch import Tensor

if TYPE_CHECKING:
    from pretask_plugins.methods.sequence_verification.split import ShuffleFrames

MAX_FIT_BATCHES = 32  # of the training part
TUPLES_PER_CLIP = 4
MIN_PROBABILITY = 1e-9  # of a label, so that its logarithm is finite
MIN_DIFFERENCE = 1e-8  # mean squared, so that its logarithm is finite


def predict_prior(positive_ratio: float) -> Predictor:
    """Return a predictor that gives both labels their probability in the training tuples."""

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        probability = [max(1 - positive_ratio, MIN_PROBABILITY), max(positive_ratio, MIN_PROBABILITY)]
        return {"order": torch.tensor([math.log(p) for p in probability], device=batch.device).expand(len(batch), 2)}

    return predict


def fit_differences(split: "ShuffleFrames", batches: Iterable[Batch]) -> Predictor:
    """Fit a logistic regression on the three differences between frames, their order and their products.

    It reads the frames themselves, whose differences have a size, where the split shows their changes.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    split = replace(split, center=False)
    statistics, labels = [], []
    for batch in islice(batches, MAX_FIT_BATCHES):
        for epoch in range(TUPLES_PER_CLIP):
            inputs, targets = split(batch, Draws(batch.index, epoch=epoch))
            statistics.append(pair_differences(inputs).cpu())
            labels.append(targets["order"].value.cpu())
    label = torch.cat(labels)
    if not 0 < int(label.sum()) < len(label):
        return predict_prior(split.positive_ratio)
    fitted = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=1000))
    fitted.fit(torch.cat(statistics).numpy(), label.numpy())

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        logit = torch.from_numpy(fitted.decision_function(pair_differences(inputs).cpu().numpy())).float()
        return {"order": torch.stack([-logit, logit], 1).sigmoid().clamp(min=MIN_PROBABILITY).log().to(batch.device)}

    return predict


def pair_differences(inputs: Inputs) -> Float[Tensor, "B 5"]:
    """Return logarithms of the mean squared differences of first and middle, middle and last, first and last frame.

    The larger and the smaller one of the first two come last; they do not change when the tuple is reversed.
    """
    first, middle, last = inputs.data.unbind(1)
    pairs = [(one - other).square().mean((1, 2, 3)) for one, other in ((first, middle), (middle, last), (first, last))]
    logs = torch.stack(pairs, 1).clamp(min=MIN_DIFFERENCE).log()
    return torch.cat([logs, logs[:, :2].amax(1, keepdim=True), logs[:, :2].amin(1, keepdim=True)], 1)

"""What can be answered without any idea of order.

A wrong middle frame lies outside the first and the last one, so that it looks less like the far one of them than a
right one does: the three differences alone give some of it away.
Axes: B batch, F what is known of a tuple.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Inputs, Predictor
from torch import Tensor

if TYPE_CHECKING:
    from pretask_plugins.methods.sequence_verification.split import ShuffleFrames

BATCHES = 32  # of the training part, at most
EPOCHS = 4  # tuples of every clip


def majority(share: float) -> Predictor:
    """The share of both answers."""

    def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        logs = torch.tensor([math.log(max(1 - share, 1e-9)), math.log(max(share, 1e-9))], device=batch.device)
        return {"order": logs.expand(len(batch), 2)}

    return guess


def differences(split: "ShuffleFrames", batches: Iterable[Batch]) -> Predictor:
    """A logistic regression on the three differences between frames, their order and their products."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    known, answers = [], []
    for batch in islice(batches, BATCHES):
        for epoch in range(EPOCHS):
            inputs, targets = split(batch, Draws(batch.index, epoch=epoch))
            known.append(pair_differences(inputs).cpu())
            answers.append(targets["order"].value.cpu())
    label = torch.cat(answers)
    if not 0 < int(label.sum()) < len(label):
        return majority(split.share)
    fitted = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=1000))
    fitted.fit(torch.cat(known).numpy(), label.numpy())

    def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        score = torch.from_numpy(fitted.decision_function(pair_differences(inputs).cpu().numpy())).float()
        return {"order": torch.stack([-score, score], 1).sigmoid().clamp(min=1e-9).log().to(batch.device)}

    return guess


def pair_differences(inputs: Inputs) -> Float[Tensor, "B 5"]:
    """Logarithms of the mean squared differences of first and middle, middle and last, first and last frame; the larger
    and the smaller one of the first two, which do not change when the tuple is reversed."""
    first, middle, last = inputs.data.unbind(1)
    pairs = [(one - other).square().mean((1, 2, 3)) for one, other in ((first, middle), (middle, last), (first, last))]
    logs = torch.stack(pairs, 1).clamp(min=1e-8).log()
    return torch.cat([logs, logs[:, :2].amax(1, keepdim=True), logs[:, :2].amin(1, keepdim=True)], 1)

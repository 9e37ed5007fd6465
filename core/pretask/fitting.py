"""Fitting: what a split must learn of its data before it can split them, alone or with a trained encoder.

A second round (HuBERT, DeepCluster) clusters the features of the first one's encoder: such a split has `fit_with`.
"""

from collections.abc import Iterable
from typing import Any

import torch

from pretask.composition import Task
from pretask.errors import PretaskError
from pretask.pretext_score import evaluation_mode
from pretask.protocols import Encoder, FitsWithEncoder, Fittable, SplitFn
from pretask.specs import Observed
from pretask.values import Batch, Features


def fit_split(
    split: Any, observed: Observed, batches: Iterable[Batch], encoder: Encoder | None = None, *, name: str = "the split"
) -> SplitFn:
    """Return the split, after it has seen the data where it has to.

    Args:
        split: As it was built.
        observed: What the data yields.
        batches: The training samples.
        encoder: A trained one, to fit it with.
        name: Of the split, for errors.

    Raises:
        PretaskError: The split cannot take an encoder, or cannot do without.
    """
    if encoder is not None:
        require_fits_with_encoder(split, name)
        fitted_with_encoder: SplitFn = split.fit_with(observed, batches, encoder)
        return fitted_with_encoder
    if isinstance(split, Fittable):
        return split.fit(observed, batches)
    require_fits_alone(split, name)
    needs_no_fit: SplitFn = split
    return needs_no_fit


def require_fits_alone(split: Any, name: str) -> None:
    """Raise PretaskError where a split cannot do without an encoder."""
    if isinstance(split, FitsWithEncoder) and not isinstance(split, Fittable):
        raise PretaskError(
            name,
            "a trained encoder to be fitted with",
            "none",
            "Name the run that has one: --fit-with RUN.",
            exit_code=2,
        )


def require_fits_with_encoder(split: Any, name: str) -> None:
    """Raise PretaskError unless a split can be fitted with an encoder."""
    if not isinstance(split, FitsWithEncoder):
        raise PretaskError(
            "--fit-with",
            "a split that is fitted with an encoder (`fit_with`)",
            f"{name}, which has none",
            "Leave --fit-with out, or choose another split.",
            exit_code=2,
        )


def make_encoder(task: Task) -> Encoder:
    """Return the encoder of a task as a function from samples to features of every layer, without gradients."""

    def encode(batch: Batch) -> Features:
        with evaluation_mode(task), torch.no_grad():
            return task.encode(batch, layers=True)

    return encode

"""Drawn: objectives that predict not one answer but any number of them, drawn from what they hold possible.

Axes: B batch, K draws; `...` a target's views and grid, C channels or classes.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from pretask import Draws, Features
from torch import Tensor


@runtime_checkable
class DrawsPredictions(Protocol):
    """An objective with latent variables: each draw of them gives another prediction."""

    def draw_predictions(self, features: Features, draws: Draws, count: int, /) -> Mapping[str, Tensor]:
        """Return predictions (B, K, ..., C) of every target, each as `predict` gives one."""
        ...

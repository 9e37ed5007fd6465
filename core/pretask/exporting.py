"""Exporting: a network as another library builds it, of models that are an architecture of that library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class ExportedNetwork:
    """What another library makes the same network of.

    Args:
        weights: By the names of that library.
        config: What it is built with: of timm the arguments of `create_model`, of transformers a config.json.
        mean: Taken off images in [0, 1] before they are divided by `std`, where the model itself does that here.
        std: See `mean`.
        before: Roles of the tokens that the model puts in front of a text.
    """

    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    mean: float = 0.0
    std: float = 1.0
    before: tuple[str, ...] = field(default=())


@runtime_checkable
class OffersExport(Protocol):
    """A model that is an architecture of another library."""

    def export(self, library: str, /) -> ExportedNetwork | None:
        """Return the network as a library builds it, `timm` or `transformers`; None where it is none of its."""
        ...

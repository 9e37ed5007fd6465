"""Values: the tensors that are exchanged when a task runs.

Two masks, never mixed: `present` (False is padding) and `visible` (False: the split erased it).
Axes: B batch, V views, N positions, D width, K candidates; `...` the shape of one sample or view.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples as they were observed. It has no field that could hold a label.

    Args:
        data: uint8 images and clips, int64 tokens, float waveforms.
        index: Each sample's number in its data set; what Draws are keyed by. Counted from 0 when left out.
        present: False where a position is padding; None where all are present.
        partners: Other samples of the same data, for a split that asks for them (`partners = n`).
    """

    data: Shaped[Tensor, "B ..."]
    index: Int[Tensor, " B"] = None  # type: ignore[assignment]  # filled below
    present: Bool[Tensor, "B ..."] | None = None
    partners: Shaped[Tensor, "B n ..."] | None = None

    def __post_init__(self) -> None:
        if self.index is None:
            object.__setattr__(self, "index", torch.arange(self.data.shape[0], device=self.data.device))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def device(self) -> torch.device:
        """Where the samples are, and where a split must put what it makes."""
        return self.data.device

    @property
    def shape(self) -> torch.Size:
        """The shape of the data."""
        return self.data.shape

    def take_frames(self, positions: Int[Tensor, "B V"]) -> Shaped[Tensor, "B V ..."]:
        """Return the frames of clips at the given positions in time."""
        rows = torch.arange(self.data.shape[0], device=self.device)  # len() would tie an exported network to one batch
        return self.data[rows[:, None], positions]

    def take_pixels(self, positions: Int[Tensor, "... F"], step: int) -> Shaped[Tensor, "B F ..."]:
        """Return every `step`-th row and column of the frames at the given positions in time.

        Args:
            positions: (F,) of all clips, or (B, F) of each.
            step: Rows and columns from one to the next.
        """
        sparse = replace(self, data=self.data[..., ::step, ::step])
        return sparse.take_frames(positions.expand(self.data.shape[0], -1))

    def to(self, device: torch.device | str) -> "Batch":
        """Move the batch to another device."""
        return replace(
            self,
            data=self.data.to(device, non_blocking=True),
            index=self.index.to(device, non_blocking=True),
            present=None if self.present is None else self.present.to(device, non_blocking=True),
            partners=None if self.partners is None else self.partners.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class Inputs:
    """What the model sees: always with a view axis. Float images are in [0, 1].

    Args:
        data: One view after the other.
        present: False where a position is padding.
        visible: False where the split erased a position; `data` is erased there as well.
        segment: Which of several joined pieces a token belongs to.
        groups: Further views of another shape, by name, such as the small crops beside two large ones. One model reads
            all; its features have the same groups.
        index: Numbers of the training samples, for a model with parameters for each of them; None where the samples are
            not those that are trained on.
    """

    data: Shaped[Tensor, "B V ..."]
    present: Bool[Tensor, "B V ..."] | None = None
    visible: Bool[Tensor, "B V ..."] | None = None
    segment: Int[Tensor, "B V ..."] | None = None
    groups: Mapping[str, "Inputs"] = field(default_factory=dict)
    index: Int[Tensor, " B"] | None = None


@dataclass(frozen=True)
class Target:
    """One answer: what the model predicts.

    Args:
        value: (B, *grid) or (B, V, *grid); Values add an axis of channels, candidates one of K.
        weight: How much a position counts, 0 where nothing is scored; None where all count 1.
        probability: The probability of each of K candidates; 0 is a negative.
        denominator: What the weighted sum is divided by, where an optimizer step is computed in parts: the mean over
            parts and ranks of the sum of weights. Filled in by the trainer; None where the batch's own sum is meant.
        inputs: Of a Representation, the views that are encoded to give the answer; `value` is their data.
    """

    value: Shaped[Tensor, "B ..."]
    weight: Float[Tensor, "B ..."] | None = None
    probability: Float[Tensor, "B ..."] | None = None
    denominator: Float[Tensor, ""] | None = None
    inputs: Inputs | None = None


Targets = Mapping[str, Target]


@dataclass(frozen=True)
class Features:
    """What a model makes of its inputs.

    Args:
        streams: By sight, one vector per position.
        pooled: By sight, one vector per view: the model's own, else the mean over present positions.
        grid: The positions of one view; N is its product.
        present: False where a position is padding.
        layers: Where requested, every layer from the first to the output, each with its own grid and width.
        own_pooled: Whether the pooled vector holds what no pooling of the positions gives, such as a class token;
            probes then try it beside the pooled positions.
        visible: False where a model that skips hidden positions left a vector of zeros; None where it encodes all.
        groups: Of the further groups of views, where the inputs have some.
    """

    streams: Mapping[str, Float[Tensor, "B V N D"]]
    pooled: Mapping[str, Float[Tensor, "B V D"]]
    grid: tuple[int, ...] = ()
    present: Bool[Tensor, "B V N"] | None = None
    layers: tuple["Features", ...] = ()
    own_pooled: bool = False
    visible: Bool[Tensor, "B V N"] | None = None
    groups: Mapping[str, "Features"] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """A score to be lowered.

    Args:
        total: What is differentiated, float32.
        parts: What is reported, in nats unless the name says otherwise; detached.
        weights: How much each part's mean counts when batches are averaged.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)
    weights: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


def iterate_tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor inside values, mappings and sequences, with the way to it: `targets.token.value`."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from iterate_tensors(member, f"{name}.{key}" if name else str(key))
    elif isinstance(value, tuple | list):
        for number, member in enumerate(value):
            yield from iterate_tensors(member, f"{name}.{number}" if name else str(number))
    elif is_dataclass(value):
        for field in fields(value):
            yield from iterate_tensors(getattr(value, field.name), f"{name}.{field.name}" if name else field.name)


def name_outputs(inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
    """Name every tensor of x and y by the way to it: `x.data`, `y.token.value`."""
    return dict(iterate_tensors({"x": inputs, "y": targets}))

"""Encoder: a trained model that takes what a user has, images of any size or sentences, and gives vectors.

Axes: B samples, V views, N positions, D width.
"""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretask.composition import encode_whole
from pretask.errors import Unknown
from pretask.pooling import KNOWN_POOLINGS, find_content, find_widest_sights, join_widest, pool
from pretask.preparation.prepare import Preparation
from pretask.protocols import SplitFn, averages_views
from pretask.specs import FeatureSpec, InputSpec, Observed
from pretask.values import Batch, Features, Inputs

LAYER = "layer"  # what stands before its number in the name of a layer


class Encoder(nn.Module):
    """The model of a task with what comes before it: its preparation of inputs, and what its split shows of a sample.

    Args:
        model: The trained network.
        split: Shows the undivided sample.
        spec: Of what it shows.
        preparation: From inputs to samples.
        name: Of the task, for people.
    """

    def __init__(
        self, model: nn.Module, split: SplitFn, spec: InputSpec, preparation: Preparation, name: str = "encoder"
    ) -> None:
        super().__init__()
        self.model = model
        self.split, self.spec, self.preparation, self.name = split, spec, preparation, name

    def extra_repr(self) -> str:
        """Return what it was trained on, and the width of its vectors."""
        observed = self.observed
        return f"{self.name}: {observed.modality} of shape {observed.shape} -> {self.width}"

    @property
    def observed(self) -> Observed:
        """What it was trained on, which every input is brought to."""
        return self.preparation.observed

    @property
    def features(self) -> FeatureSpec:
        """What the model makes of a whole sample."""
        described: FeatureSpec = self.model.features(self.spec)  # type: ignore[operator]
        return replace(described, views=1) if averages_views(self.split) else described

    @property
    def width(self) -> int:
        """The length of the vector that a sample becomes."""
        features = self.features
        return features.width * features.views * len(find_widest_sights(features.streams))

    @property
    def device(self) -> torch.device:
        """Where it is, which inputs are moved to."""
        return next((weight.device for weight in self.model.parameters()), torch.device("cpu"))

    def forward(
        self,
        inputs: Any,
        /,
        *,
        layer: int | str | None = None,
        pooling: str | None = None,
        rate: float | None = None,
    ) -> Float[Tensor, "B D"]:
        """Return a vector for every sample: the output layer, pooled as the model does.

        Args:
            inputs: One or several: uint8 or Pillow images of any size and mode; texts; waveforms; clips of uint8.
            layer: Another layer, its number from 1 or its name, such as `layer3`.
            pooling: Another way of pooling positions, such as mean, last or mean-max; `pretask.pooling` has them all.
            rate: Hz of waveforms, frames per second of clips.

        Raises:
            PretaskError: The inputs are not of its modality, or there is none.
            Unknown: There is no such layer, or it is not pooled so.
        """
        shown, features = self.encode(inputs, layer, rate)
        if pooling is None:
            return self.pool_own(features)
        offered = pool(features, find_content(shown, self.spec.vocabulary), KNOWN_POOLINGS)
        if pooling not in offered:
            raise Unknown(f"{self.name} has no pooling {pooling!r} in that layer. It has: {', '.join(offered)}.")
        return offered[pooling]

    @staticmethod
    def pool_own(features: Features) -> Float[Tensor, "B D"]:
        """Return the vectors that the model itself pools, views side by side."""
        return join_widest(features.pooled).flatten(1)

    def positions(
        self, inputs: Any, /, *, layer: int | str | None = None, rate: float | None = None
    ) -> Float[Tensor, "B ... D"]:
        """Return a vector for every position in its place: (B, h, w, D) of images, (B, L, D) of text.

        Where a sample is several views, such as the frames of a clip, they are the second axis.

        Args:
            inputs: See `forward`.
            layer: See `forward`.
            rate: See `forward`.
        """
        _, features = self.encode(inputs, layer, rate)
        vectors = join_widest(features.streams)
        placed = vectors.reshape(*vectors.shape[:2], *features.grid, -1) if features.grid else vectors
        return placed[:, 0] if placed.shape[1] == 1 else placed

    def encode(self, inputs: Any, layer: int | str | None, rate: float | None) -> tuple[Inputs, Features]:
        """Return what the model is shown of the inputs, and its features in one layer."""
        batch = self.prepare(inputs, rate)
        shown, features = encode_whole(self.split, self.model, batch, layers=layer is not None)
        return shown, features if layer is None else self.choose_layer(features, layer)

    def prepare(self, inputs: Any, rate: float | None = None) -> Batch:
        """Return inputs as a batch of samples on the encoder's device, as its data set would have them."""
        return self.preparation(inputs, rate).to(self.device)

    def choose_layer(self, features: Features, layer: int | str) -> Features:
        """Return one of the layers; raise Unknown where there is none of that number or name."""
        layers = features.layers or (features,)
        number = str(layer).removeprefix(LAYER)
        if number not in map(str, range(1, len(layers) + 1)):
            raise Unknown(f"{self.name} has the layers 1 to {len(layers)}, the output last; got {layer!r}.")
        return layers[int(number) - 1]

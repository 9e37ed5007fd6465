"""Mlp: a multilayer perceptron on any input laid out flat, view by view.

Source: Rumelhart, Hinton and Williams 1986; tanh layers as Kingma and Welling 2014, appendix C, have them.
Differs: tokens pass through an embedding first.
Axes: B batch, V views, D width.
"""

from math import prod
from typing import Literal

from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Size
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}


class Mlp(nn.Module):
    """Linear layers with an activation after each; every one is a layer of the features.

    Args:
        spec: Of x.
        whole_spec: Of the undivided sample, whose views have the same shape.
        hidden: Widths of the layers, the last of which is the width of the features.
        activation: After every layer.
        embedding: Numbers for every token.

    Raises:
        Incompatible: The views of x and of the undivided sample differ in shape, or there is no layer.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        hidden: tuple[Size, ...] = (500,),
        activation: Literal["tanh", "relu", "gelu"] = "tanh",
        embedding: Size = 16,
    ) -> None:
        super().__init__()
        if not hidden:
            raise Incompatible("mlp", "at least one layer in model.hidden", "none", "Set model.hidden=500.")
        self.shape, self.width = spec.shape, hidden[-1]
        self.features(whole_spec)
        words = spec.vocabulary
        self.embed = nn.Embedding(words.size, embedding) if words is not None else nn.Identity()
        width = prod(spec.shape) * (embedding if words is not None else 1)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), ACTIVATIONS[activation]())
            for before, after in zip((width, *hidden), hidden, strict=False)
        )

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return one vector per view, without positions."""
        if spec.shape != self.shape:
            raise Incompatible(
                "mlp",
                f"views of one shape everywhere, {self.shape}",
                f"{spec.shape}",
                "Choose a model that reads any size, or the split whole.",
            )
        return FeatureSpec(self.width, views=spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Compute the features of every view."""
        vector = without_padding(self.embed(inputs.data), inputs).flatten(2)
        outputs = []
        for stage in self.stages:
            vector = stage(vector)
            outputs.append(as_features(vector))
        return Features(outputs[-1].streams, outputs[-1].pooled, layers=tuple(outputs) if layers else ())


def without_padding(vectors: Tensor, inputs: Inputs) -> Tensor:
    """Return the input with 0 wherever nothing is present."""
    if inputs.present is None:
        return vectors
    return vectors * inputs.present.view(*inputs.present.shape, *[1] * (vectors.ndim - inputs.present.ndim))


def as_features(vector: Tensor) -> Features:
    """Return one position per view, which is its own pooled vector."""
    return Features({"all": vector[:, :, None]}, {"all": vector})

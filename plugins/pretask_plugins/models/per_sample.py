"""Per-sample: a vector of its own for every training sample, in the place of an encoder.

Traditional variational inference: parameters of q for each x, and none that are shared. With an objective that reads
the parameters of q from its features by a linear map, such as elbo or black-box, any q can be reached by a vector of as
many numbers as q has parameters. A sample that was not trained on has no vector: it is refused.

Source: Hoffman, Blei, Wang and Paisley, JMLR 2013 (local parameters); Kingma and Welling, ICLR 2014, section 2.1 (what
an encoder takes the place of). Differs: nothing.
Axes: B batch, D width.
"""

from typing import Literal

import torch
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Size
from torch import nn


class PerSample(nn.Module):
    """One vector for each sample, found by its number.

    Args:
        spec: Of x, of which nothing is read.
        whole_spec: Of the undivided sample, likewise.
        width: Of a vector.
    """

    unseen: Literal["encoded", "refused"] = "refused"

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 64) -> None:
        super().__init__()
        self.width = width
        self.allocate(0)

    def allocate(self, samples: int, /) -> None:
        """Draw the vectors of so many samples, standard normal."""
        self.table = nn.Parameter(nn.init.normal_(torch.empty(samples, self.width)))

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return one vector per sample, without positions."""
        return FeatureSpec(self.width)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return the vectors of the samples.

        Raises:
            Incompatible: The samples are not those that are trained on.
        """
        if inputs.index is None:
            raise Incompatible(
                "per-sample",
                "the training samples, each of which has a vector of its own",
                "samples without a number among them",
                "Choose an encoder to reach others, such as mlp, or search their posteriors (density.gap_size).",
            )
        vector = self.table[inputs.index][:, None]
        found = Features({"all": vector[:, :, None]}, {"all": vector})
        return Features(found.streams, found.pooled, layers=(found,)) if layers else found

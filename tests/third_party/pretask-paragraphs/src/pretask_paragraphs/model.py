"""Paragraph vectors, distributed memory.

Source: Le and Mikolov, ICML 2014, section 2.2.
Axes: B batch, V views, L tokens, D width.
"""

from dataclasses import replace

import torch
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec, Size
from pretask.pooling import mean_over
from torch import Tensor, nn
from torch.nn import functional as F


class ParagraphVectors(nn.Module):
    """The mean of the words around a position, and the vector of the text, which only texts trained on have.

    Args:
        spec: Of x: tokens.
        whole_spec: Of the undivided text.
        width: Of a vector; 400 in the paper.
        window: Words on either side.
    """

    unseen = "encoded"

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 400, window: Size = 5) -> None:
        super().__init__()
        if spec.vocabulary is None:
            raise Incompatible("paragraph-vectors", "tokens", spec.modality, "Choose a split of text.")
        self.width, self.window = width, window
        self.words = nn.Embedding(spec.vocabulary.size, width)

    def allocate(self, samples: int, /) -> None:
        """Make a vector for every text."""
        self.paragraphs = nn.Embedding(samples, self.width)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position."""
        if spec.vocabulary is None:
            raise Incompatible("paragraph-vectors", "tokens", spec.modality, "Choose a split of text.")
        return FeatureSpec(self.width, spec.shape, spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return the mean of the words within the window, and the text's own vector on top of it."""
        present = torch.ones_like(inputs.data) if inputs.present is None else inputs.present
        known = present[..., None].to(self.words.weight)
        context = self.average(self.words(inputs.data) * known) / self.average(known).clamp(min=1e-6)
        if inputs.index is not None:
            context = context + self.paragraphs(inputs.index)[:, None, None]
        pooled = mean_over(context, inputs.present)
        output = Features({"all": context}, {"all": pooled}, tuple(inputs.data.shape[2:]), inputs.present)
        return replace(output, layers=(output,)) if layers else output

    def average(self, vectors: Tensor) -> Tensor:
        """Average over the window, (B, V, L, D); beyond the ends are zeros."""
        width = 2 * self.window + 1
        return F.avg_pool1d(vectors.flatten(0, 1).mT, width, 1, self.window).mT.view(vectors.shape)

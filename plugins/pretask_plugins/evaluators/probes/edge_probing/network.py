"""Network: the probe of an edge: layers are mixed, tokens projected, spans pooled by attention, and classes decided.

Source: Tenney et al., ICLR 2019, section 4, as in jiant: a scalar mix of layers, a projection to 256 for each of the
spans, self-attentive pooling over the tokens of a span, a multilayer perceptron (tanh, layer normalization, dropout),
and a sigmoid for every class.
Differs: tokens are divided by the root mean square of all layers, so that one learning rate suits encoders of any
scale.
Axes: B edges, S spans of an edge, T tokens of a span, J layers, D features, P projected features, C classes.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pretask_plugins.evaluators.probes.scalar_mix import ScalarMix


class EdgeNetwork(nn.Module):
    """The probe.

    Args:
        layers: How many are mixed.
        width: Of a token's vector.
        spans: Of an edge: one or two.
        classes: To be decided.
        projection: Width that tokens are projected to, and of the hidden layer.
        dropout: Fraction of the hidden layer that is dropped in training.
    """

    def __init__(self, layers: int, width: int, spans: int, classes: int, projection: int, dropout: float) -> None:
        super().__init__()
        self.mix = ScalarMix(layers)
        self.spans = nn.ModuleList(AttentivePool(width, projection) for _ in range(spans))
        self.classify = nn.Sequential(
            nn.Linear(spans * projection, projection),
            nn.Tanh(),
            nn.LayerNorm(projection),
            nn.Dropout(dropout),
            nn.Linear(projection, classes),
        )

    def forward(self, tokens: Float[Tensor, "B S T J D"], present: Bool[Tensor, "B S T"]) -> Float[Tensor, "B C"]:
        """Return the logits of every class."""
        mixed = self.mix(tokens)
        pooled = [pool(mixed[:, number], present[:, number]) for number, pool in enumerate(self.spans)]
        logits: Tensor = self.classify(torch.cat(pooled, -1))
        return logits


class AttentivePool(nn.Module):
    """A projection of tokens, and their mean by learned attention."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__()
        self.project, self.score = nn.Linear(width, projection), nn.Linear(projection, 1)

    def forward(self, tokens: Float[Tensor, "B T D"], present: Bool[Tensor, "B T"]) -> Float[Tensor, "B P"]:
        """Return the vector of every span; absent tokens count for nothing."""
        projected = self.project(tokens)
        if tokens.shape[1] == 1:  # of one token, attention has nothing to choose
            one: Tensor = projected[:, 0]
            return one
        score = self.score(projected)[..., 0].masked_fill(~present, -torch.inf)
        pooled: Tensor = torch.einsum("bt,btp->bp", score.softmax(-1), projected)
        return pooled

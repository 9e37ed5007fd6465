"""Network: probes of edges: layers are mixed, tokens projected, spans pooled by attention, and classes decided.

Several probes of the same edges are computed at once, which see more or fewer of the layers: one matrix product of all
costs little more than that of one. They share nothing.

Source: Tenney et al., ICLR 2019, section 4, as in jiant: a scalar mix of layers, a projection to 256 for each of the
spans, self-attentive pooling over the tokens of a span, a multilayer perceptron (tanh, layer normalization, dropout),
and a sigmoid for every class.
Differs: every layer is moved to a mean of 0, which the bias of the projection could undo, and all are divided by one
number, the root mean square of what is left, so that one learning rate suits any encoder and few steps are enough.
Axes: K probes, B edges, S spans of an edge, T tokens of a span, J layers, D features, P projected features, C classes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class EdgeNetworks(nn.Module):
    """The probes.

    Args:
        layers: How many of the first layers every probe mixes.
        width: Of a token's vector.
        spans: Of an edge: one or two.
        classes: To be decided.
        projection: Width that tokens are projected to, and of the hidden layer.
        dropout: Fraction of the hidden layer that is dropped in training.
    """

    hidden_layers: Tensor

    def __init__(
        self, layers: Sequence[int], width: int, spans: int, classes: int, projection: int, dropout: float
    ) -> None:
        super().__init__()
        count = len(layers)
        self.register_buffer("hidden_layers", torch.arange(max(layers)) >= torch.tensor(layers)[:, None])
        self.scores = nn.Parameter(torch.zeros(count, max(layers)))  # of the mix, as in scalar_mix.py
        self.gamma = nn.Parameter(torch.ones(count))
        self.spans = nn.ModuleList(AttentivePools(count, width, projection) for _ in range(spans))
        self.hidden = Lines(count, spans * projection, projection)
        self.norm_weight = nn.Parameter(torch.ones(count, 1, projection))
        self.norm_bias = nn.Parameter(torch.zeros(count, 1, projection))
        self.classify = Lines(count, projection, classes)
        self.dropout = dropout

    @property
    def weights(self) -> Float[Tensor, "K J"]:
        """How much every layer counts in each probe; 0 where it is not seen."""
        return self.scores.masked_fill(self.hidden_layers, -torch.inf).softmax(1)

    def forward(self, tokens: Float[Tensor, "B S T J D"], present: Bool[Tensor, "B S T"]) -> Float[Tensor, "K B C"]:
        """Return the logits of every class by each probe."""
        mixed = torch.einsum("bstjd,kj->ksbtd", tokens, self.gamma[:, None] * self.weights)
        pooled = [pool(mixed[:, number], present[:, number]) for number, pool in enumerate(self.spans)]
        hidden = self.hidden(torch.cat(pooled, -1)).tanh()
        hidden = F.layer_norm(hidden, hidden.shape[-1:]) * self.norm_weight + self.norm_bias
        logits: Tensor = self.classify(F.dropout(hidden, self.dropout, self.training))
        return logits


class Lines(nn.Module):
    """A linear map of each probe; all begin alike."""

    def __init__(self, count: int, width: int, out_dim: int) -> None:
        super().__init__()
        first = nn.Linear(width, out_dim)
        self.weight = nn.Parameter(first.weight.detach().T.repeat(count, 1, 1))
        self.bias = nn.Parameter(first.bias.detach().repeat(count, 1, 1))

    def forward(self, vectors: Float[Tensor, "K N I"]) -> Float[Tensor, "K N O"]:
        """Return what each probe's map makes of its vectors."""
        return torch.baddbmm(self.bias, vectors, self.weight)


class AttentivePools(nn.Module):
    """A projection of tokens, and their mean by learned attention, of each probe."""

    def __init__(self, count: int, width: int, projection: int) -> None:
        super().__init__()
        self.project, self.score = Lines(count, width, projection), Lines(count, projection, 1)

    def forward(self, tokens: Float[Tensor, "K B T D"], present: Bool[Tensor, "B T"]) -> Float[Tensor, "K B P"]:
        """Return the vector of every span; absent tokens count for nothing."""
        projected: Tensor = self.project(tokens.flatten(1, 2))  # (K, BT, P)
        if tokens.shape[2] == 1:  # of one token, attention has nothing to choose
            return projected
        score = self.score(projected).view(tokens.shape[:3]).masked_fill(~present, -torch.inf)
        return torch.einsum("kbt,kbtp->kbp", score.softmax(-1), projected.view(*tokens.shape[:3], -1))

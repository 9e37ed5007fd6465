"""Attention: the block of the transformers here, its rotary positions, and how its weights begin.

Source: Vaswani et al., NeurIPS 2017; layer normalization before each part (Xiong et al., ICML 2020); rotary positions
(Su et al. 2021); initialization as Radford et al. 2019.
Axes: R rows, L new positions, T positions so far, D width, E width of one head; A is R or 1.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[Tensor, Tensor]  # keys and values of all positions so far, (R, heads, T, E)

INITIAL_STD = 0.02  # of weights
MAX_PERIOD = 10_000.0  # positions in which the slowest pair of a head turns by one radian


class Block(nn.Module):
    """Attention, then a perceptron, each behind a layer normalization and beside a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.causal, self.attention_dropout = heads, causal, dropout
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width), nn.Dropout(dropout)
        )

    def forward(
        self,
        vectors: Float[Tensor, "R L D"],
        mask: Bool[Tensor, "A 1 L T"] | None,
        angles: Float[Tensor, "L half"] | None,
        before: Pair | None = None,
    ) -> tuple[Float[Tensor, "R L D"], Pair]:
        """Return the next layer's vectors, and the keys and values of all positions so far."""
        taken, pair = self.attend(self.norm(vectors), mask, angles, before)
        vectors = vectors + self.dropout(self.out(taken))
        return vectors + self.perceptron(vectors), pair

    def attend(
        self, vectors: Tensor, mask: Tensor | None, angles: Tensor | None, before: Pair | None
    ) -> tuple[Float[Tensor, "R L D"], Pair]:
        """Return what every position takes from those that it sees, and the keys and values of these."""
        query_key_value = self.query_key_value(vectors).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = query_key_value.unbind(0)  # (R, heads, L, E)
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        if before is not None:
            key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
        dropout = self.attention_dropout if self.training else 0.0
        taken = F.scaled_dot_product_attention(
            query, key, value, mask, dropout, self.causal and mask is None and before is None
        )
        return taken.transpose(1, 2).flatten(2), (key, value)


def rotary_angles(length: int, width: int, device: torch.device) -> Float[Tensor, "L half"]:
    """Return position times frequency, for every pair of a head; float32 whatever the precision of the rest."""
    pair = torch.arange(0, width, 2, device=device, dtype=torch.float32)
    positions = torch.arange(length, device=device, dtype=torch.float32)
    return positions[:, None] * MAX_PERIOD ** (-pair / width)


def rotate(vectors: Float[Tensor, "R heads L E"], angles: Float[Tensor, "L half"]) -> Float[Tensor, "R heads L E"]:
    """Rotate every pair (first half, second half) of a head, so that products depend on distances only.

    >>> rotate(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[torch.pi / 2]])).round().abs().tolist()
    [[[[0.0, 1.0]]]]
    """
    one, two = vectors.chunk(2, -1)
    cosine, sine = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    return torch.cat([one * cosine - two * sine, two * cosine + one * sine], -1)


def initialize(model: nn.Module, depth: int) -> None:
    """Draw normal weights; those that end on a shortcut smaller, by the root of how many add up there."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            ends = name.endswith(("out", "perceptron.3"))
            nn.init.normal_(module.weight, std=INITIAL_STD / (2 * depth) ** 0.5 if ends else INITIAL_STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

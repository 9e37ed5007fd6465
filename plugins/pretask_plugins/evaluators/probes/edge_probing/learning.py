"""Learning: probes of several prefixes of the layers are trained at once, and each is kept as it was at its best.

All of them are shown the same edges in the same order, and begin alike. Each is validated on held-out edges from time
to time, and the one of the best F1, of equals of the lowest loss, is kept.

Source: Tenney et al., ICLR 2019, section 4, as in jiant: Adam, batches of 32, the mean binary cross-entropy, the best
on validation edges.
Differs: the rate begins at 1e-3 and falls linearly to 0 in some thousand steps, where theirs is 1e-4, halved where five
validations find nothing better, in up to 250,000; nothing is clipped. The scores of the mix have a rate of their own:
Adam moves a number by its rate in a step at most, so that in so few steps they would stay where they begin.
Axes: K probes, M edges, S spans, T tokens, P tokens that are kept of all rows, J layers, D features, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from pretask.composition import seed_ambient, seed_randomness
from pretask.order import positions
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.edge_probing.network import EdgeNetworks
from pretask_plugins.evaluators.probes.edge_probing.scores import tally

VALIDATION_EDGES = 2_000  # at most, which say how good a probe is
SCORED_AT_ONCE = 1024  # edges


@dataclass(frozen=True)
class Learner:
    """How probes are trained.

    Args:
        projection: Width that tokens are projected to.
        dropout: Fraction of the hidden layer that is dropped.
        lr: Rate of Adam at the beginning.
        mix_lr: That of the scores of the mix.
        batch: Edges of a step.
        steps: How many.
        interval: Steps between two validations.
        seed: Of weights, order and dropout.
    """

    projection: int
    dropout: float
    lr: float
    mix_lr: float
    batch: int
    steps: int
    interval: int
    seed: int


@dataclass(frozen=True)
class EdgeSet:
    """Edges with their tokens' vectors.

    Args:
        tokens: Of all layers, of the tokens that are in any span.
        places: First token of every span among these, and the one after its last.
        classes: Which every edge has, by the task of each probe.
    """

    tokens: Float[Tensor, "P J D"]
    places: Int[Tensor, "M S 2"]
    classes: Bool[Tensor, "K M C"]

    def __len__(self) -> int:
        return len(self.places)

    def select(self, which: Tensor) -> "EdgeSet":
        """Return some of the edges."""
        return EdgeSet(self.tokens, self.places[which], self.classes[:, which])

    def read(self, which: Int[Tensor, " B"]) -> tuple[Float[Tensor, "B S T J D"], Bool[Tensor, "B S T"]]:
        """Return the tokens of some edges, and which of them are present."""
        places = self.places[which]
        steps = torch.arange(int((places[..., 1] - places[..., 0]).max()))
        at = places[..., :1] + steps
        present = at < places[..., 1:]
        return self.tokens[at.where(present, places[..., :1])], present


def fit_probes(learner: Learner, train: EdgeSet, validation: EdgeSet, layers: Sequence[int]) -> EdgeNetworks:
    """Train a probe for every number of first layers; return each as it was when held-out edges were decided best."""
    width, spans, classes = train.tokens.shape[2], train.places.shape[1], train.classes.shape[2]
    validation = validation.select(spread(len(validation), VALIDATION_EDGES))
    with seed_randomness(learner.seed), torch.enable_grad():
        networks = EdgeNetworks(layers, width, spans, classes, learner.projection, learner.dropout)
        optimizer = torch.optim.Adam(group_by_rate(networks, learner), fused=True)
        rates = [group["lr"] for group in optimizer.param_groups]
        kept = [parameter.detach().clone() for parameter in networks.parameters()]
        best = [(-1.0, -torch.inf)] * len(layers)
        for step in range(learner.steps):
            for group, rate_at_first in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate_at_first * (1 - step / learner.steps)
            take_step(networks, optimizer, train, learner, step)
            if (step + 1) % learner.interval == 0 or step + 1 == learner.steps:
                for probe, rating in enumerate(rate(networks.eval(), validation)):
                    if rating > best[probe]:
                        best[probe] = rating
                        copy_probe(networks, kept, probe)
                networks.train()
    with torch.no_grad():
        for parameter, value in zip(networks.parameters(), kept, strict=True):
            parameter.copy_(value)
    return networks.eval()


def group_by_rate(networks: EdgeNetworks, learner: Learner) -> list[dict[str, Any]]:
    """Return the scores of the mix and all other weights, each with its rate."""
    others = [weight for weight in networks.parameters() if weight is not networks.scores]
    return [{"params": [networks.scores], "lr": learner.mix_lr}, {"params": others, "lr": learner.lr}]


def copy_probe(networks: EdgeNetworks, kept: Sequence[Tensor], probe: int) -> None:
    """Keep the weights of one probe as they are."""
    for parameter, value in zip(networks.parameters(), kept, strict=True):
        value[probe] = parameter.detach()[probe]


def spread(count: int, most: int) -> Int[Tensor, " K"]:
    """Return numbers below `count`, at most so many, from everywhere.

    >>> spread(10, 5).tolist(), spread(3, 5).tolist()
    ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    return torch.arange(count) if count <= most else torch.arange(most) * count // most


def take_step(
    networks: EdgeNetworks, optimizer: torch.optim.Optimizer, train: EdgeSet, learner: Learner, step: int
) -> None:
    """Make one optimizer step of all probes."""
    seed_ambient(learner.seed, step)
    which, _ = positions(learner.seed, step * learner.batch, learner.batch, len(train))
    losses = score_logits(networks(*train.read(which)), train.classes[:, which])
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(losses.sum())
    optimizer.step()


def score_logits(logits: Float[Tensor, "K B C"], classes: Bool[Tensor, "K B C"]) -> Float[Tensor, " K"]:
    """Return the mean binary cross-entropy of each probe."""
    return F.binary_cross_entropy_with_logits(logits, classes.float(), reduction="none").mean((1, 2))


def rate(networks: EdgeNetworks, edges: EdgeSet) -> list[tuple[float, float]]:
    """Return F1 and negative loss of each probe on edges; both are better when higher."""
    logits = compute_logits(networks, edges)
    losses = score_logits(logits, edges.classes)
    return [
        (tally(decided, true).f1, -loss)
        for decided, true, loss in zip(logits > 0, edges.classes, losses.tolist(), strict=True)
    ]


def compute_logits(networks: EdgeNetworks, edges: EdgeSet) -> Float[Tensor, "K M C"]:
    """Return the logits of all edges by each probe, those of equally long spans at once, since others are padded."""
    logits = torch.empty(edges.classes.shape)
    longest = (edges.places[..., 1] - edges.places[..., 0]).amax(1)
    with torch.no_grad():
        for which in torch.split(longest.argsort(stable=True), SCORED_AT_ONCE):
            logits[:, which] = networks(*edges.read(which))
    return logits

"""Learning: one probe is trained on some of the layers, and kept as it was best on held-out edges.

Source: Tenney et al., ICLR 2019, section 4, as in jiant: Adam, batches of 32, gradients of norm 5 at most, half the
rate after five validations without a better one, and an end after twenty.
Differs: a rate of 1e-3 and some thousand steps, where they take 1e-4 and up to 250,000.
Axes: M edges, S spans, T tokens, P tokens that are kept of all rows, J layers, D features, C classes.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pretask.composition import seed_ambient, seed_randomness
from pretask.order import positions
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from pretask_plugins.evaluators.probes.edge_probing.network import EdgeNetwork
from pretask_plugins.evaluators.probes.edge_probing.scores import tally

CLIP = 5.0  # norm of the gradient, at most
PATIENCE, MAX_PATIENCE = 5, 20  # validations without a better one: the rate is halved after some, and it ends
VALIDATION_EDGES = 2_000  # at most, which say how good a probe is
SCORED_AT_ONCE = 1024  # edges


@dataclass(frozen=True)
class Learner:
    """How a probe is trained.

    Args:
        projection: Width that tokens are projected to.
        dropout: Fraction of the hidden layer that is dropped.
        lr: Rate of Adam at the beginning.
        batch: Edges of a step.
        steps: At most.
        interval: Steps between two validations.
        seed: Of weights, order and dropout.
    """

    projection: int
    dropout: float
    lr: float
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
        classes: Which every edge has.
    """

    tokens: Float[Tensor, "P J D"]
    places: Int[Tensor, "M S 2"]
    classes: Bool[Tensor, "M C"]

    def __len__(self) -> int:
        return len(self.places)

    def select(self, which: Tensor) -> "EdgeSet":
        """Return some of the edges."""
        return EdgeSet(self.tokens, self.places[which], self.classes[which])

    def read(
        self, which: Int[Tensor, " B"], layers: int
    ) -> tuple[Float[Tensor, "B S T J D"], Bool[Tensor, "B S T"], Bool[Tensor, "B C"]]:
        """Return tokens of the first layers, which of them are present, and classes, of some edges."""
        places = self.places[which]
        steps = torch.arange(int((places[..., 1] - places[..., 0]).max()))
        at = places[..., :1] + steps
        present = at < places[..., 1:]
        return self.tokens[:, :layers][at.where(present, places[..., :1])], present, self.classes[which]


def fit_probe(learner: Learner, train: EdgeSet, validation: EdgeSet, layers: int) -> EdgeNetwork:
    """Train a probe on the first layers, and return it as it was when held-out edges were decided best."""
    width, spans, classes = train.tokens.shape[2], train.places.shape[1], train.classes.shape[1]
    validation = validation.select(spread(len(validation), VALIDATION_EDGES))
    with seed_randomness(learner.seed), torch.enable_grad():
        network = EdgeNetwork(layers, width, spans, classes, learner.projection, learner.dropout)
        optimizer = torch.optim.Adam(network.parameters(), lr=learner.lr, fused=True)
        best, best_score, waited = copy.deepcopy(network.state_dict()), (-1.0, -torch.inf), 0
        network.train()
        for step in range(learner.steps):
            take_step(network, optimizer, train, learner, layers, step)
            if (step + 1) % learner.interval and step + 1 < learner.steps:
                continue
            score = rate(network.eval(), validation, layers)
            network.train()
            waited = 0 if score > best_score else waited + 1
            if not waited:
                best, best_score = copy.deepcopy(network.state_dict()), score
            elif waited % PATIENCE == 0:
                optimizer.param_groups[0]["lr"] /= 2
            if waited >= MAX_PATIENCE:
                break
    network.load_state_dict(best)
    return network.eval()


def spread(count: int, most: int) -> Int[Tensor, " K"]:
    """Return numbers below `count`, at most so many, from everywhere.

    >>> spread(10, 5).tolist(), spread(3, 5).tolist()
    ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    return torch.arange(count) if count <= most else torch.arange(most) * count // most


def take_step(
    network: EdgeNetwork, optimizer: torch.optim.Optimizer, train: EdgeSet, learner: Learner, layers: int, step: int
) -> None:
    """Make one optimizer step."""
    seed_ambient(learner.seed, step)
    which, _ = positions(learner.seed, step * learner.batch, learner.batch, len(train))
    tokens, present, classes = train.read(which, layers)
    loss = F.binary_cross_entropy_with_logits(network(tokens, present), classes.float())
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()


def rate(network: EdgeNetwork, edges: EdgeSet, layers: int) -> tuple[float, float]:
    """Return F1 and negative loss on edges; both are better when higher."""
    logits = compute_logits(network, edges, layers)
    loss = F.binary_cross_entropy_with_logits(logits, edges.classes.float())
    return tally(logits > 0, edges.classes).f1, -float(loss)


def compute_logits(network: EdgeNetwork, edges: EdgeSet, layers: int) -> Float[Tensor, "M C"]:
    """Return the logits of all edges."""
    with torch.no_grad():
        return torch.cat([network(tokens, present) for tokens, present, _ in iterate_batches(edges, layers)])


def iterate_batches(edges: EdgeSet, layers: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield all edges in order."""
    for which in torch.split(torch.arange(len(edges)), SCORED_AT_ONCE):
        yield edges.read(which, layers)

"""InfoNCE: pick out, among all views of a batch, those of the same identity.

The views of every sample are embedded on a sphere. For each of them, the others compete by their cosine: the loss is
the mean, over those of equal identity, of the negative logarithm of their probability. With two views of each sample
this is NT-Xent; with more of one identity (views, or a sample twice in a batch) it is the supervised contrastive loss.

Source: van den Oord, Li and Vinyals 2018, section 2.3; Chen et al. 2020, equation 1; Khosla et al. 2020, equation 2.
Differs: a projection head with layer normalization, so that an embedding depends on its own sample only.
Axes: B batch, V views, D dimensions, N all embeddings of the batch on one rank, M those on all ranks.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Loss,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    full_precision,
    upcast,
    weighted_mean,
)
from pretask.options import Size, Temperature
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from pretask_plugins.shared.heads import perceptron


class InfoNce(nn.Module):
    """The sum over targets of the InfoNCE loss of each.

    Args:
        features: What the model offers.
        targets: Agreement, any number of them; with views, or positions, or one embedding per sample.
        hidden: Widths of the hidden layers of every projection head; none for a linear one.
        out_dim: Size of an embedding.
        temperature: By which cosines are divided; the smaller, the more the hardest negatives count.

    Raises:
        Incompatible: A target is not Agreement, is not hidden, or cannot be read from the features.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        hidden: tuple[Size, ...] = (512,),
        out_dim: Size = 128,
        temperature: Temperature = 0.1,
    ) -> None:
        super().__init__()
        check_kinds("info-nce", targets, {"agreement"})
        self.readouts = {name: find_readout("info-nce", name, features, spec) for name, spec in targets.items()}
        self.heads = Heads(
            {name: perceptron(readout.width, hidden, out_dim) for name, readout in self.readouts.items()}
        )
        self.temperature = temperature
        self.negatives = 0  # others with which an embedding was compared, in the largest batch

    @property
    def chance(self) -> dict[str, float]:
        """Return the value of each part where all embeddings are equal; of loss and accuracy, once a batch was seen."""
        chance = {f"{name}.mutual_information": 0.0 for name in self.readouts}
        if self.negatives:
            chance |= {name: math.log(self.negatives) for name in self.readouts}
            chance |= {f"{name}.accuracy": 1 / self.negatives for name in self.readouts}
        return chance

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return embeddings of length 1, (B, ..., D), by target."""
        embedded = {name: readout.place(self.heads[name](readout(features))) for name, readout in self.readouts.items()}
        return {name: F.normalize(upcast(vectors), dim=-1) for name, vectors in embedded.items()}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean loss, in nats, the fraction of embeddings whose nearest other is a positive, and a bound."""
        return self.score(self.predict(features), targets)

    def score(self, embeddings: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for embeddings of any length (B, ..., D) by target, wherever they come from.

        `NAME.mutual_information` is log(negatives) - loss: with one positive each, a lower bound on the mutual
        information of two views, 0 by chance at any batch size.
        """
        terms, reports = {}, {}
        for name in self.readouts:
            nats, correct, weight, negatives = contrast_across_ranks(embeddings[name], targets[name], self.temperature)
            self.negatives = max(self.negatives, negatives)
            terms[name] = weighted_mean(nats, weight)
            reports[f"{name}.accuracy"] = weighted_mean(correct, weight)
            reports[f"{name}.mutual_information"] = weighted_mean(math.log(max(negatives, 1)) - nats, weight)
        return build_loss(terms, reports)


def contrast_across_ranks(
    embedded: Float[Tensor, "B ... D"], target: Target, temperature: float
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"], Float[Tensor, " N"], int]:
    """Contrast every embedding of this rank with those of all ranks.

    Returns:
        Nats and whether the nearest other is a positive, one per embedding; weights, 0 where an embedding has no
        positive or is not valid; and how many others each was compared with.
    """
    own_vectors = F.normalize(upcast(embedded), dim=-1).flatten(0, -2)
    identity = target.value.flatten()
    valid = torch.ones_like(own_vectors[:, 0]) if target.weight is None else target.weight.float().flatten()
    all_vectors, first = gather_ranks(own_vectors)
    identities, counts = gather_ranks(identity)[0], gather_ranks(valid)[0] > 0
    index = torch.arange(len(own_vectors), device=own_vectors.device) + first
    other = counts[None, :] & (torch.arange(len(all_vectors), device=own_vectors.device) != index[:, None])
    positive = other & (identity[:, None] == identities)
    with full_precision(own_vectors.device):  # cosines over a small temperature need their digits
        similarity = own_vectors @ all_vectors.T / temperature
    nats, correct = contrast(similarity, positive, other)
    return nats, correct, valid * positive.any(1), len(all_vectors) - 1


def contrast(
    similarity: Float[Tensor, "N M"], positive: Bool[Tensor, "N M"], other: Bool[Tensor, "N M"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Return the mean over positives of -log softmax over the others, and whether the most similar other is a positive.

    >>> one = torch.tensor([[True, False, False]])
    >>> round(contrast(torch.zeros(1, 3), one, torch.ones_like(one))[0].item() - math.log(3), 6)
    0.0
    """
    similarity = similarity.masked_fill(~other, torch.finfo(similarity.dtype).min)
    log_probability = similarity.log_softmax(1).masked_fill(~positive, 0.0)
    nats = -log_probability.sum(1) / positive.sum(1).clamp(min=1)
    nearest = similarity.argmax(1, keepdim=True)
    return nats, positive.gather(1, nearest)[:, 0].float()


def gather_ranks(own_vectors: Float[Tensor, "N ..."] | Int[Tensor, "N ..."]) -> tuple[Tensor, int]:
    """Return the rows of all ranks, and where this rank's begin; gradients return to the rank of their row."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return own_vectors, 0
    all_vectors: Tensor = GatherRows.apply(own_vectors)  # type: ignore[no-untyped-call]
    return all_vectors, dist.get_rank() * len(own_vectors)


class GatherRows(torch.autograd.Function):
    """Concatenate the rows of all ranks; backwards, sum every rank's gradient of the own rows."""

    @staticmethod
    def forward(context: Any, own_vectors: Tensor) -> Tensor:
        """Return the rows of all ranks, of which each has equally many."""
        rows = [torch.empty_like(own_vectors) for _ in range(dist.get_world_size())]
        dist.all_gather(rows, own_vectors.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Return the part of the summed gradient that belongs to the own rows."""
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]

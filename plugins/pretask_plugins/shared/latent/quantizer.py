"""Quantizer: the nearest of a set of learned vectors in the place of each vector, and how these vectors follow.

A vector z is replaced by the nearest entry e_k of the codebook; its gradient is that of the entry (straight through).
The codebook has no gradient: after every step, entry k moves towards the mean of the vectors that chose it,

    N_k <- decay N_k + (1 - decay) n_k      m_k <- decay m_k + (1 - decay) sum of the n_k vectors      e_k <- m_k / N_k

and an entry that hardly any vector chooses begins anew at one of the step's vectors, drawn without regard to order.

Source: van den Oord, Vinyals and Kavukcuoglu, NIPS 2017, section 3.2 and appendix A.1 (moving averages); Dhariwal et
al. 2020 (restarts). Differs: nothing is smoothed by Laplace's rule, since an entry without vectors begins anew; the
first entries are drawn, and begin anew at vectors after the first step for lack of any that chose them.
Axes: B batch, N positions, D width, K entries, M vectors.
"""

import torch
from jaxtyping import Float, Int
from pretask.precision import full_precision
from pretask.scoring import gather_over_ranks, sum_over_ranks
from torch import Tensor, nn
from torch.nn import functional as F

RESTARTED_USAGE = 1.0  # vectors per step that an entry which begins anew is taken to have


class Quantizer(nn.Module):
    """A codebook.

    Args:
        size: Entries.
        width: Of an entry.
        decay: Of the moving averages.
        min_usage: Vectors per step, on average, below which an entry begins anew; 0 keeps all.
    """

    def __init__(self, size: int, width: int, decay: float, min_usage: float) -> None:
        super().__init__()
        self.decay, self.min_usage = decay, min_usage
        self.codebook: Tensor
        self.usage: Tensor
        self.sums: Tensor
        self.register_buffer("codebook", nn.init.normal_(torch.empty(size, width)))
        self.register_buffer("usage", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, width))
        self.noted: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []  # of the parts of this step

    def forward(self, vectors: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B N D"], Int[Tensor, "B N"]]:
        """Return the nearest entries, with the gradient of the vectors, and their numbers."""
        index = nearest_entry(vectors.detach(), self.codebook)
        return vectors + (self.look_up(index) - vectors).detach(), index

    def look_up(self, index: Int[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Return entries by their numbers."""
        return F.embedding(index, self.codebook)

    @torch.no_grad()
    def note(self, vectors: Float[Tensor, "B N D"], index: Int[Tensor, "B N"], priority: Float[Tensor, "B N"]) -> None:
        """Note what chose which entry, until `update`, and the vectors at which entries may begin anew.

        Args:
            vectors: That were quantized.
            index: What they chose.
            priority: Drawn for every vector: those with the highest are candidates.
        """
        flat, chosen = vectors.flatten(0, 1).to(self.sums.dtype), index.flatten()
        counts = torch.zeros_like(self.usage).index_add_(0, chosen, torch.ones_like(flat[:, 0]))
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, flat)
        first = priority.flatten().topk(min(len(flat), len(self.codebook)))
        self.noted.append((counts, sums, first.values, flat[first.indices]))

    @torch.no_grad()
    def update(self) -> None:
        """Move the entries by what was noted since the last time, the same on all ranks; nothing where nothing was."""
        if not self.noted:
            return
        counts, sums, priorities, candidates = map(list, zip(*self.noted, strict=True))
        self.noted.clear()
        count, total = sum_over_ranks(torch.stack(counts).sum(0))[0], sum_over_ranks(torch.stack(sums).sum(0))[0]
        self.usage.lerp_(count, 1 - self.decay)
        self.sums.lerp_(total, 1 - self.decay)
        self.restart(gather_over_ranks(torch.cat(priorities)), gather_over_ranks(torch.cat(candidates)))
        used = self.usage[:, None] > 0
        self.codebook.copy_(torch.where(used, self.sums / self.usage[:, None].clamp(min=1e-12), self.codebook))

    def restart(self, priority: Float[Tensor, " M"], candidates: Float[Tensor, "M D"]) -> None:
        """Put candidates, by their priority, in the place of entries that are hardly used."""
        order = priority.argsort(descending=True)
        fresh = candidates[order[torch.arange(len(self.usage), device=order.device) % len(order)]]
        idle = self.usage < self.min_usage
        self.sums.copy_(torch.where(idle[:, None], fresh * RESTARTED_USAGE, self.sums))
        self.usage.copy_(torch.where(idle, RESTARTED_USAGE, self.usage))


def nearest_entry(vectors: Float[Tensor, "B N D"], codebook: Float[Tensor, "K D"]) -> Int[Tensor, "B N"]:
    """Return the number of the entry with the least squared distance, the first where several have.

    >>> nearest_entry(torch.tensor([[[0.9, 0.0], [-3.0, 0.1]]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
    [[0, 1]]
    """
    with full_precision(vectors.device):
        products = vectors.to(codebook.dtype) @ codebook.T
        distance: Tensor = codebook.square().sum(1) - 2 * products  # the vector's own square is the same for all
        return distance.argmin(-1)


def perplexity(index: Int[Tensor, "..."], size: int) -> Float[Tensor, ""]:
    """Return the exponential of the entropy of how often entries are chosen: how many are in even use.

    >>> round(perplexity(torch.tensor([0, 0, 1, 1, 3, 3]), 5).item(), 4)
    3.0
    """
    frequency = torch.zeros(size, device=index.device).index_add_(
        0, index.flatten(), torch.ones(index.numel(), device=index.device)
    )
    count: Tensor = torch.special.entr(frequency / index.numel()).sum().exp()
    return count

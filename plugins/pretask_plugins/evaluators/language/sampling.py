"""Sampling: from a model's distribution of the next token to a token.

Source: Fan, Lewis and Dauphin, ACL 2018 (top-k); Holtzman et al., ICLR 2020 (nucleus).
Differs: the nucleus is the smallest set of likeliest tokens with a mass of at least p, as the paper has it; GPT-2's
released code drops the token that crosses p. Tokens as likely as the last one of top-k are kept with it.
Axes: B batch, C size of the vocabulary.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import PretaskError
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the temperature comes first, then top-k, then nucleus; left out, they do nothing.

    Args:
        temperature: Log-probabilities are divided by it; at 0 the likeliest token is taken.
        top_k: Only so many likeliest tokens are kept; 0 for all.
        nucleus: Only the likeliest tokens are kept that together have this mass; 1 for all.

    Raises:
        PretaskError: A number is out of its range.

    >>> Sampling(top_k=1).distribution(torch.tensor([[0.2, 0.5, 0.3]]).log()).exp().tolist()
    [[0.0, 1.0, 0.0]]
    """

    temperature: float = 1.0
    top_k: int = 0
    nucleus: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and self.top_k >= 0 and 0 < self.nucleus <= 1):
            raise PretaskError(
                "sampling",
                "a temperature of at least 0, a top_k of at least 0 and a nucleus above 0, at most 1",
                f"temperature = {self.temperature}, top_k = {self.top_k}, nucleus = {self.nucleus}",
                "Mend them.",
                exit_code=2,
            )

    def distribution(self, scores: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Log-probabilities of what is drawn from, of logits or log-probabilities."""
        if self.temperature == 0:
            return only_likeliest(scores)
        said = (scores.float() / self.temperature).log_softmax(-1)
        if self.top_k:
            said = keep_top(said, self.top_k)
        return keep_nucleus(said, self.nucleus) if self.nucleus < 1 else said

    def __call__(self, scores: Float[Tensor, "B C"], unit: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The tokens that numbers in [0, 1) fall on."""
        return fall(self.distribution(scores), unit)


GREEDY = Sampling(temperature=0.0)


def only_likeliest(scores: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
    """All the mass on the likeliest token, the first where several are."""
    kept = torch.full_like(scores, -torch.inf)
    return kept.scatter(-1, scores.argmax(-1, keepdim=True), 0.0)


def keep_top(said: Float[Tensor, "B C"], count: int) -> Float[Tensor, "B C"]:
    """The likeliest tokens, renormalised."""
    last = said.topk(min(count, said.shape[-1]), -1).values[..., -1:]
    return said.where(said >= last, -torch.inf).log_softmax(-1)


def keep_nucleus(said: Float[Tensor, "B C"], mass: float) -> Float[Tensor, "B C"]:
    """The smallest set of likeliest tokens that has the mass, renormalised.

    >>> keep_nucleus(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.6).exp().round(decimals=3).tolist()
    [[0.625, 0.375, 0.0]]
    """
    ordered, order = said.sort(-1, descending=True)
    before = ordered.double().exp().cumsum(-1) - ordered.double().exp()  # the mass of all that are likelier
    kept = torch.zeros_like(said, dtype=torch.bool).scatter(-1, order, before < mass)
    return said.where(kept, -torch.inf).log_softmax(-1)


def fall(said: Float[Tensor, "B C"], unit: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The token whose stretch of [0, 1) a number lies in; never one without any mass.

    >>> fall(torch.tensor([[0.25, 0.0, 0.75]] * 3).log(), torch.tensor([0.0, 0.25, 0.9999999])).tolist()
    [0, 2, 2]
    """
    share = said.double().exp()
    reached = share.cumsum(-1)
    aim = unit.double()[:, None] * reached[:, -1:]
    last = torch.arange(share.shape[-1], device=said.device).where(share > 0, 0).amax(-1)
    return (reached <= aim).sum(-1).minimum(last)

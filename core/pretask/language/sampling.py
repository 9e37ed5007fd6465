"""Sampling: from a model's distribution of the next token to a token.

Source: Fan, Lewis and Dauphin, ACL 2018 (top-k); Holtzman et al., ICLR 2020 (nucleus).
Differs: the nucleus is the smallest set of most likely tokens with a mass of at least p, as the paper has it; GPT-2's
released code drops the token that crosses p. Tokens as likely as the last one of top-k are kept with it.
Axes: B batch, C size of the vocabulary.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pretask.errors import PretaskError


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the temperature comes first, then top-k, then nucleus; left out, they do nothing.

    Args:
        temperature: Log-probabilities are divided by it; at 0 the most likely token is taken.
        top_k: Only so many most likely tokens are kept; 0 for all.
        top_p: Only the most likely tokens are kept that together have this mass; 1 for all.

    Raises:
        PretaskError: A number is out of its range.

    >>> Sampling(top_k=1).distribution(torch.tensor([[0.2, 0.5, 0.3]]).log()).exp().tolist()
    [[0.0, 1.0, 0.0]]
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and self.top_k >= 0 and 0 < self.top_p <= 1):
            raise PretaskError(
                "sampling",
                "a temperature of at least 0, a top_k of at least 0 and a top_p above 0, at most 1",
                f"temperature = {self.temperature}, top_k = {self.top_k}, top_p = {self.top_p}",
                "Set temperature=1, top_k=0 and top_p=1 to sample from the model itself.",
                exit_code=2,
            )

    def distribution(self, scores: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Return the log-probabilities that tokens are drawn from, of logits or log-probabilities."""
        if self.temperature == 0:
            return keep_most_likely(scores)
        log_probability = (scores.float() / self.temperature).log_softmax(-1)
        if self.top_k:
            log_probability = keep_top(log_probability, self.top_k)
        return keep_nucleus(log_probability, self.top_p) if self.top_p < 1 else log_probability

    def __call__(self, scores: Float[Tensor, "B C"], unit: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Return the tokens that numbers in [0, 1) fall on."""
        return pick_token(self.distribution(scores), unit)


GREEDY = Sampling(temperature=0.0)


def keep_most_likely(scores: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
    """Put all the mass on the most likely token, the first where several are."""
    kept = torch.full_like(scores, -torch.inf)
    return kept.scatter(-1, scores.argmax(-1, keepdim=True), 0.0)


def keep_top(log_probability: Float[Tensor, "B C"], count: int) -> Float[Tensor, "B C"]:
    """Keep the most likely tokens, renormalized."""
    last = log_probability.topk(min(count, log_probability.shape[-1]), -1).values[..., -1:]
    return log_probability.where(log_probability >= last, -torch.inf).log_softmax(-1)


def keep_nucleus(log_probability: Float[Tensor, "B C"], mass: float) -> Float[Tensor, "B C"]:
    """Keep the smallest set of most likely tokens that has the mass, renormalized.

    >>> keep_nucleus(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.6).exp().round(decimals=3).tolist()
    [[0.625, 0.375, 0.0]]
    """
    ordered, order = log_probability.sort(-1, descending=True)
    before = ordered.double().exp().cumsum(-1) - ordered.double().exp()  # the mass of all that are more likely
    kept = torch.zeros_like(log_probability, dtype=torch.bool).scatter(-1, order, before < mass)
    return log_probability.where(kept, -torch.inf).log_softmax(-1)


def pick_token(log_probability: Float[Tensor, "B C"], unit: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Pick the token whose stretch of [0, 1) a number lies in; never one without any mass.

    >>> pick_token(torch.tensor([[0.25, 0.0, 0.75]] * 3).log(), torch.tensor([0.0, 0.25, 0.9999999])).tolist()
    [0, 2, 2]
    """
    probability = log_probability.double().exp()
    reached = probability.cumsum(-1)
    aim = unit.double()[:, None] * reached[:, -1:]
    last = torch.arange(probability.shape[-1], device=log_probability.device).where(probability > 0, 0).amax(-1)
    return (reached <= aim).sum(-1).minimum(last)

"""Perplexity: how well a language model foresees the test part, in units that say what they are of.

A perplexity is of one tokenizer, which is named beside it; bits per byte can be compared between tokenizers. Rows are
scored one by one, without what stands before them, and their first token is not predicted; in bits per byte it is taken
to cost what the others cost.

Source: Shannon 1951; Jelinek, Mercer, Bahl and Baker 1977 (perplexity). Differs: nothing.
Axes: B batch, P positions of x.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pretask import Batch, Budget, Choice, Data, KnowsEntropy, MeasuresText, NamesTokenizer, Task, source_of
from pretask.language.next_token import log_probabilities, next_target, split_batch
from pretask.pretext_score import evaluation_mode

MAX_NAME_CHARACTERS = 80  # of a tokenizer
MAX_EXPONENT = 700.0  # exp of more than 709 overflows


@dataclass(frozen=True)
class LanguageModel:
    """The cost of the test part's tokens, each predicted from all tokens before it in its row."""

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task does not ask for the next token, or not in the data's vocabulary."""
        next_target("lm", task, data("test"))

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Choice]]:
        """Yield `nats_per_token`, `perplexity`, `accuracy` and `tokens`; `tokenizer` names what the perplexity is of.

        `bits_per_byte` where the data tells the bytes of its text (`extent`), and `nats_above_entropy` where it tells
        what the best prediction costs (`nats`).

        Raises:
            PretaskError: The task does not ask for the next token, or not in the data's vocabulary.
        """
        samples = data("test")
        name = next_target("lm", task, samples)
        sums = torch.zeros(3, dtype=torch.float64)
        with evaluation_mode(task), torch.no_grad():
            for batch in samples.resident(task.device).batches(budget.batch, task.device):
                sums += sum_costs(task, batch, budget.seed, name)
        loss, is_correct, tokens = sums.tolist()
        nats = loss / tokens if tokens else math.nan
        yield "nats_per_token", nats
        offered = source_of(data)
        if isinstance(offered, NamesTokenizer):
            yield "tokenizer", Choice(offered.tokenizer_name[:MAX_NAME_CHARACTERS])
        yield "perplexity", math.exp(min(nats, MAX_EXPONENT))
        if isinstance(offered, MeasuresText):
            yield "bits_per_byte", bits_per_byte(nats, offered.extent("test"))
        if isinstance(offered, KnowsEntropy):
            yield "nats_above_entropy", nats - offered.entropy()
        yield "accuracy", is_correct / tokens if tokens else math.nan
        yield "tokens", tokens


def sum_costs(task: Task, batch: Batch, seed: int, name: str) -> torch.Tensor:
    """Sum nats, correct predictions and number of the valid tokens in a batch."""
    inputs, target = split_batch(task, batch, seed, name)
    log_probability = log_probabilities(task, inputs, name)
    weight = torch.ones_like(log_probability[..., 0]) if target.weight is None else target.weight
    nats = -log_probability.gather(-1, target.value[..., None])[..., 0]
    is_correct = log_probability.argmax(-1) == target.value
    return torch.stack([(values * weight).double().sum() for values in (nats, is_correct, torch.ones_like(nats))]).cpu()


def bits_per_byte(nats: float, extent: Any) -> float:
    """Return the cost of a byte of text.

    >>> round(bits_per_byte(math.log(256), (5, 5)), 4)  # tokens that are bytes, all equally likely
    8.0
    """
    tokens, size = extent
    return nats * tokens / size / math.log(2) if size else math.nan

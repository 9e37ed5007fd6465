"""Generation: what a language model writes when it goes on from the beginnings of test rows.

Four ways of choosing, so that their faults can be seen side by side: the likeliest token repeats itself, plain sampling
strays. `overlap` falls with either fault: it is the mass that the pairs of neighboring tokens of what was written share
with those of held-out text, 1 less their total variation distance. Beside it stands what the rows' own continuations
reach, about the most that so few tokens can. The texts are in a picture, since no number reads them.

Source: Holtzman et al., ICLR 2020 (nucleus, the four ways, the distance of distributions as a test of text); Li et al.,
NAACL 2016 (distinct-n). Differs: repetition is the fraction of tokens that end a group of four which the same text
already had; the distance is of pairs of tokens, not of a Zipf coefficient.
Axes: B prompts, P tokens of a prompt, T tokens of prompt and continuation, N held-out rows, L tokens of a row.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Int
from pretask import Budget, Data, Draws, Figure, PretaskError, Samples, Task
from pretask.language.continuation import check_context_length, generate
from pretask.language.next_token import next_target
from pretask.language.sampling import GREEDY, Sampling
from pretask.options import FractionAboveZero, Interval, NonNegativeInt, Size, SizeOrZero
from torch import Tensor

from pretask_plugins.shared.text_pages import decoder_of, draw_page

REPETITION_TOKENS = 4  # tokens; a group that comes again is a repetition
SHOWN_PROMPTS = 4  # prompts in the picture
MAX_HELD_OUT_ROWS = 10_000  # rows whose pairs are counted; more change no third digit


@dataclass(frozen=True)
class Generation:
    """Continuations of test rows by greedy choice, temperature, top-k and nucleus.

    Args:
        num_prompts: How many rows.
        prompt_length: Tokens of each that are given; rows with fewer are left out.
        max_new_tokens: To add; as many as rows have room for where it is 0.
        temperature: Of the way of this name; the others have 1.
        top_k: Tokens that are kept.
        top_p: Mass of the nucleus, the most likely tokens that are kept.
        use_memory: Whether a model that remembers what it has read may do so; the texts are the same.
    """

    num_prompts: Size = 32
    prompt_length: Size = 4
    max_new_tokens: SizeOrZero = 0
    temperature: Annotated[float, Interval(ge=0, le=1e6)] = 0.7
    top_k: NonNegativeInt = 40
    top_p: FractionAboveZero = 0.9
    use_memory: bool = True

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task does not ask for the next token, or not in the data's vocabulary."""
        next_target("generation", task, data("test"))

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield `overlap` of nucleus sampling; by way: `overlap`, `distinct-1`, `distinct-2`, `repetition`; and texts.

        All are fractions; of repetition lower is better, of overlap higher. The same of the rows' own continuations, as
        `test text`; distinct-n and repetition are good where they are close to these.

        Raises:
            PretaskError: The task does not ask for the next token, no test row is as long as a prompt, or there is no
                room for the continuation.
        """
        samples = data("test")
        name = next_target("generation", task, samples)
        rows = find_long_rows(samples, self.prompt_length + 1)[: self.num_prompts]
        tokens = self.max_new_tokens or samples.data.shape[1] - self.prompt_length
        check_context_length(task, self.prompt_length, tokens)
        whole = samples.take(rows.to(samples.data.device)).to(task.device)
        given = whole[:, : self.prompt_length]
        texts = {"test text": whole[:, : self.prompt_length + tokens]}
        for decoding, sampling in self.decodings().items():
            draws = Draws(rows.to(task.device), budget.seed, -1).branch(decoding)
            texts[decoding] = generate(
                task,
                given,
                max_new_tokens=tokens,
                sampling=sampling,
                draws=draws,
                target=name,
                use_memory=self.use_memory,
            )
        pad = samples.observed.vocabulary.id("pad") if samples.observed.vocabulary else None
        written = {
            decoding: drop_padding(ids[:, self.prompt_length :].tolist(), pad) for decoding, ids in texts.items()
        }
        held_out = count_pairs(drop_padding(find_other_rows(samples, rows).tolist(), pad))
        yield "overlap", overlap(count_pairs(written[[*written][-1]]), held_out)
        for decoding, continuations in written.items():
            yield f"{decoding}: overlap", overlap(count_pairs(continuations), held_out)
            yield from measure_diversity(decoding, continuations)
        yield "texts", self.picture(texts, decoder_of(data))

    def decodings(self) -> dict[str, Sampling]:
        """Return the four ways by name."""
        return {
            "greedy": GREEDY,
            f"temperature {self.temperature:g}": Sampling(temperature=self.temperature),
            f"top-{self.top_k}": Sampling(top_k=self.top_k),
            f"nucleus {self.top_p:g}": Sampling(top_p=self.top_p),
        }

    def picture(self, texts: dict[str, Tensor], decode: Callable[[list[int]], str]) -> Figure:
        """Draw the first prompts, each with what every way goes on with."""
        lines = []
        for number in range(min(SHOWN_PROMPTS, len(texts["test text"]))):
            lines.append(f"{decode(texts['test text'][number, : self.prompt_length].tolist())} …")
            lines += [
                f"    {decoding}: {decode(ids[number, self.prompt_length :].tolist())}"
                for decoding, ids in texts.items()
            ]
            lines.append("")
        return Figure(draw_page(lines), "Beginnings of test rows, and how they go on, chosen in different ways.")


def find_long_rows(samples: Samples, length: int) -> Int[Tensor, " n"]:
    """Find the rows that have so many tokens; raise PretaskError where there is none."""
    count = samples.data.shape[1]
    if samples.present is None:
        rows = torch.arange(len(samples)) if length <= count else torch.empty(0, dtype=torch.int64)
    else:
        rows = (samples.present[:, :length].sum(1) == length).nonzero()[:, 0].cpu()
    if not len(rows):
        raise PretaskError(
            "generation", f"test rows of at least {length} tokens", "none", "Set a smaller generation.prompt_length."
        )
    return rows


def find_other_rows(samples: Samples, rows: Int[Tensor, " n"]) -> Int[Tensor, "N L"]:
    """Test rows of which no beginning was a prompt, at most MOST_HELD_OUT; all rows where there are no others."""
    other = torch.ones(len(samples), dtype=torch.bool)
    other[rows] = False
    picked = (other if bool(other.any()) else ~other).nonzero()[:MAX_HELD_OUT_ROWS, 0]
    return samples.take(picked.to(samples.data.device))


def drop_padding(rows: list[list[int]], pad: int | None) -> list[list[int]]:
    """Return rows without padding."""
    return [[token for token in row if token != pad] for row in rows]


def measure_diversity(decoding: str, rows: list[list[int]]) -> Iterator[tuple[str, float]]:
    """Yield how much of all texts together is different, and how much of each is repetition."""
    for size in (1, 2):
        yield f"{decoding}: distinct-{size}", distinct(rows, size)
    yield f"{decoding}: repetition", repetition(rows)


def count_pairs(rows: list[list[int]]) -> Counter[tuple[int, ...]]:
    """Count how often tokens follow each other."""
    return Counter(pair for row in rows for pair in ngrams(row, 2))


def overlap(first: Counter[tuple[int, ...]], second: Counter[tuple[int, ...]]) -> float:
    """Return the mass that two distributions share, 1 less their total variation distance; 0 where one is empty.

    >>> overlap(Counter(a=1, b=1), Counter(b=3, c=1))
    0.5
    """
    totals = max(first.total(), 1), max(second.total(), 1)
    return sum(min(first[ngram] / totals[0], second[ngram] / totals[1]) for ngram in first)


def ngrams(row: list[int], size: int) -> list[tuple[int, ...]]:
    """Return all groups of so many tokens that follow each other."""
    return [tuple(row[begin : begin + size]) for begin in range(len(row) - size + 1)]


def distinct(rows: list[list[int]], size: int) -> float:
    """Return different groups as a fraction of all groups; 0 where there is none.

    >>> distinct([[1, 2, 1, 2]], 2)  # 12, 21, 12
    0.6666666666666666
    """
    every = [group for row in rows for group in ngrams(row, size)]
    return len(set(every)) / max(len(every), 1)


def repetition(rows: list[list[int]]) -> float:
    """Return the fraction of groups of four that the same text had before; 0 where there is none.

    >>> repetition([[1, 1, 1, 1, 1, 1], [1, 2, 3, 4]])  # three ngrams, two of them again; and a new one
    0.5
    """
    every = [(len(found), len(set(found))) for found in (ngrams(row, REPETITION_TOKENS) for row in rows)]
    total = sum(count for count, _ in every)
    return sum(count - different for count, different in every) / max(total, 1)

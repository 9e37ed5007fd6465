"""Interpolation: sentences along lines between the codes of two others, and sentences of codes from the prior.

A path begins and ends at the posterior means of two test sentences, and every point of it is decoded by the most likely
words. Where neighboring sentences of a path differ by less than its two ends, and are sentences, the space of codes is
smooth. A model whose posterior has collapsed writes the same sentence everywhere, which is grammatical and worth
nothing: `similarity` and `path.distinct` show it.

Whether a sentence is one is asked of data that know (the toy grammar), exactly; of other data the texts are shown.

Source: Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, CoNLL 2016, section 5.3 (homotopies).
Differs: words are chosen one by one, the most likely each, not by a beam.
Axes: P paths, T points of a path, N codes, L tokens, D dimensions of the code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Annotated

import torch
from jaxtyping import Float
from pretask import Budget, Categories, Data, Draws, Figure, PretaskError, Task
from pretask.language.sampling import Sampling
from pretask.options import MAX_SIZE, Interval, Size
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode
from pretask.samples import source_of
from torch import Tensor

from pretask_plugins.evaluators.density.density import encode, require_latent_model
from pretask_plugins.shared.grammar import JudgesGrammar, cut_at_end, edit_distance
from pretask_plugins.shared.text_pages import decoder_of, draw_page

SHOWN_PATHS = 5
SHOWN_SAMPLES = 20
Sentence = list[int]


@dataclass(frozen=True)
class Interpolation:
    """Paths between test sentences, and sentences from the prior.

    Args:
        num_paths: Pairs of test sentences: the first and the second, the third and the fourth, and so on.
        num_points: Of a path, its ends included.
        num_samples: Codes from the prior.
    """

    num_paths: Size = 100
    num_points: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 8
    num_samples: Size = 1000

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task's objective has no latent variables."""
        require_latent_model("interpolation", task)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield `similarity`, 1 less the edit distance of a test sentence and what its code is decoded to, as a
        fraction of the longer one; the distances in tokens and the fractions of different sentences of paths and
        samples; where the data know, those that are grammatical; and both as texts.

        Raises:
            PretaskError: The objective has no latent variables, no target is a row of tokens, or there are too few.
        """
        require_latent_model("interpolation", task)
        name, end = find_words(task), find_end(task)
        with evaluation_mode(task), torch.no_grad():
            originals, paths = self.write_paths(task, data, name, end, budget.seed)
            samples = self.write_samples(task, name, end, budget.seed)
        decoded = [path[side] for path in paths for side in (0, -1)]
        yield "similarity", fmean(similarity(*pair) for pair in zip(originals, decoded, strict=True))
        yield from measure_paths(paths)
        for which, sentences in samples.items():
            yield f"{which}.distinct", fraction_distinct(sentences)
        judge = source_of(data)
        if isinstance(judge, JudgesGrammar):
            for which, sentences in {"path": [one for path in paths for one in path], **samples}.items():
                yield f"{which}.grammatical", fmean(judge.is_grammatical(sentence) for sentence in sentences)
        read = decoder_of(data)
        lines = [read(sentence) for path in paths[:SHOWN_PATHS] for sentence in [*path, []]]
        yield (
            "paths",
            Figure(draw_page(lines), "The most likely sentences along lines between codes of test sentences."),
        )
        lines = [read(sentence) for sentence in samples["prior"][:SHOWN_SAMPLES]]
        yield "prior samples", Figure(draw_page(lines), "Sentences drawn from the model: a code, then word by word.")

    def write_paths(
        self, task: Task, data: Data, name: str, end: int | None, seed: int
    ) -> tuple[list[Sentence], list[list[Sentence]]]:
        """Return test sentences, the two ends of every path next to each other, and the sentences along the paths."""
        count = min(self.num_paths, len(data("test")) // 2)
        if not count:
            raise PretaskError("interpolation", "at least 2 test sentences", f"{len(data('test'))}", "Use more data.")
        posterior, targets, _ = encode(task, data("test").batch(torch.arange(2 * count), task.device), seed)
        codes = interpolate(posterior.mean[0::2], posterior.mean[1::2], self.num_points)
        written = task.objective.draw_classes(codes.flatten(0, 1), name)
        originals = as_sentences(hide_padding(targets[name].value, targets[name].weight), end)
        return originals, list(split_paths(as_sentences(written, end), self.num_points))

    def write_samples(self, task: Task, name: str, end: int | None, seed: int) -> dict[str, list[Sentence]]:
        """Return sentences of codes from the prior: their words drawn, and the most likely ones."""
        number = torch.arange(self.num_samples, device=task.device)
        draws = Draws(number, seed, HELD_OUT_EPOCH).branch("prior")
        code = draws.normal("code", task.objective.latent_dim)
        drawn, likely = (task.objective.draw_classes(code, name, *how) for how in ((Sampling(), draws), ()))
        return {"prior": as_sentences(drawn, end), "prior_mode": as_sentences(likely, end)}


def find_words(task: Task) -> str:
    """Return the name of the first target that is a row of classes."""
    for name, spec in task.objective.targets.items():
        if isinstance(spec, Categories) and len(spec.grid) == 1 and spec.views is None:
            return str(name)
    found = ", ".join(f"'{name}'" for name in task.objective.targets)
    raise PretaskError("interpolation", "a target that is a row of tokens", found, "Choose the task text-vae.")


def find_end(task: Task) -> int | None:
    """Return the id of the end token, or None."""
    return task.observed.vocabulary.id("end") if task.observed.vocabulary else None


def interpolate(first: Float[Tensor, "P D"], second: Float[Tensor, "P D"], points: int) -> Float[Tensor, "P T D"]:
    """Return points of the lines between codes, evenly spaced, both ends included.

    >>> interpolate(torch.zeros(1, 1), torch.ones(1, 1), 3)[0, :, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    steps = torch.linspace(0, 1, points, device=first.device)[:, None]
    return first[:, None] * (1 - steps) + second[:, None] * steps


def hide_padding(tokens: Tensor, weight: Tensor | None) -> Tensor:
    """Return tokens with -1 where nothing is predicted."""
    return tokens if weight is None else tokens.where(weight > 0, -1)


def as_sentences(tokens: Tensor, end: int | None) -> list[Sentence]:
    """Return rows of tokens up to their end, without padding."""
    return [[token for token in cut_at_end(row, end) if token >= 0] for row in tokens.tolist()]


def split_paths(sentences: list[Sentence], points: int) -> Iterator[list[Sentence]]:
    """Yield the sentences of one path after the other."""
    for begin in range(0, len(sentences), points):
        yield sentences[begin : begin + points]


def similarity(first: Sentence, second: Sentence) -> float:
    """Return 1 less the edit distance as a fraction of the longer sentence; 1 for two that are empty.

    >>> similarity([1, 2, 3, 4], [1, 2, 4])
    0.75
    """
    return 1 - edit_distance(first, second) / max(len(first), len(second), 1)


def measure_paths(paths: Sequence[list[Sentence]]) -> Iterator[tuple[str, float]]:
    """Yield how far neighbors and ends of a path are apart, and the fraction of its sentences that are different."""
    yield "path.neighbor_distance", fmean(edit_distance(*pair) for path in paths for pair in pairwise(path))
    yield "path.end_distance", fmean(edit_distance(path[0], path[-1]) for path in paths)
    yield "path.distinct", fmean(fraction_distinct(path) for path in paths)


def fraction_distinct(sentences: Sequence[Sentence]) -> float:
    """Return the fraction of sentences that no earlier one equals.

    >>> fraction_distinct([[1], [2], [1], [1]])
    0.5
    """
    return len(set(map(tuple, sentences))) / len(sentences)

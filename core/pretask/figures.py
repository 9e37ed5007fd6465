"""Figures: the pictures that the split and the objective of a task offer of a few held-out samples."""

from collections.abc import Iterator

import torch

from pretask.composition import Task
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode, make_batch
from pretask.protocols import Figure, OffersFigures
from pretask.samples import Samples

SAMPLES = 8  # in the batch that they are drawn of; an offer may take fewer


def iterate_figures(task: Task, samples: Samples, seed: int = 0) -> Iterator[tuple[str, Figure]]:
    """Yield the pictures of a task with their names: `split`, `split-2` …, then those of the objective.

    Args:
        task: In evaluation mode meanwhile, and without gradients.
        samples: Held-out ones, of which some from everywhere are taken.
        seed: Of the partners of samples.
    """
    index = torch.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).long()
    batch = make_batch(task, samples, index, seed, HELD_OUT_EPOCH)
    for name, part in (("split", task.split), ("objective", task.objective)):
        if isinstance(part, OffersFigures):
            with evaluation_mode(task), torch.no_grad():
                for number, figure in enumerate(part.figures(task, batch), start=1):
                    yield name if number == 1 else f"{name}-{number}", figure

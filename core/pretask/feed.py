"""Feed: the batches of a training run, step by step, each fetched while the step before is computed.

Axes: B batch.
"""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pretask.composition import Task
from pretask.order import draw_batch, find_epochs
from pretask.protocols import count_partners
from pretask.samples import Samples
from pretask.unread_rows import UnreadRows
from pretask.values import Batch, iterate_tensors

Epoch = int | Tensor  # of all samples of a batch, or (B,) of each
Batches = list[tuple[Batch, Epoch]]
MIN_BYTES_ASIDE = 1 << 20  # of a batch on a processor; to hand a smaller one from thread to thread takes longer


class Feed:
    """The samples of every step, and where they go.

    Args:
        task: For which they are; its recipe says how large a step is.
        samples: The part to train on.
        seed: Of their order.
        size: Samples of a micro-batch on one rank.
        rank: Which of the ranks this is.
        ranks: How many there are.
    """

    def __init__(self, task: Task, samples: Samples, seed: int, size: int, rank: int = 0, ranks: int = 1) -> None:
        self.samples, self.seed, self.device, self.recipe = (
            samples.resident(task.device),
            seed,
            task.device,
            task.recipe,
        )
        self.size, self.rank, self.ranks, self.partners = size, rank, ranks, count_partners(task.split)
        is_here = self.samples.data.device == self.device
        # A split that is compiled is given whole clips, whose shape is the same in every step.
        self.unread = samples.observed.modality == "video" and is_here and not (self.partners or task.recipe.compile)
        self.stream: Any = None
        if task.device.type == "cuda":
            self.stream = torch.cuda.Stream(task.device)  # type: ignore[no-untyped-call]

    def fetch(self, step: int, count: int = 1) -> Batches:
        """Fetch this rank's samples of a step, in as many micro-batches as are accumulated.

        Args:
            step: Its number.
            count: How many steps from this one on; several are one batch, which only a rank alone can take.
        """
        first, micro_batches = step * self.recipe.batch, range(self.recipe.accumulate)
        starts = [first + (number * self.ranks + self.rank) * self.size for number in micro_batches]
        draw = partial(draw_batch, self.samples, self.seed, unread=self.unread)
        return [draw(start, count * self.size, self.device, self.partners) for start in starts]

    def epoch_of(self, step: int) -> Epoch:
        """Return the epoch of a step's samples, one number where it is the same for all; of a rank alone."""
        return find_epochs(step * self.size, self.size, len(self.samples), self.device)

    def iterate_batches(self, first: int, last: int, together: int = 1) -> Generator[tuple[range, Batches], None, None]:
        """Yield the steps first … last - 1 with their batches, so many together; those of 0 begin the first ones.

        So the steps that are made together are the same wherever a run goes on; some before `first` may be among them.
        """
        begins = range(first - first % together, last, together)
        groups = (range(begin, min(begin + together, last)) for begin in begins)
        small = self.unread or self.samples.data[:1].nbytes * self.size * together < MIN_BYTES_ASIDE
        if self.device.type == "cpu" and small and not isinstance(self.samples.data, UnreadRows):
            for steps in groups:
                yield steps, self.fetch(steps.start, len(steps))
            return
        with ThreadPoolExecutor(1) as loader:
            before: tuple[range, Any] | None = None
            for steps in groups:
                coming = steps, loader.submit(self.fetch_aside, steps)
                if before is not None:
                    yield before[0], take_fetched(*before[1].result())
                before = coming
            if before is not None:
                yield before[0], take_fetched(*before[1].result())

    def fetch_aside(self, steps: range) -> tuple[Batches, "torch.cuda.Event | None"]:
        """Fetch the batches of some steps; on a GPU in a stream beside that of the steps, with the event of its end."""
        if self.stream is None:
            return self.fetch(steps.start, len(steps)), None
        with torch.cuda.stream(self.stream):
            return self.fetch(steps.start, len(steps)), self.stream.record_event()


def take_fetched(batches: Batches, is_there: "torch.cuda.Event | None") -> Batches:
    """Return batches; let the stream of the steps wait for them, and keep their memory until it has used them."""
    if is_there is None:
        return batches
    stream = torch.cuda.current_stream()
    stream.wait_event(is_there)
    for _, tensor in iterate_tensors([vars(batch) for batch, _ in batches]):
        tensor.record_stream(stream)
    return batches

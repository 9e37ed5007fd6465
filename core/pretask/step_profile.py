"""Step profile: where the time of training steps goes, by phase. What is trained is the same with and without it.

A phase holds its own time, without that of the phases inside it: what a split draws is of the draws. On a GPU every
border between two phases waits for the device, so that a profiled run is slower than others.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch

from pretask import draw_kernels

if TYPE_CHECKING:
    from pretask.training import Run

PHASES = ("data", "draws", "split", "model", "objective", "backward", "optimizer", "other")
WARMUP_STEPS = 2  # in which tables are built and memory is taken


class StepProfile:
    """Seconds by phase, over all steps but the first few."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.steps = self.before = -WARMUP_STEPS
        self.inside: list[str] = []
        self.since = 0.0
        self.device = torch.device("cpu")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside as this phase's, but for that of phases inside it."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        """Begin a phase; the one around it pauses."""
        self.look()
        self.inside.append(name)

    def leave(self) -> None:
        """End the innermost phase; the one around it goes on."""
        self.look()
        self.inside.pop()

    def look(self) -> None:
        """Add the time since the last look to the innermost phase."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if self.inside and self.steps >= 0:
            self.seconds[self.inside[-1]] += now - self.since
        self.since = now

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same function, which counts as a phase."""

        @wraps(work)
        def timed_work(*arguments: Any, **options: Any) -> Any:
            with self.phase(name):
                return work(*arguments, **options)

        return timed_work

    @contextmanager
    def watching(self, run: "Run") -> Iterator[None]:
        """Time the steps that a run takes inside. Of compiled steps, model and objective are one: the model's."""
        self.device, compiled = run.task.device, run.task.recipe.compile
        self.steps = self.before = -self.count_warmup(run)
        take_step, feed = self.timed("other", run.take_step), run.feed.iterate_batches
        owners: list[tuple[Any, str, Any]] = [
            (run, "make_steps", self.timed("split", run.make_steps)),
            (run, "backward", self.timed("backward", run.backward)),
            (run, "update", self.timed("optimizer", run.update)),
            (run, "take_step", lambda micro_batches: self.count(take_step(micro_batches))),
            (run.feed, "iterate_batches", lambda *steps: self.iterate_timed(feed(*steps))),
        ]
        if compiled:
            owners.append((run, "score", self.timed("model", run.score)))
        else:
            owners += [(draw_kernels, name, self.timed("draws", draw)) for name, draw in draw_kernels.DRAWS.items()]
        modules = () if compiled else (("model", run.task.model), ("objective", run.task.objective))
        before = [(owner, name, vars(owner).get(name)) for owner, name, _ in owners]
        hooks: list[Any] = []
        for phase, module in modules:
            hooks.append(module.register_forward_pre_hook(lambda *_, phase=phase: self.enter(phase)))
            hooks.append(module.register_forward_hook(lambda *_: self.leave()))
        for owner, name, timed in owners:
            setattr(owner, name, timed)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for owner, name, value in before:
                if value is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, value)

    def count_warmup(self, run: "Run") -> int:
        """Return how many steps are not counted: up to where a group begins that is split before any of it is trained.

        In a run that is shorter than that, every step is split by itself, which gives the same.
        """
        step, steps = run.progress.step, run.task.recipe.steps
        first = -(-(step + WARMUP_STEPS) // run.waiting) * run.waiting
        if first >= steps:
            run.together, run.waiting, first = 1, 1, step + WARMUP_STEPS
        return first - step

    def count(self, made: Any) -> Any:
        """Count a step, and hand on what it made."""
        self.steps += 1
        return made

    def iterate_timed(self, batches: Generator[Any, None, None]) -> Iterator[Any]:
        """Yield batches; what is waited for them is the data's."""
        try:
            while True:
                with self.phase("data"):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch
        finally:
            batches.close()

    def describe(self) -> list[str]:
        """Return a table, line by line: milliseconds of a step by phase, and their share."""
        if self.steps <= 0:
            return [f"no profile: it leaves out the first {-self.before} steps, and no more were taken"]
        total = sum(self.seconds.values())
        rows = [(phase, 1e3 * spent / self.steps, spent / total) for phase, spent in self.seconds.items() if spent]
        lines = [f"{phase:<10}{milliseconds:10.3f} ms{share:8.1%}" for phase, milliseconds, share in rows]
        return [f"a step, mean of {self.steps}:", *lines, f"{'all':<10}{1e3 * total / self.steps:10.3f} ms"]

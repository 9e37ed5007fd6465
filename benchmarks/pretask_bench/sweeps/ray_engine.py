"""Ray: carries out the jobs of a sweep as plain remote tasks of a cluster, which needs a folder that all hosts share.

A job is one task; where training and measuring ask for other resources it is two, and the second begins when the first
has left the weights in the shared folder. Ray carries a task out again where its process or its host died, and it goes
on from the shared checkpoint, or finds the record. Which host did it is no part of a cell, so records are those of the
local engine.

Source: Moritz et al., OSDI 2018 (Ray).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pretask import PretaskError
from pretask.events import TrainingEvent, Watcher
from pretask_registry import Registry

from pretask_bench.runs.bench import Ended, execute_plans, explain_end
from pretask_bench.runs.context import Interrupted, RunContext
from pretask_bench.runs.display import Display
from pretask_bench.runs.jobs import Job, Place, Tell
from pretask_bench.runs.plan import make_plan

NODE_RETRIES = 5  # of a task whose process or host died
WAIT_SECONDS = 1.0  # between two looks whether a signal came


@dataclass(frozen=True)
class Resources:
    """What Ray sets aside for a task.

    Args:
        cpus: Processors.
        gpus: GPUs; a fraction shares one.
    """

    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What became of the runs of a job.

    Args:
        ended: How each ended, in their order.
        lines: What was said of each.
    """

    ended: tuple[Ended, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RayEngine:
    """Carries out jobs on a cluster of Ray.

    Args:
        address: Of the cluster, or `auto` for the one that this host belongs to; "" starts one on this machine.
        threads: Processor threads of a task.
        train: What a training needs.
        measure: What measuring needs; the same process does both where it is equal.
        files: Python files that are plugins for this command, at the same place on every host.
    """

    address: str = ""
    threads: int = 1
    train: Resources = Resources()
    measure: Resources = Resources()
    files: tuple[Path, ...] = ()

    def carry_out(self, jobs: Sequence[Job], context: RunContext, display: Display, tell: Tell) -> None:
        """Carry out all jobs; see Engine."""
        ray = connect(self.address)
        context = replace(context, out=context.out.absolute(), watch=watch_nothing)
        waiting = {self.submit(ray, job, context): number for number, job in enumerate(jobs)}
        try:
            while waiting:
                done, _ = ray.wait([*waiting], num_returns=1, timeout=WAIT_SECONDS)
                for reference in done:
                    number = waiting.pop(reference)
                    self.report(jobs[number], number, take_answer(ray, reference, jobs[number]), display, tell)
        except KeyboardInterrupt:
            for reference in waiting:
                with suppress(Exception):  # the cluster may be gone
                    ray.cancel(reference, force=False)
            raise

    def submit(self, ray: Any, job: Job, context: RunContext) -> Any:
        """Give a job to the cluster; return what gives its answer."""
        settings = {"max_retries": NODE_RETRIES, "retry_exceptions": [Interrupted]}
        words = (self.files, job.planned, context, self.threads)
        before = None
        if self.train != self.measure:
            before = ray.remote(**settings, **as_settings(self.train))(train_first).remote(*words)
        resources = self.measure if before is not None else self.train
        return ray.remote(**settings, **as_settings(resources))(carry_out_job).remote(before, *words)

    def report(self, job: Job, number: int, answer: Answer, display: Display, tell: Tell) -> None:
        """Show what was said of the runs of a job, and tell how each ended."""
        for place, ended in enumerate(answer.ended):
            for line in answer.lines[place]:
                display.say(job.titles[place], line)
            display.end(job.titles[place])
            tell(Place(number, place), ended)


def as_settings(resources: Resources) -> dict[str, float]:
    """Return resources as Ray takes them."""
    return {"num_cpus": resources.cpus, "num_gpus": resources.gpus}


def connect(address: str) -> Any:
    """Return Ray, connected to a cluster, or to one that is started on this machine.

    Raises:
        PretaskError: It is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise PretaskError("--engine ray", "Ray", "none", "pip install 'pretask[ray]'", exit_code=2) from error
    if not ray.is_initialized():
        place = {"address": address} if address else {"include_dashboard": False}
        try:
            ray.init(**place, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            do = "Start one: ray start --head. Or leave --address out."
            raise PretaskError(f"--address {address}", "a cluster of Ray", str(error)[:200], do, exit_code=2) from error
    return ray


def take_answer(ray: Any, reference: Any, job: Job) -> Answer:
    """Return what became of a job; where its process died too often, its runs failed."""
    try:
        answer: Answer = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        return Answer((Ended(failed=f"{type(error).__name__}: {reason}"),) * len(job.planned), ((),) * len(job.planned))
    return answer


@contextmanager
def watch_nothing(title: str) -> Iterator[Watcher]:
    """Give a watcher of a training that looks away: nobody sits before a task."""
    yield look_away


def look_away(event: TrainingEvent) -> None:
    """Do nothing about a step."""


@lru_cache(maxsize=1)
def load_registry(files: tuple[Path, ...]) -> Registry:
    """Return the registry of a process of the cluster, which carries out many tasks."""
    return Registry.load(files=files)


def settle_context(context: RunContext, threads: int) -> RunContext:
    """Return the context of a task: on the GPU that Ray gives it, or on the processor."""
    torch.set_num_threads(threads)
    import ray

    has_gpu = bool(ray.get_gpu_ids()) and torch.cuda.is_available()
    return replace(context, device=torch.device("cuda" if has_gpu else "cpu"))


def train_first(
    files: tuple[Path, ...], planned: Sequence[Mapping[str, Any]], context: RunContext, threads: int
) -> Ended:
    """Train what the runs of a job have in common, and leave it in the shared folder; return why that failed."""
    from pretask_bench.runs.run import train_alone

    try:
        registry = load_registry(files)
        train_alone(registry, make_plan(registry, **planned[0]), settle_context(context, threads))
    except Exception as error:  # a plugin's, whatever it is
        return explain_end(error)
    return Ended()


def carry_out_job(
    before: Ended | None,
    files: tuple[Path, ...],
    planned: Sequence[Mapping[str, Any]],
    context: RunContext,
    threads: int,
) -> Answer:
    """Carry out the runs of a job; return how each ended, and what was said.

    Args:
        before: How their training ended; None where it is theirs to do.
        files: Python files that are plugins.
        planned: Of every run the arguments of `make_plan`.
        context: Where and how they happen.
        threads: Of the processor.
    """
    if before is not None and (before.failed or before.refused):
        return Answer((before,) * len(planned), ((),) * len(planned))
    lines: list[str] = []
    settled = replace(settle_context(context, threads), say=lines.append)
    ended, said = list[Ended](), list[tuple[str, ...]]()
    for end in execute_plans(load_registry(files), planned, settled):
        ended.append(end)
        said.append(tuple(lines))
        lines.clear()
    return Answer(tuple(ended), tuple(said))

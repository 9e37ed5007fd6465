"""Ray's engine without Ray: which tasks it gives to a cluster, and what it makes of their answers.

tests/test_sweep.py carries a sweep out on a real cluster that loses a node.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pretask import PretaskError
from pretask_bench.runs.bench import Ended
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.display import Lines
from pretask_bench.runs.jobs import Job, Place
from pretask_bench.sweeps import ray_engine
from pretask_bench.sweeps.ray_engine import RayEngine, Resources, connect


class LostError(Exception):
    """What Ray raises of a task whose processes died too often."""


@dataclass
class InlineRay:
    """Carries tasks out at once, in this process; keeps what they asked for."""

    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(RayError=LostError))
    answers: list[Any] = field(default_factory=list)

    def remote(self, **settings: Any) -> Callable[..., Any]:
        def wrap(function: Callable[..., Any]) -> Any:
            def submit(*words: Any) -> int:
                self.asked.append((function.__name__, settings))
                given = [
                    self.get(word) if isinstance(word, int) and number == 0 else word
                    for number, word in enumerate(words)
                ]
                try:
                    self.answers.append(function(*given))
                except LostError as error:
                    self.answers.append(error)
                return len(self.answers) - 1

            return SimpleNamespace(remote=submit)

        return wrap

    def wait(self, references: Sequence[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        return [references[-1]], [*references[:-1]]  # the last one first: they end in any order

    def get(self, reference: int) -> Any:
        if isinstance(answer := self.answers[reference], LostError):
            raise answer
        return answer


def execute(registry: object, planned: Sequence[Mapping[str, Any]], context: RunContext) -> Iterator[Ended]:
    """Say something, and end as the plan says."""
    for arguments in planned:
        if arguments["end"] is None:
            raise LostError("the node died\nand more")
        context.say(f"carried out {arguments['name']}")
        yield arguments["end"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> InlineRay:
    ray = InlineRay()
    monkeypatch.setattr(ray_engine, "connect", lambda address: ray)
    monkeypatch.setattr(ray_engine, "execute_plans", execute)
    monkeypatch.setattr(ray_engine, "load_registry", lambda files: None)
    monkeypatch.setattr(ray_engine, "settle_context", lambda context, threads: context)
    return ray


def make_job(**ends: Ended | None) -> Job:
    planned = tuple({"name": name, "end": end} for name, end in ends.items())
    return Job((*ends,), (*ends,), "", planned)


def carry_out(engine: RayEngine, jobs: Sequence[Job], folder: Path) -> tuple[dict[Place, Ended], list[str]]:
    """How all runs ended, and the lines that were shown."""
    ended: dict[Place, Ended] = {}
    said: list[str] = []
    context = RunContext(folder, torch.device("cpu"))
    engine.carry_out(jobs, context, Lines(said.append), ended.__setitem__)
    return ended, said


def test_every_run_of_every_job_is_told_with_its_lines_and_a_lost_job_fails_alone(
    cluster: InlineRay, tmp_path: Path
) -> None:
    done, refused = Ended(tmp_path), Ended(refused="no")
    jobs = [make_job(first=done, second=refused), make_job(lost=None), make_job(third=done)]
    ended, said = carry_out(RayEngine(train=Resources(2, 0.5), measure=Resources(2, 0.5)), jobs, tmp_path)
    assert ended == {
        Place(0, 0): done,
        Place(0, 1): refused,
        Place(1, 0): Ended(failed="LostError: the node died"),
        Place(2, 0): done,
    }
    assert said == ["third: carried out third", "first: carried out first", "second: carried out second"]
    assert [name for name, _ in cluster.asked] == ["carry_out_job"] * 3
    assert {(settings["num_cpus"], settings["num_gpus"]) for _, settings in cluster.asked} == {(2, 0.5)}
    assert cluster.asked[0][1]["max_retries"] > 0


def test_training_and_measuring_are_placed_apart_where_they_ask_for_other_resources(
    cluster: InlineRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    def train(files: object, planned: Sequence[Mapping[str, Any]], context: RunContext, threads: int) -> Ended:
        trained.append(planned[0]["name"])
        return Ended(failed="OutOfMemoryError: of the GPU") if planned[0]["name"] == "large" else Ended()

    train.__name__ = "train_first"
    monkeypatch.setattr(ray_engine, "train_first", train)
    jobs = [make_job(small=Ended(tmp_path), other=Ended(tmp_path)), make_job(large=Ended(tmp_path))]
    ended, _ = carry_out(RayEngine(train=Resources(1, 1), measure=Resources(1, 0)), jobs, tmp_path)
    assert trained == ["small", "large"]
    assert ended[Place(1, 0)] == Ended(failed="OutOfMemoryError: of the GPU")
    assert ended[Place(0, 1)] == Ended(tmp_path)
    gpus = [(name, settings["num_gpus"]) for name, settings in cluster.asked]
    assert gpus == [("train_first", 1), ("carry_out_job", 0)] * 2


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(PretaskError, match=r"--engine ray needs Ray; got none. pip install 'pretask\[ray\]'"):
        connect("")

"""Whoever watches a run is told how it starts, goes on and ends; looking at it changes nothing that is learned."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import PretaskError, Unknown
from pretask.cache import checksum
from pretask.checkpoint import find_newest_first
from pretask.events import (
    CheckpointSaved,
    EncoderEvaluated,
    EncoderProbed,
    Event,
    RunEnded,
    RunStarted,
    StepTaken,
    Tracker,
)
from pretask.stopping import Stopped
from pretask_bench.records.record import Record
from pretask_bench.runs import probing, stages
from pretask_bench.runs.context import Interrupted, RunContext, print_line
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.run import StoredRecord, run
from pretask_bench.runs.trackers import load_trackers
from pretask_bench.runs.watching import Audience
from pretask_registry import Registry

REGISTRY = Registry.load()
SETTINGS = {
    "data.size": 64,
    "data.test_size": 32,
    "data.image_size": 32,
    "model.width": 4,
    "model.depth": 1,
    "recipe.batch": 16,
    "recipe.samples": 96,
}


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run_watched(
    out: Path, *trackers: Tracker, probe_every: int = 0, say: Callable[[str], None] = print_line
) -> StoredRecord:
    plan = make_plan(
        REGISTRY,
        "colorization",
        parts={"data": "shapes", "model": "convnet"},
        settings=SETTINGS,
        evaluators=("ridge",),
    )
    named = {f"tracker {number}": tracker for number, tracker in enumerate(trackers)}
    context = RunContext(
        out,
        torch.device("cpu"),
        references=("random-init",),
        pictures=False,
        trackers=named,
        probe_every=probe_every,
        profile=bool(probe_every),
        say=say,
    )
    return run(REGISTRY, plan, context)


class Diary(list[Event]):
    """A tracker that remembers."""

    def __call__(self, run: str, event: Event, /) -> None:
        assert run.startswith("pretask/colorization@1") or "colorization" in run
        self.append(event)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Diary, StoredRecord, Path]:
    diary, out = Diary(), tmp_path_factory.mktemp("finished")
    return diary, run_watched(out, diary), out


def test_a_run_that_is_finished_tells_all_and_what_is_told_is_what_is_recorded(
    finished: tuple[Diary, StoredRecord, Path],
) -> None:
    diary, (record, path), _ = finished
    first, last = diary[0], diary[-1]
    assert isinstance(first, RunStarted)
    assert first.ids["split"] == "pretask/colorization@2"
    assert (first.options["recipe.batch"], first.options["model.width"]) == (16, 4)
    assert last == RunEnded("complete", record=path)
    steps = diary.of(StepTaken)
    assert isinstance(steps[-1], StepTaken)
    assert (steps[-1].step, steps[-1].steps, steps[-1].encoder) == (6, 6, "trained")
    assert steps[-1].losses["total"] > 0
    saved = diary.of(CheckpointSaved)
    assert isinstance(saved[-1], CheckpointSaved)
    assert saved[-1].step == 6
    told = {(event.encoder, event.evaluator): event.metrics for event in diary if isinstance(event, EncoderEvaluated)}
    assert told == {(row.encoder, row.evaluator): row.metrics for row in record.results}
    assert {encoder for encoder, _ in told} == {"trained", "random-init"}


def test_a_run_that_fails_ends_with_the_reason_and_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PretaskError("ridge", "a matrix", "none", "Have one.")

    monkeypatch.setattr(stages, "evaluate_encoder", fail)
    diary = Diary()
    with pytest.raises(PretaskError):
        run_watched(tmp_path, diary)
    last = diary[-1]
    assert isinstance(last, RunEnded)
    assert (last.status, last.reason) == ("failed", "ridge needs a matrix; got none. Have one.")
    assert last.record is not None
    assert Record.model_validate_json(last.record.read_bytes()).status == "failed"


def test_a_run_that_is_stopped_ends_as_interrupted_and_may_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = stages.train

    def stop(*given: object, **named: object) -> object:
        return replace(train(*given, **named), interrupted=True)  # type: ignore[arg-type]

    diary = Diary()
    with monkeypatch.context() as patch:
        patch.setattr(stages, "train", stop)
        with pytest.raises(Interrupted):
            run_watched(tmp_path, diary)
    last = diary[-1]
    assert isinstance(last, RunEnded)
    assert (last.status, last.record) == ("interrupted", None)
    assert "Run the same command again" in last.reason
    run_watched(tmp_path, diary)
    assert [type(event) for event in diary].count(RunStarted) == 2
    assert diary[-1].status == "complete"  # type: ignore[union-attr]


def test_what_is_learned_is_the_same_bit_for_bit_with_and_without_probes_and_profile(
    finished: tuple[Diary, StoredRecord, Path], tmp_path: Path
) -> None:
    diary, (_, alone, out) = Diary(), finished
    said: list[str] = []
    watched = run_watched(tmp_path, diary, probe_every=2, say=said.append)
    probed = diary.of(EncoderProbed)
    assert [event.step for event in probed if isinstance(event, EncoderProbed)] == [2, 4, 6]
    assert [step.step for step in watched.record.probed] == [2, 4, 6]
    for step in watched.record.probed:
        assert {"knn.accuracy", "rank.rankme", "rank.collapsed"} <= step.metrics.keys()
        assert not any("layer" in name for name in step.metrics)
    assert alone.record.probed == ()
    assert watched.record.weights == alone.record.weights
    assert watched.record.results == alone.record.results
    assert watched.record.pretext == alone.record.pretext
    optimizers = [
        checksum(find_newest_first(next(folder.glob("colorization*")))[0] / "optimizer.safetensors")
        for folder in (out, tmp_path)
    ]
    assert optimizers[0] == optimizers[1]
    assert "a step, mean of 4:" in said  # of six, after two
    assert {"split", "model", "backward"} <= {line.split()[0] for line in said}


def test_what_cannot_be_measured_of_a_recorded_run_is_named(finished: tuple[Diary, StoredRecord, Path]) -> None:
    said: list[str] = []
    assert run_watched(finished[2], probe_every=2, say=said.append).path == finished[1].path
    assert "--again" in said[-1]
    assert said[-1].endswith("nothing is trained, so --profile and --probe-every measured nothing")


def test_a_tracker_that_fails_is_left_out_with_one_line_and_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(run: str, event: Event) -> None:
        raise ConnectionError("no route to host\nat all")

    diary = Diary()
    assert run_watched(tmp_path, break_down, diary).record.status == "complete"
    lines = [line for line in capsys.readouterr().err.splitlines() if "tracker" in line]
    assert lines == ["the tracker tracker 0 failed, left out: ConnectionError: no route to host"]
    assert isinstance(diary[-1], RunEnded)


def test_a_tracker_that_nobody_offers_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match=r"No tracker 'tensorbord'\. There are: mlflow, tensorboard, wandb\."):
        load_trackers(REGISTRY, ["tensorbord"], tmp_path)


def test_a_stop_while_the_start_is_told_ends_what_saw_it_begin() -> None:
    seen: list[Event] = []

    def stop(run: str, event: Event) -> None:
        if isinstance(event, RunStarted):
            raise Stopped(2)

    audience = Audience(REGISTRY, "run", {"first": lambda run, event: seen.append(event), "second": stop})
    with pytest.raises(Stopped), audience.attend(RunStarted({}, {}, 0, "")):
        pass
    assert [type(event) for event in seen] == [RunStarted, RunEnded]
    assert seen[1].status == "interrupted"  # type: ignore[union-attr]


def test_of_many_probes_every_other_is_kept_and_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "MOST", 4)
    for step in range(1, 6):
        probing.keep(tmp_path / "probed.json", step, {"knn.accuracy": step / 10})
    assert probing.read_probed(tmp_path / "probed.json") == {step: {"knn.accuracy": step / 10} for step in (1, 3, 5)}

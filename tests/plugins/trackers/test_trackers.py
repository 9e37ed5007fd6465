"""Trackers, each with the real library, which reads back what it wrote."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pretask import PretaskError
from pretask.events import EncoderEvaluated, EncoderProbed, Event, RunEnded, RunStarted, StepTaken
from pretask_bench.runs.trackers import load_tracker, load_trackers
from pretask_registry import Registry

STARTED = RunStarted({"split": "pretask/colorization@1"}, {"recipe.lr": 0.1}, 0, "c" * 64)
EVENTS: tuple[Event, ...] = (
    STARTED,
    StepTaken(1, 4, {"total": 2.0, "color.accuracy": 0.25}, 0.1, 100.0),
    EncoderProbed(2, {"knn.accuracy": 0.5}),
    StepTaken(4, 4, {"total": 1.0, "color.accuracy": 0.5}, 0.05, 100.0),
    EncoderEvaluated("trained", "pretask/tracking@3", {"J&F": 0.75}),
)
ENDINGS = {
    "complete": RunEnded("complete"),
    "interrupted": RunEnded("interrupted", "Stopped at step 4 of 9 and saved."),
    "failed": RunEnded("failed", "training needs a finite loss; got NaN."),
}
REGISTRY = Registry.load()
pytestmark = pytest.mark.exhaustive


def track(name: str, folder: Path) -> None:
    """Let a tracker see three runs, which end in three ways, side by side."""
    (tracker,) = load_trackers(REGISTRY, [name], folder).values()
    for status in ENDINGS:
        for event in EVENTS:
            tracker(status, event)
    for status, ended in ENDINGS.items():
        tracker(status, ended)


def test_tensorboard_reads_numbers_and_how_runs_ended(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", tmp_path)
    for status, ended in ENDINGS.items():
        read = EventAccumulator(str(tmp_path / "tensorboard" / status))
        read.Reload()
        losses = read.Scalars("trained/loss/total")
        assert [(scalar.step, scalar.value) for scalar in losses] == [(1, 2.0), (4, 1.0)]
        assert [(scalar.step, scalar.value) for scalar in read.Scalars("probed/knn.accuracy")] == [(2, 0.5)]
        assert [(scalar.step, scalar.value) for scalar in read.Scalars("trained/tracking/J&F")] == [(4, 0.75)]
        (text,) = read.Tensors("status/text_summary")
        told = text.tensor_proto.string_val[0].decode()
        assert told == (f"{status}: {ended.reason}" if ended.reason else status)


@pytest.mark.filterwarnings("ignore")  # of the library's own dependencies
def test_mlflow_reads_numbers_and_how_runs_ended_and_one_that_goes_on_is_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    track("mlflow", tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pretask")
    runs: dict[str, Any] = {found.info.run_name: found for found in client.search_runs([experiment.experiment_id])}
    states = {name: found.info.status for name, found in runs.items()}
    assert states == {"complete": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
    assert runs["failed"].data.tags["pretask.reason"] == ENDINGS["failed"].reason
    assert runs["complete"].data.params["recipe.lr"] == "0.1"
    assert runs["complete"].data.metrics["trained/tracking/J-F"] == 0.75
    history = client.get_metric_history(runs["complete"].info.run_id, "trained/loss/total")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (4, 1.0)]
    tracker = load_trackers(REGISTRY, ["mlflow"], tmp_path)["mlflow"]
    record = tmp_path / "record.json"
    record.write_text("{}")
    for event in (STARTED, RunEnded("complete", record=record)):
        tracker("interrupted", event)
    again = client.get_run(runs["interrupted"].info.run_id)
    assert again.info.status == "FINISHED"
    assert [artifact.path for artifact in client.list_artifacts(again.info.run_id)] == ["record.json"]


def read_log(content: bytes) -> Iterator[bytes]:
    """Read what wandb writes offline, for which it has no reader in Python: the log format of LevelDB after 7 bytes."""
    place, whole, data = 7, 32768, b""
    while place + 7 <= len(content):
        if whole - place % whole < 7:  # no header begins there
            place += whole - place % whole
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        data += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            yield data
            data = b""


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_on_this_machine_alone_what_it_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = load_trackers(REGISTRY, ["wandb"], tmp_path)["wandb"]
    for event in (*EVENTS, ENDINGS["failed"]):
        tracker("a run", event)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    records: list[Record] = []
    deadline = time.monotonic() + 60
    while not any(record.HasField("exit") for record in records):  # a process of wandb's own writes it
        assert time.monotonic() < deadline
        records = [Record.FromString(data) for data in read_log(file.read_bytes())]
    (run,) = [record.run for record in records if record.HasField("run")]
    assert (run.project, run.display_name, run.run_id) == ("pretask", "a run", "c" * 16)
    logged = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [row["trained/loss/total"] for row in logged if "trained/loss/total" in row] == ["2", "1"]
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [1]


def test_a_tracker_whose_library_is_missing_says_how_to_install_it(tmp_path: Path) -> None:
    offered = {"mlflow": "no_such_library:Tracker"}
    with pytest.raises(
        PretaskError, match=r"--track mlflow needs the library of mlflow.*pip install 'pretask\[mlflow\]'"
    ):
        load_tracker("mlflow", offered, tmp_path)

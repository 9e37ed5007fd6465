"""One run on several devices by one command: the record is that of one device, and a process that dies ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from pretask import PretaskError
from pretask_bench.records.cell import cell_key
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.runs.launch import launch, watch
from pretask_plugins.data.image.webdataset import WebDataset
from safetensors.torch import load_file

RUN = ("run", "vae", "--data", "digits", "--preset", "small", "--evaluate", "knn", "--baselines", "random-init")
COMMAND = (sys.executable, "-m", "pretask_bench", *RUN, "--device", "cpu", "--threads", "1", "--no-pictures")
SECONDS = 300.0


def start(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(words)


@pytest.mark.parametrize(
    ("bad", "needs"),
    [
        ("kill -9 $$", "rank 1: its process was ended by SIGKILL. Run the same command again"),
        ("exit 3", "rank 1: its process ended with the code 3"),
    ],
)
def test_where_a_process_dies_the_others_end_and_a_line_says_which_it_was(
    bad: str, needs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pretask_bench.runs.launch.END_SECONDS", 0.2)
    (tmp_path / "1").write_text("first\nlast words\n")
    processes = [start("sleep", "100"), start("sh", "-c", bad)]
    began = time.monotonic()
    with pytest.raises(PretaskError, match=needs.replace(".", r"\.")):
        watch(processes, tmp_path)
    assert processes[0].wait(10) < 0
    assert time.monotonic() - began < 10
    assert capfd.readouterr().err == "rank 1: first\nrank 1: last words\n"


@pytest.mark.parametrize(("first", "code"), [("exit 0", 0), ("exit 2", 2), ("exit 75", 75)])
def test_the_code_of_the_first_process_is_that_of_the_command(first: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "1").write_text("")  # the second one may be seen to end first
    assert watch([start("sh", "-c", first), start("sh", "-c", first)], tmp_path) == code


def test_where_all_refuse_it_does_not_matter_which_is_seen_to_end_first(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("")
    assert watch([start("sh", "-c", "sleep 0.5; exit 2"), start("sh", "-c", "exit 2")], tmp_path) == 2


def test_under_another_launcher_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PretaskError, match="--devices needs one process; got 2 ranks"):
        launch(2, ["run", "vae"])


def run(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start the run in a folder with a cache of its own."""
    surroundings = {**os.environ, "PRETASK_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with (folder / "said").open("ab") as said:
        return subprocess.Popen([*COMMAND, *words], cwd=folder, env=surroundings, stdout=said, stderr=said)


def only_record(folder: Path) -> Record:
    """The one complete record of a folder."""
    (record,) = (one for one in read_all([folder / "runs" / "records"])[0] if one.status == "complete")
    return record


@pytest.mark.exhaustive
def test_a_killed_rank_ends_the_run_with_a_line_and_the_same_command_goes_on_to_the_record_of_one_device(
    tmp_path: Path,
) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    for folder in (one, two):
        folder.mkdir()
    budget = ("--samples", "40000", "--checkpoint-seconds", "0.2")
    assert run(one, *budget).wait(SECONDS) == 0
    process = run(two, *budget, "--devices", "2")
    last = time.monotonic() + SECONDS
    while not [*(two / "runs").glob("vae-*/step-*")] and time.monotonic() < last:
        time.sleep(0.05)
    ranks = {rank_of(child): child for child in psutil.Process(process.pid).children()}
    os.kill(ranks["1"].pid, signal.SIGKILL)
    assert process.wait(SECONDS) == 1
    assert "rank 1: its process was ended by SIGKILL" in (two / "said").read_text()
    assert not any(child.is_running() for child in ranks.values())
    assert run(two, *budget, "--devices", "2").wait(SECONDS) == 0, (two / "said").read_text()
    alone, together = only_record(one), only_record(two)
    assert cell_key(alone.cell) == cell_key(together.cell)
    assert (alone.provenance.hardware.devices, together.provenance.hardware.devices) == (1, 2)
    assert alone.pretext is not None
    assert together.pretext is not None
    first, second = (record.pretext.metrics["negative_elbo"] for record in (alone, together) if record.pretext)
    assert first is not None
    assert second == pytest.approx(first, rel=1e-3)


@pytest.mark.exhaustive
def test_tar_shards_teach_two_devices_bit_for_bit_what_they_teach_one_process_in_two_parts(tmp_path: Path) -> None:
    (tmp_path / "example").mkdir()
    options = WebDataset.write_example(tmp_path / "example")
    shards = ("--data", "webdataset", "--set", f"data.root={options['root']}", "--set", "data.image_size=32")
    common = (*shards, "--samples", "60", "--set", "recipe.batch=4", "--baselines", "random-init")
    learned = []
    for name, words in (("one", ("--set", "recipe.accumulate=2")), ("two", ("--devices", "2"))):
        (tmp_path / name).mkdir()
        assert run(tmp_path / name, *common, *words).wait(SECONDS) == 0, (tmp_path / name / "said").read_text()
        learned.append(load_file(next((tmp_path / name / "runs").glob("*/weights.safetensors"))))
    one, two = learned
    assert all(torch.equal(weight, two[key]) for key, weight in one.items())


def rank_of(process: psutil.Process) -> str:
    """The rank of a process."""
    return process.environ().get("RANK", "")

"""Signals, kills, two processes on one run, several ranks: nothing is lost, torn, doubled or left behind."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pretask.stopping import RAISED, Stopped, is_users, note_stop, raise_again, raise_when_stopped
from pretask_bench.cli import main
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.records.verify import verify
from processes import run_python, run_ranks, start_python, wait_until

SETTINGS = {
    "data.size": 16,
    "data.test_size": 16,
    "data.image_size": 16,
    "recipe.batch": 8,
    "recipe.samples": 2400,
    "objective.hidden": 8,
    "model.width": 4,
    "model.depth": 1,
}
COMMAND = [
    *("-m", "pretask_bench", "run", "--data", "shapes", "--split", "any-from-any", "--objective", "regression"),
    *("--model", "convnet", "--evaluate", "ridge", "--device", "cpu", "--threads", "1", "--no-pictures", "--json"),
    *(word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")),
]


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    run_python(*COMMAND, "--out", "whole", folder=folder)
    return only_record(folder / "whole")


def only_record(out: Path) -> Record:
    """The one record of a folder of runs, in which nothing else was left behind."""
    records, refused = read_all([out / "records"])
    assert refused == []
    assert len(records) == 1
    assert list(out.rglob(".*")) == []
    return records[0]


def assert_same(one: Record, two: Record) -> None:
    assert one.weights == two.weights
    assert one.results == two.results
    assert one.pretext == two.pretext


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 75), pytest.param(signal.SIGHUP, 75, marks=pytest.mark.exhaustive)],
)
def test_a_signal_saves_and_the_second_start_ends_like_one_never_stopped(
    number: signal.Signals, code: int, whole: Record, tmp_path: Path
) -> None:
    stopped = start_python(*COMMAND, "--out", "cut", "--checkpoint-seconds", "0.05", folder=tmp_path)
    wait_until(lambda: list((tmp_path / "cut").rglob("step-*")) != [])  # in the midst of training
    stopped.send(number)
    assert stopped.wait() == code, stopped.err
    assert "Run the same command again to go on." in stopped.err
    assert "Traceback" not in stopped.err
    assert not (tmp_path / "cut/records").exists()
    run_python(*COMMAND, "--out", "cut", folder=tmp_path)
    assert_same(only_record(tmp_path / "cut"), whole)


@pytest.mark.slow
def test_of_two_processes_on_one_run_the_second_waits_and_finds_its_record(whole: Record, tmp_path: Path) -> None:
    both = [start_python(*COMMAND, "--out", "both", folder=tmp_path) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], [process.err for process in both]
    said = [process.err for process in both]
    assert sum("already recorded" in err for err in said) == 1, said
    waited = next(err for err in said if "already recorded" in err)
    assert "Waiting for process " in waited
    assert len({json.loads(process.out)[0]["file"] for process in both}) == 1
    assert_same(only_record(tmp_path / "both"), whole)


@pytest.mark.slow
def test_two_ranks_train_together_and_the_first_alone_measures_and_writes_one_record(
    whole: Record, tmp_path: Path
) -> None:
    first, second = run_ranks(2, *COMMAND, "--out", "ranks", folder=tmp_path)
    assert second.out == ""
    record = only_record(tmp_path / "ranks")
    assert json.loads(first.out)[0]["weights"] == record.weights
    assert record.provenance.hardware.devices == 2
    assert record.cell == whole.cell
    assert verify([tmp_path / "ranks/records"]).faults == []
    again = run_ranks(2, *COMMAND, "--out", "ranks", folder=tmp_path)
    assert "already recorded" in again[0].err


def test_several_seeds_are_refused_on_ranks_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main.invoke([*COMMAND[2:], "--seeds", "2"]) == 2
    assert "needs one process; got 2 ranks" in capsys.readouterr().err


def test_a_signal_is_raised_where_nobody_saves_and_one_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with pytest.raises(Stopped) as stopped, raise_when_stopped():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        assert stopped.value.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_first_signal_is_noted_and_the_second_raised() -> None:
    with pytest.raises(Stopped) as stopped, note_stop() as find_signal:  # noqa: PT012
        assert find_signal() is None
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: find_signal() == signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert stopped.value.number == signal.SIGINT
    RAISED.clear()


def test_a_signal_is_one_whatever_a_library_that_it_interrupted_makes_of_it() -> None:
    """As pydantic does, which calls Python from Rust: a run must neither fail for it nor be recorded as failed."""
    with pytest.raises(Stopped) as stopped, raise_when_stopped():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt as error:
            with pytest.raises(Stopped):
                raise_again(ValueError(str(error)))
            raise ValueError("Error calling function: Stopped: 15") from None
    assert stopped.value.number == signal.SIGTERM
    raise_again(ValueError("of another time"))


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (Stopped(signal.SIGTERM), 75, "Stopped by SIGTERM. Run the same command again to go on."),
        (Stopped(signal.SIGHUP), 75, "Stopped by SIGHUP. Run the same command again to go on."),
        (Stopped(signal.SIGINT), 130, "Stopped."),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_a_stopped_verb_ends_with_the_code_of_its_signal(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise raised

    monkeypatch.setattr(main.Verbs, "find_command", stop)
    assert main.invoke(["list"]) == code
    assert capsys.readouterr().err.strip().splitlines()[-1] == said


def test_an_interrupt_that_no_signal_sent_is_not_the_users() -> None:
    assert is_users(KeyboardInterrupt())  # without the command's handlers nobody can tell
    with raise_when_stopped():
        assert not is_users(KeyboardInterrupt())
        assert is_users(Stopped(signal.SIGINT))
    assert not is_users(ValueError())

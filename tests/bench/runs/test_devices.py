"""How many threads a run takes, and what it says where they would wait for one another."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pretask_bench.runs import devices
from pretask_bench.runs.devices import choose_threads, count_cores


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8)])
def test_a_container_has_the_cores_that_its_share_of_time_makes_up(
    limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(devices, "CONTAINER_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    assert count_cores() == cores


def test_there_are_no_more_threads_than_cores_and_a_busy_machine_is_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "count_cores", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for load, said in ((0.5, ""), (9.0, "2 threads on a machine of 4 cores whose load is 9.0: they may wait")):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, load, load))
        torch.set_num_threads(4)
        choose_threads(None)
        assert torch.get_num_threads() == 2
        assert capsys.readouterr().err.startswith(said)
    choose_threads(3)
    assert torch.get_num_threads() == 3

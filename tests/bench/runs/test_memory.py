"""Memory that cannot be had is refused with how much it would be, before anything is trained."""

from pathlib import Path

import pytest
from pretask import PretaskError, room
from pretask.cache import write_rows
from pretask.room import format_bytes, require_memory
from pretask_bench.cli.main import invoke
from pretask_bench.runs.memory import read_refused
from pretask_plugins.data.image.shapes import Shapes
from pretask_registry import Registry, build

SETTINGS = ("data.size=16", "data.test_size=16", "recipe.samples=8", "recipe.batch=8")
COMMAND = [
    *("run", "--data", "shapes", "--split", "any-from-any", "--objective", "regression", "--model", "mlp"),
    *("--device", "cpu", "--baselines", "", "--evaluate", "ridge", "--no-pictures"),
    *(word for setting in SETTINGS for word in ("--set", setting)),
]


@pytest.mark.parametrize(
    ("setting", "needs"),
    [
        ("recipe.batch=2000000000", "recipe.batch needs "),
        ("model.hidden=1000000", "the model needs "),
        ("data.size=2000000000", "needs "),
    ],
)
def test_what_no_machine_has_is_refused_in_one_line_with_the_amount(
    setting: str, needs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    assert invoke([*COMMAND, "--out", str(tmp_path / "out"), "--set", setting]) in (1, 2)
    err = capsys.readouterr().err.strip().splitlines()
    assert needs in err[-1]
    assert "iB" in err[-1] or "bytes" in err[-1]
    assert "Traceback" not in "".join(err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000 bytes. Error code 12", 8000),
        ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 10 GiB", 20 << 30),
        ("Unable to allocate 745. GiB for an array with shape (100000000000,)", 745 << 30),
        ("mat1 and mat2 shapes cannot be multiplied", None),
    ],
)
def test_the_amount_is_read_from_what_torch_and_numpy_say(message: str, needed: int | None) -> None:
    assert read_refused(message) == needed


def test_what_fits_is_not_refused() -> None:
    require_memory("x", "y", 8, "z")
    with pytest.raises(PretaskError, match=r"x needs 1 EiB of memory for y; got .*iB that are free\. z"):
        require_memory("x", "y", 1 << 60, "z")
    assert format_bytes(0) == "0 B"


@pytest.mark.parametrize("name", ["shapes", "sprites", "tones", "toy-grammar"])
def test_made_up_data_of_any_size_are_refused_before_any_of_them_is_made(name: str) -> None:
    registry = Registry.load()
    with pytest.raises(PretaskError, match=rf"{name} needs .*iB of (disk|memory) for 2000000000 "):
        build(registry.find("data", name), {"size": 2_000_000_000})("train")


def test_what_is_in_the_cache_needs_no_free_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))
    small = Shapes(size=8, test_size=8, image_size=16)
    made = small("test").fingerprint
    monkeypatch.setattr(room, "free_disk", lambda folder: 0)
    assert small("test").fingerprint == made
    with pytest.raises(PretaskError, match=r"shapes needs 6 KiB of disk for 8 pictures; got 0 B that are free in "):
        small("train")
    with pytest.raises(PretaskError, match=r"the cache needs 64 B of disk for a\.npy; got 0 B .*point PRETASK_CACHE"):
        write_rows(tmp_path / "a.npy", (8, 2), "float32", [])

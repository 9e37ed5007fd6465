"""Checkpoints under right checksums whose content is not what the run can go on from: passed over, each with a line."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pretask import PretaskError
from pretask.cache import checksum
from pretask.checkpoint import Progress, load, load_weights, save
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from two_networks import parts, stepped

About = dict[str, Any]


def seal(path: Path) -> None:
    """Write the checksums of the files as they are now."""
    about = json.loads((path / "checkpoint.json").read_text())
    about["files"] = {name: checksum(path / name) for name in about["files"] if (path / name).is_file()}
    (path / "checkpoint.json").write_text(json.dumps(about))


def change_about(change: Callable[[About], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        about = json.loads((path / "checkpoint.json").read_text())
        change(about)
        (path / "checkpoint.json").write_text(json.dumps(about))

    return apply


def put(*place: str, value: Any) -> Callable[[Path], None]:
    """Set one value of checkpoint.json."""

    def change(about: About) -> None:
        for name in place[:-1]:
            about = about[name]
        about[place[-1]] = value

    return change_about(change)


def change_tensors(file: str, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        tensors = {name: value.clone() for name, value in load_file(path / file).items()}
        save_file(change(tensors), path / file)
        seal(path)

    return apply


def weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    return change_tensors("weights.safetensors", change)


def optimizer(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    return change_tensors("optimizer.safetensors", change)


def write(file: str, content: bytes) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        (path / file).write_bytes(content)
        if file != "checkpoint.json":
            seal(path)

    return apply


def replace_by(file: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        (path / file).unlink()
        make(path / file)

    return apply


def header(value: Any) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text


def first(tensors: dict[str, Tensor], change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    name = next(name for name in tensors if tensors[name].ndim == 2)
    return {**tensors, name: change(tensors[name])}


HUGE = {"model.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 4]}}
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    # checkpoint.json
    "empty": (write("checkpoint.json", b""), "checkpoint.json"),
    "no json": (write("checkpoint.json", b"weights"), "checkpoint.json"),
    "no text": (write("checkpoint.json", b"\xff\xfe\x00"), "checkpoint.json"),
    "a list": (write("checkpoint.json", b"[]"), "checkpoint.json"),
    "null": (write("checkpoint.json", b"null"), "checkpoint.json"),
    "deep": (write("checkpoint.json", b"[" * 200_000), "checkpoint.json"),
    "large": (write("checkpoint.json", b" " * (1 << 25)), "bytes, more than"),
    "another version": (put("version", value=2), "version"),
    "version as text": (put("version", value="1"), "version"),
    "unknown field": (put("weights", value=1), "weights"),
    "no progress": (put("progress", value=None), "progress"),
    "unknown progress": (put("progress", "lr", value=1), "progress.lr"),
    "step negative": (put("progress", "step", value=-1), "progress.step"),
    "step beyond the run": (put("progress", "step", value=10_000), "the run has"),
    "step beyond any": (put("progress", "step", value=10**30), "progress.step"),
    "step as text": (put("progress", "step", value="2"), "progress.step"),
    "step a fraction": (put("progress", "step", value=1.5), "progress.step"),
    "step true": (put("progress", "step", value=True), "progress.step"),
    "step null": (put("progress", "step", value=None), "progress.step"),
    "seconds NaN": (put("progress", "seconds", value=float("nan")), "progress.seconds"),
    "seconds infinite": (put("progress", "seconds", value=float("inf")), "progress.seconds"),
    "seconds negative": (put("progress", "seconds", value=-1.0), "progress.seconds"),
    "seconds a list": (put("progress", "seconds", value=[1]), "progress.seconds"),
    "curve of triples": (put("progress", "curve", value=[[1, 2, 3]]), "progress.curve"),
    "curve of text": (put("progress", "curve", value=["ab"]), "progress.curve"),
    "curve null": (put("progress", "curve", value=None), "progress.curve"),
    "curve going back": (put("progress", "curve", value=[[2, 0.5], [1, 0.5]]), "curve"),
    "curve beyond the step": (put("progress", "curve", value=[[9, 0.5]]), "curve"),
    "curve NaN": (put("progress", "curve", value=[[1, float("nan")]]), "curve"),
    "curve endless": (put("progress", "curve", value=[[1, 0.5]] * 5000), "progress.curve"),
    "code a list": (put("progress", "code", value=[]), "progress.code"),
    "code of numbers": (put("progress", "code", value={"a": 1}), "progress.code"),
    "optimizer a list": (put("optimizer", value=[]), "optimizer"),
    "optimizer of lists": (put("optimizer", value={"0.step": [1]}), "optimizer"),
    "optimizer unnumbered": (put("optimizer", value={"x.step": 1}), "no parameter"),
    "optimizer beyond": (put("optimizer", value={"99.step": 1}), "no parameter"),
    "optimizer negative": (put("optimizer", value={"-1.step": 1}), "no parameter"),
    "optimizer unknown": (put("optimizer", value={"0.velocity": 1}), "none that it keeps"),
    "files a list": (put("files", value=[]), "files"),
    "files none": (put("files", value={}), "not what was saved"),
    "files elsewhere": (put("files", value={"../../secret": "0" * 32}), "files"),
    "files absolute": (put("files", value={"/etc/passwd": "0" * 32}), "files"),
    "checksum null": (put("files", "weights.safetensors", value=None), "files"),
    # weights
    "weights empty": (write("weights.safetensors", b""), "weights.safetensors"),
    "weights garbage": (write("weights.safetensors", b"\x00" * 64), "weights.safetensors"),
    "weights a header too long": (write("weights.safetensors", struct.pack("<Q", 1 << 60)), "weights.safetensors"),
    "weights of no json": (write("weights.safetensors", header(b"{")), "weights.safetensors"),
    "weights larger than the file": (write("weights.safetensors", header(HUGE) + b"1234"), "weights.safetensors"),
    "weights none": (weights(lambda tensors: {}), "missing"),
    "weights one missing": (weights(lambda tensors: dict([*tensors.items()][1:])), "missing"),
    "weights one more": (weights(lambda tensors: {**tensors, "model.extra": torch.ones(1)}), "none of this run"),
    "weights turned": (weights(lambda tensors: first(tensors, lambda value: value.T.contiguous())), "(3, 2)"),
    "weights fp16": (weights(lambda tensors: first(tensors, Tensor.half)), "float16"),
    "weights bfloat16": (weights(lambda tensors: first(tensors, Tensor.bfloat16)), "bfloat16"),
    "weights fp64": (weights(lambda tensors: first(tensors, Tensor.double)), "float64"),
    "weights whole": (weights(lambda tensors: first(tensors, Tensor.long)), "int64"),
    "weights NaN": (weights(lambda tensors: first(tensors, lambda value: value * torch.nan)), "NaN"),
    "weights infinite": (weights(lambda tensors: first(tensors, lambda value: value / 0)), "NaN or infinity"),
    # optimizer
    "state garbage": (write("optimizer.safetensors", b"\x00" * 64), "optimizer.safetensors"),
    "state turned": (optimizer(lambda tensors: first(tensors, lambda value: value.T.contiguous())), "(3, 2)"),
    "state fp16": (optimizer(lambda tensors: first(tensors, Tensor.half)), "float16"),
    "state NaN": (optimizer(lambda tensors: first(tensors, lambda value: value * torch.nan)), "NaN"),
    "state one missing": (optimizer(lambda tensors: dict([*tensors.items()][1:])), "missing"),
    "state unknown": (optimizer(lambda tensors: {**tensors, "0.sum": torch.ones(2, 3)}), "none that it keeps"),
    "state step negative": (optimizer(lambda tensors: {**tensors, "0.step": torch.tensor(-5.0)}), "-5"),
    # files
    "a pipe for checkpoint.json": (replace_by("checkpoint.json", os.mkfifo), "no plain file"),
    "a pipe for weights": (replace_by("weights.safetensors", os.mkfifo), "no plain file"),
    "a folder for weights": (replace_by("weights.safetensors", Path.mkdir), "no plain file"),
    "a loop for weights": (replace_by("weights.safetensors", lambda path: path.symlink_to(path)), "weights"),
    "a device for weights": (replace_by("weights.safetensors", lambda path: path.symlink_to("/dev/zero")), "plain"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_checkpoint_is_passed_over_for_the_one_before_with_one_line(kind: str, tmp_path: Path) -> None:
    modules = parts()
    first_optimizer = stepped(modules)
    save(tmp_path, modules, first_optimizer, Progress("k", 1))
    kept = {name: value.clone() for name, value in modules["model"].state_dict().items()}
    stepped(modules)
    path = save(tmp_path, modules, first_optimizer, Progress("k", 2))
    spoil, reason = HOSTILE[kind]
    spoil(path)
    lines: list[str] = []
    progress = load(tmp_path, modules, first_optimizer, Progress("k"), steps=9, tell=lines.append)
    assert progress is not None
    assert progress.step == 1
    assert all(torch.equal(value, kept[name]) for name, value in modules["model"].state_dict().items())
    assert len(lines) == 1
    assert lines[0].startswith(f"Passed over the checkpoint step-000000002 of {tmp_path.name}: ")
    assert "\n" not in lines[0]
    assert len(lines[0]) < 400
    assert reason in lines[0]


def test_a_checkpoint_that_is_a_file_or_leads_nowhere_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "step-000000003").write_text("no folder")
    (tmp_path / "step-000000004").symlink_to(tmp_path / "step-000000004")
    lines: list[str] = []
    modules = parts()
    assert load(tmp_path, modules, stepped(modules), Progress("k"), tell=lines.append) is None
    assert len(lines) == 2


def test_the_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    modules = parts()
    path = save(tmp_path, modules, stepped(modules), Progress("k", 1))
    with pytest.raises(PretaskError, match=r"model\.weight is float32 \(2, 3\), not float32 \(2, 4\)"):
        load_weights(path, {"model": nn.Linear(4, 2)})


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
Places = st.sampled_from(
    [("version",), ("progress",), ("optimizer",), ("files",), ("files", "weights.safetensors"), ("extra",)]
    + [("progress", name) for name in ("key", "step", "seconds", "curve", "code", "extra")]
)


@settings(max_examples=60, deadline=None)
@given(place=Places, value=Json)
def test_whatever_checkpoint_json_says_is_restored_whole_or_passed_over(
    place: tuple[str, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzzed")
    modules = parts()
    path = save(folder, modules, stepped(modules), Progress("k", 1))
    put(*place, value=value)(path)
    lines: list[str] = []
    progress = load(folder, modules, stepped(modules), Progress("k"), steps=9, tell=lines.append)
    assert (progress is None) or (0 <= progress.step <= 9 and not lines)

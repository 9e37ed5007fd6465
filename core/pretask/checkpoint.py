"""Checkpoints: weights, optimizer state and place in the data order, each a folder that appears by one rename.

A folder is trusted only if its checksums hold and its content fits the run (checkpoint_content.py), so what a kill, a
full disk or a stranger leaves behind is never resumed from.
"""

import json
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from pretask.cache import checksum
from pretask.checkpoint_content import (
    ABOUT,
    OPTIMIZER,
    WEIGHTS,
    About,
    Unsound,
    check_curve,
    check_optimizer,
    check_weights,
    read_about,
    read_tensors,
    weights_of,
)
from pretask.errors import PretaskError
from pretask.files import advise, sync_folder

KEPT = 2  # checkpoints kept, so that a damaged newest one leaves another


@dataclass
class Progress:
    """Where a run is.

    Args:
        key: What determines the run; a checkpoint of another key is not resumed.
        step: Optimizer steps done; the place in the data order follows from it.
        seconds: Training time so far.
        curve: (step, loss) pairs for plotting, thinned as they grow.
        code: Hashes of the code that trains, by module; a checkpoint of other code is not resumed either.
    """

    key: str
    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    code: Mapping[str, str] = field(default_factory=dict)


def tell_user(line: str) -> None:
    """Print a line on stderr."""
    print(line, file=sys.stderr)


def save(
    folder: Path,
    networks: Mapping[str, Module],
    optimizer: Optimizer,
    progress: Progress,
    *,
    spare: int | None = None,
) -> Path:
    """Write the checkpoint of this step and drop all but the newest, and the one of the step to `spare`.

    Raises:
        PretaskError: The disk is full or the folder cannot be written; older checkpoints are untouched.
    """
    final = folder / name_step(progress.step)
    temporary = folder / f".{final.name}.{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        write_tensors(temporary / WEIGHTS, weights_of(networks))
        tensors, numbers = flat_state(optimizer)
        write_tensors(temporary / OPTIMIZER, tensors)
        files = {path.name: checksum(path) for path in sorted(temporary.iterdir())}
        about = {"version": 1, "progress": asdict(progress), "optimizer": numbers, "files": files}
        (temporary / ABOUT).write_text(json.dumps(about))
        sync_folder(temporary)
        discard(final)
        temporary.rename(final)
    except OSError as error:
        raise PretaskError("the checkpoint", f"to write {final}", str(error), advise(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        if spare is None or old.name != name_step(spare):
            discard(old)
    return final


def name_step(step: int) -> str:
    """Return the name of the checkpoint of a step."""
    return f"step-{step:09d}"


def discard(path: Path) -> None:
    """Take a checkpoint from its place by one rename, and remove it: a kill leaves what `sweep` knows, never half."""
    leaving = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with suppress(OSError):  # it is not there, or may not be removed
        path.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)


def load(
    folder: Path,
    networks: Mapping[str, Module],
    optimizer: Optimizer | None,
    run: Progress,
    *,
    steps: int | None = None,
    tell: Callable[[str], None] = tell_user,
) -> Progress | None:
    """Restore the newest sound checkpoint of a run, its key and code, into the modules; None where there is none.

    Args:
        folder: Of the checkpoints.
        networks: By the names that they were saved under.
        optimizer: To restore; None leaves its state alone.
        run: Whose key and code a checkpoint must have.
        steps: Of the whole run, which no checkpoint is beyond.
        tell: Called with one line for each checkpoint that is passed over because it is not sound.
    """
    for path in find_newest_first(folder):
        try:
            about = read_about(path)
            if (about.progress.key, about.progress.code) == (run.key, {**run.code}):
                return restore(path, about, networks, optimizer, steps)
        except Unsound as reason:
            tell(f"Passed over the checkpoint {path.name} of {folder.name}: {reason}.")
    return None


def restore(
    path: Path, about: About, networks: Mapping[str, Module], optimizer: Optimizer | None, steps: int | None
) -> Progress:
    """Put back what a checkpoint holds, all of it or nothing; raise Unsound where it does not fit."""
    check_curve(about.progress)
    if steps is not None and about.progress.step > steps:
        raise Unsound(f"it is of step {about.progress.step}, and the run has {steps}")
    weights, state = read_tensors(path / WEIGHTS), read_tensors(path / OPTIMIZER)
    check_weights(weights_of(networks), weights)
    if optimizer is not None:
        check_optimizer(optimizer, state, about.optimizer)
        set_state(optimizer, state, about.optimizer)
    set_weights(networks, weights)
    return Progress(**about.progress.model_dump())


def adopt(source: Path, folder: Path, key: str, new_key: str, most: int) -> int | None:
    """Give a run the newest sound checkpoint of another one, under its own key; return its step, if there was one.

    Args:
        source: Folder of the other run.
        folder: Of the run.
        key: Of the other run.
        new_key: Of the run.
        most: The last step that both have in common.
    """
    for path in find_newest_first(source):
        about = try_read(path)
        if about is None or about.progress.key != key or about.progress.step > most:
            continue
        temporary = folder / f".{path.name}.{uuid.uuid4().hex}"
        try:
            shutil.copytree(path, temporary)
            content = about.model_dump(mode="json")
            content["progress"]["key"] = new_key
            (temporary / ABOUT).write_text(json.dumps(content))
            sync_folder(temporary)
            temporary.rename(folder / path.name)
        except OSError as error:
            raise PretaskError("the checkpoint", f"to write {folder}", str(error), advise(error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return about.progress.step
    return None


def read_code(folder: Path, key: str) -> Mapping[str, str] | None:
    """Return the code of the newest sound checkpoint of this key, whatever code it is; None where there is none."""
    for path in find_newest_first(folder):
        about = try_read(path)
        if about is not None and about.progress.key == key:
            return about.progress.code
    return None


def find_newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, in the order in which to try them."""
    return sorted(folder.glob("step-*"), reverse=True)


def try_read(path: Path) -> About | None:
    """Read what a checkpoint says of itself, or None where it is not sound."""
    try:
        return read_about(path)
    except Unsound:
        return None


def sweep(folder: Path) -> int:
    """Remove what killed writers left of checkpoints; whoever calls is the only one at work in the folder."""
    left = list(folder.glob(".step-*"))
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def set_weights(networks: Mapping[str, Module], weights: Mapping[str, Tensor]) -> None:
    """Put weights back where `weights_of` took them."""
    for part, module in networks.items():
        start = len(part) + 1
        module.load_state_dict({name[start:]: value for name, value in weights.items() if name.startswith(part + ".")})


def flat_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimizer's state as tensors by "parameter.name", and its other numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for parameter, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}.{name}"] = value
            else:
                numbers[f"{parameter}.{name}"] = value
    return tensors, numbers


def set_state(optimizer: Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Put back what `flat_state` took; learning rates follow from the step and are not kept."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *numbers.items()]:
        parameter, _, name = key.partition(".")
        state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file of the tensors."""
    path.write_bytes(tensors_as_bytes(tensors))


def tensors_as_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a safetensors file; tied tensors are written twice and read back equal."""
    from safetensors.torch import save as to_bytes

    content: bytes = to_bytes(
        {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()},
        metadata={"format": "pt"},  # which other libraries want to see
    )
    return content


def load_weights(path: Path, networks: Mapping[str, Module]) -> None:
    """Load the weights of some networks, such as the model alone, from a checkpoint folder.

    Raises:
        PretaskError: The folder is no sound checkpoint of these networks.
    """
    prefixes = tuple(f"{name}." for name in networks)
    try:
        read_about(path)
        weights = {name: value for name, value in read_tensors(path / WEIGHTS).items() if name.startswith(prefixes)}
        check_weights(weights_of(networks), weights)
    except Unsound as reason:
        found = f"{path.name} ({reason})"
        raise PretaskError(
            "the weights", "a sound checkpoint of these networks", found, "Name a step-… folder."
        ) from reason
    set_weights(networks, weights)


def iterate_weights(folder: Path) -> Iterator[tuple[Path, dict[str, Tensor]]]:
    """Yield the sound checkpoints of a run's folder with all their weights, the newest first."""
    for path in find_newest_first(folder):
        try:
            read_about(path)
            weights = read_tensors(path / WEIGHTS)
        except Unsound:
            continue
        yield path, weights


def is_finite(networks: Mapping[str, Module]) -> bool:
    """Return whether every weight is a finite number."""
    return all(
        bool(torch.isfinite(value).all()) for value in weights_of(networks).values() if value.is_floating_point()
    )

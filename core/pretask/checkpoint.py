"""Checkpoints: weights, optimizer state and place in the data order, each a folder that appears by one rename.

A folder is trusted only if its checksums hold, so what a kill or a full disk leaves behind is never resumed from.
"""

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from pretask.cache import checksum
from pretask.errors import PretaskError
from pretask.files import sync_folder

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


def save(folder: Path, networks: Mapping[str, Module], optimizer: Optimizer, progress: Progress) -> Path:
    """Write the checkpoint of this step and drop all but the newest.

    Raises:
        PretaskError: The disk is full or the folder cannot be written; older checkpoints are untouched.
    """
    final = folder / f"step-{progress.step:09d}"
    temporary = folder / f".{final.name}.{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        write_tensors(temporary / "weights.safetensors", weights_of(networks))
        tensors, numbers = flat_state(optimizer)
        write_tensors(temporary / "optimizer.safetensors", tensors)
        files = {path.name: checksum(path) for path in sorted(temporary.iterdir())}
        about = {"version": 1, "progress": asdict(progress), "optimizer": numbers, "files": files}
        (temporary / "checkpoint.json").write_text(json.dumps(about))
        sync_folder(temporary)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    except OSError as error:
        raise PretaskError(
            "the checkpoint", f"to write {final}", str(error), "Free some space and run the same command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load(folder: Path, networks: Mapping[str, Module], optimizer: Optimizer | None, run: Progress) -> Progress | None:
    """Restore the newest sound checkpoint of a run, its key and code, into the modules; None where there is none."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        about = read_sound(path)
        progress = about["progress"] if about is not None else {}
        if about is not None and (progress["key"], progress.get("code", {})) == (run.key, run.code):
            set_weights(networks, read_tensors(path / "weights.safetensors"))
            if optimizer is not None:
                set_state(optimizer, read_tensors(path / "optimizer.safetensors"), about["optimizer"])
            curve = [(int(at), float(loss)) for at, loss in progress.pop("curve")]
            return Progress(**progress, curve=curve)
    return None


def read_code(folder: Path, key: str) -> Mapping[str, str] | None:
    """Return the code of the newest sound checkpoint of this key, whatever code it is; None where there is none."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        about = read_sound(path)
        if about is not None and about["progress"]["key"] == key:
            code: Mapping[str, str] = about["progress"].get("code", {})
            return code
    return None


def read_sound(path: Path) -> dict[str, Any] | None:
    """Read what a checkpoint says of itself, or None where a file is missing or differs from its checksum."""
    try:
        about: dict[str, Any] = json.loads((path / "checkpoint.json").read_text())
        sound = all(checksum(path / name) == expected for name, expected in about["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return about if sound else None


def weights_of(networks: Mapping[str, Module]) -> dict[str, Tensor]:
    """Return all parameters and buffers, named part.parameter."""
    return {f"{part}.{name}": value for part, module in networks.items() for name, value in module.state_dict().items()}


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
    """Write a safetensors file of the tensors; tied ones are written twice and read back equal."""
    from safetensors.torch import save as to_bytes

    path.write_bytes(
        to_bytes({name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()})
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file."""
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def load_weights(path: Path, model: Module) -> None:
    """Load the encoder alone from a checkpoint folder.

    Raises:
        PretaskError: The folder is no sound checkpoint.
    """
    if read_sound(path) is None:
        raise PretaskError("load_weights", "a sound checkpoint folder", str(path), "Name a step-… folder of a run.")
    set_weights({"model": model}, read_tensors(path / "weights.safetensors"))


def is_finite(networks: Mapping[str, Module]) -> bool:
    """Return whether every weight is a finite number."""
    return all(
        bool(torch.isfinite(value).all()) for value in weights_of(networks).values() if value.is_floating_point()
    )

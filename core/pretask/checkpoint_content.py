"""What a checkpoint holds, and whether it is what its run can go on from; checked whole before anything is restored.

A checkpoint may come from another program, another machine or an attacker: right checksums say only that it is what
was written, not that it fits.
"""

import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from pretask.cache import checksum

ABOUT = "checkpoint.json"
WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
MAX_ABOUT = 1 << 24  # bytes of checkpoint.json
MAX_STEP = 1 << 53

Strict = ConfigDict(strict=True, extra="forbid", frozen=True)
Hash = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Step = Annotated[int, Field(ge=0, le=MAX_STEP)]


class Unsound(Exception):
    """A checkpoint that cannot be gone on from; its message is the reason."""


class SavedProgress(BaseModel):
    """The progress of a run as a file holds it; see checkpoint.Progress."""

    model_config = Strict

    key: Annotated[str, Field(max_length=1024)]
    step: Step
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    curve: Annotated[list[Annotated[tuple[Step, float], Field(strict=False)]], Field(max_length=4096)]
    code: Annotated[dict[str, str], Field(max_length=1 << 16)] = {}


class About(BaseModel):
    """The file checkpoint.json."""

    model_config = Strict

    version: Literal[1]
    progress: SavedProgress
    optimizer: dict[str, bool | int | FiniteFloat | None]
    files: dict[Literal["weights.safetensors", "optimizer.safetensors"], Hash]


def read_about(path: Path) -> About:
    """Read what a checkpoint says of itself, its files held against their checksums.

    Raises:
        Unsound: A file is missing, is no plain file, differs from its checksum, or says what no checkpoint says.
    """
    try:
        text = plain_file(path / ABOUT, MAX_ABOUT).read_bytes()
        about = About.model_validate_json(text)
        for name in (WEIGHTS, OPTIMIZER):
            if name not in about.files or checksum(plain_file(path / name)) != about.files[name]:
                raise Unsound(f"{name} is not what was saved")
    except OSError as error:
        raise Unsound(f"{error.strerror}: {Path(str(error.filename or path)).name}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:60] or "its text"
        raise Unsound(f"{ABOUT}: {place}: {first['msg']}") from error
    return about


def plain_file(path: Path, most: int | None = None) -> Path:
    """Return a path if it is a plain file of at most so many bytes: a pipe would never be read to its end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Unsound(f"{path.name} is no plain file")
    if most is not None and found.st_size > most:
        raise Unsound(f"{path.name} has {found.st_size} bytes, more than {most}")
    return path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file; raise Unsound where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(plain_file(path))
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise Unsound(
            f"{path.name}: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"
        ) from error
    return tensors


def check_weights(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise Unsound unless both have the same names with tensors of the same shapes and types, all of them finite."""
    for name in expected.keys() ^ found.keys():
        raise Unsound(f"the tensor '{name[:60]}' is {'missing' if name in expected else 'none of this run'}")
    for name, tensor in found.items():
        wanted = expected[name]
        if (tensor.shape, tensor.dtype) != (wanted.shape, wanted.dtype):
            raise Unsound(f"{name} is {describe(tensor)}, not {describe(wanted)}")
        check_finite(name, tensor)


def check_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Raise Unsound unless this is the state of all or some of the optimizer's parameters, complete for each."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept: dict[int, set[str]] = {}
    for key in (*tensors, *numbers):
        number, _, name = key.partition(".")
        if not number.isascii() or not number.isdigit() or str(int(number)) != number or int(number) >= len(parameters):
            raise Unsound(f"the optimizer has no parameter '{number[:60]}'")
        kept.setdefault(int(number), set()).add(name)
    wanted = list_state(optimizer)
    for names in kept.values():
        for name in names ^ wanted:
            raise Unsound(f"the optimizer's '{name[:60]}' is {'missing' if name in wanted else 'none that it keeps'}")
    for key, tensor in tensors.items():
        check_state(key, tensor, parameters[int(key.partition(".")[0])])


def check_state(name: str, value: Tensor, parameter: Tensor) -> None:
    """Raise Unsound unless a tensor of the optimizer's state is one finite number, or one for each of a parameter."""
    if value.shape not in (parameter.shape, torch.Size([])) or not value.is_floating_point():
        raise Unsound(f"the optimizer's {name} is {describe(value)}, for a parameter of {describe(parameter)}")
    if value.ndim and value.dtype != parameter.dtype:
        raise Unsound(f"the optimizer's {name} is {describe(value)}, for a parameter of {describe(parameter)}")
    check_finite(f"the optimizer's {name}", value)
    if not value.ndim and not (0 <= float(value) <= MAX_STEP):
        raise Unsound(f"the optimizer's {name} is {float(value)}")


def list_state(optimizer: Optimizer) -> set[str]:
    """Return the names of what an optimizer keeps of a parameter, found by letting one like it take a step."""
    scratch = torch.zeros(2, 2, requires_grad=True)
    make: Any = type(optimizer)
    options = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    like = make([{**options, "params": [scratch]}], lr=0.0)
    scratch.grad = torch.zeros_like(scratch)
    like.step()
    return set(like.state_dict()["state"].get(0, {}))


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise Unsound where a tensor has values that are no finite numbers."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise Unsound(f"{name} holds NaN or infinity")


def describe(tensor: Tensor) -> str:
    """Return the type and shape of a tensor."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def check_curve(progress: SavedProgress) -> None:
    """Raise Unsound where the curve of losses goes back, or beyond the step that was reached."""
    steps = [step for step, _ in progress.curve]
    if steps != sorted(steps) or any(step > progress.step for step in steps):
        raise Unsound("the steps of its curve do not rise to the step that was reached")
    if any(math.isnan(loss) for _, loss in progress.curve):
        raise Unsound("its curve holds NaN")


def weights_of(parts: Mapping[str, Module]) -> dict[str, Tensor]:
    """Return all parameters and buffers, named part.parameter."""
    return {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}

"""Load: the encoder of a run folder, a record or a hub folder, without the data that it was trained on.

Only what encodes is built: the model, from the specs in task.json, and the split as far as it shows whole samples.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch
from pretask import InputSpec, PretaskError
from pretask.checkpoint_content import Unsound, check_weights, read_tensors
from pretask.composition import allocate_samples, seed_randomness
from pretask.encoder import Encoder
from pretask.preparation.prepare import Preparation
from pretask_registry import Registry, build
from pretask_registry.own_objects import DISTRIBUTION
from pretask_registry.resolve import FILE

from pretask_bench.artifacts.fitted import Unkept, restore_state
from pretask_bench.artifacts.task_file import AGAIN, FITTED, RECORD, TASK, TOKENIZER, Part, TaskFile, read_task
from pretask_bench.records.cell import training_cell_key
from pretask_bench.records.record import parse_record
from pretask_bench.records.store import read

WHO, JSON = "pretask.load", ".json"
Place = str | PathLike[str]


def load(
    path: Place,
    *,
    device: torch.device | str = "cpu",
    plugin: Place | Iterable[Place] = (),
    split: Any = None,
    model: Any = None,
) -> Encoder:
    """Return the encoder of a run, in evaluation mode.

    Args:
        path: The folder of a run, its record, or a folder that was exported for a hub.
        device: Where it shall live.
        plugin: Python files that declare components, as --plugin takes them.
        split: Instead of the named one: your own object, fitted or not, where the run was made with one.
        model: Likewise, what builds it of the specs of x and of the whole sample.

    Raises:
        PretaskError: There is no encoder, a file is damaged or of a later version, or a plugin is missing.
    """
    registry = None if split is not None and model is not None else load_registry(plugin)
    return load_with(registry, find_folder(Path(path)), device, split, model)


def load_with(
    registry: Registry | None, folder: Path, device: torch.device | str = "cpu", split: Any = None, model: Any = None
) -> Encoder:
    """Return the encoder of a run folder, of parts that a registry has or that are given; see `load`."""
    task = read_task(folder)
    with explain_other_parts():
        network = load_model(registry, folder, task, model)
        shown = find_split(registry, split, folder, task)
    preparation = Preparation(task.observed, task.padded, read_tokenizer(folder, task))
    return move(Encoder(network, shown, task.whole, preparation, task.name), device).eval()


@contextmanager
def explain_other_parts() -> Iterator[None]:
    """Raise PretaskError in place of whatever a part raises on what a folder holds."""
    try:
        yield
    except PretaskError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise PretaskError(WHO, f"a {TASK} of which its parts can be built", got, AGAIN) from error


def read_tokenizer(folder: Path, task: TaskFile) -> str | None:
    """Return the tokenizer of a run folder, as its library writes it; None where it has none."""
    return (folder / TOKENIZER).read_text(encoding="utf-8") if TOKENIZER in task.files else None


def move(encoder: Encoder, device: torch.device | str) -> Encoder:
    """Return the encoder on a device; raise PretaskError where this machine has no such device."""
    try:
        return encoder.to(device)
    except (RuntimeError, AssertionError) as error:  # AssertionError of a torch that was built without it
        got = f"{device} ({(str(error).splitlines() or [''])[0][:120]})"
        raise PretaskError(WHO, "a device of this machine", got, "Leave device out: it is the CPU then.") from error


def load_model(registry: Registry | None, folder: Path, task: TaskFile, given: Any = None) -> Any:
    """Return the model with its weights; only what the weights fit is built, so that no more memory is taken."""
    make: Any = given if given is not None else build_part(registry, task, "model")
    with explain_other_weights(task):
        weights = read_tensors(folder / task.weights)
        if not isinstance(make, torch.nn.Module):
            with torch.device("meta"):
                check_weights(build_network(make, task).state_dict(), weights)
            with seed_randomness(0):  # whose first weights are replaced
                make = build_network(make, task)
        check_weights(make.state_dict(), weights)
    make.load_state_dict(weights)
    return make


def build_network(make: Any, task: TaskFile) -> Any:
    """Return the model of the specs that it was trained with."""
    network: Any = make(task.input, task.whole)
    allocate_samples(network, task.observed)
    return network


def find_folder(place: Path) -> Path:
    """Return the run folder that somebody means by it, by a record in it, or by a record in the store beside it.

    Raises:
        PretaskError: There is none.
    """
    if not place.is_file() or place.suffix != JSON:
        return place  # which is for `read_task` to look at
    if place.name in (RECORD, TASK):
        return place.parent
    found = find_beside(place)
    if found is None:
        got = f"{place.name}, of which no run folder in {place.absolute().parent.parent} is"
        raise PretaskError(WHO, "the folder of a run or its record", got, "Name the folder of the run.", exit_code=2)
    return found


def find_beside(record: Path) -> Path | None:
    """Return the folder, beside a store, of the run that a record of it is of; None where there is none."""
    found, runs = read(record), record.absolute().parent.parent
    key = training_cell_key(found.cell)[:12]
    for other in [*runs.glob(f"*-{key}-*/{RECORD}"), *runs.glob(f"*/{RECORD}")]:  # by its name, else any
        with suppress(PretaskError, OSError):  # of a folder that is damaged no other need know
            if found.weights is not None and parse_record(other.read_bytes()).weights == found.weights:
                return other.parent
    return None


def load_registry(plugin: Place | Iterable[Place]) -> Registry:
    """Return what is installed, and what these files declare."""
    from pretask_bench.cli.main import load_registry as load_once

    files = [plugin] if isinstance(plugin, str | PathLike) else plugin
    return load_once(tuple(Path(file) for file in files))


def build_part(registry: Registry | None, task: TaskFile, kind: str) -> Any:
    """Build the model, the split or the objective that a task.json names.

    Raises:
        PretaskError: It is not installed in that version, or its options are others.
    """
    part: Part = task.parts[kind]  # type: ignore[index]
    assert registry is not None
    try:
        return build(registry.find(kind, part.id), part.options)
    except PretaskError as error:
        got = f"none that works here ({str(error).rstrip('.')})"
        needs = f"the {kind} {part.id} of {part.distribution} {part.version}"
        raise PretaskError(WHO, needs, got, find_way(part, kind)) from error


def find_way(part: Part, kind: str) -> str:
    """Return how to get a part that is not there."""
    if part.distribution == DISTRIBUTION:
        return f"Give the object itself: pretask.load(…, {kind}=…)."
    if part.id.startswith("local/"):
        return f"Give its file: pretask.load(…, plugin={part.distribution!r})."
    return f"Install it: pip install {part.distribution}=={part.version}"


@contextmanager
def explain_other_weights(task: TaskFile, kind: Literal["model", "objective"] = "model") -> Iterator[None]:
    """Raise PretaskError in place of Unsound: the weights of a folder are not those of its part."""
    part = task.parts[kind]
    try:
        yield
    except Unsound as reason:
        needs = f"the weights of {part.id}, made by {part.distribution} {part.version}"
        raise PretaskError(WHO, needs, str(reason), find_way(part, kind)) from reason


def find_split(registry: Registry | None, given: Any, folder: Path, task: TaskFile) -> Any:
    """Return the split as it was fitted: the given one, or the named one; raise PretaskError where neither can be."""
    part = task.parts["split"]
    if task.unkept is None:
        return restore_split(given if given is not None else build_part(registry, task, "split"), folder, task)
    if given is None:
        got = f"a folder without: {task.unkept}"
        raise PretaskError(WHO, f"the split {part.id} as it was fitted", got, "Give it, fitted: split=…")
    check_shown(given, task, part)
    return given


def restore_split(split: Any, folder: Path, task: TaskFile) -> Any:
    """Return the split as it was fitted; raise PretaskError where it shows other samples than the model reads."""
    part = task.parts["split"]
    if isinstance(split, type):
        split = split(**{name: value for name, value in part.options.items() if name != FILE})
    try:
        tensors = read_tensors(folder / FITTED) if FITTED in task.files else {}
        restored = restore_state(split, task.fitted, tensors)
    except (Unkept, Unsound, TypeError, KeyError) as error:
        needs = f"the split {part.id} of {part.distribution} {part.version}"
        raise PretaskError(WHO, needs, str(error), find_way(part, "split")) from error
    check_shown(restored, task, part)
    return restored


def check_shown(split: Any, task: TaskFile, part: Part) -> None:
    """Raise PretaskError where an installed split shows whole samples otherwise than the one that was trained with."""
    shown: InputSpec = split.whole_spec(task.observed)
    if shown != task.whole:
        differing = [
            field.name for field in fields(InputSpec) if getattr(shown, field.name) != getattr(task.whole, field.name)
        ]
        wanted, found = (
            ", ".join(f"{name} {getattr(spec, name)}"[:120] for name in differing) for spec in (task.whole, shown)
        )
        raise PretaskError(WHO, f"{part.id} to show {wanted}, as with {part.version}", found, find_way(part, "split"))

"""Rerun: execute a record's cell again, and judge whether it replicates.

The verdict is that of agreement.py. Other data is refused, since nothing could be compared.

The training is done anew, in a folder of its own; features that the cache has for these very weights are used.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretask import PretaskError, Unknown
from pretask_registry import Registered, Registry

from pretask_bench.records.agreement import Judgment, judge, verdict
from pretask_bench.records.cell import Cell, Part, cell_key
from pretask_bench.records.encoders import GIVEN, INITIAL, REFERENCE_ENCODERS
from pretask_bench.records.record import Record, build_record, record_hash
from pretask_bench.records.store import read_picture, write, write_picture
from pretask_bench.records.verify import pictures_of, result_label
from pretask_bench.runs.plan import KINDS, RECIPE, Plan, make_plan, path_options

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rerun:
    """The outcome of a rerun.

    Args:
        record: The new record.
        path: File of the new record.
        verdict: exact, consistent or divergent.
        judgments: The numbers that the verdict rests on.
        weights: Whether the trained weights are the same to the last bit.
        numbers: How many numbers the record has.
        differing: The numbers that differ: name, before, now.
        provenance: What differs in how they came about: name, before, now.
        cell: What differs in what determines the numbers, as defaults added since would.
    """

    record: Record
    path: Path
    verdict: str
    judgments: Sequence[Judgment]
    weights: bool
    numbers: int
    differing: Sequence[tuple[str, str, str]]
    provenance: Sequence[tuple[str, str, str]]
    cell: Sequence[tuple[str, str, str]]


def rerun(
    registry: Registry,
    old: Record,
    settings: Mapping[str, Any],
    out: Path,
    device: "torch.device",
    say: Callable[[str], None],
    fit_with: Path | None = None,
    init: str | None = None,
) -> Rerun:
    """Execute a record's cell again with its own reference encoders.

    Args:
        registry: Where its components are looked up.
        old: A complete record.
        settings: Where its data lies here, such as {"data.root": "photos"}.
        out: Folder; the new record lies in a folder of it that is named by the old record.
        device: cpu, cuda or cuda:N.
        say: Told one line at a time what is going on.
        fit_with: The run with whose encoder its split was fitted, where it was.
        init: What its model began with, where that was not random.

    Raises:
        PretaskError: The record is of a failed run, a component or a place is missing, or the data is not the same.
    """
    from pretask_bench.runs.context import RunContext
    from pretask_bench.runs.run import run

    if old.status != "complete":
        raise PretaskError("rerun", "a complete record", "one of a failed run", "Run its command again.")
    if old.cell.fitted_with is not None and fit_with is None:
        got = f"none; the encoder's weights are {old.cell.fitted_with[:12]}"
        raise PretaskError("rerun", "the run with whose encoder the split was fitted", got, "Name it: --fit-with RUN.")
    if old.cell.begun_with is not None and init is None:
        got = f"none; their hash is {old.cell.begun_with[:12]}"
        raise PretaskError("rerun", "the weights that its model began with", got, "Name them: --init RUN or FILE.")
    plan = replace(plan_from_cell(registry, old.cell, settings), fit_with=fit_with, init=init)
    check_data(plan, old.cell)
    if old.given:
        say(f"left out encoders of elsewhere: {', '.join(one.name for one in old.given.values())}")
    compared = leave_out_given(old)
    encoders = {result.encoder for result in compared.results}
    references = tuple(encoder for encoder in (*REFERENCE_ENCODERS, INITIAL) if encoder in encoders)
    folder = out / record_hash(old)[:12]
    new, path = run(registry, plan, RunContext(folder, device, again=True, references=references, say=say))
    remove_checkpoints(folder)
    judgments = [*judge(compared, new)]
    old_numbers, new_numbers = record_numbers(compared), record_numbers(new)
    return Rerun(
        record=new,
        path=path,
        verdict=verdict(compared, new, judgments),
        judgments=judgments,
        weights=old.weights is not None and old.weights == new.weights,
        numbers=len(old_numbers),
        differing=differences(old_numbers, {name: new_numbers.get(name, "missing") for name in old_numbers}),
        provenance=provenance_differences(old, new),
        cell=cell_differences(old.cell, new.cell),
    )


def leave_out_given(record: Record) -> Record:
    """Return a record without the rows of encoders of elsewhere, which no cell determines."""
    own = tuple(result for result in record.results if not result.encoder.startswith(GIVEN))
    return record.model_copy(update={"results": own, "given": {}})


def file_rerun(finished: Rerun, old: Record, folder: Path, author: str | None, note: str | None) -> Path:
    """File what a rerun found in a store, as a record that names the one that it ran again.

    A board shows it as a confirmation of that record, or where the two diverge as a dispute.

    Args:
        finished: The rerun.
        old: The record that was run again.
        folder: Folder of the store, which gains the record and its pictures.
        author: Author of the new record.
        note: Free text for the new record.

    Raises:
        PretaskError: The author or the note is too long, or the folder cannot be written.
    """
    changes = {"reruns": record_hash(old), "author": author, "note": note}
    record = build_record({**finished.record.model_dump(mode="json"), **changes})
    for picture in pictures_of(record):
        write_picture(folder, read_picture(finished.path.parent, picture.png))
    return write(folder, record)


def remove_checkpoints(out: Path) -> None:
    """Remove the checkpoints of a finished rerun, or the next one would find its training done."""
    for folder in out.iterdir():
        if folder.is_dir() and folder.name != "records":
            shutil.rmtree(folder)


def plan_from_cell(registry: Registry, cell: Cell, settings: Mapping[str, Any]) -> Plan:
    """Return the plan of a cell, with paths as the user gives them.

    Raises:
        PretaskError: A component of that version is not installed, or a place was not given.
        Unknown: Something was set that is no place: that would be another run.
    """
    parts = {part: recorded for part, recorded in parts_of_cell(cell).items() if recorded is not None}
    if cell.task is not None:
        find_installed(registry, "task", cell.task)
    sources = [
        (part, find_installed(registry, KINDS[part], recorded.id), recorded.options) for part, recorded in parts.items()
    ]
    for evaluator, evaluator_options in cell.evaluators.items():
        installed = find_installed(registry, "evaluator", evaluator)
        sources.append((installed.name, installed, evaluator_options))
    options: dict[str, Any] = {f"{RECIPE}.{name}": value for name, value in cell.recipe.items()}
    paths: dict[str, Any] = {}
    for part, registered, recorded_options in sources:
        options |= {f"{part}.{name}": value for name, value in recorded_options.items()}
        paths |= {f"{part}.{name}": recorded_options.get(name) for name in path_options(registered)}
    return make_plan(
        registry,
        cell.task,
        parts={part: recorded.id for part, recorded in parts.items()},
        settings={**options, **check_paths(paths, settings)},
        evaluators=[*cell.evaluators],
        seed=cell.seed,
        hold_out=cell.hold_out or 0.0,
    )


def parts_of_cell(cell: Cell) -> dict[str, Part | None]:
    """Return the parts of a cell by the names that a plan has for them."""
    parts = {"data": cell.data, "split": cell.split, "objective": cell.objective, "model": cell.model}
    return {**parts, "on": cell.evaluated_on}


def find_installed(registry: Registry, kind: str, full: str) -> Registered:
    """Return the component of that very version."""
    try:
        return registry.find(kind, full)
    except PretaskError as error:
        raise PretaskError("rerun", f"the {kind} {full}", "none that works here", str(error)) from error


def check_paths(paths: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the paths that the user gave, and raise for one that is missing; records hold only their last name."""
    if strange := [name for name in settings if name not in paths]:
        known = ", ".join(paths) or "none"
        raise Unknown(f"rerun lets nothing be set but places; got '{strange[0]}'. Places of this record: {known}.")
    for name, value in paths.items():
        if value and name not in settings:
            raise PretaskError("rerun", f"the place of {value!r}", "only its name", f"Say it: --set {name}=PLACE.")
    return dict(settings)


def check_data(plan: Plan, cell: Cell) -> None:
    """Raise where the data here is not what the record learned from or was measured on."""
    for part in ("data", "on"):
        recorded = parts_of_cell(cell)[part]
        if recorded is None or part not in plan.parts:
            continue
        data = plan.build(part)
        for name, content in getattr(recorded, "fingerprints", {}).items():
            if (actual := data(name).fingerprint) != content:
                raise PretaskError(
                    f"rerun of {recorded.id} ({name})", f"content {content}", actual, "Other data cannot be compared."
                )


def record_numbers(record: Record) -> dict[str, float | None]:
    """Return all numbers of a record, by row and name."""
    metrics = record.pretext.metrics if record.pretext is not None else {}
    pretext = {f"pretext {name}": value for name, value in metrics.items()}
    return pretext | {
        result_label(result, name): value for result in record.results for name, value in result.metrics.items()
    }


def provenance_differences(old: Record, new: Record) -> list[tuple[str, str, str]]:
    """Return what differs in how two records came about, as far as it may change numbers."""
    return differences(*(flatten_provenance(record) for record in (old, new)))


def flatten_provenance(record: Record) -> dict[str, Any]:
    """Return versions, commit, machine and threads of a record."""
    origin = record.provenance
    checkout = {"commit": origin.commit, "checkout modified": origin.modified, "threads": origin.threads}
    code = {f"code of {module}": digest[:12] for module, digest in record.code.items()}
    return {**origin.versions, **checkout, **origin.hardware.model_dump(), **code}


def cell_differences(old: Cell, new: Cell) -> list[tuple[str, str, str]]:
    """Return what differs between two cells."""
    if cell_key(old) == cell_key(new):
        return []
    return differences(*(dict(flatten(record.model_dump(mode="json"))) for record in (old, new)))


def flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested fields, each under its whole name: `recipe.lr`."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the values that differ: name, before, now."""
    return [
        (name, str(before.get(name, "")), str(now.get(name, "")))
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]

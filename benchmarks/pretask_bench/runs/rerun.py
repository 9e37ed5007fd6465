"""Rerun: carry out a record's cell again, and say whether the same comes out.

The verdict is that of agreement.py. Other data is refused, since nothing could be compared.

The training is done anew, in a folder of its own; features that the cache has for these very weights are used.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretask import PretaskError, Unknown
from pretask_registry import Registered, Registry, build

from pretask_bench.records.agreement import Judgment, judge, verdict
from pretask_bench.records.encoders import REFERENCE_ENCODERS
from pretask_bench.records.record import Cell, Part, Record, build_record, cell_key, record_hash
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
) -> Rerun:
    """Carry out a record's cell again with its own reference encoders.

    Args:
        registry: Where its components are looked up.
        old: A complete record.
        settings: Where its data lies here, such as {"data.root": "photos"}.
        out: Folder; the new record lies in a folder of it that is named by the old record.
        device: cpu, cuda or cuda:N.
        say: Told one line at a time what is going on.
        fit_with: The run with whose encoder its split was fitted, where it was.

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
    plan = replace(plan_of(registry, old.cell, settings), fit_with=fit_with)
    check_data(plan, old.cell)
    found = {row.encoder for row in old.results}
    work = out / record_hash(old)[:12]
    context = RunContext(
        work,
        device,
        again=True,
        references=tuple(encoder for encoder in REFERENCE_ENCODERS if encoder in found),
        say=say,
    )
    new, path = run(registry, plan, context)
    forget_training(work)
    judgments = [*judge(old, new)]
    return Rerun(
        record=new,
        path=path,
        verdict=verdict(old, new, judgments),
        judgments=judgments,
        weights=old.weights is not None and old.weights == new.weights,
        numbers=len(record_numbers(old)),
        differing=differences(
            record_numbers(old), {name: record_numbers(new).get(name, "missing") for name in record_numbers(old)}
        ),
        provenance=provenance_differences(old, new),
        cell=cell_differences(old.cell, new.cell),
    )


def file_rerun(done: Rerun, old: Record, folder: Path, author: str | None, note: str | None) -> Path:
    """File what a rerun found in a store, as a record that names the one that it ran again.

    A board shows it as a confirmation of that record, or where the two diverge as a dispute.

    Args:
        done: The rerun.
        old: The record that was run again.
        folder: Folder of the store, which gains the record and its pictures.
        author: Author of the new record.
        note: Free text for the new record.

    Raises:
        PretaskError: The author or the note is too long, or the folder cannot be written.
    """
    facts = {"reruns": record_hash(old), "author": author, "note": note}
    record = build_record({**done.record.model_dump(mode="json"), **facts})
    for picture in pictures_of(record):
        write_picture(folder, read_picture(done.path.parent, picture.png))
    return write(folder, record)


def forget_training(work: Path) -> None:
    """Remove the checkpoints of a finished rerun, or the next one would find its training done."""
    for folder in work.iterdir():
        if folder.is_dir() and folder.name != "records":
            shutil.rmtree(folder)


def plan_of(registry: Registry, cell: Cell, settings: Mapping[str, Any]) -> Plan:
    """Return the plan of a cell, with places as the user gives them.

    Raises:
        PretaskError: A component of that version is not installed, or a place was not given.
        Unknown: Something was set that is no place: that would be another run.
    """
    parts = {part: choice for part, choice in parts_of(cell).items() if choice is not None}
    found = {part: find_installed(registry, KINDS[part], choice.id) for part, choice in parts.items()}
    measures = [find_installed(registry, "evaluator", evaluator) for evaluator in cell.evaluators]
    if cell.task is not None:
        find_installed(registry, "task", cell.task)
    options: dict[str, Any] = {f"{RECIPE}.{name}": value for name, value in cell.recipe.items()}
    places: dict[str, Any] = {}
    sources = [(part, found[part], choice.options) for part, choice in parts.items()]
    for part, registered, own in (
        *sources,
        *((evaluator.name, evaluator, cell.evaluators[evaluator.id]) for evaluator in measures),
    ):
        options |= {f"{part}.{name}": value for name, value in own.items()}
        places |= {f"{part}.{name}": own.get(name) for name in path_options(registered)}
    return make_plan(
        registry,
        cell.task,
        parts={part: choice.id for part, choice in parts.items()},
        settings={**options, **check_places(places, settings)},
        evaluators=[evaluator.id for evaluator in measures],
        seed=cell.seed,
    )


def parts_of(cell: Cell) -> dict[str, Part | None]:
    """Return the parts of a cell by the names that a plan has for them."""
    own = {"data": cell.data, "split": cell.split, "objective": cell.objective, "model": cell.model}
    return {**own, "on": cell.evaluated_on}


def find_installed(registry: Registry, kind: str, full: str) -> Registered:
    """Return the component of that very version."""
    try:
        return registry.find(kind, full)
    except PretaskError as error:
        raise PretaskError("rerun", f"the {kind} {full}", "none that works here", str(error)) from error


def check_places(places: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the places that the user gave, and raise for one that is missing; records hold only their last name."""
    if strange := [name for name in settings if name not in places]:
        known = ", ".join(places) or "none"
        raise Unknown(f"rerun lets nothing be set but places; got '{strange[0]}'. Places of this record: {known}.")
    for name, value in places.items():
        if value and name not in settings:
            raise PretaskError("rerun", f"the place of {value!r}", "only its name", f"Say it: --set {name}=PLACE.")
    return dict(settings)


def check_data(plan: Plan, cell: Cell) -> None:
    """Raise where the data here is not what the record learned from or was measured on."""
    for part in ("data", "on"):
        recorded = parts_of(cell)[part]
        if recorded is None or part not in plan.parts:
            continue
        data = build(plan.parts[part], plan.of(part))
        for name, content in getattr(recorded, "fingerprints", {}).items():
            if (actual := data(name).fingerprint) != content:
                raise PretaskError(
                    f"rerun of {recorded.id} ({name})", f"content {content}", actual, "Other data cannot be compared."
                )


def record_numbers(record: Record) -> dict[str, float | None]:
    """Return all numbers of a record, by row and name."""
    found = {f"pretext {name}": value for name, value in (record.pretext.metrics if record.pretext else {}).items()}
    return found | {result_label(row, name): value for row in record.results for name, value in row.metrics.items()}


def provenance_differences(old: Record, new: Record) -> list[tuple[str, str, str]]:
    """Return what differs in how two records came about, as far as it may change numbers."""
    return differences(*(provenance_facts(record) for record in (old, new)))


def provenance_facts(record: Record) -> dict[str, Any]:
    """Return versions, commit, machine and threads of a record."""
    made = record.provenance
    facts = {"commit": made.commit, "checkout modified": made.modified, "threads": made.threads}
    code = {f"code of {module}": digest[:12] for module, digest in record.code.items()}
    return {**made.versions, **facts, **made.hardware.model_dump(), **code}


def cell_differences(old: Cell, new: Cell) -> list[tuple[str, str, str]]:
    """Return what differs between two cells."""
    if cell_key(old) == cell_key(new):
        return []
    return differences(*(dict(flatten_facts(record.model_dump(mode="json"))) for record in (old, new)))


def flatten_facts(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested facts, each under its whole name."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flatten_facts(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the facts that differ: name, before, now."""
    return [
        (name, str(before.get(name, "")), str(now.get(name, "")))
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]

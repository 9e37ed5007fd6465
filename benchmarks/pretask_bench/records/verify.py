"""Verify: what can be checked of records without training anything, and what could not be.

Each check yields once for everything that it looked at: None where that is right, a sentence where it is wrong; so how
much was checked is counted by the checks themselves. Records come from strangers: nothing is unpickled or fetched
because one says so, and nothing imported but parts that are installed here, to see whether they have such options.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretask import Metric
from pretask.errors import PretaskError
from pretask.recipe import count_steps
from pretask_registry import Registry

from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.cell import DataPart, Part, cell_key
from pretask_bench.records.cells import OptionChecker, check_precision
from pretask_bench.records.measured import Items, Picture
from pretask_bench.records.metrics import declared_metrics, objective_metrics
from pretask_bench.records.record import Record
from pretask_bench.records.store import list_files, read, read_picture
from pretask_bench.records.times import check_times

ROUNDING = 1e-6  # of a share that float32 held; one item of a million changes more

Messages = Iterator[str | None]  # of a check: for everything that it looked at None, or what is wrong with it
FiledRecord = tuple[Path, Record]


@dataclass(frozen=True)
class Finding:
    """A fault of a record, or a note on it.

    Args:
        path: File of the record.
        check: What was checked.
        message: What was found, as a sentence.
        fault: Whether the record is wrong; else it is only worth knowing.
    """

    path: Path
    check: str
    message: str
    fault: bool = True


@dataclass
class Verification:
    """What was checked and found.

    Args:
        records: Files that hold a record.
        checked: By check, how many things were looked at.
        findings: Faults and notes.
        unchecked: By reason, how many things nobody could look at.
    """

    records: list[FiledRecord] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> list[Finding]:
        """Findings that make a record wrong."""
        return [finding for finding in self.findings if finding.fault]

    def add(self, check: str, path: Path, messages: Iterable[str | None]) -> None:
        """Count what a check looked at, and keep its messages as findings."""
        for message in messages:
            self.checked[check] += 1
            if message is not None:
                self.findings.append(Finding(path, check, message))

    def note(self, check: str, path: Path, message: str) -> None:
        """Keep what is worth knowing and no fault."""
        self.findings.append(Finding(path, check, message, fault=False))


def verify(places: Iterable[Path | str], registry: Registry | None = None) -> Verification:
    """Check every record of some stores and single files, each by itself and all beside each other.

    Args:
        places: Folders and files.
        registry: Where parts are looked up, to check their options; without one only recipes are checked.
    """
    verification, option_checker = Verification(), OptionChecker(registry)
    for check in (FORM, *RECORD_CHECKS, CHOICES, *STORE_CHECKS):
        verification.checked[check] = 0
    for path in list_files(places):
        verification.add(FORM, path, check_form(path, verification.records))
    for path, record in verification.records:
        for check, messages in iterate_record_checks(record, option_checker):
            verification.add(check, path, messages)
        verification.unchecked.update(option_checker.unchecked(record))
        count_unchecked(verification, record)
        check_pictures(verification, path, record)
    for check, compare_records in STORE_CHECKS.items():
        for path, message in compare_records(verification.records):
            verification.add(check, path, [message])
    note_repeated(verification)
    return verification


def iterate_record_checks(record: Record, option_checker: OptionChecker) -> Iterator[tuple[str, Messages]]:
    """Run every check of a record by itself; yield the name of the check with its messages."""
    for check, messages in RECORD_CHECKS.items():
        yield check, messages(record)
    yield CHOICES, option_checker.faults(record)


def record_faults(record: Record, option_checker: OptionChecker) -> list[str]:
    """Return what is wrong with a record alone, for a board, which does not rank such a one."""
    return [
        message
        for _, messages in iterate_record_checks(record, option_checker)
        for message in messages
        if message is not None
    ]


def check_form(path: Path, records: list[FiledRecord]) -> Messages:
    """Check whether a file is a record; add those that are to `records`."""
    try:
        records.append((path, read(path)))
        yield None
    except PretaskError as error:
        yield str(error)


def check_accuracies(record: Record) -> Messages:
    """Check whether every accuracy is what its items give."""
    for result in record.results:
        for name, items in result.items.items():
            if name in result.metrics or declared_metrics(record, result.evaluator).metric(name).is_fraction:
                recorded, share = result.metrics.get(name), items.share
                same = recorded is not None and abs(recorded - share) <= ROUNDING
                yield (
                    None
                    if same
                    else f"{result_label(result, name)} is {recorded}, its {items.count} items say {share:.6g}"
                )


def check_ranges(record: Record) -> Messages:
    """Check whether every fraction is between 0 and 1, chance levels included."""
    for label, numbers, find_metric in iterate_numbers(record):
        for name, value in numbers.items():
            metric = find_metric(name)
            if value is None or not metric.is_fraction:
                continue
            within = -ROUNDING <= value <= 1 + ROUNDING
            yield None if within else f"{label} {name} is {value}, which no {metric.unit} can be"


def check_chance_levels(record: Record) -> Messages:
    """Check whether every chance level belongs to a metric of the same row."""
    for label, measured in [
        ("pretext", record.pretext),
        *((result_label(result), result) for result in record.results),
    ]:
        for name in measured.chance if measured is not None else ():
            known = name in measured.metrics if measured is not None else False
            yield None if known else f"{label} has a chance level of {name}, but no such number"


def check_items(record: Record) -> Messages:
    """Check whether items are of the test data that the cell names."""
    data = record.cell.evaluated_on or record.cell.data
    fingerprints = {data.fingerprints["test"]} if "test" in data.fingerprints else set(data.fingerprints.values())
    for result in record.results:
        for name, items in result.items.items():
            yield (
                None
                if items.test in fingerprints
                else f"{result_label(result, name)} has items of other data than the cell names"
            )


def check_costs(record: Record) -> Messages:
    """Check whether the times are possible, and as many samples were seen as the recipe says."""
    yield from check_times(record)
    provenance, recipe = record.provenance, record.cell.recipe
    samples, batch = recipe.get("samples"), recipe.get("batch")
    if isinstance(samples, int) and isinstance(batch, int) and batch > 0:
        expected = count_steps(samples, batch) * batch
        message = f"{provenance.samples} samples were seen, its recipe makes {expected}"
        yield None if provenance.samples == expected else message


def check_item_counts(records: Sequence[FiledRecord]) -> Iterator[tuple[Path, str | None]]:
    """Check whether one evaluator has one number of items on one test set."""
    first: dict[Hashable, Items] = {}
    for path, record in records:
        for result in record.results:
            for name, items in result.items.items():
                options = canonical_bytes(record.cell.evaluators.get(result.evaluator, {}))
                known = first.setdefault((items.test, result.evaluator, options, name), items)
                message = f"{result_label(result, name)} has {items.count} items, elsewhere {known.count}"
                yield path, None if known.count == items.count else message


def check_contents(records: Sequence[FiledRecord]) -> Iterator[tuple[Path, str | None]]:
    """Check whether one data set with the same options has one content; else its records cannot be compared."""
    first: dict[bytes, tuple[Path, Mapping[str, str]]] = {}
    for path, record in records:
        for data in filter(None, (record.cell.data, record.cell.evaluated_on)):
            first_path, known = first.setdefault(data_key(data, record.cell.hold_out), (path, data.fingerprints))
            same = all(known.get(part, content) == content for part, content in data.fingerprints.items())
            message = f"{data.id} has other content here than in {first_path.name}: do not compare them"
            yield path, None if same else message


def data_key(part: Part, hold_out: float | None) -> bytes:
    """Return a part and its options, and how much of it was held out, as one key."""
    return canonical_bytes({"id": part.id, "options": part.options, "hold_out": hold_out})


def group_by_data_set(verification: Verification) -> dict[bytes, list[tuple[Path, DataPart, float | None]]]:
    """Return the data sets that records learned from or were measured on, each with the files that name it.

    With each goes how much of its training part was held out; None where nothing was.
    """
    named: dict[bytes, list[tuple[Path, DataPart, float | None]]] = {}
    for path, record in verification.records:
        for part in filter(None, (record.cell.data, record.cell.evaluated_on)):
            named.setdefault(data_key(part, record.cell.hold_out), []).append((path, part, record.cell.hold_out))
    return named


def check_identical_seeds(records: Sequence[FiledRecord]) -> Iterator[tuple[Path, str | None]]:
    """Check whether other seeds have other weights and other correct items, as chance brings about."""
    first: dict[Hashable, tuple[Path, int]] = {}
    for path, record in records:
        correct = tuple(
            (result.encoder, result.evaluator, items.bits)
            for result in record.results
            for items in result.items.values()
        )
        if record.weights is None or not correct:
            continue
        seed = record.cell.seed
        first_path, first_seed = first.setdefault((record.weights, correct), (path, seed))
        message = f"seed {seed} has weights and answers of seed {first_seed} in {first_path.name}"
        yield path, None if seed == first_seed else message


def check_results(records: Sequence[FiledRecord]) -> Iterator[tuple[Path, str | None]]:
    """Check whether one cell and seed, on one machine with the same versions, has one result."""
    first: dict[Hashable, FiledRecord] = {}
    for path, record in records:
        if record.status == "complete":
            first_path, known = first.setdefault((cell_key(record.cell), run_environment(record)), (path, record))
            message = f"the same cell, seed, versions and machine gave other numbers in {first_path.name}"
            yield path, None if numbers_agree(known, record) else message


def note_repeated(verification: Verification) -> None:
    """Note which cells were run again elsewhere with other numbers."""
    first: dict[str, FiledRecord] = {}
    for path, record in verification.records:
        if record.status == "complete":
            first_path, known = first.setdefault(cell_key(record.cell), (path, record))
            if run_environment(known) != run_environment(record) and not numbers_agree(known, record):
                message = f"seed {record.cell.seed} of this cell has other numbers in {first_path.name}, made elsewhere"
                verification.note("one result of one cell and seed", path, message)


def run_environment(record: Record) -> Hashable:
    """Return what may change the last bits of a number: commit, threads, hardware and versions."""
    origin = record.provenance
    machine = canonical_bytes(origin.hardware), canonical_bytes(origin.versions)
    return (origin.commit, origin.modified, origin.threads, *machine)


def numbers_agree(first: Record, second: Record) -> bool:
    """Return whether two records agree in every result that both have, in the pretext score and in the weights."""
    pretext = [record.pretext.metrics if record.pretext is not None else None for record in (first, second)]
    if first.weights != second.weights or pretext[0] != pretext[1]:
        return False
    results, others = (
        {(result.encoder, result.evaluator): result for result in record.results} for record in (first, second)
    )
    return all(
        results[key].metrics == others[key].metrics and results[key].items == others[key].items
        for key in results.keys() & others.keys()
    )


def count_unchecked(verification: Verification, record: Record) -> None:
    """Count the numbers that stand alone."""
    for result in record.results:
        with_items = {name for name in result.items if name in result.metrics}
        verification.unchecked["numbers without the items that they were counted from"] += len(
            result.metrics.keys() - with_items
        )
    if record.pretext is not None:
        verification.unchecked["pretext numbers, which only a rerun could check"] += len(record.pretext.metrics)


def check_pictures(verification: Verification, path: Path, record: Record) -> None:
    """Hold every picture that lies beside its record against its name."""
    for picture in pictures_of(record):
        if not (path.parent / f"{picture.png}.png").is_file():
            verification.unchecked["pictures that do not lie beside their record"] += 1
            continue
        verification.add("pictures are what their records name", path, check_picture(path.parent, picture))


def check_picture(folder: Path, picture: Picture) -> Messages:
    """Check whether one picture is what its name says."""
    try:
        read_picture(folder, picture.png)
        yield None
    except PretaskError as error:
        yield str(error)


def pictures_of(record: Record) -> Iterator[Picture]:
    """Yield all pictures that a record names."""
    for measured in (record.pretext, *record.results):
        yield from measured.pictures if measured is not None else ()


def iterate_numbers(record: Record) -> Iterator[tuple[str, Mapping[str, float | None], Callable[[str], Metric]]]:
    """Yield groups of numbers of a record: label, numbers by name, and a function from name to unit and direction."""
    if record.pretext is not None:
        find_metric = objective_metrics(record).pretext_metric
        yield "pretext", record.pretext.metrics, find_metric
        yield "pretext chance", record.pretext.chance, find_metric
        yield "pretext shortcut", record.pretext.shortcut, find_metric
    for result in record.results:
        find_metric = declared_metrics(record, result.evaluator).metric
        yield result_label(result), result.metrics, find_metric
        yield f"{result_label(result)} chance", result.chance, find_metric


def result_label(result: Any, name: str = "") -> str:
    """Return the name of a row, or of one of its numbers."""
    return f"{result.evaluator} on {result.encoder} {name}".rstrip()


FORM = "files are records: schema, canonical form, name is hash"
CHOICES = "options are those of the recipe and of installed parts"
RECOMPUTED = "accuracies recomputed from their items"
RECORD_CHECKS: Mapping[str, Callable[[Record], Messages]] = {
    RECOMPUTED: check_accuracies,
    "shares are shares": check_ranges,
    "chance levels have a score": check_chance_levels,
    "items are of the data": check_items,
    "times and samples add up": check_costs,
    "precision is that of the recipe": check_precision,
}
STORE_CHECKS: Mapping[str, Callable[[Sequence[FiledRecord]], Iterator[tuple[Path, str | None]]]] = {
    "one count of items of one test set": check_item_counts,
    "one content of one data set": check_contents,
    "one result of one cell and seed": check_results,
    "other seeds, other weights and answers": check_identical_seeds,
}

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
from pretask_registry import Registry

from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.cells import Settler, check_precision
from pretask_bench.records.metrics import declared_metrics, objective_metrics
from pretask_bench.records.record import DataPart, Items, Part, Picture, Record, cell_key
from pretask_bench.records.store import files_of, read, read_picture
from pretask_bench.records.times import check_times

ROUNDING = 1e-6  # of a share that float32 held; one item of a million changes more

Answers = Iterator[str | None]
Filed = tuple[Path, Record]


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

    records: list[Filed] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> list[Finding]:
        """Findings that make a record wrong."""
        return [finding for finding in self.findings if finding.fault]

    def ask(self, check: str, path: Path, answers: Iterable[str | None]) -> None:
        """Count the answers of a check, and keep those that say something."""
        for answer in answers:
            self.checked[check] += 1
            if answer is not None:
                self.findings.append(Finding(path, check, answer))

    def note(self, check: str, path: Path, message: str) -> None:
        """Keep what is worth knowing and no fault."""
        self.findings.append(Finding(path, check, message, fault=False))


def verify(places: Iterable[Path | str], registry: Registry | None = None) -> Verification:
    """Check every record of some stores and single files, each by itself and all beside each other.

    Args:
        places: Folders and files.
        registry: Where parts are looked up, to check their options; without one only recipes are checked.
    """
    found, settler = Verification(), Settler(registry)
    for check in (FORM, *RECORD_CHECKS, CHOICES, *STORE_CHECKS):
        found.checked[check] = 0
    for path in files_of(places):
        found.ask(FORM, path, check_form(path, found.records))
    for path, record in found.records:
        for check, answers in record_answers(record, settler):
            found.ask(check, path, answers)
        found.unchecked.update(settler.unchecked(record))
        count_unchecked(found, record)
        check_pictures(found, path, record)
    for check, compare in STORE_CHECKS.items():
        for path, answer in compare(found.records):
            found.ask(check, path, [answer])
    note_repeated(found)
    return found


def record_answers(record: Record, settler: Settler) -> Iterator[tuple[str, Answers]]:
    """Run every check of a record by itself; yield the name of the check with its answers."""
    for check, answers in RECORD_CHECKS.items():
        yield check, answers(record)
    yield CHOICES, settler.faults(record)


def record_faults(record: Record, settler: Settler) -> list[str]:
    """Return what is wrong with a record alone, for a board, which does not rank such a one."""
    return [answer for _, answers in record_answers(record, settler) for answer in answers if answer is not None]


def check_form(path: Path, records: list[Filed]) -> Answers:
    """Check whether a file is a record; add those that are to `records`."""
    try:
        records.append((path, read(path)))
        yield None
    except PretaskError as error:
        yield str(error)


def check_accuracies(record: Record) -> Answers:
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


def check_ranges(record: Record) -> Answers:
    """Check whether every fraction is between 0 and 1, chance levels included."""
    for where, numbers, find in numbers_of(record):
        for name, value in numbers.items():
            metric = find(name)
            if value is None or not metric.is_fraction:
                continue
            within = -ROUNDING <= value <= 1 + ROUNDING
            yield None if within else f"{where} {name} is {value}, which no {metric.unit} can be"


def check_chance_levels(record: Record) -> Answers:
    """Check whether every chance level belongs to a metric of the same row."""
    for where, measured in [
        ("pretext", record.pretext),
        *((result_label(result), result) for result in record.results),
    ]:
        for name in measured.chance if measured is not None else ():
            known = name in measured.metrics if measured is not None else False
            yield None if known else f"{where} has a chance level of {name}, but no such number"


def check_items(record: Record) -> Answers:
    """Check whether items are of the test data that the cell names."""
    data = record.cell.evaluated_on or record.cell.data
    own = {data.fingerprints["test"]} if "test" in data.fingerprints else set(data.fingerprints.values())
    for result in record.results:
        for name, items in result.items.items():
            yield (
                None
                if items.test in own
                else f"{result_label(result, name)} has items of other data than the cell names"
            )


def check_costs(record: Record) -> Answers:
    """Check whether the times are possible, and as many samples were seen as the recipe says."""
    yield from check_times(record)
    provenance, recipe = record.provenance, record.cell.recipe
    samples, batch = recipe.get("samples"), recipe.get("batch")
    if isinstance(samples, int) and isinstance(batch, int) and batch > 0:
        due = max(1, samples // batch) * batch
        recorded = provenance.samples
        yield None if recorded == due else f"{recorded} samples were seen, its recipe makes {due}"


def check_item_counts(records: Sequence[Filed]) -> Iterator[tuple[Path, str | None]]:
    """Check whether one evaluator has one number of items on one test set."""
    first: dict[Hashable, Items] = {}
    for path, record in records:
        for result in record.results:
            for name, items in result.items.items():
                options = canonical_bytes(record.cell.evaluators.get(result.evaluator, {}))
                known = first.setdefault((items.test, result.evaluator, options, name), items)
                same = known.count == items.count
                yield (
                    path,
                    None if same else f"{result_label(result, name)} has {items.count} items, elsewhere {known.count}",
                )


def check_contents(records: Sequence[Filed]) -> Iterator[tuple[Path, str | None]]:
    """Check whether one data set with the same options has one content; else its records cannot be compared."""
    first: dict[bytes, tuple[Path, Mapping[str, str]]] = {}
    for path, record in records:
        for data in filter(None, (record.cell.data, record.cell.evaluated_on)):
            where, known = first.setdefault(part_key(data), (path, data.fingerprints))
            same = all(known.get(part, content) == content for part, content in data.fingerprints.items())
            yield path, None if same else f"{data.id} has other content here than in {where.name}: do not compare them"


def part_key(part: Part) -> bytes:
    """Return a part and its options, as one key."""
    return canonical_bytes({"id": part.id, "options": part.options})


def data_sets(found: Verification) -> dict[bytes, list[tuple[Path, DataPart]]]:
    """Return the data sets that records learned from or were measured on, each with the files that name it."""
    named: dict[bytes, list[tuple[Path, DataPart]]] = {}
    for path, record in found.records:
        for part in filter(None, (record.cell.data, record.cell.evaluated_on)):
            named.setdefault(part_key(part), []).append((path, part))
    return named


def check_twins(records: Sequence[Filed]) -> Iterator[tuple[Path, str | None]]:
    """Check whether other seeds have other weights and other answers, as chance brings about."""
    first: dict[Hashable, tuple[Path, int]] = {}
    for path, record in records:
        answers = tuple(
            (result.encoder, result.evaluator, items.bits)
            for result in record.results
            for items in result.items.values()
        )
        if record.weights is None or not answers:
            continue
        where, seed = first.setdefault((record.weights, answers), (path, record.cell.seed))
        same = seed == record.cell.seed
        yield path, None if same else f"seed {record.cell.seed} has weights and answers of seed {seed} in {where.name}"


def check_results(records: Sequence[Filed]) -> Iterator[tuple[Path, str | None]]:
    """Check whether one cell and seed, on one machine with the same versions, has one result."""
    first: dict[Hashable, Filed] = {}
    for path, record in records:
        if record.status == "complete":
            where, known = first.setdefault((cell_key(record.cell), environment(record)), (path, record))
            same = numbers_agree(known, record)
            yield (
                path,
                None if same else f"the same cell, seed, versions and machine gave other numbers in {where.name}",
            )


def note_repeated(found: Verification) -> None:
    """Note which cells were run again elsewhere with other numbers."""
    first: dict[str, Filed] = {}
    for path, record in found.records:
        if record.status == "complete":
            where, known = first.setdefault(cell_key(record.cell), (path, record))
            if environment(known) != environment(record) and not numbers_agree(known, record):
                message = f"seed {record.cell.seed} of this cell has other numbers in {where.name}, made elsewhere"
                found.note("one result of one cell and seed", path, message)


def environment(record: Record) -> Hashable:
    """Return what may change the last bits of a number: commit, threads, hardware and versions."""
    made = record.provenance
    return (made.commit, made.modified, made.threads, canonical_bytes(made.hardware), canonical_bytes(made.versions))


def numbers_agree(first: Record, second: Record) -> bool:
    """Return whether two records agree in every row that both have, in the pretext score and in the weights."""
    rows = [{(result.encoder, result.evaluator): result for result in record.results} for record in (first, second)]
    scores = [record.pretext.metrics if record.pretext is not None else None for record in (first, second)]
    return (first.weights, scores[0]) == (second.weights, scores[1]) and all(
        rows[0][key].metrics == rows[1][key].metrics and rows[0][key].items == rows[1][key].items
        for key in rows[0].keys() & rows[1].keys()
    )


def count_unchecked(found: Verification, record: Record) -> None:
    """Count the numbers that stand alone."""
    for result in record.results:
        bits = {name for name in result.items if name in result.metrics}
        found.unchecked["numbers without the items that they were counted from"] += len(result.metrics.keys() - bits)
    if record.pretext is not None:
        found.unchecked["pretext numbers, which only a rerun could check"] += len(record.pretext.metrics)


def check_pictures(found: Verification, path: Path, record: Record) -> None:
    """Hold every picture that lies beside its record against its name."""
    for picture in pictures_of(record):
        if not (path.parent / f"{picture.png}.png").is_file():
            found.unchecked["pictures that do not lie beside their record"] += 1
            continue
        found.ask("pictures are what their records name", path, picture_answers(path.parent, picture))


def picture_answers(folder: Path, picture: Picture) -> Answers:
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


def numbers_of(record: Record) -> Iterator[tuple[str, Mapping[str, float | None], Callable[[str], Metric]]]:
    """Yield all groups of numbers of a record: what to call them, and what finds what is declared of one."""
    if record.pretext is not None:
        part = objective_metrics(record).pretext_metric
        yield "pretext", record.pretext.metrics, part
        yield "pretext chance", record.pretext.chance, part
        yield "pretext shortcut", record.pretext.shortcut, part
    for result in record.results:
        metric = declared_metrics(record, result.evaluator).metric
        yield result_label(result), result.metrics, metric
        yield f"{result_label(result)} chance", result.chance, metric


def result_label(result: Any, name: str = "") -> str:
    """Return the name of a row, or of one of its numbers."""
    return f"{result.evaluator} on {result.encoder} {name}".rstrip()


FORM = "files are records: schema, canonical form, name is hash"
CHOICES = "options are those of the recipe and of installed parts"
RECOMPUTED = "accuracies recomputed from their items"
RECORD_CHECKS: Mapping[str, Callable[[Record], Answers]] = {
    RECOMPUTED: check_accuracies,
    "shares are shares": check_ranges,
    "chance levels have a score": check_chance_levels,
    "items are of the data": check_items,
    "times and samples add up": check_costs,
    "precision is that of the recipe": check_precision,
}
STORE_CHECKS: Mapping[str, Callable[[Sequence[Filed]], Iterator[tuple[Path, str | None]]]] = {
    "one count of items of one test set": check_item_counts,
    "one content of one data set": check_contents,
    "one result of one cell and seed": check_results,
    "other seeds, other weights and answers": check_twins,
}

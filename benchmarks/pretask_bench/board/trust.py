"""Trust: which records count on a board to which strangers may send any.

What verify faults does not count. Of several records of one cell (the same choices, data and seed) that agree by the
rule of rerun, one counts and the others confirm it; where two diverge, none counts until the board's keeper withdraws
one. One result under several cells counts once. Nothing that a record says of time, of its author or of itself decides,
unless the keeper names the authors who may raise a dispute.

Which of the records that agree counts is no matter of their names, which anybody can grind: it is the median one by
its numbers, the lower of two, so that filing a cell again cannot raise it, and a minority cannot move it at all.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pretask_bench.board.keeper import Keeper
from pretask_bench.records.agreement import Judgment, find_contradiction, judge_number
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record

MAX_PAIRED_RECORDS = 8  # records of a cell of which every pair is compared; of more, each with the median one

Named = Mapping[str, Record]  # records by their hash
Numbers = Sequence[tuple[str, str]]  # evaluator and metric of what ranks


@dataclass(frozen=True)
class Conflict:
    """How a record diverges from another one of its cell.

    Args:
        other: Name of the other record.
        number: Name of the first number in which they diverge.
        own: The number of this record.
        others: The number of the other record.
        rule: The rule of agreement that they break.
    """

    other: str
    number: str
    own: str
    others: str
    rule: str


Conflicts = Mapping[str, Conflict]  # by the hash of a record


@dataclass(frozen=True)
class Verdict:
    """Which record of a cell counts, and which ones confirm or contradict it.

    Args:
        counts: The record that counts; None where they are disputed.
        confirming: Records that agree with it; of a dispute, those that contradict none of its sides.
        conflicts: The conflicts of a dispute, by the record that has them.
        ignored: Conflicts of records that may raise no dispute.
    """

    counts: str | None
    confirming: tuple[str, ...] = ()
    conflicts: Conflicts | None = None
    ignored: Conflicts | None = None


def judge_cell(records: Named, whole: Collection[str], numbers: Numbers, keeper: Keeper) -> Verdict:
    """Decide which record of a cell counts: one of those that lack nothing, where there is one.

    With named authors, only their records and those that they say to have run again can conflict; where they have none
    in this cell nobody's word weighs more, and records that diverge are disputed as they are without names.
    """
    if len(records) == 1:
        return Verdict(next(iter(records)))
    voices = find_voices(records, keeper)
    reference = median_record(records, [name for name in voices if name in whole] or voices, numbers)
    conflicts = find_conflicts(records, voices, reference, numbers)
    others = [name for name in records if name not in voices]
    if conflicts:
        return Verdict(None, tuple(name for name in records if name not in conflicts), conflicts)
    ignored = find_conflicts(records, others, reference, numbers, among=False)
    confirming = tuple(name for name in records if name != reference and name not in ignored)
    return Verdict(reference, confirming, None, ignored)


def find_voices(records: Named, keeper: Keeper) -> list[str]:
    """Return the records of a cell that can conflict: of named authors and what they ran again, else all."""
    named = [name for name, record in records.items() if keeper.trusts(record)]
    doubted = {records[name].reruns for name in named}
    return sorted(name for name in records if name in named or name in doubted) if named else sorted(records)


def median_record(records: Named, names: Sequence[str], numbers: Numbers) -> str:
    """Return the median record by the mean of what ranks, the lower of two; of equal ones the first hash."""
    ordered = sorted(names, key=lambda name: (mean_of(records[name], numbers), name))
    return ordered[(len(ordered) - 1) // 2]


def mean_of(record: Record, numbers: Numbers) -> float:
    """Return the mean of the numbers of the trained encoder that rank."""
    found = [value for value in (number_of(record, *number) for number in numbers) if value is not None]
    return sum(found) / len(found) if found else 0.0


def number_of(record: Record, evaluator: str, metric: str) -> float | None:
    """Return one number of the trained encoder."""
    rows = (result for result in record.results if (result.evaluator, result.encoder) == (evaluator, TRAINED))
    return next((result.metrics.get(metric) for result in rows), None)


def find_conflicts(
    records: Named, names: Sequence[str], reference: str, numbers: Numbers, *, among: bool = True
) -> dict[str, Conflict]:
    """Compare records of a cell with each other, or with the reference where that would be too many pairs.

    Args:
        records: Records by their hash.
        names: Hashes of the records to compare.
        reference: Hash of the record to compare with where there are too many pairs.
        numbers: Evaluators and metrics that rank.
        among: Whether to compare them with each other too, and to say of both that they conflict.
    """
    with_reference = [(reference, name) for name in names if name != reference]
    pairs = list(combinations(names, 2)) if among and len(names) <= MAX_PAIRED_RECORDS else with_reference
    found: dict[str, Conflict] = {}
    for first, second in pairs:
        judged = find_divergence(records[first], records[second], numbers)
        if judged is not None:
            name, before, now, rule = judged.name, judged.before, judged.now, judged.rule
            found.setdefault(second, Conflict(first, name, now, before, rule))
            if among:
                found.setdefault(first, Conflict(second, name, before, now, rule))
    return found


def find_divergence(first: Record, second: Record, numbers: Numbers) -> Judgment | None:
    """Return the first number in which two records of a cell diverge, those that rank first."""
    return first_or_none(judge_ranking(first, second, numbers)) or find_contradiction(first, second)


def judge_ranking(first: Record, second: Record, numbers: Numbers) -> Iterable[Judgment]:
    """Judge what ranks and was not counted from items, which the rule for a row with other items leaves out."""
    for evaluator, metric in numbers:
        values = [number_of(record, evaluator, metric) for record in (first, second)]
        if None not in values and not has_items(first, second, evaluator, metric):
            judged = judge_number(
                f"{evaluator} on {TRAINED} {metric}", declared_metrics(first, evaluator).metric(metric), *values
            )
            if not judged.agrees:
                yield judged


def has_items(first: Record, second: Record, evaluator: str, metric: str) -> bool:
    """Return whether two records both have the items of a number of the trained encoder."""
    return all(
        any(
            metric in result.items
            for result in record.results
            if (result.evaluator, result.encoder) == (evaluator, TRAINED)
        )
        for record in (first, second)
    )


def first_or_none(judged: Iterable[Judgment]) -> Judgment | None:
    """Return the first, if there is one."""
    return next(iter(judged), None)


def find_copies(records: Named, choices: Mapping[str, bytes], keeper: Keeper) -> dict[str, str]:
    """Find results that are filed under several cells, of which one counts.

    Args:
        records: That would count, by hash.
        choices: By hash, what tells entries apart; the seed is another matter.
        keeper: The keeper whose named authors go first.

    Returns:
        By the hash of a record that does not count, the one that does. Weights are declared as well: the same weights
        with numbers that contradict each other are no copy, or anybody could take an entry off the board by its hash.
    """
    found: dict[str, str] = {}
    leaders: dict[Hashable, str] = {}
    for name in order_records(records, choices, keeper):
        keys = contents_of(records[name])
        held = [leaders[key] for key in keys if key in leaders]
        one = [leader for leader in held if same_result(records[leader], records[name])]
        cell = choices[name], records[name].cell.seed
        other = [leader for leader in one if (choices[leader], records[leader].cell.seed) != cell]
        if other:
            found[name] = other[0]
        else:
            for key in keys:
                leaders.setdefault(key, name)
    return found


def same_result(first: Record, second: Record) -> bool:
    """Return whether two records that have weights or numbers in common have one result."""
    if rows_of(first) != rows_of(second):
        return find_contradiction(first, second) is None  # the weights are the same, and are only declared
    losses = [pretext_of(first), pretext_of(second)]
    return None in losses or losses[0] == losses[1]


def order_records(records: Named, choices: Mapping[str, bytes], keeper: Keeper) -> list[str]:
    """Order records by who goes first where they tell the same: named authors, then whole entries by their least hash.

    Entries go as wholes, or two of them that share three seeds would take these from each other.
    """
    least: dict[bytes, tuple[bool, str]] = {}
    for name in sorted(records):
        place = (not keeper.trusts(records[name]), name)
        least[choices[name]] = min(least.get(choices[name], place), place)

    def place_of(name: str) -> tuple[Any, ...]:
        bare = pretext_of(records[name]) is None  # what tells less never goes before what tells more
        return bare, least[choices[name]], records[name].cell.seed, name

    return sorted(records, key=place_of)


def contents_of(record: Record) -> list[Hashable]:
    """Return what a record may have in common with one of another cell: numbers with or without losses, weights.

    Encoders that collapsed, or that answer everything rightly, give the same items; their losses tell them apart.
    """
    rows, losses = rows_of(record), pretext_of(record)
    found: list[Hashable] = [record.weights] if record.weights is not None else []
    if rows:
        found += [(rows, losses), rows] if losses is not None else [rows]
    return found


def rows_of(record: Record) -> tuple[Hashable, ...]:
    """Return all numbers and items of the trained encoder."""
    return tuple(
        sorted(
            (
                result.evaluator,
                *sorted(result.metrics.items()),
                *sorted((name, items.bits) for name, items in result.items.items()),
            )
            for result in record.results
            if result.encoder == TRAINED
        )
    )


def pretext_of(record: Record) -> Hashable | None:
    """Return all numbers of the pretext task; None where there are none."""
    return tuple(sorted(record.pretext.metrics.items())) or None if record.pretext is not None else None

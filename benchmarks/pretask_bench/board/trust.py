"""Trust: which records count on a board to which strangers may send any.

What verify faults does not count. Of several records of one cell (the same choices, data and seed) that agree by the
rule of rerun, one counts and the others confirm it; where two diverge, none counts until the board's keeper withdraws
one. One result under several cells counts once. Nothing that a record says of time, of its author or of itself decides,
unless the keeper names the authors who may raise a dispute.

Which of the records that agree counts says records/median.py.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pretask_bench.board.keeper import Keeper
from pretask_bench.records.agreement import Judgment, find_contradiction, judge_number
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.median import RankingMetrics, median_record, metric_value
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record

MAX_PAIRED_RECORDS = 8  # records of a cell of which every pair is compared; of more, each with the median one

RecordsByHash = Mapping[str, Record]


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


def judge_cell(
    records: RecordsByHash, complete: Collection[str], ranking_metrics: RankingMetrics, keeper: Keeper
) -> Verdict:
    """Decide which record of a cell counts: one of those that lack nothing, where there is one.

    With named authors, only their records and those that they say to have run again can conflict; where they have none
    in this cell nobody's word weighs more, and records that diverge are disputed as they are without names.
    """
    if len(records) == 1:
        return Verdict(next(iter(records)))
    disputing = find_disputing_records(records, keeper)
    candidates = [name for name in disputing if name in complete] or disputing
    reference = median_record(records, candidates, ranking_metrics)
    conflicts = find_conflicts(records, disputing, reference, ranking_metrics)
    if conflicts:
        return Verdict(None, tuple(name for name in records if name not in conflicts), conflicts)
    others = [name for name in records if name not in disputing]
    ignored = find_conflicts(records, others, reference, ranking_metrics, mutual=False)
    confirming = tuple(name for name in records if name != reference and name not in ignored)
    return Verdict(reference, confirming, None, ignored)


def find_disputing_records(records: RecordsByHash, keeper: Keeper) -> list[str]:
    """Return the records of a cell that can conflict: of named authors and what they ran again, else all."""
    by_trusted = [name for name, record in records.items() if keeper.trusts(record)]
    if not by_trusted:
        return sorted(records)
    rerun_by_trusted = {records[name].reruns for name in by_trusted}
    return sorted(name for name in records if name in by_trusted or name in rerun_by_trusted)


def find_conflicts(
    records: RecordsByHash,
    names: Sequence[str],
    reference: str,
    ranking_metrics: RankingMetrics,
    *,
    mutual: bool = True,
) -> dict[str, Conflict]:
    """Compare records of a cell with each other, or with the reference where that would be too many pairs.

    Args:
        records: Records by their hash.
        names: Hashes of the records to compare.
        reference: Hash of the record to compare with where there are too many pairs.
        ranking_metrics: Evaluators and metrics that rank.
        mutual: Whether to compare them with each other too, and to report a conflict for both.
    """
    with_reference = [(reference, name) for name in names if name != reference]
    pairs = list(combinations(names, 2)) if mutual and len(names) <= MAX_PAIRED_RECORDS else with_reference
    conflicts: dict[str, Conflict] = {}
    for first, second in pairs:
        divergence = find_divergence(records[first], records[second], ranking_metrics)
        if divergence is not None:
            name, of_first, of_second, rule = divergence.name, divergence.before, divergence.now, divergence.rule
            conflicts.setdefault(second, Conflict(first, name, of_second, of_first, rule))
            if mutual:
                conflicts.setdefault(first, Conflict(second, name, of_first, of_second, rule))
    return conflicts


def find_divergence(first: Record, second: Record, ranking_metrics: RankingMetrics) -> Judgment | None:
    """Return the first number in which two records of a cell diverge, those that rank first."""
    divergent = find_ranking_divergences(first, second, ranking_metrics)
    return next(divergent, None) or find_contradiction(first, second)


def find_ranking_divergences(first: Record, second: Record, ranking_metrics: RankingMetrics) -> Iterator[Judgment]:
    """Yield the ranking metrics in which two records diverge, of those that are no fraction of correct items.

    The rule of agreement judges rows with items by their items alone.
    """
    for evaluator, metric in ranking_metrics:
        values = [metric_value(record, evaluator, metric) for record in (first, second)]
        if None in values or has_items(first, second, evaluator, metric):
            continue
        declared = declared_metrics(first, evaluator).metric(metric)
        judgment = judge_number(f"{evaluator} on {TRAINED} {metric}", declared, *values)
        if not judgment.agrees:
            yield judgment


def has_items(first: Record, second: Record, evaluator: str, metric: str) -> bool:
    """Return whether two records both have the items of a number of the trained encoder."""
    results = [record.find_result(evaluator, TRAINED) for record in (first, second)]
    return all(result is not None and metric in result.items for result in results)


def find_duplicate_results(
    records: RecordsByHash, choices: Mapping[str, bytes], trainings: Mapping[str, bytes], keeper: Keeper
) -> dict[str, str]:
    """Find results that are filed under several cells, of which one counts.

    One network that was measured on several data sets has several results, each with numbers of its own.

    Args:
        records: That would count, by hash.
        choices: By hash, what tells entries apart; the seed is another matter.
        trainings: By hash the part of it that was there before anything was measured.
        keeper: The keeper whose named authors go first.

    Returns:
        By the hash of a record that does not count, the one that does. Weights are declared as well: the same weights
        with numbers that contradict each other are no copy, or anybody could take an entry off the board by its hash.
    """
    copies: dict[str, str] = {}
    originals: dict[Hashable, str] = {}  # the first record with a key
    for name in order_records(records, choices, keeper):
        keys = result_keys(records[name])
        candidates = [originals[key] for key in keys if key in originals]
        same = [original for original in candidates if same_result(records[original], records[name])]
        of_other_cells = [
            original
            for original in same
            if is_elsewhere(original, name, records, choices)
            and not is_other_measure(original, name, records, trainings)
        ]
        if of_other_cells:
            copies[name] = of_other_cells[0]
        else:
            for key in keys:
                originals.setdefault(key, name)
    return copies


def is_elsewhere(first: str, second: str, records: RecordsByHash, choices: Mapping[str, bytes]) -> bool:
    """Return whether two records are of different choices or seeds."""
    return (choices[first], records[first].cell.seed) != (choices[second], records[second].cell.seed)


def is_other_measure(first: str, second: str, records: RecordsByHash, trainings: Mapping[str, bytes]) -> bool:
    """Return whether two records are of one training that was measured twice, with numbers of its own each time."""
    differ = trained_results(records[first]) != trained_results(records[second])
    return differ and not is_elsewhere(first, second, records, trainings)


def same_result(first: Record, second: Record) -> bool:
    """Return whether two records that have weights or numbers in common have one result."""
    if trained_results(first) != trained_results(second):
        return find_contradiction(first, second) is None  # the weights are the same, and are only declared
    losses = [pretext_numbers(first), pretext_numbers(second)]
    return None in losses or losses[0] == losses[1]


def order_records(records: RecordsByHash, choices: Mapping[str, bytes], keeper: Keeper) -> list[str]:
    """Order records of one result by which is the original: of named authors, then whole entries by their least hash.

    Entries go as wholes, or two of them that share three seeds would take these from each other.
    """
    entry_order: dict[bytes, tuple[bool, str]] = {}
    for name in sorted(records):
        record_order = (not keeper.trusts(records[name]), name)
        entry_order[choices[name]] = min(entry_order.get(choices[name], record_order), record_order)

    def order(name: str) -> tuple[Any, ...]:
        has_no_pretext = pretext_numbers(records[name]) is None  # a record with less never goes before one with more
        return has_no_pretext, entry_order[choices[name]], records[name].cell.seed, name

    return sorted(records, key=order)


def result_keys(record: Record) -> list[Hashable]:
    """Return what a record may have in common with one of another cell: numbers with or without losses, weights.

    Encoders that collapsed, or that answer everything correctly, give the same items; their losses differ.
    """
    results, losses = trained_results(record), pretext_numbers(record)
    keys: list[Hashable] = [record.weights] if record.weights is not None else []
    if results:
        keys += [(results, losses), results] if losses is not None else [results]
    return keys


def trained_results(record: Record) -> tuple[Hashable, ...]:
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


def pretext_numbers(record: Record) -> Hashable | None:
    """Return all numbers of the pretext task; None where there are none."""
    return tuple(sorted(record.pretext.metrics.items())) or None if record.pretext is not None else None

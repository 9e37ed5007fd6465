"""Compare: whether one encoder is better than another, item by item and seed by seed.

Records of one test set share its items, so their answers are compared in pairs: McNemar's exact test and the interval
of Agresti and Min. Where two or more seeds are shared, seeds and items decide together, since a row of items says
nothing about what another seed would have brought, and seeds that agree by luck nothing about other items: the
difference must exceed what seeds, what items, and what both together bring about by chance (two_levels.py). Without
items the paired t test over seeds decides, and seeds whose differences are all equal say nothing. Among several pairs,
Holm's correction keeps the chance of a single false alarm at 5 %.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from pretask import Metric, PretaskError, Unknown

from pretask_bench.records.cell import DataPart
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.ids import matches_name, short_name
from pretask_bench.records.measured import Items
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.results.groups import Group, group_records, run_title
from pretask_bench.results.references import values_by_metric
from pretask_bench.results.statistics import (
    Estimate,
    difference_over_items,
    differences_by_seed,
    holm_correction,
    mcnemar_test,
    paired_correctness,
    paired_difference,
    paired_t_test,
)
from pretask_bench.results.two_levels import difference_over_seeds_and_items

SIGNIFICANCE_LEVEL = 0.05
ROUNDING = 1e-6


@dataclass(frozen=True)
class ComparedCell:
    """What is compared: the records of one cell, by seed.

    Args:
        letter: Its letter in tables.
        name: Task or parts.
        place: Folder or file of its records.
        group: The records, one per seed.
    """

    letter: str
    name: str
    place: str
    group: Group

    @property
    def seeds(self) -> dict[int, Record]:
        """The records by seed."""
        return {record.cell.seed: record for record in self.group}

    @property
    def data(self) -> DataPart:
        """The data that it was measured on."""
        cell = self.group[0].cell
        return cell.evaluated_on or cell.data


@dataclass(frozen=True)
class Comparison:
    """One pair, compared over items or over seeds.

    Args:
        first: Letter of the one.
        second: Letter of the other.
        over: What was paired, in words.
        decides: Whether this is what the verdict on the pair rests on.
        estimate: First minus second, with its 95 % interval where there is one.
        p_value: Two-sided, where there is one.
        corrected_p_value: The same after Holm's correction; only of what decides.
        verdict: The verdict, in words.
    """

    first: str
    second: str
    over: str
    decides: bool
    estimate: Estimate
    p_value: float | None
    corrected_p_value: float | None = None
    verdict: str = ""


def read_compared_cells(places: Sequence[Path], evaluator: str | None = None) -> list[ComparedCell]:
    """Read the cells whose records lie in some places, one or several in each.

    Args:
        places: Files and folders.
        evaluator: Where one is named, cells that it did not measure are left out.

    Raises:
        PretaskError: A place holds no complete record, or there are fewer than two things to compare.
    """
    groups = [(str(place), group) for place in places for group in read_groups(place, evaluator)]
    if len(groups) < 2:
        raise PretaskError("compare", "two or more to compare", str(len(groups)), "Name another file or folder.")
    return [
        ComparedCell(letter(number), run_title(group[0]), place, group) for number, (place, group) in enumerate(groups)
    ]


def read_groups(place: Path, evaluator: str | None) -> list[Group]:
    """Read the cells of one place that an evaluator measured; raises PretaskError where there are none."""
    records, refused = read_all([place])
    groups = [group for group in group_records(records) if evaluator is None or is_measured_by(group, evaluator)]
    if not groups:
        needs = "a complete record" + (f" with the evaluator {evaluator}" if evaluator is not None else "")
        reason = refused[0][1] if refused else "none"
        raise PretaskError(f"compare {place}", needs, reason, "Name files or folders of records.")
    return groups


def is_measured_by(group: Group, evaluator: str) -> bool:
    """Return whether an evaluator measured the trained encoder."""
    return any(matches_name(name, evaluator) for name in list_evaluators(group))


def list_evaluators(group: Group) -> dict[str, None]:
    """Return the full ids of the evaluators that measured a trained encoder, in their order."""
    return dict.fromkeys(result.evaluator for record in group for result in record.results if result.encoder == TRAINED)


def letter(number: int) -> str:
    """Return the letter of a compared cell: A, B, … Z, A1, B1, …

    >>> letter(1), letter(26)
    ('B', 'A1')
    """
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26] + (str(number // 26) if number >= 26 else "")


def compare(cells: Sequence[ComparedCell], evaluator: str | None = None, metric: str | None = None) -> list[Comparison]:
    """Compare every pair of cells, by the seeds and items that they share.

    Args:
        cells: Two or more.
        evaluator: Evaluator of the metric; the first that all have where None.
        metric: Metric to compare; the evaluator's headline where None.

    Raises:
        Unknown: They have no such evaluator or metric in common.
        PretaskError: They were not measured on the same test items, or share no seed where items cannot be compared.
    """
    evaluator = common_evaluator(cells, evaluator)
    metric = common_metric(cells, evaluator, metric)
    comparisons = [row for pair in combinations(cells, 2) for row in compare_pair(*pair, evaluator, metric)]
    return add_verdicts(comparisons, declared_metrics(cells[0].group[0], evaluator).metric(metric))


def common_evaluator(cells: Sequence[ComparedCell], wanted: str | None) -> str:
    """Return the evaluator that measured all cells, as its full id."""
    first, *others = (list_evaluators(cell.group) for cell in cells)
    common = [evaluator for evaluator in first if all(evaluator in other for other in others)]
    matching = [evaluator for evaluator in common if wanted is None or matches_name(evaluator, wanted)]
    if not matching:
        named = f" '{wanted}'" if wanted is not None else ""
        raise Unknown(f"compare needs an evaluator{named} that all have; all have: {list_names(common)}.")
    return matching[0]


def common_metric(cells: Sequence[ComparedCell], evaluator: str, wanted: str | None) -> str:
    """Return the metric that all cells have: the wanted one, else the evaluator's headline."""
    first, *others = (values_by_metric(cell.group, evaluator, TRAINED) for cell in cells)
    common = {name: None for name in first if all(name in other for other in others)}
    if not common or (wanted is not None and wanted not in common):
        named = f" '{wanted}'" if wanted is not None else ""
        raise Unknown(f"compare needs a number{named} that all have; all have: {list_names([*common])}.")
    if wanted is not None:
        return wanted
    return declared_metrics(cells[0].group[0], evaluator).choose_headline(common) or next(iter(common))


def list_names(names: Sequence[str]) -> str:
    """Return names with commas, at most twelve."""
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "") if names else "none"


def compare_pair(first: ComparedCell, second: ComparedCell, evaluator: str, metric: str) -> list[Comparison]:
    """Compare one pair: over seeds where two or more are shared, and over items wherever both have them."""
    check_same_test(first, second)
    seeds = sorted(first.seeds.keys() & second.seeds.keys())
    if len(first.group) == len(second.group) == 1:  # then the items are paired, whatever the seeds
        pairs = [(first.group[0], second.group[0])]
    else:
        pairs = [(first.seeds[seed], second.seeds[seed]) for seed in seeds]
    over_items = [
        comparison
        for pair in pairs
        if (comparison := compare_items(first, second, *pair, evaluator, metric, decides=len(seeds) < 2)) is not None
    ]
    if over_items and len(seeds) < 2:
        return over_items
    return [compare_seeds(first, second, evaluator, metric), *over_items]


def check_same_test(first: ComparedCell, second: ComparedCell) -> None:
    """Raise PretaskError where two were measured on other data."""
    fingerprints = [cell.data.fingerprints.get("test", "") for cell in (first, second)]
    if fingerprints[0] != fingerprints[1]:
        raise PretaskError(
            f"compare {first.letter} {second.letter}",
            f"the same test items ({first.data.id}, {fingerprints[0][:12]})",
            f"{second.data.id}, {fingerprints[1][:12]}",
            "Compare records that were measured on one test set.",
        )


def compare_items(
    first: ComparedCell,
    second: ComparedCell,
    first_record: Record,
    second_record: Record,
    evaluator: str,
    metric: str,
    *,
    decides: bool,
) -> Comparison | None:
    """Compare two records on the same items; return None where their metric is no fraction of correct items."""
    items = [items_of_metric(record, evaluator, metric) for record in (first_record, second_record)]
    if items[0] is None or items[1] is None:
        return None
    correct = paired_correctness(items[0], items[1])
    seeds = (first_record.cell.seed, second_record.cell.seed)
    seed_text = f"seed {seeds[0]}" if seeds[0] == seeds[1] else f"seeds {seeds[0]} and {seeds[1]}"
    over = f"{items[0].count:,} items, {seed_text}"
    estimate, p_value = difference_over_items(*correct), mcnemar_test(*correct).p_value
    return Comparison(first.letter, second.letter, over, decides, estimate, p_value)


def items_of_metric(record: Record, evaluator: str, metric: str) -> Items | None:
    """Return which items are correct, of which a metric is the fraction; None where it is no such fraction."""
    result = record.find_result(evaluator, TRAINED)
    if result is None:
        return None
    items, value = result.items.get(metric), result.metrics.get(metric)
    if items is None or value is None or abs(float(items.correct().mean()) - value) > ROUNDING:
        return None
    return items


def compare_seeds(first: ComparedCell, second: ComparedCell, evaluator: str, metric: str) -> Comparison:
    """Compare two cells over the seeds that both have, and over their items where these are known."""
    first_values, second_values = (values_by_metric(cell.group, evaluator, TRAINED)[metric] for cell in (first, second))
    seeds = sorted(first_values.keys() & second_values.keys())
    item_differences = differences_by_item(first, second, seeds, evaluator, metric) if len(seeds) > 1 else None
    if item_differences is None:
        estimate = paired_difference(first_values, second_values)
        p_value = paired_t_test(first_values, second_values)
    else:
        seed_differences = differences_by_seed(first_values, second_values, seeds)
        estimate, p_value = difference_over_seeds_and_items(seed_differences, item_differences)
    over = f"{estimate.count} seed{'s' if estimate.count > 1 else ''}"
    over += f" and {item_differences.shape[1]:,} items" if item_differences is not None else ""
    return Comparison(first.letter, second.letter, over, True, estimate, p_value)


def differences_by_item(
    first: ComparedCell, second: ComparedCell, seeds: Sequence[int], evaluator: str, metric: str
) -> Int[np.ndarray, "S N"] | None:
    """Return by seed and item 1 where only the first is correct, -1 where only the second; None where one has none."""
    rows = []
    for seed in seeds:
        items = [items_of_metric(cell.seeds[seed], evaluator, metric) for cell in (first, second)]
        if items[0] is None or items[1] is None:
            return None
        first_correct, second_correct = paired_correctness(items[0], items[1])
        rows.append(first_correct.astype(np.int64) - second_correct.astype(np.int64))
    return np.stack(rows) if len({len(row) for row in rows}) == 1 else None


def add_verdicts(comparisons: Sequence[Comparison], metric: Metric) -> list[Comparison]:
    """Return the comparisons with Holm's correction over all that decide, and a verdict on every one of these."""
    tested = [row for row in comparisons if row.decides and row.p_value is not None]
    corrected = holm_correction([row.p_value or 0.0 for row in tested])
    corrected_by_row = dict(zip(map(id, tested), corrected, strict=True))
    return [add_verdict(row, corrected_by_row.get(id(row)), metric) if row.decides else row for row in comparisons]


def add_verdict(row: Comparison, corrected_p_value: float | None, metric: Metric) -> Comparison:
    """Return the comparison with its corrected p-value and its verdict."""
    verdict = describe_verdict(row, corrected_p_value, metric)
    return replace(row, corrected_p_value=corrected_p_value, verdict=verdict)


def describe_verdict(row: Comparison, p_value: float | None, metric: Metric) -> str:
    """Return the verdict on a comparison, in words.

    >>> row = Comparison("A", "B", "", True, Estimate(0.1, 0.05, 0.15, 9), 0.001)
    >>> describe_verdict(row, 0.001, Metric("fraction", True))
    'A is better'
    """
    if p_value is None:
        return "one seed and no items: nothing can be said"
    if row.estimate.high is not None and math.isinf(row.estimate.high):
        return "all seeds differ by the same, and no items: nothing can be said"
    if p_value >= SIGNIFICANCE_LEVEL:
        return "no difference found"
    higher, lower = (row.first, row.second) if row.estimate.value > 0 else (row.second, row.first)
    if metric.higher_is_better is None:
        return f"{higher} is higher"
    return f"{higher if metric.higher_is_better else lower} is better"


def comparison_json(row: Comparison) -> Mapping[str, Any]:
    """Return a comparison as JSON holds it."""
    return {
        "first": row.first,
        "second": row.second,
        "over": row.over,
        "decides": row.decides,
        "difference": row.estimate.value,
        "low": finite_or_none(row.estimate.low),
        "high": finite_or_none(row.estimate.high),
        "p": row.p_value,
        "p after Holm": row.corrected_p_value,
        "verdict": row.verdict,
    }


def finite_or_none(end: float | None) -> float | None:
    """Return the end of an interval, None where it has none: JSON has no infinity."""
    return end if end is not None and math.isfinite(end) else None


def legend(cells: Sequence[ComparedCell]) -> list[tuple[str, ...]]:
    """Return what every letter stands for: letter, name, data, seeds, place."""
    return [
        (
            cell.letter,
            cell.name,
            short_name(cell.group[0].cell.data.id),
            ",".join(map(str, sorted(cell.seeds))),
            cell.place,
        )
        for cell in cells
    ]

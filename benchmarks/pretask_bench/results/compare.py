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

from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.metrics import declared_by
from pretask_bench.records.record import Items, Record, Row
from pretask_bench.records.store import read_all
from pretask_bench.results.groups import Group, group_records, matches_name, short, title
from pretask_bench.results.references import values_by_metric
from pretask_bench.results.statistics import (
    Estimate,
    difference_over_items,
    differences_by_seed,
    holm_correction,
    mcnemar_test,
    paired_difference,
    paired_items,
    paired_probability,
)
from pretask_bench.results.two_levels import difference_over_both

LEVEL = 0.05
ROUNDING = 1e-6


@dataclass(frozen=True)
class Entrant:
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


@dataclass(frozen=True)
class Comparison:
    """One pair, by items or by seeds.

    Args:
        first: Letter of the one.
        second: Letter of the other.
        over: What was paired, in words.
        decides: Whether this is what the verdict on the pair rests on.
        estimate: First minus second, with its 95 % interval where there is one.
        probability: Two-sided p-value, where there is one.
        corrected: The same after Holm's correction; only of what decides.
        verdict: The verdict, in words.
    """

    first: str
    second: str
    over: str
    decides: bool
    estimate: Estimate
    probability: float | None
    corrected: float | None = None
    verdict: str = ""


def read_entrants(places: Sequence[Path], evaluator: str | None = None) -> list[Entrant]:
    """Read what the places hold: of every place the records of one cell, or of several cells.

    Args:
        places: Files and folders.
        evaluator: Where one is named, cells that it did not measure are left out.

    Raises:
        PretaskError: A place holds no complete record, or there are fewer than two things to compare.
    """
    found: list[tuple[str, str, Group]] = []
    for place in places:
        records, refused = read_all([place])
        groups = [group for group in group_records(records) if evaluator is None or is_measured_by(group, evaluator)]
        if not groups:
            needs = "a complete record" + (f" with the evaluator {evaluator}" if evaluator is not None else "")
            reason = refused[0][1] if refused else "none"
            raise PretaskError(f"compare {place}", needs, reason, "Name files or folders of records.")
        found += [(title(group[0]), str(place), group) for group in groups]
    if len(found) < 2:
        raise PretaskError("compare", "two or more to compare", str(len(found)), "Name another file or folder.")
    return [Entrant(letter(number), *facts) for number, facts in enumerate(found)]


def is_measured_by(group: Group, evaluator: str) -> bool:
    """Return whether an evaluator measured the trained encoder."""
    return any(matches_name(row.evaluator, evaluator) for record in group for row in trained_rows(record))


def letter(number: int) -> str:
    """Return the letter of an entrant: A, B, … Z, A1, B1, …

    >>> letter(1), letter(26)
    ('B', 'A1')
    """
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26] + (str(number // 26) if number >= 26 else "")


def compare(found: Sequence[Entrant], evaluator: str | None = None, metric: str | None = None) -> list[Comparison]:
    """Compare every pair of entrants, by the seeds and items that they share.

    Args:
        found: Two entrants or more.
        evaluator: Evaluator of the metric; the first that all have where None.
        metric: Metric to compare; the evaluator's headline where None.

    Raises:
        Unknown: They have no such evaluator or metric in common.
        PretaskError: They were not measured on the same test items, or share no seed where items cannot be compared.
    """
    evaluator = common_evaluator(found, evaluator)
    metric = common_metric(found, evaluator, metric)
    rows = [row for pair in combinations(found, 2) for row in compare_pair(*pair, evaluator, metric)]
    return decide(rows, declared_by(found[0].group[0], evaluator).metric(metric))


def common_evaluator(found: Sequence[Entrant], wanted: str | None) -> str:
    """Return the evaluator that all entrants have, as its full id."""
    every = [
        dict.fromkeys(row.evaluator for record in entrant.group for row in trained_rows(record)) for entrant in found
    ]
    common = [evaluator for evaluator in every[0] if all(evaluator in others for others in every)]
    meant = [evaluator for evaluator in common if wanted is None or matches_name(evaluator, wanted)]
    if not meant:
        named = f" '{wanted}'" if wanted is not None else ""
        raise Unknown(f"compare needs an evaluator{named} that all have; all have: {list_names(common)}.")
    return meant[0]


def common_metric(found: Sequence[Entrant], evaluator: str, wanted: str | None) -> str:
    """Return the metric that all entrants have."""
    every = [values_by_metric(entrant.group, evaluator, TRAINED) for entrant in found]
    common = {name: None for name in every[0] if all(name in others for others in every)}
    if not common or (wanted is not None and wanted not in common):
        named = f" '{wanted}'" if wanted is not None else ""
        raise Unknown(f"compare needs a number{named} that all have; all have: {list_names([*common])}.")
    if wanted is not None:
        return wanted
    return declared_by(found[0].group[0], evaluator).choose_headline(common) or next(iter(common))


def list_names(names: Sequence[str]) -> str:
    """Return names with commas, at most twelve."""
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "") if names else "none"


def compare_pair(first: Entrant, second: Entrant, evaluator: str, metric: str) -> list[Comparison]:
    """Compare one pair: over seeds where two or more are shared, and over items wherever both have them."""
    check_same_test(first, second)
    shared = sorted(first.seeds.keys() & second.seeds.keys())
    alone = len(first.group) == len(second.group) == 1  # then the items are paired, whatever the seeds
    pairs = (
        [(first.group[0], second.group[0])] if alone else [(first.seeds[seed], second.seeds[seed]) for seed in shared]
    )
    rows = [compare_items(first, second, *pair, evaluator, metric, decides=len(shared) < 2) for pair in pairs]
    known = [row for row in rows if row is not None]
    return known if known and len(shared) < 2 else [compare_seeds(first, second, evaluator, metric), *known]


def check_same_test(first: Entrant, second: Entrant) -> None:
    """Raise PretaskError where two were measured on other data."""
    tests = [entrant.group[0].cell.evaluated_on or entrant.group[0].cell.data for entrant in (first, second)]
    prints = [data.fingerprints.get("test", "") for data in tests]
    if prints[0] != prints[1]:
        raise PretaskError(
            f"compare {first.letter} {second.letter}",
            f"the same test items ({tests[0].id}, {prints[0][:12]})",
            f"{tests[1].id}, {prints[1][:12]}",
            "Compare records that were measured on one test set.",
        )


def compare_items(
    first: Entrant, second: Entrant, one: Record, other: Record, evaluator: str, metric: str, *, decides: bool
) -> Comparison | None:
    """Compare two records on the same items; return None where their number is not counted from items."""
    items = [items_of(record, evaluator, metric) for record in (one, other)]
    if items[0] is None or items[1] is None:
        return None
    answers = paired_items(items[0], items[1])
    seeds = (one.cell.seed, other.cell.seed)
    seed = f"seed {seeds[0]}" if seeds[0] == seeds[1] else f"seeds {seeds[0]} and {seeds[1]}"
    over = f"{items[0].count:,} items, {seed}"
    estimate, probability = difference_over_items(*answers), mcnemar_test(*answers).probability
    return Comparison(first.letter, second.letter, over, decides, estimate, probability)


def items_of(record: Record, evaluator: str, metric: str) -> Items | None:
    """Return the items that a metric was counted from; None where there are none, or they give another value."""
    row = next((row for row in trained_rows(record) if row.evaluator == evaluator), None)
    items, value = (row.items.get(metric), row.metrics.get(metric)) if row is not None else (None, None)
    if items is None or value is None or abs(float(items.correct().mean()) - value) > ROUNDING:
        return None
    return items


def trained_rows(record: Record) -> list[Row]:
    """Return the rows of the trained encoder."""
    return [row for row in record.results if row.encoder == TRAINED]


def compare_seeds(first: Entrant, second: Entrant, evaluator: str, metric: str) -> Comparison:
    """Compare two cells over the seeds that both have, and over their items where these are known."""
    values = [values_by_metric(entrant.group, evaluator, TRAINED)[metric] for entrant in (first, second)]
    shared = sorted(values[0].keys() & values[1].keys())
    items = differences_of_items(first, second, shared, evaluator, metric) if len(shared) > 1 else None
    if items is None:
        estimate, probability = paired_difference(values[0], values[1]), paired_probability(values[0], values[1])
    else:
        differences = differences_by_seed(values[0], values[1], shared)
        estimate, probability = difference_over_both(differences, items)
    over = f"{estimate.count} seed{'s' if estimate.count > 1 else ''}"
    over += f" and {items.shape[1]:,} items" if items is not None else ""
    return Comparison(first.letter, second.letter, over, True, estimate, probability)


def differences_of_items(
    first: Entrant, second: Entrant, seeds: Sequence[int], evaluator: str, metric: str
) -> Int[np.ndarray, "S N"] | None:
    """Return by seed and item 1 where only the first is correct, -1 where only the second; None where one has none."""
    rows = []
    for seed in seeds:
        items = [items_of(entrant.seeds[seed], evaluator, metric) for entrant in (first, second)]
        if items[0] is None or items[1] is None:
            return None
        rows.append(np.subtract(*(correct.astype(np.int64) for correct in paired_items(items[0], items[1]))))
    return np.stack(rows) if len({len(row) for row in rows}) == 1 else None


def decide(rows: Sequence[Comparison], metric: Metric) -> list[Comparison]:
    """Return the comparisons with Holm's correction over all that decide, and a verdict on every one of these."""
    deciding = [row for row in rows if row.decides and row.probability is not None]
    corrected = dict(zip(map(id, deciding), holm_correction([row.probability or 0.0 for row in deciding]), strict=True))
    return [
        replace(row, corrected=corrected.get(id(row)), verdict=describe_verdict(row, corrected.get(id(row)), metric))
        if row.decides
        else row
        for row in rows
    ]


def describe_verdict(row: Comparison, probability: float | None, metric: Metric) -> str:
    """Return the verdict on a comparison, in words.

    >>> row = Comparison("A", "B", "", True, Estimate(0.1, 0.05, 0.15, 9), 0.001)
    >>> describe_verdict(row, 0.001, Metric("fraction", True))
    'A is better'
    """
    if probability is None:
        return "one seed and no items: nothing can be said"
    if row.estimate.high is not None and math.isinf(row.estimate.high):
        return "all seeds differ by the same, and no items: nothing can be said"
    if probability >= LEVEL:
        return "no difference found"
    higher, lower = (row.first, row.second) if row.estimate.value > 0 else (row.second, row.first)
    if metric.higher_is_better is None:
        return f"{higher} is higher"
    return f"{higher if metric.higher_is_better else lower} is better"


def as_facts(row: Comparison) -> Mapping[str, Any]:
    """Return a comparison as JSON holds it."""
    return {
        **{name: getattr(row, name) for name in ("first", "second", "over", "decides")},
        "difference": row.estimate.value,
        "low": finite_or_none(row.estimate.low),
        "high": finite_or_none(row.estimate.high),
        "p": row.probability,
        "p after Holm": row.corrected,
        "verdict": row.verdict,
    }


def finite_or_none(end: float | None) -> float | None:
    """Return the end of an interval, None where it has none: JSON has no infinity."""
    return end if end is not None and math.isfinite(end) else None


def legend(found: Sequence[Entrant]) -> list[tuple[str, ...]]:
    """Return what every letter stands for: letter, name, data, seeds, place."""
    return [
        (
            entrant.letter,
            entrant.name,
            short(entrant.group[0].cell.data.id),
            ",".join(map(str, sorted(entrant.seeds))),
            entrant.place,
        )
        for entrant in found
    ]

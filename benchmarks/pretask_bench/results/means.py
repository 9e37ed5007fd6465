"""Means: what each combination of a sweep's choices reaches over seeds, trained and with random weights."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pretask_bench.records.cell import describe_held_out
from pretask_bench.records.encoders import RANDOM, TRAINED
from pretask_bench.records.ids import short_name
from pretask_bench.records.record import Record
from pretask_bench.results.ablation import Ablation, format_level, order_of, read_levels
from pretask_bench.results.ablation_tables import TIMES, measure_title
from pretask_bench.results.compare import finite_or_none
from pretask_bench.results.query import Table
from pretask_bench.results.report import describe_data, format_difference, format_difference_interval, format_estimate
from pretask_bench.results.statistics import Estimate, mean_over_seeds, paired_difference

COLUMNS = ("measure", "choices", "trained", "random weights", "difference", "95 % interval", "seeds")
DATA = "data"  # the name of the level that is the data


@dataclass(frozen=True)
class Mean:
    """A number of one combination over seeds.

    Args:
        levels: By factor, data and options of the evaluator, of those that tell it from the other combinations.
        data: What was learned from and measured on.
        trained: The number of the trained encoder.
        random: That of the same network with random weights; None where none was measured.
        gain: Their difference, paired by seed.
    """

    levels: Mapping[str, str]
    data: str
    trained: Estimate
    random: Estimate | None
    gain: Estimate | None

    def name(self, without: str = "") -> str:
        """Return the levels as a text, those of one factor left out."""
        return TIMES.join(level for factor, level in self.levels.items() if factor != without)


def collect_means(records: Iterable[Record], ablation: Ablation, metric: str = "") -> list[Mean]:
    """Return the means of all combinations of an analysis, in the order of their levels.

    Args:
        records: All that may have the number.
        ablation: Whose evaluator and factors count; other data and other options of the evaluator are other
            combinations.
        metric: The number; that of the analysis where none is named.
    """
    name, found = metric or ablation.metric_name, dict[tuple[tuple[str, str], ...], list[Record]]()
    for record in records:
        if record.status == "complete" and read_value(record, ablation.evaluator, TRAINED, name) is not None:
            found.setdefault(tuple(list_levels(record, ablation).items()), []).append(record)
    combinations = {levels: dict(levels) for levels in found}
    telling = find_telling([*combinations.values()], [*dict.fromkeys(name for levels in found for name, _ in levels)])
    return [
        make_mean({name: level for name, level in levels if name in telling}, found[levels], ablation.evaluator, name)
        for levels in sorted(found, key=lambda levels: [order_of(level) for _, level in levels])
    ]


def list_levels(record: Record, ablation: Ablation) -> dict[str, str]:
    """Return the levels of a record's factors, then its data, and the options of these and of the evaluator."""
    cell, every = record.cell, read_levels(record.cell)
    levels = {factor: every[factor] for factor in ablation.factors if factor in every} | {DATA: name_data(record)}
    owners = {DATA: cell.data.options, "on": cell.evaluated_on.options if cell.evaluated_on is not None else {}}
    owners[short_name(ablation.evaluator)] = cell.evaluators[ablation.evaluator]
    return levels | {
        f"{owner}.{option}": format_level(value)
        for owner, options in owners.items()
        for option, value in options.items()
    }


def find_telling(combinations: Sequence[Mapping[str, str]], factors: Sequence[str]) -> list[str]:
    """Return the factors that tell combinations apart: one whose level follows from those before it tells nothing.

    >>> find_telling([{"model": "vit", "recipe.lr": "1"}, {"model": "gpt", "recipe.lr": "2"}], ["model", "recipe.lr"])
    ['model']
    """
    telling: list[str] = []
    for factor in factors:
        before = {tuple(levels.get(name) for name in telling) for levels in combinations}
        with_it = {tuple(levels.get(name) for name in (*telling, factor)) for levels in combinations}
        if len(with_it) > len(before):
            telling.append(factor)
    return telling


def read_value(record: Record, evaluator: str, encoder: str, name: str) -> float | None:
    """Return a finite number of an encoder; None where it has none."""
    row = record.find_result(evaluator, encoder)
    value = row.metrics.get(name) if row is not None else None
    return value if value is not None and math.isfinite(value) else None


def name_data(record: Record) -> str:
    """Return the data of a record, and what it was measured on where that is another."""
    cell = record.cell
    on = f", {describe_data(cell.evaluated_on)}" if cell.evaluated_on is not None else ""
    return describe_data(cell.data) + on + describe_held_out(cell)


def average_by_seed(records: Iterable[Record], evaluator: str, encoder: str, name: str) -> dict[int, float]:
    """Return a number of an encoder by seed; of several records of one seed the mean."""
    found: dict[int, list[float]] = {}
    for record in records:
        if (value := read_value(record, evaluator, encoder, name)) is not None:
            found.setdefault(record.cell.seed, []).append(value)
    return {seed: math.fsum(values) / len(values) for seed, values in found.items()}


def make_mean(levels: Mapping[str, str], records: Sequence[Record], evaluator: str, name: str) -> Mean:
    """Return the mean of the records of one combination."""
    trained, random = (average_by_seed(records, evaluator, encoder, name) for encoder in (TRAINED, RANDOM))
    return Mean(
        levels,
        name_data(records[0]),
        mean_over_seeds([*trained.values()]),
        mean_over_seeds([*random.values()]) if random else None,
        paired_difference(trained, random) if trained.keys() & random.keys() else None,
    )


def means_table(ablations: Sequence[Ablation], means: Sequence[Sequence[Mean]]) -> Table:
    """Return the table of the combinations of each analysis."""
    pairs = [(ablation, mean) for ablation, found in zip(ablations, means, strict=True) for mean in found]
    return Table(COLUMNS, [mean_cells(*pair) for pair in pairs], [mean_fields(*pair) for pair in pairs])


def mean_cells(ablation: Ablation, mean: Mean) -> tuple[str, ...]:
    """Return the texts under COLUMNS of one combination."""
    gain, metric = mean.gain, ablation.metric
    return (
        measure_title(ablation),
        mean.name(),
        format_estimate(mean.trained, metric),
        format_estimate(mean.random, metric) if mean.random is not None else "",
        format_difference(gain.value, metric) if gain is not None else "",
        format_difference_interval(gain, metric) if gain is not None else "",
        str(mean.trained.count),
    )


def mean_fields(ablation: Ablation, mean: Mean) -> dict[str, Any]:
    """Return a combination as plain numbers, for programs."""
    estimates = {"trained": mean.trained, "random": mean.random, "difference": mean.gain}
    numbers = {
        f"{name}{end}": finite_or_none(value) if value is not None else None
        for name, estimate in estimates.items()
        if estimate is not None
        for end, value in (("", estimate.value), (" low", estimate.low), (" high", estimate.high))
    }
    return {
        "evaluator": ablation.evaluator,
        "metric": ablation.metric_name,
        "choices": mean.name(),
        "data": mean.data,
        "seeds": mean.trained.count,
        **numbers,
    }

"""Means: what each combination of a sweep's choices reaches over seeds, trained and with random weights."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pretask_bench.records.encoders import RANDOM, TRAINED
from pretask_bench.records.record import Record
from pretask_bench.results.ablation import Ablation, order_of, read_levels
from pretask_bench.results.ablation_tables import TIMES, measure_title
from pretask_bench.results.compare import finite_or_none
from pretask_bench.results.query import Table
from pretask_bench.results.report import describe_data, format_difference, format_difference_interval, format_estimate
from pretask_bench.results.statistics import Estimate, mean_over_seeds, paired_difference

COLUMNS = ("measure", "choices", "trained", "random weights", "difference", "95 % interval", "seeds")
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Mean:
    """A number of one combination over seeds.

    Args:
        levels: By factor, of those that tell it from the other combinations.
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
        ablation: Whose evaluator and factors count.
        metric: The number; that of the analysis where none is named.
    """
    name, found = metric or ablation.metric_name, dict[tuple[Any, ...], dict[str, dict[int, float]]]()
    for record in records:
        values = {encoder: read_value(record, ablation.evaluator, encoder, name) for encoder in (TRAINED, RANDOM)}
        if record.status == "complete" and values[TRAINED] is not None:
            every = read_levels(record.cell)
            levels = tuple((factor, every[factor]) for factor in ablation.factors if factor in every)
            of_cell = found.setdefault((levels, name_data(record)), {TRAINED: {}, RANDOM: {}})
            for encoder, value in values.items():
                if value is not None:
                    of_cell[encoder][record.cell.seed] = value
    ordered = sorted(found.items(), key=lambda item: ([order_of(level) for _, level in item[0][0]], item[0][1]))
    telling = find_telling([dict(levels) for (levels, _), _ in ordered], [*ablation.factors])
    return [
        make_mean({factor: level for factor, level in levels if factor in telling}, data, of_cell)
        for (levels, data), of_cell in ordered
    ]


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
    return describe_data(cell.data) + on


def make_mean(levels: Mapping[str, str], data: str, values: Mapping[str, BySeed]) -> Mean:
    """Return the mean of one combination."""
    trained, random = values[TRAINED], values[RANDOM]
    return Mean(
        levels,
        data,
        mean_over_seeds([*trained.values()]),
        mean_over_seeds([*random.values()]) if random else None,
        paired_difference(trained, random) if trained.keys() & random.keys() else None,
    )


def means_table(records: Sequence[Record], ablations: Sequence[Ablation]) -> Table:
    """Return the table of all combinations."""
    pairs = [(ablation, mean) for ablation in ablations for mean in collect_means(records, ablation)]
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

"""The verb `pretask compare`: whether one encoder is better than another, or only luckier."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.main import json_option
from pretask_bench.results.tables import draw_table, show_json

if TYPE_CHECKING:
    from pretask import Metric

    from pretask_bench.results.compare import Comparison

COLUMNS = ("pair", "over", "difference", "95 % interval", "p", "p after Holm", "verdict")
WIDTH = 140

EPILOG = """Example: pretask compare runs/records runs-with-larger-patches/records --evaluator linear

Over items of one seed: McNemar's exact test. Over two seeds or more: the difference must exceed what seeds, items, and
both together bring about by chance; without items the paired t test. Holm's correction is over all pairs. Differences
of shares are in points of per cent."""


@click.command("compare", epilog=EPILOG)
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A B [C]...")
@click.option("--evaluator", help="Whose numbers; the first that all have if left out.")
@click.option("--metric", help="Which number; the one that stands for the evaluator if left out.")
@json_option
def command(places: tuple[Path, ...], evaluator: str | None, metric: str | None, as_json: bool) -> None:
    """Compare the trained encoders of A, B, … : records, or folders with the seeds of one or several cells."""
    from pretask_bench.records.metrics import declared_by, direction
    from pretask_bench.results.compare import as_facts, common_evaluator, common_metric, compare, legend, read_entrants

    found = read_entrants(places, evaluator)
    evaluator = common_evaluator(found, evaluator)
    metric = common_metric(found, evaluator, metric)
    rows = compare(found, evaluator, metric)
    names = legend(found)
    if as_json:
        keys = ("letter", "name", "data", "seeds", "place")
        compared = [dict(zip(keys, row, strict=True)) for row in names]
        show_json({"evaluator": evaluator, "metric": metric, "compared": compared, "pairs": [*map(as_facts, rows)]})
        return
    draw_table(("", "what", "data", "seeds", "records"), names, "What is compared", width=WIDTH)
    judged = declared_by(found[0].group[0], evaluator).metric(metric)
    cells = [cells_of(row, judged) for row in rows]
    draw_table(COLUMNS, cells, f"{evaluator}: {metric} {direction(judged)}".strip(), width=WIDTH)


def cells_of(row: "Comparison", metric: "Metric") -> tuple[str, ...]:
    """Return one row of the table."""
    low, high = row.estimate.low, row.estimate.high
    interval = (
        ""
        if low is None or high is None or not math.isfinite(high - low)
        else f"{points(low, metric)} to {points(high, metric)}"
    )
    p, corrected = ("" if p_value is None else f"{p_value:.2g}" for p_value in (row.probability, row.corrected))
    pair = f"{row.first} − {row.second}"
    return (pair, row.over, points(row.estimate.value, metric), interval, p, corrected, row.verdict)


def points(value: float, metric: "Metric") -> str:
    """Return a difference with its sign, in points where the number is a fraction."""
    return f"{100 * value:+.1f}" if metric.is_fraction else f"{value:+.4g}"

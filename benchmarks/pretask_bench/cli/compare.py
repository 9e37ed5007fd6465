"""The verb `pretask compare`: whether one encoder is better than another, or only luckier."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.collection import uncollected
from pretask_bench.cli.completion import complete_names
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
@click.option(
    "--evaluator",
    shell_complete=complete_names("evaluator"),
    help="Whose numbers; the first that all have if left out.",
)
@click.option("--metric", help="Which number; the one that stands for the evaluator if left out.")
@json_option
@uncollected()
def command(places: tuple[Path, ...], evaluator: str | None, metric: str | None, as_json: bool) -> None:
    """Compare the trained encoders of A, B, … : records, or folders with the seeds of one or several cells."""
    from pretask_bench.records.metrics import declared_metrics, direction
    from pretask_bench.records.store import require_places
    from pretask_bench.results.compare import (
        common_evaluator,
        common_metric,
        compare,
        comparison_json,
        legend,
        read_compared_cells,
    )

    require_places("compare", places)
    cells = read_compared_cells(places, evaluator)
    evaluator = common_evaluator(cells, evaluator)
    metric_name = common_metric(cells, evaluator, metric)
    comparisons = compare(cells, evaluator, metric_name)
    names = legend(cells)
    if as_json:
        keys = ("letter", "name", "data", "seeds", "place")
        compared = [dict(zip(keys, row, strict=True)) for row in names]
        pairs = [*map(comparison_json, comparisons)]
        show_json({"evaluator": evaluator, "metric": metric_name, "compared": compared, "pairs": pairs})
        return
    draw_table(("", "what", "data", "seeds", "records"), names, "What is compared", width=WIDTH)
    declared = declared_metrics(cells[0].group[0], evaluator).metric(metric_name)
    rows = [comparison_cells(comparison, declared) for comparison in comparisons]
    draw_table(COLUMNS, rows, f"{evaluator}: {metric_name} {direction(declared)}".strip(), width=WIDTH)


def comparison_cells(comparison: "Comparison", metric: "Metric") -> tuple[str, ...]:
    """Return the cells under COLUMNS of one comparison."""
    from pretask_bench.results.report import format_difference, format_difference_interval

    estimate = comparison.estimate
    interval = format_difference_interval(estimate, metric)
    p_values = (comparison.p_value, comparison.corrected_p_value)
    p_value, corrected = ("" if value is None else f"{value:.2g}" for value in p_values)
    pair, difference = f"{comparison.first} − {comparison.second}", format_difference(estimate.value, metric)
    return (pair, comparison.over, difference, interval, p_value, corrected, comparison.verdict)

"""The verb `pretask compat`: which splits, objectives and models fit each other, and why others do not."""

import click

from pretask_bench.cli import json_option, registry
from pretask_bench.tables import show_json, show_rows


@click.command("compat")
@click.option("--split", help="Only this split.")
@click.option("--objective", help="Only this objective.")
@click.option("--model", help="Only this model.")
@click.option(
    "--why", is_flag=True, help="With all three: the reason, and the nearest that fit; exit code 4 if refused."
)
@json_option
def command(split: str | None, objective: str | None, model: str | None, why: bool, as_json: bool) -> None:
    """Say which splits, objectives and models fit each other, by modality."""
    from pretask_bench.compat import explain, fitting_rows

    if why:
        explain(registry(), split, objective, model, as_json)
        return
    rows = fitting_rows(registry(), split, objective, model)
    if as_json:
        show_json(rows)
    else:
        keys = ("modality", "split", "objective", "model", "fits", "reason")
        show_rows(keys, [tuple(str(row[key]) for key in keys) for row in rows])

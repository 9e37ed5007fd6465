"""The verb `pretask compat`: which splits, objectives and models fit each other, and why others do not."""

import click

from pretask_bench.cli.completion import complete_names
from pretask_bench.cli.main import json_option, registry
from pretask_bench.results.tables import draw_table, show_json, show_rows

KEYS = ("modality", "split", "objective", "model", "fits", "reason")
EPILOG = """Example: pretask compat --split relative-position

Without a name, one table of each modality: with how many models a split and an objective fit by what they declare.
With a name, and with --exact, every combination is trained a step on tiny data; of everything that takes minutes."""


@click.command("compat", epilog=EPILOG)
@click.option("--split", shell_complete=complete_names("split"), help="Only this split.")
@click.option("--objective", shell_complete=complete_names("objective"), help="Only this objective.")
@click.option("--model", shell_complete=complete_names("model"), help="Only this model.")
@click.option(
    "--exact", is_flag=True, help="Train every combination for a step on tiny data, also where no part is named."
)
@click.option(
    "--why", is_flag=True, help="With all three: the reason, and the nearest that fit; exit code 4 if refused."
)
@json_option
def command(split: str | None, objective: str | None, model: str | None, exact: bool, why: bool, as_json: bool) -> None:
    """Say which splits, objectives and models fit each other, by modality."""
    from pretask_bench.cli.fit_matrix import explain, fitting_rows, modality_tables

    if why:
        explain(registry(), split, objective, model, as_json)
        return
    named = any(part is not None for part in (split, objective, model))
    if not (named or exact or as_json):
        for table in modality_tables(registry()):
            draw_table(table.columns, table.cells, table.title, width=160)
        return
    rows = fitting_rows(registry(), split, objective, model, exact=named or exact)
    if as_json:
        show_json(rows)
    else:
        show_rows(KEYS, [tuple(str(row[key]) for key in KEYS) for row in rows])

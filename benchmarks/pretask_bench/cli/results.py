"""The verb `pretask results`: summaries of records that meet conditions, as a table or for other programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.collection import uncollected
from pretask_bench.cli.main import json_option, registry
from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.results.tables import draw_table
from pretask_bench.runs.plan import split_names

if TYPE_CHECKING:
    from pretask_bench.results.query import Conditions

WIDTH = 180  # characters, where stdout is no terminal
MAX_DRAWN_ROWS = 300  # rows; more come in plain columns

EPILOG = """Example: pretask results runs/records --where modality=image --where evaluator=linear --sort -trained

Fields of --where and --group: task, split, objective, model, data, on, evaluator, seed, modality, status; values are
ids or bare names, several with commas. Failed runs are shown where status=failed asks for them. What was read once is
kept in an index in the cache; verify reads the files themselves."""


@click.command("results", epilog=EPILOG)
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDS]...")
@click.option("--where", "conditions", multiple=True, metavar="FIELD=VALUE", help="Only such records; several times.")
@click.option("--group", metavar="FIELDS", help="One row for all that have these fields in common; with commas.")
@click.option("--sort", metavar="COLUMN", help="Order by this column; -COLUMN for the highest first.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "tex", "csv", "json"]),
    default="table",
    show_default=True,
    help="csv and json hold plain numbers with the ends of their intervals.",
)
@click.option("--systems", is_flag=True, help="One row for every system, one column for what it was measured on.")
@click.option("--suite", "suite_name", metavar="SUITE", help="Of --systems, the columns: the divisions of a suite.")
@click.option("--ablation", is_flag=True, help="What each choice changes, all else and the seed equal.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Of --ablation, draw the effects with their intervals.",
)
@json_option
@uncollected()
def command(
    places: tuple[Path, ...],
    conditions: tuple[str, ...],
    group: str | None,
    sort: str | None,
    form: str,
    systems: bool,
    suite_name: str | None,
    ablation: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Show what is in RECORDS, folders or files; runs/records where none is named."""
    from pretask_bench.records.store import require_places
    from pretask_bench.results.index import read_summaries
    from pretask_bench.results.query import build_table, format_table, parse_conditions, select

    places, parsed_conditions = places or (Path("runs/records"),), parse_conditions(conditions)
    require_places("results", places)
    if systems or suite_name:
        show_systems(places, parsed_conditions, suite_name, "json" if as_json else form)
        return
    if ablation or picture is not None:
        show_ablation(places, parsed_conditions, "json" if as_json else form, picture)
        return
    summaries, refused = read_summaries(places)
    for path, reason in refused:
        click.echo(f"left out {escape_invisible(str(path))}: {escape_invisible(reason)}", err=True)
    selected = select([(summary.key, summary.record) for summary in summaries], parsed_conditions)
    table = build_table(selected, split_names(group or ""), sort)
    if as_json or form != "table" or len(table.cells) > MAX_DRAWN_ROWS:
        click.echo(format_table("json" if as_json else form, table))
    else:
        draw_table(table.columns, table.cells, count_text(len(selected), len(summaries)), width=WIDTH)


def show_systems(places: Sequence[Path], conditions: "Conditions", suite_name: str | None, form: str) -> None:
    """Print the table of systems; it needs all numbers of the records, which no index holds."""
    from pretask_bench.records.store import read_all
    from pretask_bench.results.query import format_table, select
    from pretask_bench.results.systems import build_systems
    from pretask_bench.runs.suites import read_suite

    records, refused = read_all(places)
    for path, reason in refused:
        click.echo(f"left out {escape_invisible(str(path))}: {escape_invisible(reason)}", err=True)
    selected = [record for _, record in select([("", record) for record in records], conditions)]
    table = build_systems(selected, read_suite(registry(), suite_name) if suite_name else None)
    if form == "table":
        draw_table(table.columns, table.cells, count_text(len(selected), len(records)), width=WIDTH)
    else:
        click.echo(format_table(form, table))


def show_ablation(places: Sequence[Path], conditions: "Conditions", form: str, picture: Path | None) -> None:
    """Print the effects of all choices; draw them where a file is named. It needs the options of all records."""
    from pretask_bench.results.ablation import analyze
    from pretask_bench.results.ablation_tables import describe, effects_table
    from pretask_bench.results.index import read_whole
    from pretask_bench.results.query import format_table, select

    records, refused = read_whole(places)
    for path, reason in refused:
        click.echo(f"left out {escape_invisible(str(path))}: {escape_invisible(reason)}", err=True)
    ablations = analyze(record for _, record in select([*records.items()], conditions))
    for line in describe(ablations):
        click.echo(line, err=True)
    table = effects_table(ablations, whole=form in ("csv", "json"))
    if form == "table":
        draw_table(table.columns, table.cells, "What each choice changes", width=WIDTH)
    else:
        click.echo(format_table(form, table))
    if picture is not None:
        from pretask_bench.board.effects import write_picture

        print(write_picture(picture, ablations))


def count_text(shown: int, total: int) -> str:
    """Return how many records a table shows, of how many."""
    return f"{total} records" if shown == total else f"{shown} of {total} records"

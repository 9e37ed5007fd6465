"""The verb `pretask results`: records at a glance, as a table and as a page."""

from pathlib import Path

import click

from pretask_bench.cli import json_option
from pretask_bench.tables import draw_table, show_json

WIDTH = 180  # characters, where stdout is no terminal


@click.command("results")
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDS]...")
@click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), help="Also write one self-contained HTML page."
)
@json_option
def command(places: tuple[Path, ...], page: Path | None, as_json: bool) -> None:
    """Show what is in RECORDS, folders or files; runs/records where none is named."""
    from pretask_bench.page import write_page
    from pretask_bench.results import COLUMNS, grouped, summary_rows
    from pretask_bench.store import read_all

    places = places or (Path("runs/records"),)
    records, refused = read_all(places)
    for path, reason in refused:
        click.echo(f"left out {path}: {reason}", err=True)
    groups = grouped(records)
    rows = summary_rows(groups)
    if as_json:
        show_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        draw_table(COLUMNS, rows, f"{len(records)} records", width=WIDTH)
    if page is not None:
        write_page(groups, places, page)
        click.echo(f"page: {page}", err=True)

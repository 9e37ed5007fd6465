"""The verb `pretask board`: the leaderboard of a suite."""

from pathlib import Path

import click

from pretask_bench.cli.collection import uncollected
from pretask_bench.cli.completion import complete_names
from pretask_bench.cli.main import registry
from pretask_bench.cli.terminal import escape_invisible

EPILOG = """Example: pretask board quick runs/records --out site

Open site/index.html: it needs no network and no server.

Records that diverge are disputed, and neither is ranked until the board's keeper lists one in withdrawn.txt in the
folder of records: on each line a hash, a space and the reason, which the page shows."""


@click.command("board", epilog=EPILOG)
@click.argument("suite", shell_complete=complete_names("suite"))
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDS]...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("site"), show_default=True)
@click.option("--compat", is_flag=True, help="Also show which of the parts that are installed here fit each other.")
@click.option("--no-pictures", is_flag=True, help="Leave out the figures that records come with.")
@click.option(
    "--strict-authors",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Let only these authors, one on a line, raise a dispute. Make sure yourself that a record is by whom it says.",
)
@uncollected()
def command(
    suite: str, places: tuple[Path, ...], out: Path, compat: bool, no_pictures: bool, strict_authors: Path | None
) -> None:
    """Write the leaderboard of SUITE from RECORDS, folders or files; runs/records where none is named.

    Of a GRID.toml instead of a SUITE, the page of that sweep: what each choice changes, in small multiples. One page
    that needs nothing else, with its numbers as CSV, JSON and Markdown. The same records give the same bytes.
    """
    from pretask_bench.board.keeper import Keeper, read_authors, read_withdrawn
    from pretask_bench.board.site import write_board
    from pretask_bench.cli.fit_matrix import fitting_rows
    from pretask_bench.records.store import require_places
    from pretask_bench.results.index import read_whole
    from pretask_bench.runs.suites import read_suite

    places, installed = places or (Path("runs/records"),), registry()
    require_places("board", places)
    if suite.endswith(".toml") and Path(suite).is_file():
        show_sweep(Path(suite), places, out)
        return
    chosen = read_suite(installed, suite)
    keeper = Keeper(read_withdrawn(places), read_authors(strict_authors) if strict_authors is not None else None)
    records, refused = read_whole(places)
    for path, reason in refused:
        click.echo(f"left out {escape_invisible(str(path))}: {escape_invisible(reason)}", err=True)
    if strange := sorted(keeper.withdrawn.keys() - records.keys()):
        click.echo(f"withdrawn, but no record here: {', '.join(name[:12] for name in strange)}", err=True)
    folders = sorted({place if place.is_dir() else place.parent for place in places})
    fits = fitting_rows(installed, None, None, None, exact=False) if compat else []
    written = write_board(chosen, records, out, None if no_pictures else folders, fits, keeper, installed)
    for path in written:
        print(path)


def show_sweep(grid: Path, places: tuple[Path, ...], out: Path) -> None:
    """Write the page of a sweep, and print the places of its files."""
    from pretask_bench.board.sweep_page import write_sweep_page
    from pretask_bench.results.index import read_whole

    records, refused = read_whole(places)
    for path, reason in refused:
        click.echo(f"left out {escape_invisible(str(path))}: {escape_invisible(reason)}", err=True)
    for path in write_sweep_page(grid, records, out, registry()):
        print(path)

"""The verb `pretask board`: the leaderboard of a suite."""

from pathlib import Path

import click

from pretask_bench.cli import registry
from pretask_bench.terminal import visible

EPILOG = """Example: pretask board quick runs/records --out site

Open site/index.html: it needs no network and no server."""


@click.command("board", epilog=EPILOG)
@click.argument("suite")
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDS]...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("site"), show_default=True)
@click.option("--compat", is_flag=True, help="Also show which of the parts that are installed here fit each other.")
def command(suite: str, places: tuple[Path, ...], out: Path, compat: bool) -> None:
    """Write the leaderboard of SUITE from RECORDS, folders or files; runs/records where none is named.

    One page that needs nothing else, the same as JSON, and as Markdown. The same records give the same bytes.
    """
    from pretask import PretaskError

    from pretask_bench.board.site import write_board
    from pretask_bench.compat import fitting_rows
    from pretask_bench.store import files_of, read
    from pretask_bench.suites import read_suite

    chosen = read_suite(registry(), suite)
    records = {}
    for path in files_of(places or (Path("runs/records"),)):
        try:
            records[path.stem] = read(path)
        except PretaskError as error:
            click.echo(f"left out {visible(str(path))}: {visible(str(error))}", err=True)
    folders = sorted({place if place.is_dir() else place.parent for place in places or (Path("runs/records"),)})
    fits = fitting_rows(registry(), None, None, None, exact=False) if compat else []
    for path in write_board(chosen, records, out, folders, fits):
        print(path)

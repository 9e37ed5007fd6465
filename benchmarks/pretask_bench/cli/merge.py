"""The verb `pretask merge`: records of several folders in one store."""

from pathlib import Path

import click

from pretask_bench.cli.main import json_option, registry
from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.results.tables import show_json

EPILOG = """Example: pretask merge runs/records from-ada/records --into records

Every record is verified by itself first; one that was changed, or claims what cannot be, is refused by name, and the
exit code is 1. Merging again changes nothing."""


@click.command("merge", epilog=EPILOG)
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option(
    "--into",
    "store",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="STORE",
    help="The folder of records to add to; made where there is none.",
)
@json_option
def command(places: tuple[Path, ...], store: Path, as_json: bool) -> None:
    """Add the records of each FOLDER, and their pictures, to STORE; a line for each."""
    from pretask.files import require_writable

    from pretask_bench.records.cells import OptionChecker
    from pretask_bench.records.merge import merge_folder
    from pretask_bench.records.store import require_places

    require_places("merge", places)
    require_writable(store, "--into")
    option_checker = OptionChecker(registry())
    merged = [merge_folder(place, store, option_checker) for place in places]
    for one in merged:
        for path, reason in one.refused:
            click.echo(f"refused {escape_invisible(str(path))}: {escape_invisible(reason)}", err=True)
        if not as_json:
            counts = f"{one.added} added, {one.known} known, {len(one.refused)} refused"
            click.echo(f"{escape_invisible(str(one.folder))}: {counts}")
    if as_json:
        show_json([vars(one) for one in merged])
    if any(one.refused or not one.added + one.known for one in merged):
        click.get_current_context().exit(1)

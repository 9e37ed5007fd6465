"""The verb `pretask new`: write a package that is then made into one's own."""

from pathlib import Path

import click
from pretask import PretaskError, Unknown
from pretask_registry import Registry
from pretask_registry.plugin_file import load_file
from pretask_registry.scaffold import (
    BOARD,
    KINDS,
    MODALITIES,
    Written,
    copy_built_in,
    new_board,
    new_package,
    promote,
)

EPILOG = """Examples: pretask new mirror --kind task --modality image, or pretask new mine --from relative-position,
or pretask new birdsong --kind board --modality audio

The package has one component that works as it is; change it step by step, and run `pretask check` after each."""


@click.command("new", epilog=EPILOG)
@click.argument("name", required=False)
@click.option(
    "--kind",
    type=click.Choice([*KINDS, BOARD]),
    help="What to start from; a task is a split with a recipe, a board the repository of a leaderboard. [task]",
)
@click.option("--modality", type=click.Choice(MODALITIES), help="Of what it works on; image if left out.")
@click.option("--from", "origin", metavar="BUILT_IN", help="Start from a copy of a built-in method or component.")
@click.option(
    "--from-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Make a package of a file that was tried with --plugin.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; ./pretask-NAME if left out.")
def command(
    name: str | None, kind: str | None, modality: str | None, origin: str | None, file: Path | None, out: Path | None
) -> None:
    """Write an installable package called NAME with a working component, its checks and a CI file."""
    installed = Registry.load()
    taken = {plugin.namespace for plugin in installed.plugins}
    if file is not None:
        if kind or modality or origin:
            raise Unknown("--from-file takes all from the file; leave --kind, --modality and --from out.")
        written = promote_file(file, name or "", out, taken)
    elif name is None:
        raise Unknown("pretask new needs a name, such as: pretask new mirror --kind task --modality image")
    elif origin is not None:
        if kind == BOARD:
            raise Unknown("--kind board starts from nothing that is built in; leave --from out.")
        if modality:
            raise Unknown("--from takes the modality from what it copies; leave --modality out.")
        written = copy_built_in(installed, origin, name, kind, out, taken)
    elif kind == BOARD:
        written = new_board(name, modality or "image", out, taken)
    else:
        written = new_package(name, kind or "task", modality or "image", out, taken)
    show(written)


def promote_file(file: Path, name: str, out: Path | None, taken: set[str]) -> Written:
    """Write the package of a file; raises PretaskError where the file does not load."""
    plugin = load_file(file, Registry.load().manager)
    if plugin.problems or not plugin.components:
        problem = plugin.problems[0] if plugin.problems else None
        raise PretaskError(
            file.name,
            "to declare components that are sound",
            problem.cause if problem else "none",
            problem.fix if problem else "Add a hook pretask_components, or a list called components.",
            exit_code=3,
        )
    return promote(file, plugin, name, out, taken)


def show(written: Written) -> None:
    """Print the files on stdout, and what to type next on stderr."""
    for path in sorted(path for path in written.folder.rglob("*") if path.is_file()):
        click.echo(path)
    click.echo("\nNext:", err=True)
    for line in written.next:
        click.echo(f"    {line}", err=True)

"""The verb `pretask export`: the encoder of a run as files that other libraries read."""

from pathlib import Path

import click

from pretask_bench.artifacts.formats import FORMATS, Artifact

EPILOG = """Example: pretask export runs/relative-position-9be1aeddcfef-ddc65ca6 --to hub --out my-encoder"""


@click.command("export", epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice([*FORMATS]), required=True, help="Which library is to read it.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the files; RUN/export-FORMAT if left out.")
def command(run: Path, to: str, out: Path | None) -> None:
    """Write the encoder of RUN, the folder of a run or its record, as another library reads it.

    Each is tried before it is written: the library must give the same features.
    """
    from pretask_bench.artifacts.export import export
    from pretask_bench.artifacts.load import find_folder, load_with
    from pretask_bench.cli.main import registry

    folder = find_folder(run)
    artifact = Artifact(folder, load_with(registry(), folder), registry())
    for path in export(artifact, to, out or folder / f"export-{to}"):
        print(path)

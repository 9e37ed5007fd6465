"""The verb `pretask rerun`: whether a record comes out again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pretask import Unknown

from pretask_bench.cli.main import json_option, registry
from pretask_bench.cli.numbers import THREADS
from pretask_bench.results.tables import draw_table, show_json
from pretask_bench.runs.devices import find_device
from pretask_bench.runs.plan import parse_setting

if TYPE_CHECKING:
    from pretask_bench.runs.rerun import Rerun

WIDTH = 140
MAX_SHOWN = 40  # differences of a kind
MAX_THREADS = 256  # that a record may ask for

EPILOG = """Example: pretask rerun results/3f2a….json --set data.root=photos

Says exact (weights, numbers and items are the same), consistent (of every row's items the 99 % interval of the paired
difference holds 0; losses and pretext scores are within 2 %, shares within 2 points) or divergent; exit code 1 for
divergent, and for other data, which is refused. A divergent rerun that is filed disputes the record on boards:

pretask rerun results/3f2a….json --file results --author "Ada Lovelace" --note "torch 2.11, CPU\""""


@click.command("rerun", epilog=EPILOG)
@click.argument("record", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "settings", multiple=True, metavar="PART.OPTION=PLACE", help="Where data lies here.")
@click.option("--init", metavar="RUN|FILE|timm", help="The weights that its model began with, where it did.")
@click.option(
    "--fit-with", type=click.Path(path_type=Path), metavar="RUN", help="As of `pretask run`, where RECORD had one."
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", type=THREADS, help="Processor threads; as many as the record had if left out.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/reruns"), show_default=True, help="Folder of reruns."
)
@click.option(
    "--file",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RECORDS",
    help="Also file what comes out in this folder of records, as a rerun of RECORD: boards show that it confirms or "
    "disputes RECORD.",
)
@click.option("--author", help="Who files it.")
@click.option("--note", help="What else there is to say in the filed record.")
@json_option
def command(
    record: Path,
    settings: tuple[str, ...],
    fit_with: Path | None,
    init: str | None,
    device: str,
    threads: int | None,
    out: Path,
    folder: Path | None,
    author: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Carry out the cell of RECORD again, and say whether the same comes out."""
    from pretask_bench.records.agreement import DIVERGENT
    from pretask_bench.records.attribution import attribute
    from pretask_bench.records.store import read, require_places
    from pretask_bench.runs.rerun import file_rerun, rerun

    if folder is None and (author or note):
        raise Unknown("--author and --note are for a record that is filed; got no --file RECORDS.")
    attribute(author, note=note)
    require_places("rerun", [record])
    old = read(record)
    torch_device = find_device(device, threads or min(old.provenance.threads, MAX_THREADS) or 1)
    paths = dict(map(parse_setting, settings))

    def say(line: str) -> None:
        click.echo(line, err=True)

    finished = rerun(registry(), old, paths, out, torch_device, say, fit_with, init)
    filed = file_rerun(finished, old, folder, author, note) if folder is not None else None
    show_json({**rerun_json(finished), "filed": str(filed) if filed else None}) if as_json else show(finished, filed)
    if finished.verdict == DIVERGENT:
        click.get_current_context().exit(1)


def rerun_json(finished: "Rerun") -> dict[str, Any]:
    """Return a rerun as JSON holds it."""
    keys = ("name", "before", "now")
    return {
        "verdict": finished.verdict,
        "file": str(finished.path),
        "weights": finished.weights,
        "numbers": finished.numbers,
        "differing": [dict(zip(keys, difference, strict=True)) for difference in finished.differing],
        "judged": [vars(judgment) for judgment in finished.judgments],
        "provenance": [dict(zip(keys, difference, strict=True)) for difference in finished.provenance],
        "cell": [dict(zip(keys, difference, strict=True)) for difference in finished.cell],
    }


def show(finished: "Rerun", filed: Path | None) -> None:
    """Print what the verdict rests on, what differs in how it came about, where it was filed, and the verdict."""
    rows = [
        (judgment.name, judgment.before, judgment.now, judgment.rule, "yes" if judgment.agrees else "no")
        for judgment in finished.judgments
    ]
    draw_table(("", "recorded", "now", "rule", "agrees"), rows, "What the verdict rests on", width=WIDTH)
    for title, differences in (
        ("Numbers", finished.differing),
        ("How it came about", finished.provenance),
        ("What was run", finished.cell),
    ):
        if differences:
            more = f" (the first {MAX_SHOWN} of {len(differences)})" if len(differences) > MAX_SHOWN else ""
            cells = differences[:MAX_SHOWN]
            draw_table(("", "recorded", "now"), cells, f"{title}: what differs{more}", width=WIDTH)
    same = finished.numbers - len(finished.differing)
    click.echo(
        f"to the last bit the same: {same} of {finished.numbers} numbers; "
        f"weights: {'yes' if finished.weights else 'no'}"
    )
    if filed is not None:
        click.echo(f"filed: {filed}")
    click.echo(f"record: {finished.path}\n{finished.verdict}")

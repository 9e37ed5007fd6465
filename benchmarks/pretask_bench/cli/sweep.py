"""The verb `pretask sweep`: a grid of runs, planned first and then carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.collection import uncollected
from pretask_bench.cli.main import json_option, plugin_files, registry
from pretask_bench.cli.numbers import AMOUNT, COUNT, SECONDS, THREADS
from pretask_bench.results.tables import draw_table, show_json, show_rows

if TYPE_CHECKING:
    import torch

    from pretask_bench.runs.bench import Ended
    from pretask_bench.runs.context import RunContext
    from pretask_bench.sweeps.ledger import Ledger
    from pretask_bench.sweeps.past import Estimate
    from pretask_bench.sweeps.planning import PlannedCell, Planner
    from pretask_bench.sweeps.running import Engine

MAX_SHOWN_RECORDS = 300  # of more, `pretask results` shows a choice
WIDTH = 180  # characters, where stdout is no terminal

EPILOG = """Example of a GRID.toml:

\b
    seeds = 3
    [fixed]
    data = "digits"
    "recipe.samples" = 4096
    [axes]
    split = ["pretask/*"]
    objective = ["elbo", "regression"]
    model = ["mlp", "convnet"]
    evaluate = ["knn", "linear"]
    [[drop]]
    reason = "what is whole needs a bottleneck"
    when = { split = "whole", objective = "regression" }

Running the same command again goes on where it stopped. Then: pretask results runs/records --ablation"""


@click.command("sweep", epilog=EPILOG)
@click.argument("grid", metavar="GRID.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--plan", "only_plan", is_flag=True, help="Say what becomes of every cell, and why; run nothing.")
@click.option("--limit", type=COUNT, help="Run at most so many cells.")
@click.option("--jobs", type=COUNT, help="Trainings at once, each in a process; else one, or one for each GPU.")
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Processor threads of each.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda (all GPUs in turn) or cuda:N.")
@click.option("--retries", type=click.IntRange(0), default=1, show_default=True, help="For each cell that fails.")
@click.option("--refused", "again", is_flag=True, help="Try cells again that were refused when they ran.")
@click.option(
    "--calibrate", type=COUNT, metavar="STEPS", help="Try so many steps of every training that no record tells of."
)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--address", default="", help="Of --engine ray, the cluster; auto is this host's. Else one is started.")
@click.option("--cpus", type=AMOUNT, default=1.0, show_default=True, help="Of --engine ray, for each task.")
@click.option("--gpus", type=AMOUNT, default=0.0, show_default=True, help="Likewise; a fraction shares one.")
@click.option("--measure-cpus", type=AMOUNT, help="Likewise, for measuring apart from training.")
@click.option("--measure-gpus", type=AMOUNT, help="Likewise, for measuring apart from training.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--checkpoint-seconds", type=SECONDS, default=60.0, show_default=True, help="Between two checkpoints.")
@click.option("--pictures", is_flag=True, help="Keep the pictures of tasks and evaluators.")
@click.option("--author", help="Who the records are by; it stands in them.")
@click.option("--license", "licence", help="Under which license the records may be used, such as CC-BY-4.0.")
@click.option("--note", help="What else there is to say in the records.")
@json_option
def command(
    grid: Path,
    only_plan: bool,
    limit: int | None,
    jobs: int | None,
    threads: int,
    device: str,
    retries: int,
    again: bool,
    calibrate: int | None,
    engine: str,
    address: str,
    cpus: float,
    gpus: float,
    measure_cpus: float | None,
    measure_gpus: float | None,
    out: Path,
    checkpoint_seconds: float,
    pictures: bool,
    author: str | None,
    licence: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Run the cells of GRID.toml that are not recorded, what they share once; exit code 1 where one failed."""
    if not only_plan and engine == "local":
        from pretask_bench.runs.jobs import start_server

        start_server()  # it imports torch while this process does
    from pretask_bench.records.attribution import attribute
    from pretask_bench.runs.devices import list_devices
    from pretask_bench.sweeps.grid import read_grid
    from pretask_bench.sweeps.ledger import SWEEPS, Ledger
    from pretask_bench.sweeps.planning import Planner
    from pretask_bench.sweeps.running import make_context
    from pretask_bench.sweeps.summary import describe, find_varying, title_of, to_run

    attribution = attribute(author, licence, note)
    file, ledger = read_grid(grid), Ledger(out / SWEEPS / grid.stem)
    devices = list_devices(device, threads)
    planner = Planner(registry(), file, out / "records", ledger, again)
    together = jobs or len(devices)
    with uncollected():
        cells = planner.plan()
        estimates = estimate(planner, cells, calibrate, devices[0])
        if only_plan:
            show_plan(cells, estimates, together, as_json)
            return
    for line in describe(cells, estimates, together):
        click.echo(line, err=True)
    context = make_context(out, devices[0], file.baselines, checkpoint_seconds, pictures, attribution)
    if engine == "ray":
        chosen = ray_engine(address, threads, (cpus, gpus), (measure_cpus, measure_gpus))
    else:
        chosen = local_engine(together, threads, devices)
    varying = find_varying(cells)
    titled = {title_of(cell, varying): cell for cell in to_run(cells)[:limit]}
    ended = run_cells(titled, estimates, context, ledger, chosen, retries)
    show(cells, ended, as_json)
    if any(one.failed for one in ended.values()):
        raise SystemExit(1)


def local_engine(together: int, threads: int, devices: "tuple[torch.device, ...]") -> "Engine":
    """Return the engine of this machine."""
    from pretask_bench.sweeps.running import LocalEngine

    return LocalEngine(together, threads, devices, plugin_files())


def ray_engine(
    address: str, threads: int, train: tuple[float, float], measure: tuple[float | None, float | None]
) -> "Engine":
    """Return the engine of a cluster; measuring takes as many processors and GPUs as training where nothing is said."""
    from pretask_bench.sweeps.ray_engine import RayEngine, Resources

    files = tuple(path.absolute() for path in plugin_files())
    settled = (said if said is not None else other for said, other in zip(measure, train, strict=True))
    return RayEngine(address, threads, Resources(*train), Resources(*settled), files)


def estimate(
    planner: "Planner", cells: "Sequence[PlannedCell]", steps: int | None, device: "torch.device"
) -> "dict[int, Estimate]":
    """Return what cells that are to run will probably take, by number; from a few steps where no record tells."""
    found = {cell.number: planner.past.estimate(cell.described) for cell in cells if cell.state == "to run"}
    if steps is None:
        return found
    from pretask_bench.sweeps.calibration import calibrate

    return calibrate(planner.registry, cells, found, steps, device, lambda line: click.echo(line, err=True))


def run_cells(
    titled: "dict[str, PlannedCell]",
    estimates: "Mapping[int, Estimate]",
    context: "RunContext",
    ledger: "Ledger",
    engine: "Engine",
    retries: int,
) -> "dict[str, Ended]":
    """Carry out cells, which are given by title; return how each ended, by title too."""
    from pretask.files import require_writable

    from pretask_bench.sweeps.display import open_sweep_display, weigh
    from pretask_bench.sweeps.running import Sweep

    require_writable(context.out, "--out")
    ledger.clear()
    weights = weigh([*titled.values()], estimates)
    with open_sweep_display(ledger, titled, weights, context.say) as display:
        return Sweep(titled, engine, context, ledger, display, retries).run()


def show_plan(cells: "Sequence[PlannedCell]", estimates: "Mapping[int, Estimate]", together: int, json: bool) -> None:
    """Print what becomes of every cell, and the whole in numbers."""
    from pretask_bench.sweeps.summary import as_json, describe, rows_of

    if json:
        show_json([as_json(cell, estimates.get(cell.number)) for cell in cells])
        return
    show_rows(*rows_of(cells, estimates))
    for line in describe(cells, estimates, together):
        click.echo(line, err=True)


def show(cells: "Sequence[PlannedCell]", ended: "Mapping[str, Ended]", as_json: bool) -> None:
    """Print the table of all cells that are recorded, and why others are not."""
    from pretask_bench.records.store import read
    from pretask_bench.results.groups import COLUMNS, group_records, summary_rows

    paths = [cell.record for cell in cells if cell.record] + [one.path for one in ended.values() if one.path]
    if as_json:
        show_json([{"cell": title, **asdict(one), "path": one.path and str(one.path)} for title, one in ended.items()])
        return
    if len(paths) <= MAX_SHOWN_RECORDS:
        records = [read(path, was_read=True) for path in paths]
        draw_table(COLUMNS, summary_rows(group_records(records)), "Every encoder beside its references", width=WIDTH)
    for title, one in ended.items():
        if one.failed:
            click.echo(f"failed: {title}: {one.failed}", err=True)
    click.echo(f"{len(paths)} of {len(cells)} cells are recorded", err=True)

"""The verb `pretask bench`: the tasks of a suite, run or found, and a table."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.completion import complete_names
from pretask_bench.cli.main import json_option, plugin_files, registry
from pretask_bench.cli.numbers import COUNT, THREADS
from pretask_bench.results.tables import draw_table, show_json, show_rows
from pretask_bench.runs.plan import parse_setting, split_names

if TYPE_CHECKING:
    from pretask_bench.runs.bench import PlannedRun, RunOutcome
    from pretask_bench.runs.context import RunContext

EPILOG = """Example: pretask bench quick --tasks colorization,exemplar --seeds 3 --out runs

Running the same command again goes on where it stopped. Then: pretask board SUITE runs/records --out site"""


@click.command("bench", epilog=EPILOG)
@click.argument("suite_name", metavar="SUITE", shell_complete=complete_names("suite"))
@click.option(
    "--tasks",
    shell_complete=complete_names("task", several=True),
    default="",
    help="Only these, with commas between; else those that the suite names, or every installed one that enters.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Every installed task that enters, also where the suite names some."
)
@click.option("--division", "divisions", multiple=True, help="Only this division of the suite; may be repeated.")
@click.option("--seeds", type=click.IntRange(1), help="How many; else as many as the suite needs to rank.")
@click.option("--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="What the suite leaves open.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be run, and why not; run nothing.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--jobs", type=COUNT, default=1, show_default=True, help="Tasks at once, each in a process of its own.")
@click.option(
    "--threads", type=THREADS, help="Processor threads of a task; if left out all cores, with --jobs above 1 one."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--author", help="Who the records are by; it stands in them.")
@click.option("--license", "licence", help="Under which license the records may be used, such as CC-BY-4.0.")
@click.option("--note", help="What else there is to say in the records.")
@json_option
def command(
    suite_name: str,
    tasks: str,
    everything: bool,
    divisions: tuple[str, ...],
    seeds: int | None,
    settings: tuple[str, ...],
    only_plan: bool,
    device: str,
    jobs: int,
    threads: int | None,
    out: Path,
    author: str | None,
    licence: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Run the tasks of SUITE, each beside its references; exit code 1 where one failed."""
    if jobs > 1 and not only_plan:
        from pretask_bench.runs.jobs import start_server

        start_server()  # it imports torch while this process does
    from pretask_bench.runs.bench import plan_suite
    from pretask_bench.runs.suites import read_suite

    suite = read_suite(registry(), suite_name)
    given = dict(map(parse_setting, settings))
    planned_runs = plan_suite(
        registry(),
        suite,
        tasks=split_names(tasks),
        divisions=split_names(",".join(divisions)),
        seeds=seeds,
        given=given,
        everything=everything,
    )
    if only_plan:
        show_plan(planned_runs, as_json)
        return
    from pretask.files import require_writable

    from pretask_bench.records.attribution import attribute
    from pretask_bench.runs.context import RunContext
    from pretask_bench.runs.devices import find_device

    attribution = attribute(author, licence, note)
    require_writable(out, "--out")
    context = RunContext(out, find_device(device, threads), attribution=attribution)
    outcomes = execute(planned_runs, context, jobs, threads)
    if as_json:
        show_json([outcome_json(outcome) for outcome in outcomes])
    else:
        show(outcomes)
    if any(outcome.failed for outcome in outcomes):
        raise SystemExit(1)


def execute(
    planned_runs: "list[PlannedRun]", context: "RunContext", jobs: int, threads: int | None
) -> "list[RunOutcome]":
    """Execute planned runs, one after the other in this process or several at once in others."""
    if jobs == 1:
        from pretask_bench.runs.bench import run_all

        return list(run_all(registry(), planned_runs, context))
    from pretask_bench.runs.jobs import run_in_jobs

    return run_in_jobs(planned_runs, context, jobs, threads or 1, plugin_files())


def show_plan(planned_runs: "list[PlannedRun]", as_json: bool) -> None:
    """Print what would be run, in order."""
    rows = [
        (planned.division.name, planned.task.id, str(planned.seed), planned.refusal or "to run, or found")
        for planned in planned_runs
    ]
    columns = ("division", "task", "seed", "state")
    if as_json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        show_rows(columns, rows)


def show(outcomes: "list[RunOutcome]") -> None:
    """Print the table of what was measured, then what was not, with the reason."""
    from pretask_bench.results.groups import COLUMNS, group_records, summary_rows

    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    draw_table(COLUMNS, summary_rows(group_records(records)), "Every encoder beside its references", width=180)
    for outcome in outcomes:
        if reason := outcome.refused or outcome.failed:
            state = "failed" if outcome.failed else "refused"
            click.echo(f"{state}: {outcome.planned.task.id} on {outcome.planned.division.name}: {reason}", err=True)


def outcome_json(outcome: "RunOutcome") -> dict[str, object]:
    """Return an outcome as JSON holds it."""
    return {
        "division": outcome.planned.division.name,
        "task": outcome.planned.task.id,
        "seed": outcome.planned.seed,
        "file": str(outcome.path) if outcome.path is not None else None,
        "refused": outcome.refused,
        "failed": outcome.failed,
    }

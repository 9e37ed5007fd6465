"""The verb `pretask run`: from a task and data to a table and a record."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.completion import complete_names, complete_presets
from pretask_bench.cli.main import command_words, json_option, registry
from pretask_bench.cli.numbers import COUNT, SECONDS, SEED, THREADS
from pretask_bench.results.tables import show_json
from pretask_bench.runs.plan import parse_setting, split_names
from pretask_bench.runs.session import make_context, make_plans, run_plans
from pretask_bench.runs.trackers import load_trackers

if TYPE_CHECKING:
    from pretask_bench.runs.run import StoredRecord

EPILOG = """Example: pretask run relative-position --preset demo --data shapes --evaluate linear,knn

Running the same command again goes on where it stopped, and shows what is already recorded."""


@click.command("run", epilog=EPILOG)
@click.argument("task", required=False, shell_complete=complete_names("task"))
@click.option(
    "--data",
    "data_name",
    shell_complete=complete_names("data"),
    help="What to learn from, and to be measured on where --on names nothing else.",
)
@click.option("--split", shell_complete=complete_names("split"), help="Instead of the task's.")
@click.option("--objective", shell_complete=complete_names("objective"), help="Instead of the task's.")
@click.option("--model", shell_complete=complete_names("model"), help="Instead of the task's.")
@click.option(
    "--preset",
    shell_complete=complete_presets,
    help="Settings that the task offers besides the paper's, such as small; bf16 (every task has it), or small+bf16.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as split.patch=24 or recipe.lr=0.1."
)
@click.option(
    "--evaluate",
    shell_complete=complete_names("evaluator", several=True),
    default="linear",
    show_default=True,
    help="Evaluators, with commas between them.",
)
@click.option(
    "--on",
    multiple=True,
    shell_complete=complete_names("data"),
    metavar="DATA",
    help="Measure on this other data, --set on.OPTION=VALUE; several times for several, on.2.OPTION of the second.",
)
@click.option(
    "--baselines",
    default="random-init,raw-input",
    show_default=True,
    help="What the encoder is held against; supervised trains the same network again, on the labels.",
)
@click.option(
    "--fit-with",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Fit the split with the encoder of this run, a folder or a record: a second round, as of HuBERT.",
)
@click.option(
    "--init",
    metavar="RUN|FILE|timm",
    help="Begin with these weights: of a run, of a .safetensors file, or timm's pretrained ones.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="RUN|FILE|timm",
    help="Measure this encoder too: of a run, or the model with weights as of --init; several times for several.",
)
@click.option(
    "--hold-out",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="Measure on this share of the training part, which learning does without, and leave the test part unread: "
    "to choose settings by, 0.1.",
)
@click.option(
    "--samples", type=int, help="Budget: samples seen; 0 measures what --init names. Short for --set recipe.samples=…"
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of weights, order and draws.")
@click.option("--seeds", type=COUNT, default=1, show_default=True, help="How many seeds to run, counted from --seed.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda or cuda:N; auto takes a GPU where there is one."
)
@click.option("--devices", type=COUNT, default=1, show_default=True, help="How many train together, a process on each.")
@click.option("--threads", type=THREADS, help="Processor threads; all cores that the process may use if left out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder of runs and records.",
)
@click.option("--checkpoint-seconds", type=SECONDS, default=60.0, show_default=True, help="Between two checkpoints.")
@click.option(
    "--again", is_flag=True, help="Measure what is already recorded once more; its training is found. See rerun."
)
@click.option(
    "--track",
    metavar="NAMES",
    default="",
    help="Write what happens for these trackers, with commas between: tensorboard, mlflow, wandb or a plugin's.",
)
@click.option(
    "--probe-every",
    type=COUNT,
    metavar="STEPS",
    help="Measure neighbors and rank of the encoder every so many steps; what is trained stays the same.",
)
@click.option("--profile", is_flag=True, help="Show where the time of a step goes, from data to optimizer.")
@click.option("--no-pictures", is_flag=True, help="Keep no pictures of what the task and the evaluators offer.")
@click.option("--author", help="Who the record is by; it stands in it.")
@click.option("--license", "licence", help="Under which license the record may be used, such as CC-BY-4.0.")
@click.option("--note", help="What else there is to say in the record.")
@json_option
def command(
    task: str | None,
    data_name: str | None,
    split: str | None,
    objective: str | None,
    model: str | None,
    preset: str | None,
    settings: tuple[str, ...],
    evaluate: str,
    on: tuple[str, ...],
    baselines: str,
    fit_with: Path | None,
    init: str | None,
    references: tuple[str, ...],
    hold_out: float,
    samples: int | None,
    seed: int,
    seeds: int,
    device: str,
    devices: int,
    threads: int | None,
    out: Path,
    checkpoint_seconds: float,
    again: bool,
    track: str,
    probe_every: int | None,
    profile: bool,
    no_pictures: bool,
    author: str | None,
    licence: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Pretrain TASK (or --split, --objective and --model), measure the encoder, write a record, show a table."""
    if devices > 1:
        from pretask_bench.runs.launch import launch

        raise SystemExit(launch(devices, command_words()))
    named = {"data": data_name, "split": split, "objective": objective, "model": model}
    plans = make_plans(
        registry(),
        task,
        parts=named,
        settings=dict(map(parse_setting, settings)),
        samples=samples,
        seeds=range(seed, seed + seeds),
        evaluators=split_names(evaluate),
        preset=preset,
        fit_with=fit_with,
        init=init,
        hold_out=hold_out,
        on=on,
    )
    from pretask_bench.records.attribution import attribute

    context = make_context(
        out,
        device,
        threads,
        baselines,
        checkpoint_seconds=checkpoint_seconds,
        begun=init is not None,
        given=references,
        again=again,
        pictures=not no_pictures,
        probe_every=probe_every or 0,
        profile=profile,
        trackers=load_trackers(registry(), split_names(track), out),
        attribution=attribute(author, licence, note),
    )
    show(run_plans(registry(), plans, context), as_json)


def show(done: "list[StoredRecord]", as_json: bool) -> None:
    """Print the records of some runs, or a table and their places; nothing on any rank but the first."""
    from pretask_bench.artifacts.load import find_beside
    from pretask_bench.results.report import report_runs

    if as_json and done:
        show_json([{**record.model_dump(mode="json"), "file": str(path)} for record, path in done])
        return
    if done:
        report_runs([record for record, _ in done])
    for record, path in done:
        print(f"record: {path}")
        if (folder := find_beside(path)) is not None:
            print(f"encoder: {folder}")
        for picture in record.pretext.pictures if record.pretext is not None else ():
            print(f"picture: {path.parent / picture.png}.png  {picture.caption}")

"""Stages: pretrain, score the pretext task, and measure encoders; each returns what it found."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pretask import Budget, Choice, Figure, Items, PretaskError, Samples, Task
from pretask.cache import cache_folder
from pretask.checkpoint import read_code
from pretask.figures import iterate_figures
from pretask.files import write_whole
from pretask.order import shown_samples
from pretask.pretext_score import score_held_out, score_references
from pretask.progress import make_watcher
from pretask.protocols import scored_part
from pretask.training import Trained, train
from pretask_registry import Registered, Registry, build
from pretask_registry.shortcut import measure_shortcuts

from pretask_bench.records.code import Code, changed_modules, code_key, list_changes
from pretask_bench.records.encoders import RANDOM, RAW, SUPERVISED, TRAINED
from pretask_bench.records.metrics import metrics_in_traits
from pretask_bench.records.record import EvaluationResult, Pretext, cell_key, pack_items, separate_missing
from pretask_bench.records.store import write_picture
from pretask_bench.results.pretext import pretext_fields
from pretask_bench.runs.context import Clock, RunContext, check_finished
from pretask_bench.runs.parts import Parts
from pretask_bench.runs.reference_encoders import choose_label, raw_input, supervised_split

SHORTCUT_SAMPLES = 2048  # of each part, in which shortcuts are looked for
MAX_PICTURES = 32  # that a record takes


def pretrain(registry: Registry, task: Task, parts: Parts, context: RunContext, clock: Clock, stage: str) -> None:
    """Train a task in place, with progress shown and checkpoints kept, going on where it was stopped before.

    Raises:
        Interrupted: It was stopped again.
    """
    key, code = training_key(parts), parts.code(evaluated=False)
    name, folder = name_training(parts), training_folder(parts, context)
    note_other_code(context, name, folder, key, code)
    registry.call("pretask_run_event", event="pretrain-start", run=name, facts=asdict(parts.plan.recipe))
    with make_watcher(parts.plan.name) as watch:
        trained: Trained = train(
            task,
            parts.train,
            seed=parts.plan.seed,
            folder=folder,
            key=key,
            code=code,
            checkpoint_seconds=context.checkpoint_seconds,
            watch=watch,
        )
    facts = {"steps": trained.steps, "seconds": trained.seconds, "curve": trained.curve}
    registry.call("pretask_run_event", event="pretrain-end", run=name, facts=facts)
    clock.stages[stage] = trained.seconds  # of all times that it was gone on with
    check_finished(trained, parts.plan.recipe)


def training_key(parts: Parts) -> str:
    """Return what determines the weights of a run, whatever they are measured by."""
    return cell_key(parts.cell, without={"evaluators", "evaluated_on"})


def name_training(parts: Parts) -> str:
    """Return the name of a run for people and folders."""
    return f"{parts.plan.name}-{training_key(parts)[:12]}"


def training_folder(parts: Parts, context: RunContext) -> Path:
    """Return the folder of a run's checkpoints and pictures."""
    return context.out / f"{name_training(parts)}-{code_key(parts.code(evaluated=False))[:8]}"


def note_other_code(context: RunContext, name: str, folder: Path, key: str, code: Code) -> None:
    """Print which modules changed, where the same run was trained with other code and cannot be continued."""
    others = [path for path in sorted(context.out.glob(f"{name}-*")) if path != folder]
    found = [before for path in others if (before := read_code(path, key)) is not None]
    if found and not folder.exists():
        context.say(f"checkpoints of other code are left alone: {list_changes(changed_modules(found[-1], code))}")


def score_pretext(parts: Parts, task: Task, context: RunContext) -> Pretext:
    """Score the task on held-out data, and what it is held against, counted on the training samples it was shown."""
    held_out = held_out_part(parts)
    recipe, total = parts.plan.recipe, len(parts.train)
    shown = shown_samples(parts.plan.seed, recipe.steps * recipe.batch, total)
    score = score_held_out(task, held_out)
    references = score_references(
        task, parts.train, held_out, shown=shown
    )  # afterwards: some objectives count negatives
    declared = metrics_in_traits(parts.plan.parts["objective"].component.traits)
    seen = total if shown is None else len(shown)
    fields = pretext_fields(score, references, seen, declared)
    pictures = draw_pictures(parts, task, context)
    return Pretext.model_validate({**fields, "shortcut": find_shortcuts(parts), "pictures": pictures}, strict=False)


def held_out_part(parts: Parts) -> Samples:
    """Return the samples on which the task is scored."""
    return parts.train if scored_part(parts.split) == "train" else parts.test


def draw_pictures(parts: Parts, task: Task, context: RunContext) -> list[dict[str, str]]:
    """Return the pictures of split and objective, kept in the store, and under their names in the run's folder.

    One that cannot be drawn is left out with a message: what was trained and scored is not lost by it.
    """
    if not context.pictures:
        return []
    pictures: list[dict[str, str]] = []
    folder = training_folder(parts, context) / "pictures"
    try:
        for name, figure in iterate_figures(task, held_out_part(parts)):
            pictures.append({"name": name, "caption": figure.caption, "png": write_picture(context.store, figure.png)})
            write_whole(folder / f"{name}.png", figure.png)
    except Exception as error:  # whatever a plugin's drawing does
        context.say(f"left out a picture of {parts.plan.name}: {type(error).__name__}: {error}")
    return pictures[:MAX_PICTURES]


def find_shortcuts(parts: Parts) -> dict[str, float]:
    """Return how well low-level statistics of x predict y, of what is one class per sample; `TARGET.accuracy`."""
    few = slice(0, SHORTCUT_SAMPLES)
    train, test = (samples.some(few, f"the first {SHORTCUT_SAMPLES}") for samples in (parts.train, parts.test))
    found = measure_shortcuts(parts.split, train, test, parts.plan.seed)
    return {f"{name}.accuracy": probe.accuracy for name, probe in found.items()}


def build_encoders(
    registry: Registry, parts: Parts, context: RunContext, clock: Clock, trained: Task
) -> Iterator[tuple[str, Task]]:
    """Yield what is measured: the trained encoder, then those that it is held against."""
    yield TRAINED, trained
    if RANDOM in context.references:
        yield RANDOM, parts.compose(context.device)
    if RAW in context.references:
        yield RAW, raw_input(trained)
    if SUPERVISED in context.references:
        labelled = label_parts(registry, parts)
        task = labelled.compose(context.device)
        pretrain(registry, task, labelled, context, clock, SUPERVISED)
        yield SUPERVISED, replace(task, split=parts.split)


def label_parts(registry: Registry, parts: Parts) -> Parts:
    """Return the same network, recipe and budget for the labels that are measured, or the first ones of the data."""
    wanted = [str(parts.plan.of(evaluator.name).get("label", "")) for evaluator in parts.plan.evaluators]
    label = choose_label(parts.train, wanted)
    registered = registry.find("objective", "pretask/cross-entropy@1")
    name, named = f"{parts.plan.name}-{SUPERVISED}-{label}", {**parts.plan.parts, "objective": registered}
    plan = replace(parts.plan, name=name, parts=named)
    split = supervised_split(parts.split, parts.train, label)
    return replace(parts, plan=plan, split=split, objective=build(registered))


def measure_all(
    registry: Registry, parts: Parts, context: RunContext, clock: Clock, trained: Task
) -> Iterator[EvaluationResult]:
    """Yield a row for every encoder and evaluator; leave out, with a message, what raw input cannot be measured by."""
    for encoder, task in build_encoders(registry, parts, context, clock, trained):
        for evaluator in parts.plan.evaluators:
            if encoder != TRAINED and evaluator.component.traits["needs"] == "objective":
                continue
            context.say(f"{evaluator.name} on {encoder} features")
            try:
                with clock.stage(f"{evaluator.name}.{encoder}"):
                    yield measure(evaluator, task, parts, encoder, context)
            except PretaskError as error:
                if encoder != RAW:
                    raise
                context.say(f"left out: {error}")


def measure(evaluator: Registered, task: Task, parts: Parts, encoder: str, context: RunContext) -> EvaluationResult:
    """Return one row: what an evaluator yields, sorted into numbers, items, choices and pictures."""
    numbers: dict[str, float] = {}
    items: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    pictures = []
    budget = Budget(seed=parts.plan.seed, cache=str(cache_folder()))
    for name, value in build(evaluator, parts.plan.of(evaluator.name))(task, parts.on, budget):
        if isinstance(value, Items):
            items[name] = pack_items(value.correct.bool(), parts.on("test").fingerprint)
        elif isinstance(value, Choice):
            chosen[name] = value.value
        elif isinstance(value, Figure):
            if context.pictures:
                png = write_picture(context.store, value.png)
                pictures.append({"name": name, "caption": value.caption, "png": png})
        else:
            numbers[name] = float(value)
    found = {**separate_missing(numbers), "items": items, "chosen": chosen, "pictures": pictures}
    return EvaluationResult.model_validate({"encoder": encoder, "evaluator": evaluator.id, **found}, strict=False)

"""Stages: pretrain, score the pretext task, and measure encoders; each returns what it found."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pretask import Budget, Choice, Figure, Items, PretaskError, Samples, Task
from pretask.cache import cache_folder
from pretask.checkpoint import read_code
from pretask.events import EncoderEvaluated
from pretask.figures import iterate_figures
from pretask.files import write_whole
from pretask.order import shown_samples
from pretask.pretext_score import score_held_out, score_references
from pretask.protocols import OffersFigures, scored_part
from pretask.step_profile import StepProfile
from pretask.stopping import raise_again
from pretask.training import Trained, train
from pretask_registry import Registered, Registry, build
from pretask_registry.shortcut import measure_shortcuts

from pretask_bench.artifacts.task_file import RECORD
from pretask_bench.records.cell import training_cell_key
from pretask_bench.records.code import Code, changed_modules, code_key, list_changes
from pretask_bench.records.encoders import GIVEN, INITIAL, RANDOM, RAW, SUPERVISED, TRAINED
from pretask_bench.records.measured import EvaluationResult, Pretext, pack_items, separate_missing
from pretask_bench.records.measured import Items as RecordedItems
from pretask_bench.records.metrics import metrics_in_traits
from pretask_bench.records.record import parse_record
from pretask_bench.records.store import write_picture
from pretask_bench.results.pretext import pretext_fields
from pretask_bench.runs.context import RunContext, StageTimer, check_finished
from pretask_bench.runs.given_encoders import GivenEncoder
from pretask_bench.runs.prepare import PreparedRun
from pretask_bench.runs.probing import make_visits
from pretask_bench.runs.reference_encoders import choose_label, raw_input, supervised_split
from pretask_bench.runs.train_on import train_on
from pretask_bench.runs.watching import Audience

PRETRAIN = "pretrain"  # the stage of the trained encoder
SHORTCUT_SAMPLES = 2048  # of each part, in which shortcuts are looked for
MAX_PICTURES = 32  # that a record takes


def pretrain(
    audience: Audience, task: Task, prepared: PreparedRun, context: RunContext, timer: StageTimer, stage: str
) -> None:
    """Train a task in place, with progress shown and checkpoints kept, going on where it was stopped before.

    Raises:
        Interrupted: It was stopped again.
    """
    key, code = training_key(prepared), prepared.training_code
    name, folder = name_run(prepared), training_folder(prepared, context)
    report_other_code(context, name, folder, key, code)
    train_on(prepared, task, context, folder, key, code)
    visits = make_visits(audience, prepared, task, context, folder) if stage == PRETRAIN else None
    profile = StepProfile() if context.profile and stage == PRETRAIN else None
    with context.watch(prepared.plan.name) as show:
        trained: Trained = train(
            task,
            prepared.train,
            seed=prepared.plan.seed,
            folder=folder,
            key=key,
            code=code,
            checkpoint_seconds=context.checkpoint_seconds,
            watch=audience.make_watcher(TRAINED if stage == PRETRAIN else stage, show),
            visits=visits,
            profile=profile,
        )
    for line in profile.describe() if profile is not None else ():
        context.say(line)
    timer.stages[stage] = trained.seconds  # those before an interruption included
    check_finished(trained, prepared.plan.recipe)


def training_key(prepared: PreparedRun) -> str:
    """Return what determines the weights of a run, whatever they are measured by."""
    return training_cell_key(prepared.cell)


def name_run(prepared: PreparedRun) -> str:
    """Return the name of a run for people and folders."""
    return f"{prepared.plan.name}-{training_key(prepared)[:12]}"


def training_folder(prepared: PreparedRun, context: RunContext) -> Path:
    """Return the folder of a run's checkpoints and pictures."""
    return context.out / f"{name_run(prepared)}-{code_key(prepared.training_code)[:8]}"


def report_other_code(context: RunContext, name: str, folder: Path, key: str, code: Code) -> None:
    """Print which modules changed, where the same run was trained with other code and cannot be continued."""
    others = [path for path in sorted(context.out.glob(f"{name}-*")) if path != folder]
    earlier_codes = [earlier for path in others if (earlier := read_code(path, key)) is not None]
    if earlier_codes and not folder.exists():
        changes = list_changes(changed_modules(earlier_codes[-1], code))
        context.say(f"checkpoints of other code are left alone: {changes}")


def score_pretext(prepared: PreparedRun, task: Task, context: RunContext) -> Pretext:
    """Score the task on held-out samples, beside chance and trivial predictors fitted on the samples it was shown."""
    held_out = held_out_samples(prepared)
    recipe, total = prepared.plan.recipe, len(prepared.train)
    shown = shown_samples(prepared.plan.seed, recipe.steps * recipe.batch, total, prepared.train.block)
    score = score_held_out(task, held_out)
    references = score_references(
        task, prepared.train, held_out, shown=shown
    )  # afterwards: some objectives count negatives
    declared = metrics_in_traits(prepared.plan.parts["objective"].component.traits)
    fields = pretext_fields(score, references, total if shown is None else len(shown), declared)
    pictures = draw_pictures(prepared, task, context)
    return Pretext.model_validate({**fields, "shortcut": find_shortcuts(prepared), "pictures": pictures}, strict=False)


def find_pretext(prepared: PreparedRun, task: Task, context: RunContext, weights: str) -> Pretext | None:
    """Return the score of the same weights on the same data by the same code, which an earlier run of them found.

    Whoever measures anew, or wants pictures of the task, is given none.
    """
    is_drawn = context.pictures and any(isinstance(part, OffersFigures) for part in (task.split, task.objective))
    if context.again or is_drawn:
        return None
    with suppress(OSError, PretaskError):  # there is no earlier run, or its record cannot be read
        earlier = parse_record((training_folder(prepared, context) / RECORD).read_bytes())
        known, code = earlier.code, prepared.code
        is_same = all(known[name] == code[name] for name in known.keys() & code.keys())
        if is_same and earlier.weights == weights and earlier.cell.data == prepared.cell.data:
            return earlier.pretext
    return None


def held_out_samples(prepared: PreparedRun) -> Samples:
    """Return the samples on which the task is scored."""
    return prepared.train if scored_part(prepared.split) == "train" else prepared.test


def draw_pictures(prepared: PreparedRun, task: Task, context: RunContext) -> list[dict[str, str]]:
    """Return the pictures of split and objective, kept in the store, and under their names in the run's folder.

    One that cannot be drawn is left out with a message: what was trained and scored is not lost by it.
    """
    if not context.pictures:
        return []
    pictures: list[dict[str, str]] = []
    folder = training_folder(prepared, context) / "pictures"
    try:
        for name, figure in iterate_figures(task, held_out_samples(prepared)):
            pictures.append(store_figure(context, name, figure))
            write_whole(folder / f"{name}.png", figure.png)
    except Exception as error:  # whatever a plugin's drawing does
        raise_again(error)
        context.say(f"left out a picture of {prepared.plan.name}: {type(error).__name__}: {error}")
    return pictures[:MAX_PICTURES]


def store_figure(context: RunContext, name: str, figure: Figure) -> dict[str, str]:
    """Write a figure to the store; return the fields of a record's Picture."""
    return {"name": name, "caption": figure.caption, "png": write_picture(context.store, figure.png)}


def find_shortcuts(prepared: PreparedRun) -> dict[str, float]:
    """Return how well low-level statistics of x predict y, of what is one class per sample; `TARGET.accuracy`."""
    some = slice(0, SHORTCUT_SAMPLES)
    train, test = (samples.some(some, f"the first {SHORTCUT_SAMPLES}") for samples in (prepared.train, prepared.test))
    probes = measure_shortcuts(prepared.split, train, test, prepared.plan.seed)
    return {f"{name}.accuracy": probe.accuracy for name, probe in probes.items()}


def build_encoders(
    audience: Audience,
    prepared: PreparedRun,
    context: RunContext,
    timer: StageTimer,
    trained: Task,
    given: Sequence[GivenEncoder],
) -> Iterator[tuple[str, Task]]:
    """Yield the encoders to evaluate, by name: the trained one, then the reference encoders."""
    yield TRAINED, trained
    if RANDOM in context.references:
        yield RANDOM, prepared.compose(context.device)
    if RAW in context.references:
        yield RAW, raw_input(trained)
    if SUPERVISED in context.references:
        supervised = prepare_supervised(audience.registry, prepared)
        task = supervised.compose(context.device)
        pretrain(audience, task, supervised, context, timer, SUPERVISED)
        yield SUPERVISED, replace(task, split=prepared.split)
    if INITIAL in context.references and prepared.initial is not None and prepared.plan.recipe.steps:
        yield INITIAL, prepared.compose(context.device, begun=True)
    for one in given:
        yield one.label, one.as_task(prepared, context.device)


def prepare_supervised(registry: Registry, prepared: PreparedRun) -> PreparedRun:
    """Return the same network, recipe and budget, to train on the labels that evaluators use, or the first ones."""
    plan = prepared.plan
    wanted = [str(plan.options_of(evaluator.name).get("label", "")) for evaluator in plan.evaluators]
    label = choose_label(prepared.train, wanted)
    objective = registry.find("objective", "pretask/cross-entropy@1")
    supervised_plan = replace(
        plan, name=f"{plan.name}-{SUPERVISED}-{label}", parts={**plan.parts, "objective": objective}
    )
    split = supervised_split(prepared.split, prepared.train, label)
    return replace(prepared, plan=supervised_plan, split=split, build_objective=build(objective))


def evaluate_encoders(
    audience: Audience,
    prepared: PreparedRun,
    context: RunContext,
    timer: StageTimer,
    trained: Task,
    given: Sequence[GivenEncoder] = (),
) -> Iterator[EvaluationResult]:
    """Yield the results of every evaluator on every encoder; leave out, with a message, what raw input cannot have.

    Nor need an encoder of elsewhere have all that an evaluator asks for, such as vectors of positions.
    """
    for encoder, task in build_encoders(audience, prepared, context, timer, trained, given):
        for evaluator in prepared.plan.evaluators:
            if encoder != TRAINED and evaluator.component.traits["needs"] == "objective":
                continue
            context.say(f"{evaluator.name} on {encoder} features")
            try:
                with timer.stage(f"{evaluator.name}.{encoder}"):
                    result = evaluate_encoder(evaluator, encoder, task, prepared, context)
            except PretaskError as error:
                if encoder != RAW and not encoder.startswith(GIVEN):
                    raise
                context.say(f"left out: {error}")
            else:
                known = {name: value for name, value in result.metrics.items() if value is not None}
                audience.tell(EncoderEvaluated(encoder, evaluator.id, known))
                yield result


def evaluate_encoder(
    evaluator: Registered, encoder: str, task: Task, prepared: PreparedRun, context: RunContext
) -> EvaluationResult:
    """Run one evaluator on one encoder, and sort what it yields into numbers, items, choices and pictures.

    Args:
        evaluator: The component; it is built with the options of the plan.
        encoder: Name of the encoder, such as `trained`.
        task: The task with that encoder.
        prepared: The run, with the data to evaluate on.
        context: Where pictures are stored, if they are kept.
    """
    metrics: dict[str, float] = {}
    items: dict[str, RecordedItems] = {}
    chosen: dict[str, str] = {}
    pictures = []
    evaluate = build(evaluator, prepared.plan.options_of(evaluator.name))
    budget = Budget(seed=prepared.plan.seed, cache=str(cache_folder()))
    for name, value in evaluate(task, prepared.evaluation_data, budget):
        if isinstance(value, Items):
            items[name] = pack_items(value.correct.bool(), prepared.evaluation_data("test").fingerprint)
        elif isinstance(value, Choice):
            chosen[name] = value.value
        elif not isinstance(value, Figure):
            metrics[name] = float(value)
        elif context.pictures:
            pictures.append(store_figure(context, name, value))
    measured = {**separate_missing(metrics), "items": items, "chosen": chosen, "pictures": pictures}
    return EvaluationResult.model_validate({"encoder": encoder, "evaluator": evaluator.id, **measured}, strict=False)

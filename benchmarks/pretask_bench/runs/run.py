"""Run: pretrain, evaluate beside reference encoders, and write one record.

Running the same thing again goes on where it stopped; what is already recorded is not computed again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from pretask.checkpoint import iterate_weights, load_weights
from pretask.checkpoint_content import weights_of
from pretask.events import RunStarted
from pretask.files import require_writable, sweep
from pretask.hashing import hash_weights
from pretask.locks import hold
from pretask.stopping import raise_again
from pretask_registry import Registry

from pretask_bench.artifacts.save import save_encoder, save_record
from pretask_bench.artifacts.task_file import PICTURES, TASK
from pretask_bench.records.cell import Cell, cell_key
from pretask_bench.records.code import changed_modules, list_changes
from pretask_bench.records.measured import Declaration, EvaluationResult, Pretext
from pretask_bench.records.metrics import as_declaration
from pretask_bench.records.provenance import collect
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import write
from pretask_bench.results.index import find_by_cell
from pretask_bench.runs.context import Interrupted, RunContext, StageTimer
from pretask_bench.runs.cost import training_flops
from pretask_bench.runs.early import check_evaluators, check_first_step
from pretask_bench.runs.fit_with import load_encoder_source
from pretask_bench.runs.given_encoders import GivenEncoder, read_given, require_reads
from pretask_bench.runs.memory import check_memory, explain_refused_memory
from pretask_bench.runs.plan import PARTS, Plan, trains_the_same
from pretask_bench.runs.prepare import (
    PreparedRun,
    build_encoder_without_memory,
    count_parameters,
    prepare_measuring,
    prepare_run,
)
from pretask_bench.runs.probing import find_file, read_probed
from pretask_bench.runs.ranks import (
    close_group,
    count_ranks,
    join_group,
    leave_group,
    own_rank,
    refuse_ranks,
    share_decision,
)
from pretask_bench.runs.reference_encoders import required_references
from pretask_bench.runs.stages import (
    PRETRAIN,
    evaluate_encoders,
    find_pretext,
    name_run,
    pretrain,
    score_pretext,
    training_folder,
)
from pretask_bench.runs.watching import Audience


@dataclass(frozen=True)
class Findings:
    """What a run found so far; of a run that failed, as far as it came.

    Args:
        cell: What determines the numbers.
        code: Hashes of the modules that train and measure.
        declared: What objective and evaluators declare of their numbers, by id.
        flops: Operations of training, where they can be counted.
        pretext: How well the pretext task was solved.
        weights: Hash of the trained weights.
        results: A row for every encoder and evaluator.
        devices: How many trained.
    """

    cell: Cell
    code: Mapping[str, str]
    declared: Mapping[str, Declaration] = field(default_factory=dict)
    flops: float | None = None
    pretext: Pretext | None = None
    weights: str | None = None
    results: tuple[EvaluationResult, ...] = ()
    devices: int = 1


class StoredRecord(NamedTuple):
    """A record and its file."""

    record: Record
    path: Path


class Started(NamedTuple):
    """A run whose data are read and whose parts are built.

    Args:
        prepared: The run.
        at: When it started.
        timer: Of its stages.
        given: Encoders of elsewhere that it is held against.
        scores: Of the pretext task by the hash of the weights, found by runs that train the same.
    """

    prepared: PreparedRun
    at: datetime
    timer: StageTimer
    given: tuple[GivenEncoder, ...]
    scores: dict[str, Pretext]


def run(registry: Registry, plan: Plan, context: RunContext) -> StoredRecord:
    """Execute a plan in this process.

    Returns:
        The new record, or the one of the same cell and code that the store has.

    Raises:
        PretaskError: Data is missing, parts do not fit, or training failed; a failure after the start is a record too.
        Interrupted: Ctrl-C was pressed, or a signal came.
    """
    (stored,) = run_all(registry, [plan], context)
    return stored


def run_all(registry: Registry, plans: Sequence[Plan], context: RunContext) -> list[StoredRecord]:
    """Execute plans in this process, one after the other; see `run`.

    Of those that follow one another and differ in what they are measured by and on alone, the first reads the data,
    trains and scores the pretext task, and all are seen to be readable before that.
    """
    refuse_ranks("a run of several plans")
    done: list[StoredRecord] = []
    started: Started | None = None
    for number, plan in enumerate(plans):
        is_first = started is None or not trains_the_same(started.prepared.plan, plan)
        started = start_after(registry, plan, context, started)
        for other in takewhile(partial(trains_the_same, plan), plans[number + 1 :]) if is_first else ():
            start_measuring(started, other, context)
        done.append(finish(registry, started, context))
    return done


def start_after(registry: Registry, plan: Plan, context: RunContext, before: Started | None) -> Started:
    """Start a run after another one, whose data and parts it takes where both train the same."""
    if before is None or not trains_the_same(before.prepared.plan, plan):
        return start(registry, plan, context)
    return start_measuring(before, plan, context)


def finish(registry: Registry, started: Started, context: RunContext) -> StoredRecord:
    """Bring a run to its end, or find its record where the store has it."""
    with hold_cell(started.prepared, context):
        return find_known(started, context) or complete(registry, started, context)


def run_on_ranks(registry: Registry, plan: Plan, context: RunContext) -> StoredRecord | None:
    """Execute a plan on all ranks: rank 0 decides whether to, and alone measures and returns a record; see `run`."""
    started = start(registry, plan, context)
    join_group(context.device)
    if own_rank() > 0:
        if share_decision(False, context.device):
            task = started.prepared.compose(context.device, begun=True)
            silent = Audience(registry, name_run(started.prepared))
            pretrain(silent, task, started.prepared, context, started.timer, PRETRAIN)
        close_group()
        return None
    with hold_cell(started.prepared, context):
        known = find_known(started, context)
        share_decision(known is None, context.device)
        found = known or complete(registry, started, context)
    close_group()
    return found


def train_alone(registry: Registry, plan: Plan, context: RunContext) -> None:
    """Train what a plan needs and keep its checkpoint, with which a run goes on; nothing where it is recorded."""
    started = start(registry, plan, context)
    prepared = started.prepared
    with hold_cell(prepared, context):
        if plan.recipe.steps and find_known(started, context) is None:
            task = prepared.compose(context.device, begun=True)
            pretrain(Audience(registry, name_run(prepared)), task, prepared, context, started.timer, PRETRAIN)


def start(registry: Registry, plan: Plan, context: RunContext) -> Started:
    """Read the data of a plan and build its parts."""
    at, timer = datetime.now(UTC), StageTimer()
    require_writable(context.out, "--out")
    check_first_step(plan)
    smaller = "Set data.size, or the size of its samples, lower."
    with timer.stage("data"), explain_refused_memory(f"data {plan.parts['data'].name}", context.device, smaller):
        prepared = prepare_run(plan, context.device, load_encoder_source(registry, plan, context.device))
    encoder = build_encoder_without_memory(prepared.split, prepared.build_model, prepared.train)
    context.take_memory(check_memory(encoder, prepared.train, plan.recipe, count_ranks(), context.device))
    if own_rank() == 0:  # which alone measures, and reads what is measured on
        check_evaluators(prepared, context.device)
    return Started(prepared, at, timer, read_given(registry, context.given, prepared), {})


def start_measuring(started: Started, plan: Plan, context: RunContext) -> Started:
    """Start what another plan is measured by and on, with all else as it is in a run that trains the same."""
    at, timer = datetime.now(UTC), StageTimer()
    with timer.stage("data"):
        prepared = prepare_measuring(started.prepared, plan)
    check_evaluators(prepared, context.device)
    for given in started.given:
        require_reads(given, prepared)
    return started._replace(prepared=prepared, at=at, timer=timer)


@contextmanager
def hold_cell(prepared: PreparedRun, context: RunContext) -> Iterator[None]:
    """Keep other processes off this run inside; who waits finds its record afterwards. Sweep what kills left."""
    folder = training_folder(prepared, context)
    with hold(folder.with_name(f".{folder.name}.lock"), f"running {name_run(prepared)} in {context.out}"):
        for place in (context.store, folder, folder / PICTURES):
            sweep(place)
        yield


def find_known(started: Started, context: RunContext) -> StoredRecord | None:
    """Return the record of this cell and code where the store has it, and say so."""
    if context.again:
        return None
    prepared, code = started.prepared, started.prepared.code
    references = required_references(prepared.plan, (*context.references, *(one.label for one in started.given)))
    known = find_record(context.store, prepared.cell, code, references)
    if known is not None and known.record.code == code:
        mend_folder(prepared, known.record, context)
        context.say(f"already recorded: {known.path} (--again runs it anew){name_untaken(known.record, context)}")
        return known
    if known is not None:
        changes = list_changes(changed_modules(known.record.code, code))
        context.say(f"recorded with other code, so it runs anew: {changes}")
    return None


def name_untaken(record: Record, context: RunContext) -> str:
    """Return which measures of a training are asked for and not taken, since nothing is trained; "" for none."""
    asked = {"--profile": context.profile, "--probe-every": context.probe_every and not record.probed}
    untaken = " and ".join(option for option, is_asked in asked.items() if is_asked)
    return f"; nothing is trained, so {untaken} measured nothing" if untaken else ""


def mend_folder(prepared: PreparedRun, record: Record, context: RunContext) -> None:
    """Give the folder of a recorded run its encoder and record, where a kill came before or the record from a friend.

    Where neither an encoder nor a checkpoint with the record's weights is there, it is left as it is.
    """
    folder = training_folder(prepared, context)
    if not (folder / TASK).is_file():
        found = [path for path, weights in iterate_weights(folder) if hash_weights(weights) == record.weights]
        if not found:
            return
        task = prepared.compose(context.device)
        load_weights(found[0], task.networks)
        save_encoder(folder, prepared, task)
    save_record(folder, record, context.store)


def complete(registry: Registry, started: Started, context: RunContext) -> StoredRecord:
    """Run all stages and write the record; of a failure too."""
    prepared = started.prepared
    prepared.count_duplicates()  # kept in the cache: what cannot be written is found before training, not after it
    findings = Findings(prepared.cell, prepared.code, declare_metrics(prepared.plan), devices=count_ranks())
    smaller = "Lower recipe.batch, or set smaller sizes of the model."
    audience = Audience(registry, name_run(prepared), context.trackers)
    with audience.attend(describe_start(prepared)) as ending:
        try:
            with explain_refused_memory(prepared.plan.name, context.device, smaller):
                for extended in run_stages(audience, started, context, findings):
                    findings = extended
        except Interrupted:
            raise
        except Exception as error:
            raise_again(error)
            ending.record = write(context.store, make_record(started, context, findings, error))
            raise
        record = make_record(started, context, findings)
        path = ending.record = write(context.store, record)
        save_record(training_folder(prepared, context), record, context.store)
    registry.call("pretask_record", record=record.model_dump(mode="json"))
    return StoredRecord(record, path)


def run_stages(audience: Audience, started: Started, context: RunContext, findings: Findings) -> Iterator[Findings]:
    """Train and measure; yield all that was found after every stage."""
    prepared, timer = started.prepared, started.timer
    task = prepared.compose(context.device, begun=True)
    if prepared.plan.recipe.steps:
        pretrain(audience, task, prepared, context, timer, PRETRAIN)
    if findings.devices > 1:
        leave_group()
    with timer.stage("pretext"):
        flops = training_flops(prepared.compose(context.device), prepared.train, prepared.plan.seed)
        weights = hash_weights(weights_of(task.networks))
        if prepared.plan.recipe.steps and weights not in started.scores:  # without steps no head was trained
            known = find_pretext(prepared, task, context, weights)
            started.scores[weights] = known or score_pretext(prepared, task, context)
        findings = replace(findings, flops=flops, pretext=started.scores.get(weights), weights=weights)
    yield findings
    for result in evaluate_encoders(audience, prepared, context, timer, task, started.given):
        findings = replace(findings, results=(*findings.results, result))
        yield findings
    save_encoder(training_folder(prepared, context), prepared, task)


def describe_start(prepared: PreparedRun) -> RunStarted:
    """Return what is told of a run when it starts."""
    cell = prepared.cell
    parts = {name: getattr(cell, name) for name in (*PARTS, "data")}
    options = {f"{name}.{option}": value for name, part in parts.items() for option, value in part.options.items()}
    recipe = {f"recipe.{name}": value for name, value in cell.recipe.items()}
    return RunStarted({name: part.id for name, part in parts.items()}, options | recipe, cell.seed, cell_key(cell))


def declare_metrics(plan: Plan) -> dict[str, Declaration]:
    """Return what the objective and the evaluators of a plan declare of their numbers, by id."""
    components = [plan.parts["objective"], *plan.evaluators]
    return {
        registered.id: as_declaration(registered.component.traits)
        for registered in components
        if registered.component.traits["metrics"]
    }


def make_record(started: Started, context: RunContext, findings: Findings, error: Exception | None = None) -> Record:
    """Return the record of a run's findings, and of the error that ended it, where one did."""
    return build_record(
        {
            "status": "complete" if error is None else "failed",
            "error": error,
            "cell": findings.cell,
            "code": findings.code,
            "declared": findings.declared,
            "pretext": findings.pretext,
            "weights": findings.weights,
            "results": findings.results,
            "duplicates": started.prepared.count_duplicates(),
            "probed": list_probed(started, context),
            "given": {one.label: {"weights": one.weights, "name": one.name[:120]} for one in started.given},
            "provenance": describe_provenance(started, context, findings),
            **context.attribution.model_dump(),
        }
    )


def list_probed(started: Started, context: RunContext) -> list[dict[str, Any]]:
    """Return what was measured while the encoder was trained, in the order of steps."""
    found = read_probed(find_file(started.prepared, training_folder(started.prepared, context)))
    return [{"step": step, "metrics": found[step]} for step in sorted(found)]


def describe_provenance(started: Started, context: RunContext, findings: Findings) -> Mapping[str, Any]:
    """Return how the numbers came about."""
    plan, recipe = started.prepared.plan, started.prepared.plan.recipe
    plugins = {part.plugin.distribution for part in (*plan.parts.values(), *plan.evaluators)}
    return collect(
        started=started.at,
        ended=started.at + timedelta(seconds=started.timer.elapsed()),  # whatever was done to the clock meanwhile
        device=str(context.device),
        devices=findings.devices,
        samples=recipe.steps * recipe.batch,
        parameters=count_parameters(started.prepared),
        flops=findings.flops,
        stages=started.timer.stages,
        distributions=sorted(plugins),
    )


def find_record(store: Path, cell: Cell, code: Mapping[str, str], references: Collection[str]) -> StoredRecord | None:
    """Return a complete record of this very cell with these references: of this code where there is one."""
    if not store.is_dir():
        return None
    match = None
    for record, path in find_by_cell(store, cell):
        has_references = {result.encoder for result in record.results} >= {*references}
        if record.status == "complete" and has_references:
            match = StoredRecord(record, path)
            if record.code == code:
                break
    return match

"""Run: pretrain, measure beside the same network at random initialisation, and write one record.

Running the same thing again goes on where it stopped; what is already recorded is not computed again.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pretask.checkpoint import weights_of
from pretask.hashing import hash_weights
from pretask_registry import Registry

from pretask_bench.records.code import changed_modules, list_changes
from pretask_bench.records.encoders import RAW
from pretask_bench.records.metrics import as_declaration
from pretask_bench.records.provenance import collect
from pretask_bench.records.record import (
    Cell,
    Declaration,
    Pretext,
    Record,
    Row,
    build_record,
    cell_key,
    record_hash,
)
from pretask_bench.records.store import read_all, write
from pretask_bench.runs.context import Clock, Interrupted, RunContext
from pretask_bench.runs.cost import training_flops
from pretask_bench.runs.early import refuse_crash
from pretask_bench.runs.fit_with import open_encoder
from pretask_bench.runs.parts import Parts, build_parts, count_parameters
from pretask_bench.runs.plan import Plan
from pretask_bench.runs.stages import measure_all, pretrain, score_pretext

PRETRAIN = "pretrain"


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
    """

    cell: Cell
    code: Mapping[str, str]
    declared: Mapping[str, Declaration] = field(default_factory=dict)
    flops: float | None = None
    pretext: Pretext | None = None
    weights: str | None = None
    results: tuple[Row, ...] = ()


def run(registry: Registry, plan: Plan, context: RunContext) -> tuple[Record, Path]:
    """Execute a plan.

    Returns:
        The record and its file.

    Raises:
        PretaskError: Data is missing, parts do not fit, or training failed; a failure after the start is a record too.
        Interrupted: Ctrl-C was pressed.
    """
    started, clock = datetime.now(UTC), Clock()
    refuse_crash(plan)
    with clock.stage("data"):
        parts = build_parts(plan, context.device, open_encoder(registry, plan, context.device))
    code = parts.code()
    known = None if context.again else find_record(context.store, parts.cell, code, expected_references(plan, context))
    if known is not None and known[0].code == code:
        context.say(f"already recorded: {known[1]} (--again runs it anew)")
        return known
    if known is not None:
        context.say(f"recorded with other code, so it runs anew: {list_changes(changed_modules(known[0].code, code))}")
    found = Findings(parts.cell, code, declare_numbers(plan))
    try:
        for grown in execute(registry, parts, context, clock, found):
            found = grown
    except Interrupted:
        raise
    except Exception as error:
        write(context.store, as_record(parts, context, found, started, clock, error))
        raise
    record = as_record(parts, context, found, started, clock)
    path = write(context.store, record)
    registry.call("pretask_record", record=record.model_dump(mode="json"))
    return record, path


def execute(registry: Registry, parts: Parts, context: RunContext, clock: Clock, found: Findings) -> Iterator[Findings]:
    """Train and measure; yield all that was found after every stage."""
    task = parts.compose(context.device)
    pretrain(registry, task, parts, context, clock, PRETRAIN)
    with clock.stage("pretext"):
        flops = training_flops(parts.compose(context.device), parts.train, parts.plan.seed)
        weights = hash_weights(weights_of(task.networks))
        found = replace(found, flops=flops, pretext=score_pretext(parts, task, context), weights=weights)
    yield found
    for row in measure_all(registry, parts, context, clock, task):
        found = replace(found, results=(*found.results, row))
        yield found


def declare_numbers(plan: Plan) -> dict[str, Declaration]:
    """Return what the objective and the evaluators of a plan declare of their numbers, by id."""
    every = [plan.parts["objective"], *plan.evaluators]
    return {
        registered.id: as_declaration(registered.component.traits)
        for registered in every
        if registered.component.traits["metrics"]
    }


def as_record(
    parts: Parts,
    context: RunContext,
    found: Findings,
    started: datetime,
    clock: Clock,
    error: Exception | None = None,
) -> Record:
    """Return the record of what was found, and of the error that ended it, where one did."""
    return build_record(
        {
            "status": "complete" if error is None else "failed",
            "error": error,
            "cell": found.cell,
            "code": found.code,
            "declared": found.declared,
            "pretext": found.pretext,
            "weights": found.weights,
            "results": found.results,
            "duplicates": parts.count_duplicates(),
            "provenance": describe_provenance(parts, context, found, started, clock),
        }
    )


def describe_provenance(
    parts: Parts, context: RunContext, found: Findings, started: datetime, clock: Clock
) -> Mapping[str, Any]:
    """Return how the numbers came about."""
    recipe = parts.plan.recipe
    plugins = {part.plugin.distribution for part in (*parts.plan.parts.values(), *parts.plan.evaluators)}
    return collect(
        started=started,
        ended=datetime.now(UTC),
        device=str(context.device),
        samples=recipe.steps * recipe.batch,
        parameters=count_parameters(parts),
        flops=found.flops,
        stages=clock.stages,
        distributions=sorted(plugins),
    )


def expected_references(plan: Plan, context: RunContext) -> set[str]:
    """Return the references that a record must have; raw input may have been left out, and an objective has none."""
    measured_apart = any(evaluator.component.traits["needs"] != "objective" for evaluator in plan.evaluators)
    return {*context.references} - {RAW} if measured_apart else set()


def find_record(
    store: Path, cell: Cell, code: Mapping[str, str], references: Collection[str]
) -> tuple[Record, Path] | None:
    """Return a complete record of this very cell with these references: of this code where there is one."""
    if not store.is_dir():
        return None
    key, other = cell_key(cell), None
    for record in read_all([store])[0]:
        has_them = {row.encoder for row in record.results} >= {*references}
        if record.status == "complete" and has_them and cell_key(record.cell) == key:
            other = record, store / f"{record_hash(record)}.json"
            if record.code == code:
                break
    return other

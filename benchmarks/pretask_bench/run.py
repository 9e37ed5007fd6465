"""Run: pretrain, measure beside the same network at random initialisation, and write one record.

Running the same thing again goes on where it stopped; what is already recorded is not computed again.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pretask import Budget, Figure, Items, PretaskError, Recipe, Samples, Task
from pretask.cache import cache_folder
from pretask.checkpoint import weights_of
from pretask.compose import compose
from pretask.held_out import baseline_losses, held_out_loss
from pretask.progress import shown_progress
from pretask.train import Trained, train
from pretask_registry import Registry, build, resolved_options

from pretask_bench.plan import PARTS, Plan
from pretask_bench.provenance import collect
from pretask_bench.records import Cell, Record, build_cell, build_record, cell_key, measured, pack_items, record_hash
from pretask_bench.store import read_all, write, write_picture


@dataclass(frozen=True)
class Sitting:
    """Where and how a run happens; nothing here changes its numbers.

    Args:
        out: Folder of runs and records.
        device: cpu, cuda or cuda:N.
        checkpoint_seconds: Between two checkpoints.
        again: Whether to run what is already recorded.
        say: Told one line at a time what is going on.
    """

    out: Path
    device: torch.device
    checkpoint_seconds: float = 60.0
    again: bool = False
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)


class Interrupted(PretaskError):
    """Ctrl-C was pressed; everything is saved."""

    exit_code = 130

    def __init__(self, step: int, steps: int) -> None:
        Exception.__init__(self, f"Stopped at step {step} of {steps} and saved. Run the same command again to go on.")


@dataclass
class Clock:
    """Seconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside for this stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - begin


@dataclass(frozen=True)
class Built:
    """The parts of a plan, made: data decoded, split fitted."""

    plan: Plan
    data: Callable[[str], Samples]
    train: Samples
    test: Samples
    split: Any
    model: Any
    objective: Any
    cell: Cell

    def compose(self, device: torch.device) -> Task:
        """The task with the weights that the seed gives."""
        plan = self.plan
        source = plan.task.component.source if plan.task is not None else ""
        return compose(
            self.train.observed,
            self.split,
            self.model,
            self.objective,
            plan.recipe,
            name=plan.name,
            source=source,
            seed=plan.seed,
            device=device,
        )


def run(registry: Registry, plan: Plan, sitting: Sitting) -> tuple[Record, Path]:
    """Carry out a plan.

    Returns:
        The record and its file.

    Raises:
        PretaskError: Data is missing, parts do not fit, or training failed; a failure after the start is a record too.
        Interrupted: Ctrl-C was pressed.
    """
    started, clock = datetime.now(UTC), Clock()
    with clock.stage("data"):
        built = make(plan, sitting)
    store = sitting.out / "records"
    known = None if sitting.again else find_record(store, built.cell)
    if known is not None:
        sitting.say(f"already recorded: {known[1]} (--again runs it anew)")
        return known
    facts: dict[str, Any] = {"cell": built.cell, "results": [], "pretext": None}
    try:
        carry_out(registry, built, sitting, clock, facts)
        status: dict[str, Any] = {"status": "complete"}
    except Interrupted:
        raise
    except Exception as error:
        status = {"status": "failed", "error": error}
        write(store, build_record({**facts, **status, "provenance": provenance(built, sitting, started, clock)}))
        raise
    record = build_record({**facts, **status, "provenance": provenance(built, sitting, started, clock)})
    path = write(store, record)
    registry.call("pretask_record", record=record.model_dump(mode="json"))
    return record, path


def carry_out(registry: Registry, built: Built, sitting: Sitting, clock: Clock, facts: dict[str, Any]) -> None:
    """Train and measure, and put what was found into `facts`."""
    plan, store = built.plan, sitting.out / "records"
    task = built.compose(sitting.device)
    with clock.stage("pretrain"):
        trained = pretrain(registry, task, built, sitting)
    if trained.interrupted:
        raise Interrupted(trained.steps, plan.recipe.steps)
    with clock.stage("pretext"):
        scores = held_out_loss(task, built.test)
        for name, parts in baseline_losses(task, built.train, built.test).items():
            scores |= {f"{name}: {part}": value for part, value in parts.items()}
    facts["pretext"] = {**measured(scores), "chance": dict(getattr(task.objective, "chance", {}))}
    facts["weights"] = weights_hash(task)
    for encoder, of in (("trained", task), ("random-init", built.compose(sitting.device))):
        for evaluator in plan.evaluators:
            if encoder != "trained" and evaluator.component.traits["needs"] == "objective":
                continue
            sitting.say(f"{evaluator.name} on {encoder} features")
            with clock.stage(f"{evaluator.name}.{encoder}"):
                measure = build(evaluator, plan.of(evaluator.name))
                facts["results"].append(evaluate(measure, of, built, encoder, evaluator.id, store))


def make(plan: Plan, sitting: Sitting) -> Built:
    """Build every part: decode the data, fit the split, hash what determines the result."""
    data = build(plan.parts["data"], plan.of("data"))
    samples, held_out = data("train"), data("test")
    split = build(plan.parts["split"], plan.of("split"))
    if hasattr(split, "fit"):
        split = split.fit(samples.observed, samples.resident(sitting.device).batches(256, sitting.device))
    model, objective = (build(plan.parts[part], plan.of(part)) for part in ("model", "objective"))
    cell = build_cell(cell_facts(plan, samples, held_out))
    return Built(plan, data, samples, held_out, split, model, objective, cell)


def cell_facts(plan: Plan, samples: Samples, held_out: Samples) -> dict[str, Any]:
    """What determines the numbers: full ids, all options with their defaults, recipe, data, seed, precision."""
    parts = {
        part: {"id": plan.parts[part].id, "options": resolved_options(plan.parts[part], plan.of(part))}
        for part in PARTS
    }
    parts["data"]["fingerprints"] = {"train": samples.fingerprint, "test": held_out.fingerprint}
    return {
        **parts,
        "task": plan.task.id if plan.task is not None else None,
        "evaluators": {each.id: resolved_options(each, plan.of(each.name)) for each in plan.evaluators},
        "recipe": asdict(plan.recipe),
        "seed": plan.seed,
        "precision": plan.recipe.precision,
        "modality": samples.observed.modality,
    }


def pretrain(registry: Registry, task: Task, built: Built, sitting: Sitting) -> Trained:
    """Train with progress shown and checkpoints kept, going on where an earlier sitting stopped."""
    key = cell_key(built.cell, without={"evaluators"})
    name = f"{built.plan.name}-{key[:12]}"
    registry.call("pretask_run_event", event="pretrain-start", run=name, facts=asdict(built.plan.recipe))
    with shown_progress(built.plan.name) as watch:
        trained = train(
            task,
            built.train,
            seed=built.plan.seed,
            folder=sitting.out / name,
            key=key,
            checkpoint_seconds=sitting.checkpoint_seconds,
            watch=watch,
        )
    facts = {"steps": trained.steps, "seconds": trained.seconds, "curve": trained.curve}
    registry.call("pretask_run_event", event="pretrain-end", run=name, facts=facts)
    return trained


def evaluate(measure: Any, task: Task, built: Built, encoder: str, evaluator: str, store: Path) -> dict[str, Any]:
    """One row of the record: what an evaluator yields, sorted into numbers, items and pictures."""
    numbers: dict[str, float] = {}
    items: dict[str, Any] = {}
    pictures = []
    budget = Budget(seed=built.plan.seed, cache=str(cache_folder()))
    for name, value in measure(task, built.data, budget):
        if isinstance(value, Items):
            items[name] = pack_items(value.correct.bool(), built.test.fingerprint)
        elif isinstance(value, Figure):
            pictures.append({"name": name, "caption": value.caption, "png": write_picture(store, value.png)})
        else:
            numbers[name] = float(value)
    return {"encoder": encoder, "evaluator": evaluator, **measured(numbers), "items": items, "pictures": pictures}


def weights_hash(task: Task) -> str:
    """Hash of all trained numbers, by name, so that a rerun can be called exact."""
    from hashlib import sha256

    digest = sha256()
    for name, value in sorted(weights_of({"model": task.model, "objective": task.objective}).items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def provenance(built: Built, sitting: Sitting, started: datetime, clock: Clock) -> Mapping[str, Any]:
    """How the numbers came about."""
    recipe: Recipe = built.plan.recipe
    return collect(
        started=started,
        ended=datetime.now(UTC),
        device=str(sitting.device),
        samples=recipe.steps * recipe.batch,
        parameters=count_parameters(built),
        stages=clock.stages,
        distributions=sorted(
            {part.plugin.distribution for part in (*built.plan.parts.values(), *built.plan.evaluators)}
        ),
    )


def count_parameters(built: Built) -> int:
    """Parameters of the encoder."""
    with torch.device("meta"):
        encoder = built.model(built.split.spec(built.train.observed)[0], built.split.whole_spec(built.train.observed))
    return sum(each.numel() for each in encoder.parameters())


def find_record(store: Path, cell: Cell) -> tuple[Record, Path] | None:
    """A complete record of this very cell, if the store has one."""
    if not store.is_dir():
        return None
    key = cell_key(cell)
    for record in read_all([store])[0]:
        if record.status == "complete" and cell_key(record.cell) == key:
            return record, store / f"{record_hash(record)}.json"
    return None

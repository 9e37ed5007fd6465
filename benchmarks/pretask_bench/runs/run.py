"""Run: pretrain, measure beside the same network at random initialisation, and write one record.

Running the same thing again goes on where it stopped; what is already recorded is not computed again.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pretask import Budget, Choice, Figure, Fittable, Items, PretaskError, Recipe, Remembered, Samples, Task
from pretask.cache import cache_folder
from pretask.checkpoint import code_in, weights_of
from pretask.composition import compose
from pretask.extraction import fingerprint_of
from pretask.protocols import chance_of, scored_part
from pretask.pretext_score import score_held_out, score_trivial
from pretask.order import shown_samples
from pretask.progress import shown_progress
from pretask.training import Trained, train
from pretask_registry import Registry, build, resolved_options

from pretask_bench.runs.reference_encoders import raw_input, supervised_split, told_label
from pretask_bench.records.code import SCORING, TRAINING, Code, changed_modules, code_key, code_of, listed
from pretask_bench.runs.cost import training_flops
from pretask_bench.records.encoders import RANDOM, RAW, SUPERVISED
from pretask_bench.runs.plan import ON, PARTS, Plan, places_of
from pretask_bench.results.pretext import pretext_fields
from pretask_bench.records.provenance import collect
from pretask_bench.records.record import Cell, Record, build_cell, build_record, cell_key, measured, pack_items, record_hash
from pretask_bench.records.store import read_all, write, write_picture

LOOKED_AT = 2048  # samples of each part in which shortcuts are looked for


@dataclass(frozen=True)
class Sitting:
    """Where and how a run happens; nothing here changes its numbers.

    Args:
        out: Folder of runs and records.
        device: cpu, cuda or cuda:N.
        checkpoint_seconds: Between two checkpoints.
        again: Whether to run what is already recorded.
        baselines: Encoders that the trained one is held against.
        say: Told one line at a time what is going on.
    """

    out: Path
    device: torch.device
    checkpoint_seconds: float = 60.0
    again: bool = False
    baselines: tuple[str, ...] = (RANDOM, RAW)
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)


class Interrupted(PretaskError):
    """Ctrl-C was pressed; everything is saved."""

    exit_code = 130


def interrupted(trained: Trained, recipe: Recipe) -> Interrupted:
    """Return the error of a run that was stopped."""
    steps = f"Stopped at step {trained.steps} of {recipe.steps} and saved."
    return Interrupted(f"{steps} Run the same command again to go on.")


@dataclass
class Clock:
    """Seconds by stage, and the operations of training."""

    stages: dict[str, float] = field(default_factory=dict)
    flops: float | None = None

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
    """The parts of a plan, made: data decoded, split fitted; `on` is what evaluators use."""

    plan: Plan
    train: Samples
    test: Samples
    on: Callable[[str], Samples]
    split: Any
    model: Any
    objective: Any
    cell: Cell

    def code(self, evaluated: bool = True) -> Mapping[str, str]:
        """The hashes of the modules that train, and where asked for of those that measure."""
        parts = [self.plan.parts[part] for part in (*PARTS, "data")]
        if not evaluated:
            return code_of(parts, TRAINING)
        parts += [*self.plan.evaluators, *([self.plan.parts[ON]] if ON in self.plan.parts else [])]
        return code_of(parts, (*TRAINING, *SCORING))

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
    code = built.code()
    known = None if sitting.again else find_record(store, built.cell, code, expected(plan, sitting))
    if known is not None and known[0].code == code:
        sitting.say(f"already recorded: {known[1]} (--again runs it anew)")
        return known
    if known is not None:
        sitting.say(f"recorded with other code, so it runs anew: {listed(changed_modules(known[0].code, code))}")
    facts: dict[str, Any] = {"cell": built.cell, "code": code, "results": [], "pretext": None}
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
    trained = pretrain(registry, task, built, sitting)
    clock.stages["pretrain"] = trained.seconds  # of all sittings
    if trained.interrupted:
        raise interrupted(trained, plan.recipe)
    with clock.stage("pretext"):
        held_out = built.train if scored_part(built.split) == "train" else built.test
        clock.flops = training_flops(built.compose(sitting.device), built.train, plan.seed)
        facts["pretext"] = {**score_pretext(built, task, held_out), "shortcut": shortcuts(built)}
    facts["weights"] = weights_hash(task)
    for encoder, of in encoders(registry, built, sitting, clock, task):
        for evaluator in plan.evaluators:
            if encoder != "trained" and evaluator.component.traits["needs"] == "objective":
                continue
            sitting.say(f"{evaluator.name} on {encoder} features")
            with clock.stage(f"{evaluator.name}.{encoder}"):
                measure = build(evaluator, plan.of(evaluator.name))
                try:
                    facts["results"].append(evaluate(measure, of, built, encoder, evaluator.id, store))
                except PretaskError as error:
                    if encoder != RAW:
                        raise
                    sitting.say(f"left out: {error}")


def score_pretext(built: Built, task: Task, held_out: Samples) -> dict[str, Any]:
    """Score the task on held-out data, and the trivial predictors, fitted on the training samples that it was shown."""
    recipe, total = built.plan.recipe, len(built.train)
    shown = shown_samples(built.plan.seed, recipe.steps * recipe.batch, total)
    trivial = score_trivial(task, built.train, held_out, shown=shown)
    chance = chance_of(task.objective)
    return pretext_fields(score_held_out(task, held_out), trivial, total if shown is None else len(shown), chance)


def shortcuts(built: Built) -> dict[str, float]:
    """How well low-level statistics of x tell the answer, of what is one class per sample; `TARGET.accuracy`."""
    from pretask_registry.shortcut import shortcut

    train, test = (each.some(slice(0, LOOKED_AT), f"the first {LOOKED_AT}") for each in (built.train, built.test))
    found = shortcut(built.split, train, test, built.plan.seed)
    return {f"{name}.accuracy": each.accuracy for name, each in found.items()}


def encoders(
    registry: Registry, built: Built, sitting: Sitting, clock: Clock, trained: Task
) -> Iterator[tuple[str, Task]]:
    """What is measured: the trained encoder, then those that it is held against."""
    yield "trained", trained
    if RANDOM in sitting.baselines:
        yield RANDOM, built.compose(sitting.device)
    if RAW in sitting.baselines:
        yield RAW, raw_input(trained)
    if SUPERVISED in sitting.baselines:
        told = supervised(registry, built)
        task = told.compose(sitting.device)
        trained_on_labels = pretrain(registry, task, told, sitting)
        clock.stages[SUPERVISED] = trained_on_labels.seconds
        if trained_on_labels.interrupted:
            raise interrupted(trained_on_labels, built.plan.recipe)
        yield SUPERVISED, replace(task, split=built.split)


def supervised(registry: Registry, built: Built) -> Built:
    """The same network, recipe and budget for the labels that are measured, or the first ones of the data."""
    wanted = [str(built.plan.of(each.name).get("label", "")) for each in built.plan.evaluators]
    label = told_label(built.train, wanted)
    registered = registry.find("objective", "pretask/cross-entropy@1")
    parts = {**built.plan.parts, "objective": registered}
    plan = replace(built.plan, name=f"{built.plan.name}-{SUPERVISED}-{label}", parts=parts)
    objective = build(registered)
    return replace(built, plan=plan, split=supervised_split(built.split, built.train, label), objective=objective)


def make(plan: Plan, sitting: Sitting) -> Built:
    """Build every part: decode the data, fit the split, hash what determines the result."""
    data = Remembered(build(plan.parts["data"], plan.of("data")))
    samples, held_out = data("train"), data("test")
    split = build(plan.parts["split"], plan.of("split"))
    artifact = None
    if isinstance(split, Fittable):
        split = split.fit(samples.observed, samples.resident(sitting.device).batches(256, sitting.device))
        artifact = fingerprint_of(split)
    on = Remembered(build(plan.parts[ON], plan.of(ON))) if ON in plan.parts else data
    model, objective = (build(plan.parts[part], plan.of(part)) for part in ("model", "objective"))
    encoder_of(split, model, samples).features(split.whole_spec(on("test").observed))  # raises where it cannot be read
    facts = {
        **{part: part_facts(plan, part) for part in PARTS},
        "data": data_facts(plan, "data", data),
        "evaluated_on": data_facts(plan, ON, on) if ON in plan.parts else None,
        "artifact": artifact,
        "task": plan.task.id if plan.task is not None else None,
        "evaluators": {each.id: resolved_options(each, plan.of(each.name)) for each in plan.evaluators},
        "recipe": asdict(plan.recipe),
        "seed": plan.seed,
        "precision": plan.recipe.precision,
        "modality": samples.observed.modality,
    }
    return Built(plan, samples, held_out, on, split, model, objective, build_cell(facts))


def part_facts(plan: Plan, part: str) -> dict[str, Any]:
    """The full id of a part and all of its options; of a place only its name, since content determines the numbers."""
    registered, given = plan.parts[part], plan.of(part)
    options = resolved_options(registered, given)
    places = places_of(registered)
    named = {name: Path(value).name if name in places and value else value for name, value in options.items()}
    return {"id": registered.id, "options": named}


def data_facts(plan: Plan, part: str, data: Callable[[str], Samples]) -> dict[str, Any]:
    """The same of a data set, with the fingerprint of what each part of it holds."""
    return {**part_facts(plan, part), "fingerprints": {each: data(each).fingerprint for each in ("train", "test")}}


def pretrain(registry: Registry, task: Task, built: Built, sitting: Sitting) -> Trained:
    """Train with progress shown and checkpoints kept, going on where an earlier sitting stopped."""
    key, code = cell_key(built.cell, without={"evaluators", "evaluated_on"}), built.code(evaluated=False)
    name = f"{built.plan.name}-{key[:12]}"
    folder = sitting.out / f"{name}-{code_key(code)[:8]}"
    tell_of_other_code(sitting, name, folder, key, code)
    registry.call("pretask_run_event", event="pretrain-start", run=name, facts=asdict(built.plan.recipe))
    with shown_progress(built.plan.name) as watch:
        trained = train(
            task,
            built.train,
            seed=built.plan.seed,
            folder=folder,
            key=key,
            code=code,
            checkpoint_seconds=sitting.checkpoint_seconds,
            watch=watch,
        )
    facts = {"steps": trained.steps, "seconds": trained.seconds, "curve": trained.curve}
    registry.call("pretask_run_event", event="pretrain-end", run=name, facts=facts)
    return trained


def tell_of_other_code(sitting: Sitting, name: str, folder: Path, key: str, code: Code) -> None:
    """Say which modules changed, where the same run was trained with other code and nothing of it can be used."""
    others = [path for path in sorted(sitting.out.glob(f"{name}-*")) if path != folder]
    found = [before for path in others if (before := code_in(path, key)) is not None]
    if found and not folder.exists():
        sitting.say(f"checkpoints of other code are left alone: {listed(changed_modules(found[-1], code))}")


def evaluate(measure: Any, task: Task, built: Built, encoder: str, evaluator: str, store: Path) -> dict[str, Any]:
    """One row of the record: what an evaluator yields, sorted into numbers, items, choices and pictures."""
    numbers: dict[str, float] = {}
    items: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    pictures = []
    budget = Budget(seed=built.plan.seed, cache=str(cache_folder()))
    for name, value in measure(task, built.on, budget):
        if isinstance(value, Items):
            items[name] = pack_items(value.correct.bool(), built.on("test").fingerprint)
        elif isinstance(value, Choice):
            chosen[name] = value.value
        elif isinstance(value, Figure):
            pictures.append({"name": name, "caption": value.caption, "png": write_picture(store, value.png)})
        else:
            numbers[name] = float(value)
    found = {**measured(numbers), "items": items, "chosen": chosen, "pictures": pictures}
    return {"encoder": encoder, "evaluator": evaluator, **found}


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
        flops=clock.flops,
        stages=clock.stages,
        distributions=sorted(
            {part.plugin.distribution for part in (*built.plan.parts.values(), *built.plan.evaluators)}
        ),
    )


def count_parameters(built: Built) -> int:
    """Parameters of the encoder."""
    return sum(each.numel() for each in encoder_of(built.split, built.model, built.train).parameters())


def encoder_of(split: Any, model: Any, samples: Samples) -> Any:
    """The encoder for such samples, without memory for its weights."""
    with torch.device("meta"):
        return model(split.spec(samples.observed)[0], split.whole_spec(samples.observed))


def expected(plan: Plan, sitting: Sitting) -> set[str]:
    """The baselines that a record must have; raw input may have been left out, and an objective has none."""
    measured_apart = any(each.component.traits["needs"] != "objective" for each in plan.evaluators)
    return {*sitting.baselines} - {RAW} if measured_apart else set()


def find_record(store: Path, cell: Cell, code: Code, baselines: Collection[str]) -> tuple[Record, Path] | None:
    """A complete record of this very cell with these baselines, of this code where there is one, else of other code."""
    if not store.is_dir():
        return None
    key, other = cell_key(cell), None
    for record in read_all([store])[0]:
        has_them = {row.encoder for row in record.results} >= {*baselines}
        if record.status == "complete" and has_them and cell_key(record.cell) == key:
            other = record, store / f"{record_hash(record)}.json"
            if record.code == code:
                break
    return other

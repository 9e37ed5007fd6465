"""Prepare: build the parts of a plan, decode its data, fit its split, and describe the cell that determines numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pretask import Data, FitsWithEncoder, Fittable, Incompatible, Remembered, Samples, SplitFn, Task
from pretask.composition import ModelFactory, ObjectiveFactory, allocate_samples, compose, require_encodes_unseen
from pretask.extraction import fingerprint_of
from pretask.fitting import fit_split
from pretask.initial import InitialWeights, begin_with, match_weights
from pretask_registry import resolve_options

from pretask_bench.records.cell import Cell
from pretask_bench.records.code import SCORING, TRAINING, hash_code
from pretask_bench.records.record import build_cell
from pretask_bench.runs.duplicates import find_duplicates
from pretask_bench.runs.fit_with import FIT_BATCH, EncoderSource
from pretask_bench.runs.initial import read_initial
from pretask_bench.runs.plan import EVALUATION_DATA, PARTS, Plan, path_options
from pretask_bench.runs.unseen import require_unseen


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train: its plan with the parts built.

    Args:
        plan: The plan.
        train: The training samples.
        test: The held-out samples of the same data.
        evaluation_data: The data that evaluators use.
        split: Fitted, where it has to see data.
        build_model: Builds the encoder from specs.
        build_objective: Builds the objective from specs.
        cell: What determines the numbers.
        initial: The weights that the trained encoder begins with; None for random ones.
    """

    plan: Plan
    train: Samples
    test: Samples
    evaluation_data: Data
    split: SplitFn
    build_model: ModelFactory
    build_objective: ObjectiveFactory
    cell: Cell
    initial: InitialWeights | None = None

    @cached_property
    def training_code(self) -> Mapping[str, str]:
        """Hashes of the modules that train."""
        return hash_code([self.plan.parts[part] for part in (*PARTS, "data")], TRAINING)

    @cached_property
    def code(self) -> Mapping[str, str]:
        """Hashes of the modules that train and of those that measure."""
        parts = [*[self.plan.parts[part] for part in (*PARTS, "data")], *self.plan.evaluators]
        if EVALUATION_DATA in self.plan.parts:
            parts.append(self.plan.parts[EVALUATION_DATA])
        return hash_code(parts, (*TRAINING, *SCORING))

    def count_duplicates(self) -> dict[str, dict[str, Any]]:
        """Count the samples to test on that are among those to train on, of every data set of the cell."""
        found = {"data": find_duplicates(self.train, self.test)}
        if EVALUATION_DATA in self.plan.parts:
            found["evaluated_on"] = find_duplicates(self.evaluation_data("train"), self.evaluation_data("test"))
        return {name: asdict(duplicates) for name, duplicates in found.items()}

    def compose(self, device: torch.device, begun: bool = False) -> Task:
        """Return the task with the weights that the seed gives; where it is `begun`, with those that it begins with."""
        plan = self.plan
        build_model = self.build_model
        if begun and self.initial is not None:
            build_model = begin_with(build_model, self.initial)
        source = plan.task.component.source if plan.task is not None else ""
        return compose(
            self.train.observed,
            self.split,
            build_model,
            self.build_objective,
            plan.recipe,
            name=plan.name,
            source=source,
            seed=plan.seed,
            device=device,
        )


def prepare_run(plan: Plan, device: torch.device, source: EncoderSource | None = None) -> PreparedRun:
    """Build every part of a plan.

    Args:
        plan: Names and options.
        device: On which a split is fitted.
        source: The encoder that it is fitted with, where the plan names one.

    Raises:
        PretaskError: Data is missing, or parts do not fit.
    """
    data = Remembered(plan.build("data"))
    evaluation_data = Remembered(plan.build(EVALUATION_DATA)) if EVALUATION_DATA in plan.parts else data
    for option, place in {"--fit-with": plan.fit_with, "--init": plan.init}.items():
        require_unseen(option, place, data.source)
    split, artifact = fit_split_of_plan(plan, data("train"), device, source)
    build_model, build_objective = plan.build("model"), plan.build("objective")
    encoder = build_encoder_without_memory(split, build_model, data("train"))
    require_readable(encoder, split, evaluation_data)
    require_encodes_unseen(encoder, plan.name)
    initial = read_initial(plan.init, encoder) if plan.init is not None else None
    if initial is not None:
        match_weights(encoder.state_dict(), initial)  # raises where they are not the model's
    elif plan.recipe.steps == 0:
        raise Incompatible("recipe.samples=0", "weights to measure", "none", "Name some: --init RUN, FILE or timm.")
    cell = make_cell(
        plan,
        data,
        evaluation_data,
        artifact,
        source.weights if source is not None else None,
        initial.origin if initial is not None else None,
    )
    return PreparedRun(
        plan, data("train"), data("test"), evaluation_data, split, build_model, build_objective, cell, initial
    )


def prepare_measuring(prepared: PreparedRun, plan: Plan) -> PreparedRun:
    """Return a prepared run with what a plan is measured by and on, and the same training."""
    evaluation_data = prepared.evaluation_data
    if not measures_on_the_same(prepared.plan, plan):
        evaluation_data = Remembered(plan.build(EVALUATION_DATA if EVALUATION_DATA in plan.parts else "data"))
        encoder = build_encoder_without_memory(prepared.split, prepared.build_model, prepared.train)
        require_readable(encoder, prepared.split, evaluation_data)
    measured = {"evaluators": evaluator_fields(plan), "evaluated_on": evaluation_fields(plan, evaluation_data)}
    cell = build_cell({**prepared.cell.model_dump(mode="json"), **measured})
    return replace(prepared, plan=plan, evaluation_data=evaluation_data, cell=cell)


def measures_on_the_same(plan: Plan, other: Plan) -> bool:
    """Return whether two plans with one training are measured on the same data."""
    parts = [one.parts.get(EVALUATION_DATA) for one in (plan, other)]
    return parts[0] == parts[1] and plan.options_of(EVALUATION_DATA) == other.options_of(EVALUATION_DATA)


def require_readable(encoder: Any, split: SplitFn, evaluation_data: Data) -> None:
    """Raise PretaskError where an encoder cannot read what it shall be measured on."""
    encoder.features(split.whole_spec(evaluation_data("test").observed))


def fit_split_of_plan(
    plan: Plan, samples: Samples, device: torch.device, source: EncoderSource | None
) -> tuple[SplitFn, str | None]:
    """Return the split, and the hash of what it was fitted to, where it was."""
    split = plan.build("split")
    encoder = source.read(samples) if source is not None else None
    batches = samples.resident(device).batches(FIT_BATCH, device)
    fitted = fit_split(split, samples.observed, batches, encoder, name=f"the split {plan.parts['split'].name}")
    return fitted, fingerprint_of(fitted) if isinstance(split, Fittable | FitsWithEncoder) else None


def build_encoder_without_memory(split: SplitFn, build_model: ModelFactory, samples: Samples) -> Any:
    """Return the encoder for such samples on the meta device, where its weights have shapes alone."""
    with torch.device("meta"):
        encoder = build_model(split.spec(samples.observed)[0], split.whole_spec(samples.observed))
        allocate_samples(encoder, samples.observed)
    return encoder


def count_parameters(prepared: PreparedRun) -> int:
    """Return how many numbers the encoder learns."""
    encoder = build_encoder_without_memory(prepared.split, prepared.build_model, prepared.train)
    return sum(weight.numel() for weight in encoder.parameters())


def make_cell(
    plan: Plan,
    data: Data,
    evaluation_data: Data,
    artifact: str | None,
    fitted_with: str | None = None,
    begun_with: str | None = None,
) -> Cell:
    """Return what determines the numbers of a plan.

    Args:
        plan: Names and options of the parts.
        data: The data to learn from.
        evaluation_data: The data that evaluators use.
        artifact: Hash of what the split was fitted to.
        fitted_with: Hash of the weights of the encoder that the split was fitted with.
        begun_with: Hash of the weights that the model begins with.
    """
    return build_cell(
        {
            **{part: part_fields(plan, part) for part in PARTS},
            **recipe_fields(plan),
            "data": data_fields(plan, "data", data),
            "evaluated_on": evaluation_fields(plan, evaluation_data),
            "artifact": artifact,
            "fitted_with": fitted_with,
            "begun_with": begun_with,
            "evaluators": evaluator_fields(plan),
            "modality": data("train").observed.modality,
            "hold_out": plan.hold_out or None,
        }
    )


def recipe_fields(plan: Plan) -> dict[str, Any]:
    """Return what is recorded of a plan beside its parts and data."""
    return {
        "task": plan.task.id if plan.task is not None else None,
        "recipe": plan.recipe.as_fields(),
        "seed": plan.seed,
        "precision": plan.recipe.precision,
    }


def evaluator_fields(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return all options of the evaluators by their ids."""
    return {evaluator.id: resolve_options(evaluator, plan.options_of(evaluator.name)) for evaluator in plan.evaluators}


def evaluation_fields(plan: Plan, evaluation_data: Data) -> dict[str, Any] | None:
    """Return what is recorded of other data to measure on; None where there is none."""
    return data_fields(plan, EVALUATION_DATA, evaluation_data) if EVALUATION_DATA in plan.parts else None


def part_fields(plan: Plan, part: str) -> dict[str, Any]:
    """Return the full id of a part and its options; of a path only its last name, since content determines numbers."""
    registered = plan.parts[part]
    options = resolve_options(registered, plan.options_of(part))
    for name in path_options(registered):
        options[name] = Path(options[name]).name if options[name] else options[name]
    return {"id": registered.id, "options": options}


def data_fields(plan: Plan, part: str, data: Data) -> dict[str, Any]:
    """Return the same of a data set, with the fingerprints of its train and test samples."""
    fingerprints = {name: data(name).fingerprint for name in ("train", "test")}
    return {**part_fields(plan, part), "fingerprints": fingerprints}

"""Parts: what a plan is made of, built: data decoded, the split fitted, and the cell that determines the numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pretask import Data, FitsWithEncoder, Fittable, Remembered, Samples, SplitFn, Task
from pretask.composition import compose
from pretask.extraction import fingerprint_of
from pretask.fitting import fit_split
from pretask_registry import build, resolve_options

from pretask_bench.records.code import SCORING, TRAINING, code_of
from pretask_bench.records.record import Cell, build_cell
from pretask_bench.runs.duplicates import find_duplicates
from pretask_bench.runs.fit_with import FIT_BATCH, EncoderSource
from pretask_bench.runs.plan import ON, PARTS, Plan, places_of


@dataclass(frozen=True)
class Parts:
    """The parts of a plan, built.

    Args:
        plan: The plan that they were built from.
        train: The training samples.
        test: The held-out samples of the same data.
        on: The data that evaluators use.
        split: Fitted, where it has to see data.
        model: What builds the encoder from specs.
        objective: What builds the objective from specs.
        cell: What determines the numbers.
    """

    plan: Plan
    train: Samples
    test: Samples
    on: Data
    split: SplitFn
    model: Any
    objective: Any
    cell: Cell

    def code(self, evaluated: bool = True) -> Mapping[str, str]:
        """Return the hashes of the modules that train, and where `evaluated` of those that measure."""
        parts = [self.plan.parts[part] for part in (*PARTS, "data")]
        if not evaluated:
            return code_of(parts, TRAINING)
        parts += [*self.plan.evaluators, *([self.plan.parts[ON]] if ON in self.plan.parts else [])]
        return code_of(parts, (*TRAINING, *SCORING))

    def count_duplicates(self) -> dict[str, dict[str, Any]]:
        """Count the samples to test on that are among those to train on, of every data set of the cell."""
        found = {"data": find_duplicates(self.train, self.test)}
        if ON in self.plan.parts:
            found["evaluated_on"] = find_duplicates(self.on("train"), self.on("test"))
        return {name: asdict(duplicates) for name, duplicates in found.items()}

    def compose(self, device: torch.device) -> Task:
        """Return the task with the weights that the seed gives."""
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


def build_parts(plan: Plan, device: torch.device, source: EncoderSource | None = None) -> Parts:
    """Build every part of a plan.

    Args:
        plan: Names and options.
        device: On which a split is fitted.
        source: The encoder that it is fitted with, where the plan names one.

    Raises:
        PretaskError: Data is missing, or parts do not fit.
    """
    data = Remembered(build(plan.parts["data"], plan.of("data")))
    on = Remembered(build(plan.parts[ON], plan.of(ON))) if ON in plan.parts else data
    split, artifact = fit_planned_split(plan, data("train"), device, source)
    model, objective = (build(plan.parts[part], plan.of(part)) for part in ("model", "objective"))
    encoder = build_encoder(split, model, data("train"))
    encoder.features(split.whole_spec(on("test").observed))  # raises where it cannot be read
    cell = describe_cell(plan, data, on, artifact, source.weights if source is not None else None)
    return Parts(plan, data("train"), data("test"), on, split, model, objective, cell)


def fit_planned_split(
    plan: Plan, samples: Samples, device: torch.device, source: EncoderSource | None
) -> tuple[SplitFn, str | None]:
    """Return the split, and the hash of what it was fitted to, where it was."""
    split = build(plan.parts["split"], plan.of("split"))
    encoder = source.read(samples) if source is not None else None
    batches = samples.resident(device).batches(FIT_BATCH, device)
    fitted = fit_split(split, samples.observed, batches, encoder, name=f"the split {plan.parts['split'].name}")
    return fitted, fingerprint_of(fitted) if isinstance(split, Fittable | FitsWithEncoder) else None


def build_encoder(split: SplitFn, model: Any, samples: Samples) -> Any:
    """Return the encoder for such samples, without memory for its weights."""
    with torch.device("meta"):
        return model(split.spec(samples.observed)[0], split.whole_spec(samples.observed))


def count_parameters(parts: Parts) -> int:
    """Return how many numbers the encoder learns."""
    return sum(weight.numel() for weight in build_encoder(parts.split, parts.model, parts.train).parameters())


def describe_cell(plan: Plan, data: Data, on: Data, artifact: str | None, fitted_with: str | None = None) -> Cell:
    """Return what determines the numbers of a plan."""
    return build_cell(
        {
            **{part: part_facts(plan, part) for part in PARTS},
            "data": data_facts(plan, "data", data),
            "evaluated_on": data_facts(plan, ON, on) if ON in plan.parts else None,
            "artifact": artifact,
            "fitted_with": fitted_with,
            "task": plan.task.id if plan.task is not None else None,
            "evaluators": {
                evaluator.id: resolve_options(evaluator, plan.of(evaluator.name)) for evaluator in plan.evaluators
            },
            "recipe": asdict(plan.recipe),
            "seed": plan.seed,
            "precision": plan.recipe.precision,
            "modality": data("train").observed.modality,
        }
    )


def part_facts(plan: Plan, part: str) -> dict[str, Any]:
    """Return the full id of a part and its options; of a place only its name, since content determines numbers."""
    registered, given = plan.parts[part], plan.of(part)
    options = resolve_options(registered, given)
    places = places_of(registered)
    named = {name: Path(value).name if name in places and value else value for name, value in options.items()}
    return {"id": registered.id, "options": named}


def data_facts(plan: Plan, part: str, data: Data) -> dict[str, Any]:
    """Return the same of a data set, with the fingerprint of what each part of it holds."""
    fingerprints = {name: data(name).fingerprint for name in ("train", "test")}
    return {**part_facts(plan, part), "fingerprints": fingerprints}

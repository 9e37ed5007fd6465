"""Fit with: the trained encoder of another run, with which a split is fitted: a second round, as of HuBERT.

The encoder is made anew by what that run's record says, from parts that are installed here and data that must be the
same, and gets the weights of its checkpoint, which must be those that the record names. They are named in turn by the
cell of the run whose split they fitted, so that another encoder is another cell.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from pretask import PretaskError, Samples, Task
from pretask.checkpoint import iterate_weights, load_weights
from pretask.composition import compose
from pretask.fitting import fit_split, make_encoder, require_fits_alone, require_fits_with_encoder
from pretask.hashing import hash_weights
from pretask.protocols import Encoder
from pretask_registry import Registry

from pretask_bench.records.cell import Cell
from pretask_bench.records.record import Record, record_hash
from pretask_bench.records.store import read, read_all
from pretask_bench.runs.plan import Plan, path_options

FIT_BATCH = 256  # samples that a split is fitted to at a time
DO = "Name a finished run's folder, such as runs/NAME-…, or its record; the one must lie beside the other's folder."


@dataclass(frozen=True)
class EncoderSource:
    """A trained encoder, and what names it.

    Args:
        task: With its trained weights.
        weights: Their hash, as the record of its run has it.
    """

    task: Task
    weights: str

    def read(self, samples: Samples) -> Encoder:
        """Return the encoder; raise Incompatible where it cannot read such samples."""
        self.task.model.features(self.task.split.whole_spec(samples.observed))
        return make_encoder(self.task)


def load_encoder_source(registry: Registry, plan: Plan, device: torch.device) -> EncoderSource | None:
    """Return the encoder with which a plan wants its split fitted; None where it wants none.

    Raises:
        PretaskError: The split cannot take one or cannot do without, or what is named holds none that can be made here.
    """
    split, name = plan.build("split"), f"the split {plan.parts['split'].name}"
    if plan.fit_with is None:
        require_fits_alone(split, name)
        return None
    require_fits_with_encoder(split, name)
    record, checkpoint = find_run(plan.fit_with)
    return rebuild_encoder(registry, plan, record, checkpoint, device)


def find_run(place: Path) -> tuple[Record, Path]:
    """Return the record of a run and its checkpoint with the very weights that it names.

    Args:
        place: A run's folder, a checkpoint in it, or a record.
    """
    if place.is_file():
        record = read(place)
        folders = [path.parent for path in sorted(place.parent.parent.glob("*/step-*"))]
        for checkpoint, weights in iterate_checkpoints(dict.fromkeys(folders)):
            if weights == record.weights:
                return record, checkpoint
        raise refuse(place, "a record without a checkpoint of its weights")
    folder = place.parent if place.name.startswith("step-") else place
    store = folder.parent / "records"
    found = {record.weights: record for record in (read_all([store])[0] if store.is_dir() else [])}
    checkpoints = [*iterate_checkpoints([folder])]
    for checkpoint, weights in checkpoints:
        if weights in found and place in (folder, checkpoint):
            return found[weights], checkpoint
    raise refuse(place, f"checkpoints of which no record in {store} is" if checkpoints else "no sound checkpoint")


def iterate_checkpoints(folders: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the sound checkpoints of run folders, the newest first, with the hashes of their weights."""
    for folder in folders:
        for path, weights in iterate_weights(folder):
            yield path, hash_weights(weights)


def refuse(place: Path, got: str) -> PretaskError:
    """Return the error of a place without a trained encoder."""
    return PretaskError("--fit-with", "a run with a trained encoder", f"{got} ({place})", DO, exit_code=2)


def rebuild_encoder(
    registry: Registry, plan: Plan, record: Record, checkpoint: Path, device: torch.device
) -> EncoderSource:
    """Return the encoder of a record's cell with the weights of its checkpoint.

    Args:
        registry: Where its components are looked up, of these very versions.
        plan: Of the run that wants it, which says where the same data lies here.
        record: Of the run that trained it.
        checkpoint: With its weights.
        device: Where it is wanted.
    """
    from pretask_bench.runs.rerun import plan_from_cell

    cell = record.cell.model_copy(update={"evaluators": {}, "evaluated_on": None, "task": None})
    first_plan = plan_from_cell(registry, cell, shared_paths(plan, cell))
    samples = first_plan.build("data")("train")
    if samples.fingerprint != cell.data.fingerprints.get("train"):
        raise PretaskError(
            "--fit-with",
            f"data of content {cell.data.fingerprints.get('train')}",
            samples.fingerprint,
            "Use that data.",
        )
    split = first_plan.build("split")
    encoder = find_first_encoder(registry, first_plan, cell, checkpoint, samples, device)
    fitted = fit_split(split, samples.observed, samples.batches(FIT_BATCH, device), encoder)
    model, objective = first_plan.build("model"), first_plan.build("objective")
    task = compose(
        samples.observed,
        fitted,
        model,
        objective,
        first_plan.recipe,
        name=first_plan.name,
        seed=cell.seed,
        device=device,
    )
    load_weights(checkpoint, task.networks)
    return EncoderSource(task, str(record.weights))


def find_first_encoder(
    registry: Registry, plan: Plan, cell: Cell, checkpoint: Path, samples: Samples, device: torch.device
) -> Encoder | None:
    """Return the encoder with which the split of an earlier run was fitted in its turn; None where it was with none."""
    if cell.fitted_with is None:
        return None
    for record in read_all([checkpoint.parent.parent / "records"])[0]:
        if record.weights == cell.fitted_with:
            path = find_run(checkpoint.parent.parent / "records" / f"{record_hash(record)}.json")[1]
            return rebuild_encoder(registry, plan, record, path, device).read(samples)
    raise refuse(checkpoint, f"a split fitted with weights {cell.fitted_with[:12]}, of which no record is beside it")


def shared_paths(plan: Plan, cell: Cell) -> dict[str, object]:
    """Return where the data of a cell lies here, if a plan learns from the same data set and says so."""
    data = plan.parts["data"]
    if data.id != cell.data.id:
        return {}
    return {
        f"data.{name}": plan.options_of("data")[name] for name in path_options(data) if name in plan.options_of("data")
    }

"""Save: encoder and objective of a finished run, into its folder, with all that loading takes; no training data.

Axes: B samples.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pretask
import torch
from pretask import PretaskError, SharesTokenizer, Task, source_of
from pretask.checkpoint import tensors_as_bytes
from pretask.composition import encode_whole
from pretask.encoder import LAYER
from pretask.files import advise, write_whole
from pretask.pooling import find_content, find_widest_sights, join_widest, pool
from pretask.pretext_score import evaluation_mode
from pretask.printable import escape_invisible
from pretask.values import Batch
from torch import Tensor

from pretask_bench.artifacts.fitted import Tensors, Unkept, has_weights, keep_state, restore_state
from pretask_bench.artifacts.task_file import (
    FITTED,
    MAX_LINE_CHARACTERS,
    OBJECTIVE,
    PICTURES,
    RECORD,
    TASK,
    TOKENIZER,
    WEIGHTS,
    Output,
    Part,
    TaskFile,
    write_text,
)
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.ids import short_name
from pretask_bench.records.measured import Picture
from pretask_bench.records.record import Record, parse_record, record_hash
from pretask_bench.records.store import OTHERS, list_records, read_picture
from pretask_bench.runs.plan import PARTS, Plan
from pretask_bench.runs.prepare import PreparedRun, part_fields

SAMPLES = 2  # on which it is tried what the encoder gives


def save_encoder(folder: Path, prepared: PreparedRun, task: Task) -> TaskFile:
    """Write the encoder of a trained task into the folder of its run; task.json last, so that it is never half there.

    Raises:
        PretaskError: The disk is full, or the folder cannot be written.
    """
    tensors: Tensors = {}
    fitted, unkept = keep_fitted(prepared, task, tensors)
    files = {WEIGHTS: tensors_as_bytes(task.model.state_dict())}
    if tensors:
        files[FITTED] = tensors_as_bytes(tensors)
    if has_weights(task.objective):
        files[OBJECTIVE] = tensors_as_bytes(task.objective.state_dict())
    tokenizer = find_tokenizer(prepared.plan)
    if tokenizer is not None:
        files[TOKENIZER] = tokenizer.encode()
    plan, observed = prepared.plan, prepared.train.observed
    described = TaskFile.model_validate(
        {
            "name": plan.name,
            "task": plan.task.id if plan.task is not None else None,
            "parts": {part: describe_part(plan, part) for part in PARTS},
            "seed": plan.seed,
            "observed": observed,
            "input": task.split.spec(observed)[0],
            "whole": task.split.whole_spec(observed),
            "padded": prepared.train.present is not None,
            "fitted": fitted,
            "unkept": unkept,
            "output": describe_output(task, first_samples(prepared, task)),
            "files": {name: sha256(content).hexdigest() for name, content in files.items()},
            "release": pretask.__version__,
        }
    )
    write_files(folder, {**files, TASK: write_text(described)})
    return described


def save_record(folder: Path, record: Record, store: Path) -> None:
    """Write the record of a run into its folder, the same bytes as in the store, with the pictures that it names.

    One that is there already and of measures on other data is kept in OTHERS.
    """
    others = keep_other_records(folder, record)
    files = {f"{OTHERS}/{record_hash(other)}.json": canonical_bytes(other) for other in others}
    files[RECORD] = canonical_bytes(record)
    for one in (*others, record):
        for name, picture in name_pictures(one, several=bool(others)).items():
            if one is record or (store / f"{picture.png}.png").is_file():
                files[f"{PICTURES}/{name}.png"] = read_picture(store, picture.png)
    write_files(folder, files)


def keep_other_records(folder: Path, record: Record) -> list[Record]:
    """Return the records of a run's folder that are of other data than a new one; remove those that it replaces."""
    kept: list[Record] = []
    for path in list_records(folder):
        try:
            other = parse_record(path.read_bytes())
        except (OSError, PretaskError):  # damaged; the store has it
            continue
        if other.cell.evaluated_on != record.cell.evaluated_on and other.weights == record.weights:
            kept.append(other)
        elif path.name != RECORD:
            path.unlink(missing_ok=True)
    return kept


def name_pictures(record: Record, several: bool = False) -> dict[str, Picture]:
    """Return a record's pictures by their names in a run folder.

    Args:
        record: The record.
        several: Whether there are others of the run, so that what was measured on other data is named by that as well.
    """
    named = {picture.name: picture for picture in (record.pretext.pictures if record.pretext is not None else ())}
    other = record.cell.evaluated_on if several else None
    place = "" if other is None else f"{short_name(other.id)}-{other.fingerprints.get('test', '')[:8]}-"
    for result in record.results:
        evaluator = short_name(result.evaluator)
        named |= {f"{place}{evaluator}-{result.encoder}-{picture.name}": picture for picture in result.pictures}
    return {name.replace("/", "-"): picture for name, picture in named.items()}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files in order, each by one rename; what is there already is left."""
    try:
        for name, content in files.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != content:
                write_whole(path, content)
    except OSError as error:
        raise PretaskError("the run's folder", f"to write {folder}", str(error), advise(error)) from error


def describe_part(plan: Plan, part: str) -> Part:
    """Return a part's id and options, with the distribution that offers it."""
    plugin = plan.parts[part].plugin
    return Part(**part_fields(plan, part), distribution=plugin.distribution, version=plugin.version)


def find_tokenizer(plan: Plan) -> str | None:
    """Return the tokenizer of a plan's data as JSON; None where it has none or does not say."""
    data = source_of(plan.build("data"))
    return data.tokenizer_json if isinstance(data, SharesTokenizer) else None


def keep_fitted(prepared: PreparedRun, task: Task, tensors: Tensors) -> tuple[dict[str, Any], str | None]:
    """Return what the split was fitted to, and why it cannot be restored, where it cannot."""
    built = prepared.plan.build("split")
    try:
        kept = keep_state(built, task.split, tensors)
        restored = restore_state(built, json.loads(json.dumps(kept)), tensors)
        batch = first_samples(prepared, task)
        if not torch.equal(restored.whole(batch).data, task.split.whole(batch).data):
            raise Unkept("something that no field of it holds")
    except Exception as error:  # whatever a plugin's classes do when they are made anew
        tensors.clear()
        reason = f"its split was fitted to {error}" if isinstance(error, Unkept) else f"{error}"
        return {}, escape_invisible(reason[:200])[:MAX_LINE_CHARACTERS]
    return kept, None


def first_samples(prepared: PreparedRun, task: Task) -> Batch:
    """Return the first few training samples."""
    return next(prepared.train.batches(SAMPLES, task.device))


def describe_output(task: Task, batch: Batch) -> Output:
    """Return what the encoder gives by itself, tried on some samples."""
    with evaluation_mode(task), torch.no_grad():
        inputs, features = encode_whole(task.split, task.model, batch, layers=True)
    spec = task.split.whole_spec(task.observed)
    own = join_widest(features.pooled).flatten(1)
    offered = pool(features, find_content(inputs, spec.vocabulary))
    pooling = next((name for name, vector in offered.items() if is_close(vector, own)), None)
    sights = find_widest_sights(features.streams)
    number = len(features.layers or (features,))
    return Output(layer=f"{LAYER}{number}", pooling=pooling, width=own.shape[1], sees=tuple(sights))


def is_close(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-5, atol=1e-6)

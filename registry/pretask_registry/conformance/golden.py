"""Golden: what a version of a component gives on canned data, kept in a file, so that a silent change is noticed.

Whole numbers must be the same; of floats and bytes a few statistics, up to what other processors round otherwise. The
file is `golden.json` in the package of the plugin's light module, or MODULE.golden.json beside a plain module.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from pretask.values import iterate_tensors
from torch import Tensor, nn

from pretask_registry.conformance.cases import Case
from pretask_registry.conformance.check import Skip, check, require
from pretask_registry.conformance.kinds import DataCase, EvaluatorCase, ModelCase, ObjectiveCase, SplitCase, TaskCase
from pretask_registry.conformance.tensors import copy_parameters, map_tensors, name_halves, take_rows
from pretask_registry.discovery import Plugin

KINDS = ("split", "model", "objective", "data", "evaluator", "task", "suite")
TOLERANCE = 2e-3  # of statistics, in standard deviations of the tensor
ROUNDED = 1.01  # by which a byte may differ that was a float before
STATISTICS = 2  # mean and std
PROBED = 5  # single values of every tensor of floats
FIRST = 8  # samples of data
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Facts = Mapping[str, Any]


def golden_file(plugin: Plugin) -> Path:
    """Return where the fingerprints of a plugin's components are kept."""
    top = plugin.module.partition(".")[0]
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise Skip(f"{top} has no file, so nothing can lie beside it.")
    place = Path(spec.origin)
    return place.with_name("golden.json") if spec.submodule_search_locations else place.with_suffix(".golden.json")


def read_golden(plugin: Plugin) -> dict[str, Any]:
    """Read all that the file of a plugin holds."""
    path = golden_file(plugin)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def key_of(case: Case) -> str:
    """Return the name of a component in the file."""
    return f"{case.kind} {case.id}"


@check(*KINDS)
def output_is_golden(case: Case) -> None:
    """Check that the output on canned data is what this version has always given."""
    entry = read_golden(case.registered.plugin).get(key_of(case), {})
    if isinstance(entry, str):
        raise Skip(f"No fingerprint is kept of it: {entry}")
    if case.where not in entry:
        name = case.registered.plugin.namespace
        raise Skip(f"No fingerprint of this version is kept yet: pretask check {name} --update-golden writes it.")
    change = describe_change(entry[case.where], fingerprint(case))
    require(
        not change,
        f"The output of {case.id} must stay as it is; {change}. "
        f"Bump to @{case.component.version + 1} (version={case.component.version + 1}), or restore what it was.",
    )


def describe_change(before: Facts, now: Facts) -> str:
    """Return what is different between two fingerprints, in words; empty where nothing is."""
    if before.keys() != now.keys():
        return f"it gave {', '.join(before)}, and now {', '.join(now)}"
    for name, facts in before.items():
        if not is_similar(facts, now[name]):
            return f"{name} was {format_fact(facts)}, and is now {format_fact(now[name])}"
    return ""


def is_similar(before: Any, now: Any) -> bool:
    """Return whether two facts are the same, numbers up to the tolerance."""
    if isinstance(before, list) and isinstance(now, list) and before[:1] == now[:1] and len(before) == len(now):
        most = TOLERANCE * max(abs(before[2]), 1e-3)
        single = max(most, ROUNDED) if "int8" in before[0] else most
        return all(
            math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=most if place < STATISTICS else single)
            for place, (one, two) in enumerate(zip(before[1:], now[1:], strict=True))
        )
    return bool(before == now)


def format_fact(facts: Any) -> str:
    """Format a fact in words."""
    if not isinstance(facts, list):
        return str(facts)
    return f"{facts[0]} of mean {facts[1]:.4g} and std {facts[2]:.4g}"


def update(case: Case) -> bool:
    """Write the fingerprint of a case whose version has none; whether there was something to write."""
    content = read_golden(case.registered.plugin)
    entry = content.setdefault(key_of(case), {})
    if isinstance(entry, str) or case.where in entry:
        return False
    try:
        entry[case.where] = fingerprint(case)
    except Skip:
        return False
    path = golden_file(case.registered.plugin)
    lines = [
        f" {json.dumps(key)}: {json.dumps(fingerprint, sort_keys=True)}" for key, fingerprint in sorted(content.items())
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return True


def fingerprint(case: Case) -> Facts:
    """Return what a component gives on canned data, as few facts."""
    made: dict[str, Callable[[Any], Facts]] = {
        "split": fingerprint_split,
        "model": fingerprint_model,
        "objective": fingerprint_objective,
        "data": fingerprint_data,
        "evaluator": fingerprint_evaluator,
        "task": fingerprint_task,
        "suite": fingerprint_suite,
    }
    return made[case.kind](case)


def collect_facts(values: Any) -> dict[str, Any]:
    """Return facts of all tensors in some values."""
    return {name: summarize_tensor(tensor.detach()) for name, tensor in iterate_tensors(values)}


def summarize_tensor(tensor: Tensor) -> str | list[Any]:
    """Return type and shape, with a checksum of whole numbers, or mean, std and some values of floats and bytes."""
    form = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
    if tensor.dtype in (torch.int64, torch.bool):
        return f"{form} {crc32(tensor.long().contiguous().numpy().tobytes()):08x}"
    flat = tensor.double().flatten()
    probes = flat[torch.linspace(0, max(len(flat) - 1, 0), PROBED).long()].tolist() if len(flat) else []
    return [form, *(float(f"{number:.6g}") for number in (float(flat.mean()), float(flat.std(correction=0)), *probes))]


def fingerprint_split(case: SplitCase) -> Facts:
    """Return x and y of a few samples, by seed 0."""
    return collect_facts(name_halves(case(case.batch(), more=-case.seed)))


def with_plain_weights(module: Any) -> Any:
    """Give the module weights that follow from their order and shape, since a seed gives others in other versions."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(
                0.3 * (torch.arange(parameter.numel()).double() * 0.7 + number).cos().view(parameter.shape).float()
            )
    return module


def fingerprint_model(case: ModelCase) -> Facts:
    """Return features of canned inputs, with plain weights, and the names and shapes of all weights."""
    model = measure_norms(with_plain_weights(case.make()).eval(), case.inputs)
    with torch.no_grad():
        made = model(case.inputs)
    shapes = {name: tuple(weight.shape) for name, weight in copy_parameters(model).items()}
    return {"weights": f"{crc32(repr(sorted(shapes.items())).encode()):08x}", **collect_facts({"summary": made.pooled})}


def measure_norms(model: Any, inputs: Any) -> Any:
    """Return the model after its batch normalizations have measured these inputs, and nothing else has changed.

    Plain weights are not scaled by fan-in. Normalizations that have seen nothing divide by 1, so features of a deep
    network would grow from layer to layer (to 1e8 in mc3_18), until what later biases add is below the tolerance.
    """
    norms = [part for part in model.modules() if isinstance(part, BATCH_NORMS) and part.track_running_stats]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all passes: of the one that follows
        norm.train()
    with torch.no_grad():
        model(inputs)
    return model.eval()


def with_plain_state(objective: Any, names: Collection[str]) -> None:
    """Give the declared state values that follow from its order and shape: checks that ran before have moved it."""
    for name, value in objective.named_buffers():
        if name in names and value.is_floating_point():
            value.copy_(make_plain(value))


def fingerprint_objective(case: ObjectiveCase) -> Facts:
    """Return total and parts of the loss, with plain weights and plain features, on the first split that fits."""
    trial = case.tasks[0]
    with_plain_state(trial.task.objective, case.component.traits.get("state", ()))
    for network in (trial.task.objective, trial.task.teacher):
        if network is not None:
            with_plain_weights(network)
    loss = replace(trial, features=map_tensors(trial.features, make_plain)).score()
    return {"with": trial.task.name, **collect_facts({"total": loss.total, "parts": loss.parts})}


def make_plain(tensor: Tensor) -> Tensor:
    """Return floats that follow from their place; all else as it is."""
    if not tensor.is_floating_point():
        return tensor
    return (torch.arange(tensor.numel()).double() * 0.37).cos().view(tensor.shape).float()


def fingerprint_data(case: DataCase) -> Facts:
    """Return the first samples of both parts, and their labels."""
    return {
        f"{part}.{name}": facts
        for part, samples in case.parts.items()
        for name, facts in collect_facts(
            {
                "data": samples.take(slice(0, FIRST)),
                **take_rows({key: labels.value for key, labels in samples.labels.items()}, slice(0, FIRST)),
            }
        ).items()
    }


def fingerprint_evaluator(case: EvaluatorCase) -> Facts:
    """Return the names of all that it yields, since records hold them; its numbers depend on what is measured."""
    return {"names": ", ".join(sorted({name for name, _ in case.tried.yielded}))}


def fingerprint_task(case: TaskCase) -> Facts:
    """Return parts, options and recipe of the paper; presets may be added."""
    traits = case.component.traits
    return {name: format_json(traits[name]) for name in ("parts", "options", "recipe")}


def fingerprint_suite(case: Case) -> Facts:
    """Return the content of the file."""
    module, _, name = case.component.implementation.partition(":")
    return {"file": f"{crc32(files(module).joinpath(name).read_bytes()):08x}"}


def format_json(value: Any) -> str:
    """Format as JSON with keys in order."""
    return json.dumps(value, sort_keys=True, default=str)

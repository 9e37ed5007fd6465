"""Load task: a run folder as the task that was trained, which predicts and not only encodes; without its data."""

from pathlib import Path
from typing import Any

import torch
from pretask import PretaskError, Recipe, Task
from pretask.checkpoint_content import check_weights, read_tensors
from pretask.composition import describe_features, seed_randomness
from pretask.protocols import Attaches
from pretask_registry import Registry

from pretask_bench.artifacts.fitted import has_weights
from pretask_bench.artifacts.load import (
    WHO,
    build_part,
    explain_other_parts,
    explain_other_weights,
    find_split,
    load_model,
)
from pretask_bench.artifacts.task_file import OBJECTIVE, TaskFile, read_task


def load_task(registry: Registry, folder: Path, device: torch.device) -> Task:
    """Return the trained task of a run folder, in evaluation mode.

    Args:
        registry: Has its parts.
        folder: Of the run, or of its export for a hub.
        device: Where it shall live.

    Raises:
        PretaskError: The folder holds no objective, a file is damaged or of a later version, or a plugin is missing.
    """
    described = read_task(folder)
    if "objective" not in described.parts:
        raise PretaskError(WHO, "the objective of the run", f"a {folder.name} without", "Take the folder of the run.")
    with explain_other_parts():
        network = load_model(registry, folder, described)
        split = find_split(registry, None, folder, described)
        objective = load_objective(registry, folder, described, network, split)
    for part in (network, objective):
        if isinstance(part, torch.nn.Module):
            part.to(device).eval()
    return Task(described.name, split, network, objective, Recipe(), described.observed, device)


def load_objective(registry: Registry, folder: Path, task: TaskFile, network: Any, split: Any) -> Any:
    """Return the objective as it was trained, for the features of the network and the targets of the split."""
    make = build_part(registry, task, "objective")
    with seed_randomness(0):  # whose first weights are replaced
        objective: Any = make(describe_features(network, task.input), split.spec(task.observed)[1])
    if isinstance(objective, Attaches):
        objective.attach(network)
    if has_weights(objective):
        with explain_other_weights(task, "objective"):
            weights = read_tensors(folder / OBJECTIVE) if OBJECTIVE in task.files else {}
            check_weights(objective.state_dict(), weights)
            objective.load_state_dict(weights)
    return objective

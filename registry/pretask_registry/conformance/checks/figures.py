"""What splits and objectives that offer figures promise: PNG files with captions, of a few held-out samples."""

from typing import Any

import torch
from pretask import Batch, Figure, Task
from pretask.protocols import OffersFigures

from pretask_registry.conformance import ambient, material
from pretask_registry.conformance.check import Skip, check, require
from pretask_registry.conformance.kinds import ObjectiveCase, SplitCase
from pretask_registry.conformance.tensors import copy_parameters, describe_difference

PNG = b"\x89PNG\r\n\x1a\n"
SAMPLES = 4


@check("split", "objective")
def figures_are_png_with_captions(case: SplitCase | ObjectiveCase) -> str:
    """Check that the figures it offers are PNG files with captions, drawn without changing task or generators."""
    part: Any = case.split if isinstance(case, SplitCase) else case.tasks[0].task.objective
    if not isinstance(part, OffersFigures):
        return "offers none"
    task, batch = compose_for(case)
    task.model.eval()
    task.objective.eval()
    before, states = copy_parameters(task.model, task.objective), ambient.read_states()
    with torch.no_grad():
        drawing: Any = task.split if isinstance(case, SplitCase) else task.objective
        figures = list(drawing.figures(task, batch))
    for figure in figures:
        require(isinstance(figure, Figure), f"`figures` must yield Figures; {type(figure).__name__} came.")
        require(figure.png.startswith(PNG), f"A figure must be the bytes of a PNG file; {figure.png[:8]!r} came.")
        require(figure.caption.strip(), "A figure must have a caption of a sentence; it is empty.")
    change = describe_difference(before, copy_parameters(task.model, task.objective), 0.0)
    require(not change, f"`figures` must leave the weights alone; afterwards, {change}.")
    moved = ambient.name_moved(states)
    require(not moved, f"`figures` must draw by Draws; it moved the generator of {moved}.")
    return f"{len(figures)} figures"


def compose_for(case: SplitCase | ObjectiveCase) -> tuple[Task, Batch]:
    """Return a task of small parts with the component among them, and a few samples.

    Raises:
        Skip: Nothing that is installed fits it.
    """
    if isinstance(case, ObjectiveCase):
        return case.tasks[0].task, case.tasks[0].batch
    parts = next(material.iterate_fitting(case.registry, {"split": case.registered}, case.where), None)
    if parts is None:
        raise Skip(f"No installed objective and model fit {case.id} on {case.where}.")
    return material.compose_small(parts, case.samples, case.seed), case.batch(SAMPLES)

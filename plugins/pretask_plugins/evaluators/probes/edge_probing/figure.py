"""Figure: mixing weights and differential scores of every task, layer by layer, as figure 2 of the paper has them.

Solid bars are mixing weights, outlined ones what a layer adds to the score, as a fraction of the largest such step, up
or down. The lines mark the center of gravity of the weights and the expected layer of the score.

Source: Tenney, Das and Pavlick, ACL 2019, figure 2.
Axes: J layers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pretask import Figure

from pretask_plugins.evaluators.probes.edge_probing.measures import differential_scores
from pretask_plugins.shared.pictures import encode_png

NAME_WIDTH, LAYER_WIDTH, MAX_WIDTH, NOTE_WIDTH = 90, 64, 900, 190  # pixels
ROW_HEIGHT, BAR_HEIGHT, MARGIN = 64, 44, 20
WEIGHT_COLOR, STEP_COLOR, INK = (56, 108, 176), (122, 60, 150), (40, 40, 40)
CAPTION = (
    "Solid: mixing weights of the layers; outlined: what a layer adds to the F1 of those before it, down where it "
    "takes away. Lines: center of gravity (blue) and expected layer (purple)."
)


@dataclass(frozen=True)
class TaskLayers:
    """What is drawn of a task.

    Args:
        name: Of the task.
        weights: Of layers 0 … L in the mix.
        scores: Of the probes of layers 0 … l.
        center: Center of gravity.
        expected: Expected layer; None where it is undefined.
        note: Stands beside.
    """

    name: str
    weights: tuple[float, ...]
    scores: tuple[float, ...]
    center: float
    expected: float | None
    note: str = ""

    @classmethod
    def of(cls, name: str, found: Mapping[str, Any]) -> "TaskLayers":
        """Return what is drawn of the numbers of a task."""
        count = sum(key.endswith(".weight") for key in found)
        expected = found["expected_layer"]
        return cls(
            name,
            tuple(found[f"l{layer}.weight"] for layer in range(count)),
            tuple(found[f"l{layer}.f1"] for layer in range(count)),
            found["center_of_gravity"],
            expected if isinstance(expected, float) else None,
            f"F1 {100 * found[f'l{count - 1}.f1']:.1f}   K(s) = {found['divergence']:.2f}",
        )


def draw_layers(tasks: Sequence[TaskLayers], caption: str = CAPTION) -> Figure:
    """Draw a row for every task, and the numbers of the layers below."""
    from PIL import Image, ImageDraw

    count = len(tasks[0].weights)
    step = min(LAYER_WIDTH, MAX_WIDTH // count)
    picture = Image.new("RGB", (NAME_WIDTH + count * step + NOTE_WIDTH, len(tasks) * ROW_HEIGHT + MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    for number, task in enumerate(tasks):
        draw_task(pen, task, number * ROW_HEIGHT + BAR_HEIGHT, step)
    for layer in range(count):
        pen.text((NAME_WIDTH + layer * step + step // 2 - 3, len(tasks) * ROW_HEIGHT + 3), str(layer), fill=INK)
    return Figure(encode_png(np.asarray(picture)), caption)


def draw_task(pen: Any, task: TaskLayers, base: int, step: int) -> None:
    """Draw the bars of a task on a line, `base` pixels from the top."""
    count, high = len(task.weights), BAR_HEIGHT - 6
    heaviest = max(task.weights)
    steps = [0.0, *differential_scores(task.scores)]
    largest = max(map(abs, steps)) or 1.0
    for layer, (weight, gain) in enumerate(zip(task.weights, steps, strict=True)):
        left = NAME_WIDTH + layer * step + 4
        middle, right = left + (step - 8) // 2, left + step - 8
        pen.rectangle((left, base - high * weight / heaviest, middle - 1, base), fill=WEIGHT_COLOR)
        top = base - (high if gain > 0 else ROW_HEIGHT - BAR_HEIGHT - 2) * gain / largest
        pen.rectangle((middle + 1, min(top, base), right, max(top, base)), outline=STEP_COLOR)
    pen.line((NAME_WIDTH, base, NAME_WIDTH + count * step, base), fill=INK)
    mark(pen, task.center, base, step, WEIGHT_COLOR)
    notes = [task.note, f"center of gravity {task.center:.2f}"]
    if task.expected is not None and 0 <= task.expected < count:
        mark(pen, task.expected, base, step, STEP_COLOR)
    notes.append("expected layer " + ("undefined" if task.expected is None else f"{task.expected:.2f}"))
    pen.text((4, base - high // 2), task.name, fill=INK)
    for line, note in enumerate(notes):
        pen.text((NAME_WIDTH + count * step + 8, base - high + 12 * line), note, fill=INK)


def mark(pen: Any, layer: float, base: int, step: int, color: tuple[int, int, int]) -> None:
    """Draw a dashed line at a layer."""
    place = NAME_WIDTH + math.floor((layer + 0.5) * step)
    for top in range(base - BAR_HEIGHT + 4, base, 6):
        pen.line((place, top, place, min(top + 3, base)), fill=color, width=2)

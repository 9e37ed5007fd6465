"""Probed: what an encoder was worth while it was trained, where its records say so, as pictures with a line a seed."""

from collections.abc import Sequence

from markupsafe import Markup

from pretask_bench.board.drawing import element, format_compact, linear_scale, picture, round_steps
from pretask_bench.board.entries import Entry
from pretask_bench.board.layers import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, curve, grid
from pretask_bench.records.record import Record

MAX_PICTURES, MAX_SEEDS = 3, 5
FIRST = ("knn.accuracy", "rank.rankme", "rank.mean_cosine")  # what it is worth and whether it collapses, before others

Points = Sequence[tuple[float, float]]


def draw_probed(entry: Entry) -> list[tuple[str, Markup]]:
    """Return pictures of what was measured in training, by the name of the number; none where nothing was."""
    names = {name for record in entry.records for probed in record.probed for name in probed.metrics}
    ordered = sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    pictures = []
    for name in ordered[:MAX_PICTURES]:
        lines = [points for record in entry.records if (points := collect_points(record, name))]
        pictures.append((name, probed_picture(name, lines[:MAX_SEEDS])))
    return pictures


def collect_points(record: Record, name: str) -> Points:
    """Return (step, value) of one number, in the order of steps."""
    return sorted((probed.step, probed.metrics[name]) for probed in record.probed if name in probed.metrics)


def probed_picture(name: str, lines: Sequence[Points]) -> Markup:
    """Return one picture: steps from 0 to the right, a line for each seed."""
    steps = [step for points in lines for step, _ in points]
    values = [value for points in lines for _, value in points]
    to_x = linear_scale(0, max(steps), LEFT + 8, RIGHT - 8)
    to_y = linear_scale(min(values), max(values), BOTTOM, TOP)
    parts = [*grid(round_steps(min(values), max(values)), to_y)]
    parts += [
        element("text", format_compact(step), x=to_x(step), y=HEIGHT - 7, class_="tick", text_anchor="middle")
        for step in round_steps(0, max(steps))
    ]
    for points in lines:
        parts += curve([(to_x(step), to_y(value)) for step, value in points], "trained")
    return picture(WIDTH, HEIGHT, f"{name} by optimizer step, in training", *parts)

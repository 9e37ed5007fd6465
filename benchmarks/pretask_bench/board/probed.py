"""Probed: what an encoder was worth while it was trained, where its records say so, as pictures with a line a seed."""

from collections.abc import Sequence

from markupsafe import Markup

from pretask_bench.board.drawing import element, format_compact, linear_scale, picture, round_steps
from pretask_bench.board.entries import Entry
from pretask_bench.board.layers import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, curve, grid
from pretask_bench.records.record import Record

MAX_PICTURES, MAX_SEEDS = 3, 5
MIN_SPAN = 0.1  # of the height of a picture, as a fraction of the largest number
FIRST = ("knn.accuracy", "rank.rankme", "rank.mean_cosine")  # what it is worth and whether it collapses, before others

Points = Sequence[tuple[float, float]]


def draw_probed(entry: Entry) -> list[tuple[str, Markup]]:
    """Return pictures of what was measured in training, by the name of the number; none where nothing was."""
    names = {name for record in entry.watched for probed in record.probed for name in probed.metrics}
    ordered = sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    pictures = []
    for name in ordered[:MAX_PICTURES]:
        lines = [points for record in entry.watched if (points := collect_points(record, name))]
        pictures.append((name, probed_picture(name, lines[:MAX_SEEDS])))
    return pictures


def collect_points(record: Record, name: str) -> Points:
    """Return (step, value) of one number, in the order of steps."""
    return sorted((probed.step, probed.metrics[name]) for probed in record.probed if name in probed.metrics)


def widen(low: float, high: float) -> tuple[float, float]:
    """Return a range about this one of at least a tenth of its size, so that a small change does not look large.

    >>> widen(0.98, 0.98), widen(0.2, 0.8)
    ((0.931, 1.029), (0.2, 0.8))
    """
    missing = MIN_SPAN * max(abs(low), abs(high)) - (high - low)
    return (round(low - missing / 2, 12), round(high + missing / 2, 12)) if missing > 0 else (low, high)


def probed_picture(name: str, lines: Sequence[Points]) -> Markup:
    """Return one picture: steps from 0 to the right, a line for each seed."""
    steps = [step for points in lines for step, _ in points]
    values = [value for points in lines for _, value in points]
    to_x = linear_scale(0, max(steps), LEFT + 8, RIGHT - 8)
    low, high = widen(min(values), max(values))
    to_y = linear_scale(low, high, BOTTOM, TOP)
    parts = [*grid(round_steps(low, high), to_y)]
    parts += [
        element("text", format_compact(step), x=to_x(step), y=HEIGHT - 7, class_="tick", text_anchor="middle")
        for step in round_steps(0, max(steps))
    ]
    for points in lines:
        parts += curve([(to_x(step), to_y(value)) for step, value in points], "trained")
    return picture(WIDTH, HEIGHT, f"{name} by optimizer step, in training", *parts)

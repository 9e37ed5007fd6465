"""Pictures of a board: a score with its interval, scores against cost, ranks as intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pretask_bench.board.drawing import (
    Label,
    element,
    format_compact,
    linear_scale,
    log_scale,
    picture,
    place_labels,
    powers_of_ten,
    round_steps,
)
from pretask_bench.board.entries import Entry, shorten
from pretask_bench.board.standings import RankedEntry, Ranking, Score
from pretask_bench.records.encoders import RANDOM, RAW
from pretask_bench.records.record import Record

MAX_POINTS, MAX_NAMES, MAX_RANKS = 300, 14, 40
LETTER_PIXELS = 6.3  # pixels, on average

COSTS: Mapping[str, Callable[[Record], float | None]] = {
    "seconds of training": lambda record: record.provenance.stages.get("pretrain", record.provenance.seconds),
    "samples seen": lambda record: float(record.provenance.samples),
    "parameters": lambda record: float(record.provenance.parameters),
    "FLOPs": lambda record: record.provenance.flops,
}


@dataclass(frozen=True)
class Point:
    """An entry in a picture of costs."""

    cost: float
    title: str
    score: Score


def cost_of(entry: Entry, name: str) -> float | None:
    """Return the mean of a cost over seeds; None where a seed does not state it or states 0."""
    found = [COSTS[name](record) for record in entry.records]
    known = [cost for cost in found if cost is not None and cost > 0]
    return sum(known) / len(known) if len(known) == len(found) else None


def score_range(ranked_entries: Sequence[RankedEntry]) -> tuple[float, float]:
    """Return the range of scores to draw, from 0 or below to 1 or above."""
    scores = [ranked.score for ranked in ranked_entries if ranked.score is not None]
    values = [value for score in scores for value in (score.low, score.high, *score.references.values())]
    low, high = min(0.0, *values), max(1.0, *values)
    return max(low, -2.0), min(high, 3.0)


def score_strip(score: Score, low: float, high: float) -> Markup:
    """Return a score with its interval, with marks for random initialization and raw input."""
    place = linear_scale(low, high, 5, 135)

    def at(value: float) -> float:
        return place(min(max(value, low), high))

    marks = [element("line", x1=at(end), x2=at(end), y1=2, y2=18, class_="end") for end in (0.0, 1.0)]
    if RAW in score.references:
        x = at(score.references[RAW])
        marks.append(element("line", x1=x, x2=x, y1=6, y2=14, class_="raw"))
    if RANDOM in score.references:
        marks.append(element("circle", cx=at(score.references[RANDOM]), cy=10, r=3.2, class_="random"))
    first, last = at(score.low), at(score.high)
    marks.append(element("rect", x=first, y=7.5, width=max(last - first, 0.5), height=5, rx=2.5, class_="interval"))
    marks.append(element("circle", cx=at(score.value), cy=10, r=3.4, class_="trained"))
    return element("svg", *marks, viewBox="0 0 140 20", class_="strip", aria_hidden="true")


def cost_picture(ranking: Ranking, name: str) -> Markup | None:
    """Return scores against a cost; None where no entry states it and has a score."""
    found = [
        Point(cost, ranked.entry.title, ranked.score)
        for ranked in ranking.ranked_entries[:MAX_POINTS]
        if ranked.score is not None and (cost := cost_of(ranked.entry, name)) is not None
    ]
    if not found:
        return None
    width, height, left, right, top, bottom = 720, 330, 46, 656, 16, 286
    low, high = score_range(ranking.ranked_entries[:MAX_POINTS])
    to_y = linear_scale(low, high, bottom, top)
    to_x, ticks = cost_axis([point.cost for point in found], left + 24, right - 24)
    parts = [*score_grid(low, high, left, right, to_y), *cost_grid(ticks, to_x, bottom, name, right)]
    parts += [entry_point(point, to_x(point.cost), to_y, low, high) for point in found]
    parts += write_names(found, to_x, to_y, right)
    return picture(width, height, f"Score against {name}, one point for each entry", *parts)


def cost_axis(costs: Sequence[float], start: float, end: float) -> tuple[Callable[[float], float], list[float]]:
    """Return where a cost lies, and the round numbers to write; powers of ten where costs differ much."""
    low, high = min(costs), max(costs)
    if high > 8 * low:
        return log_scale(low, high, start, end), powers_of_ten(low, high)
    if high <= 1.02 * low:
        return (lambda value: (start + end) / 2), [sorted(costs)[len(costs) // 2]]
    return linear_scale(low, high, start, end), round_steps(low, high)


def score_grid(low: float, high: float, left: float, right: float, to_y: Callable[[float], float]) -> list[Markup]:
    """Return lines of equal score."""
    parts = []
    for value in round_steps(low, high):
        kind = "end" if value in (0.0, 1.0) else "grid"
        parts.append(element("line", x1=left, x2=right, y1=to_y(value), y2=to_y(value), class_=kind))
        parts.append(element("text", f"{value:.1f}", x=left - 8, y=to_y(value) + 4, class_="tick", text_anchor="end"))
    for value, word in ((0.0, "zero"), (1.0, "reference")):
        parts.append(element("text", word, x=right + 6, y=to_y(value) + 4, class_="tick"))
    return parts


def cost_grid(
    ticks: Sequence[float], to_x: Callable[[float], float], bottom: float, name: str, right: float
) -> list[Markup]:
    """Return marks of equal cost."""
    parts = [
        mark
        for value in ticks
        for mark in (
            element("line", x1=to_x(value), x2=to_x(value), y1=bottom, y2=bottom + 5, class_="axis"),
            element("text", format_compact(value), x=to_x(value), y=bottom + 19, class_="tick", text_anchor="middle"),
        )
    ]
    return [*parts, element("text", name, x=right, y=bottom + 38, class_="title", text_anchor="end")]


def entry_point(point: Point, x: float, to_y: Callable[[float], float], low: float, high: float) -> Markup:
    """Return one entry: its interval, its score, and the score of the same network at random initialization."""

    def at(value: float) -> float:
        return to_y(min(max(value, low), high))

    parts, score = [], point.score
    if RANDOM in score.references:
        begun = at(score.references[RANDOM])
        parts.append(element("line", x1=x, x2=x, y1=begun, y2=at(score.value), class_="gain"))
        parts.append(element("circle", cx=x, cy=begun, r=3, class_="random"))
    parts.append(element("line", x1=x, x2=x, y1=at(score.low), y2=at(score.high), class_="interval"))
    parts.append(element("circle", cx=x, cy=at(score.value), r=4.5, class_="trained"))
    return element("g", element("title", f"{point.title}: {score.value:.2f}"), *parts)


def write_names(
    found: Sequence[Point], to_x: Callable[[float], float], to_y: Callable[[float], float], right: float
) -> list[Markup]:
    """Return names next to points: of all where they are few, else of those that no cheaper one beats."""
    chosen = found if len(found) <= MAX_NAMES else best_at_cost(found)[:MAX_NAMES]
    texts = [shorten(point.title, 28) for point in chosen]
    labels = [
        make_label(text, to_x(point.cost), to_y(point.score.value) + 4, right)
        for text, point in zip(texts, chosen, strict=True)
    ]
    heights = place_labels(labels, height=14)
    return [
        element("text", text, x=label.left, y=y, class_="name")
        for text, label, y in zip(texts, labels, heights, strict=True)
    ]


def make_label(text: str, x: float, y: float, right: float) -> Label:
    """Return the space of a name to the right of a point, or to its left where the right is too narrow."""
    width = LETTER_PIXELS * len(text)
    left = x + 9 if x + 9 + width < right else x - 9 - width
    return Label(left, left + width, y)


def best_at_cost(found: Sequence[Point]) -> list[Point]:
    """Return the entries that are better than every one that costs less."""
    best, front = float("-inf"), []
    for point in sorted(found, key=lambda point: (point.cost, -point.score.value)):
        if point.score.value > best:
            best = point.score.value
            front.append(point)
    return front


def rank_picture(ranking: Ranking) -> Markup:
    """Return the ranks of the first entries as intervals, one line per entry."""
    shown = ranking.ranked_entries[:MAX_RANKS]
    width, left, right, row = 720, 250, 700, 22
    bottom = 8 + row * len(shown)
    to_x = linear_scale(1, max(2, *(ranked.ranks[1] for ranked in shown)), left, right)
    ticks = [
        1.0,
        *(rank for rank in round_steps(1, max(ranked.ranks[1] for ranked in shown), 8) if rank > 1 and rank % 1 == 0),
    ]
    parts = [element("line", x1=to_x(tick), x2=to_x(tick), y1=4, y2=bottom, class_="grid") for tick in ticks]
    parts += [
        element("text", f"{tick:.0f}", x=to_x(tick), y=bottom + 15, class_="tick", text_anchor="middle")
        for tick in ticks
    ]
    for index, ranked in enumerate(shown):
        y = 8 + row * (index + 0.5)
        first, last = (to_x(rank) for rank in ranked.ranks)
        parts.append(
            element("text", shorten(ranked.entry.title, 36), x=left - 16, y=y + 4, class_="name", text_anchor="end")
        )
        parts.append(element("rect", x=first - 4, y=y - 4, width=last - first + 8, height=8, rx=4, class_="interval"))
        parts.append(element("circle", cx=min(max(to_x(index + 1), first), last), cy=y, r=3.4, class_="trained"))
    return picture(width, bottom + 24, "Rank of each entry, as an interval", *parts)

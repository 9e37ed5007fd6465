"""Curves: a number of a sweep by what has numbers for levels: an option such as the ratio of what is hidden, or how
many labels a probe was given. A line for each combination of the other choices, and those of random weights.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from pretask import Metric

from pretask_bench.board.drawing import (
    Axis,
    Label,
    element,
    format_compact,
    linear_scale,
    log_scale,
    path,
    picture,
    place_labels,
    round_steps,
)
from pretask_bench.board.entries import shorten
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.ids import short_name
from pretask_bench.records.record import Record
from pretask_bench.results.ablation import Ablation, order_of
from pretask_bench.results.ablation_tables import measure_title
from pretask_bench.results.means import Mean, collect_means
from pretask_bench.results.report import format_estimate, format_number
from pretask_bench.results.statistics import Estimate

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 300, 52, 380, 28, 262
LINE = 14  # pixels of a label
MAX_LETTERS, MAX_LINES = 28, 10
MIN_POINTS = 3  # of a line
TICK = 26  # pixels between numbers of the axis
LOG_FROM = 30.0  # the largest over the smallest level, from which an axis is logarithmic
SIZED = re.compile(r"(\d+(?:\.\d+)?)\.(.+)")  # 5.accuracy is the accuracy of five labels
RANDOM_WEIGHTS = "random weights"

Point = tuple[float, Estimate]


@dataclass(frozen=True)
class Line:
    """A number by level, of one combination.

    Args:
        name: The combination.
        points: Level and number, in the order of levels.
        kind: trained or random, the class of the style.
    """

    name: str
    points: Sequence[Point]
    kind: str


def draw_curves(ablation: Ablation, means: Sequence[Mean], records: Sequence[Record]) -> list[Markup]:
    """Return a picture for every choice with numbers for levels, and for a probe of several sizes.

    Args:
        ablation: What is drawn.
        means: Its means.
        records: Those that it is of, for other sizes.
    """
    pictures = []
    for title, lines in (*lines_by_option(ablation, means), *lines_by_size(ablation, records)):
        long = [line for line in lines if len(line.points) >= MIN_POINTS]
        if long and len(long) <= MAX_LINES:
            pictures.append(curves_picture(title, long, ablation.metric))
    return pictures


def lines_by_option(ablation: Ablation, means: Sequence[Mean]) -> Iterator[tuple[str, list[Line]]]:
    """Yield the lines of every factor whose levels are numbers, with the title of their picture."""
    for factor, levels in ablation.factors.items():
        if all(math.isfinite(order_of(level)[0]) for level in levels):
            by_rest: dict[str, list[tuple[float, Mean]]] = {}
            for mean in means:
                if factor in mean.levels:
                    rest = mean.name(without=factor) or mean.data
                    by_rest.setdefault(rest, []).append((float(mean.levels[factor]), mean))
            yield f"{measure_title(ablation)} by {factor}", make_lines(by_rest)


def lines_by_size(ablation: Ablation, records: Sequence[Record]) -> Iterator[tuple[str, list[Line]]]:
    """Yield the lines of a number that was measured at several sizes, such as labels of a class, with their title."""
    if (sized := SIZED.fullmatch(ablation.metric_name)) is None:
        return
    rows = (record.find_result(ablation.evaluator, TRAINED) for record in records)
    names = {name for row in rows if row is not None for name in row.metrics}
    sizes = {name: float(found[1]) for name in names if (found := SIZED.fullmatch(name)) and found[2] == sized[2]}
    by_name: dict[str, list[tuple[float, Mean]]] = {}
    for metric, size in sorted(sizes.items(), key=lambda item: item[1]):
        for mean in collect_means(records, ablation, metric):
            by_name.setdefault(mean.name() or mean.data, []).append((size, mean))
    yield f"{short_name(ablation.evaluator)} {sized[2]} by size", make_lines(by_name)


def make_lines(means: Mapping[str, Sequence[tuple[float, Mean]]]) -> list[Line]:
    """Return a line for each combination, and those of random weights, equal ones once."""
    trained, random = list[Line](), dict[tuple[Point, ...], Line]()
    for name, found in means.items():
        ordered = sorted(found, key=lambda pair: pair[0])
        trained.append(Line(name, [(level, mean.trained) for level, mean in ordered], "trained"))
        points = tuple((level, mean.random) for level, mean in ordered if mean.random is not None)
        random.setdefault(points, Line(RANDOM_WEIGHTS, points, "random"))
    return [*random.values(), *trained]


def curves_picture(title: str, lines: Sequence[Line], metric: Metric) -> Markup:
    """Return one picture."""
    levels = sorted({level for line in lines for level, _ in line.points})
    values = [value for line in lines for _, estimate in line.points for value in ends(estimate)]
    scale = log_scale if levels[0] > 0 and levels[-1] / levels[0] >= LOG_FROM else linear_scale
    to_x, to_y = scale(levels[0], levels[-1], LEFT + 8, RIGHT - 8), linear_scale(min(values), max(values), BOTTOM, TOP)
    parts = [element("text", title, x=4, y=14, class_="title"), *value_axis(min(values), max(values), to_y, metric)]
    parts += level_axis(levels, to_x)
    for line in lines:
        parts += draw_line(line, to_x, to_y, metric)
    return picture(WIDTH, HEIGHT, title, *parts, *name_lines(lines, to_y))


def ends(estimate: Estimate) -> list[float]:
    """Return a number and the finite ends of its interval."""
    known = (estimate.value, estimate.low, estimate.high)
    return [value for value in known if value is not None and math.isfinite(value)]


def value_axis(low: float, high: float, to_y: Axis, metric: Metric) -> Iterator[Markup]:
    """Yield lines of equal value with their numbers."""
    for value in round_steps(low, high):
        yield element("line", x1=LEFT, x2=RIGHT, y1=to_y(value), y2=to_y(value), class_="grid")
        number = format_number(value, metric)
        yield element("text", number, x=LEFT - 6, y=to_y(value) + 4, class_="tick", text_anchor="end")


def level_axis(levels: Sequence[float], to_x: Axis) -> Iterator[Markup]:
    """Yield the levels below the axis, but those that would lie on the one before."""
    last = -math.inf
    for level in levels:
        if (x := to_x(level)) - last >= TICK:
            yield element("text", format_compact(level), x=x, y=BOTTOM + 22, class_="tick", text_anchor="middle")
            last = x


def draw_line(line: Line, to_x: Axis, to_y: Axis, metric: Metric) -> list[Markup]:
    """Return a line with its points and their intervals."""
    drawn = [(to_x(level), to_y(estimate.value)) for level, estimate in line.points]
    parts = [path(drawn, f"line {line.kind}-line")]
    for (x, y), (level, estimate) in zip(drawn, line.points, strict=True):
        words = f"{line.name}, {format_compact(level)}: {format_estimate(estimate, metric)}"
        reach = [to_y(end) for end in ends(estimate)[1:]]
        whisker = [element("line", x1=x, x2=x, y1=min(reach), y2=max(reach), class_="whisker")] if reach else []
        circle = element("circle", cx=x, cy=y, r=3, class_=line.kind)
        parts.append(element("g", element("title", words), *whisker, circle))
    return parts


def name_lines(lines: Sequence[Line], to_y: Axis) -> Iterator[Markup]:
    """Yield the names of the lines at their ends, moved where they would lie on each other."""
    ordered = sorted(lines, key=lambda line: to_y(line.points[-1][1].value))
    wanted = [Label(RIGHT, WIDTH, to_y(line.points[-1][1].value) + 4) for line in ordered]
    for line, y in zip(ordered, place_labels(wanted, LINE), strict=True):
        yield element("text", shorten(line.name, MAX_LETTERS), x=RIGHT + 2, y=y, class_="name")

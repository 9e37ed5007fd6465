"""Effects: pictures of an ablation, one small panel for each choice: its levels, how far each is from what it is held
against, and the interval over seeds.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isfinite
from pathlib import Path

from markupsafe import Markup
from pretask.errors import PretaskError
from pretask.files import write_whole

from pretask_bench.board.drawing import Axis, element, linear_scale, picture, round_steps
from pretask_bench.board.entries import shorten
from pretask_bench.results.ablation import Ablation, Effect
from pretask_bench.results.ablation_tables import TIMES, measure_title
from pretask_bench.results.report import format_difference, format_difference_interval

WIDTH, LEFT, RIGHT, ROW = 420, 150, 404, 20  # pixels of a panel, of its axis, and of a level
TOP, BOTTOM = 22, 22
MAX_INTERACTIONS = 8  # that are drawn of a measure
MAX_LETTERS = 22  # of a level
COLUMNS = 2  # of panels in a file
TITLE = 26
# What board.css says of these classes, for a file that stands alone.
RULES = """
svg { background: #fff; color-scheme: light; } text { font: 12px system-ui, sans-serif; fill: #1d2530; }
text.tick { fill: #5b6673; font-size: 11px; } text.title { font-weight: 600; } .grid { stroke: #dfe4ea; }
.end { stroke: #5b6673; stroke-dasharray: 2 2; }
line.interval { stroke: #9cc5c0; stroke-width: 5; stroke-linecap: round; }
circle.trained { fill: #00796b; stroke: #fff; } circle.random { fill: #fff; stroke: #5b6673; stroke-width: 1.7; }
"""


def draw_panels(ablation: Ablation) -> list[tuple[str, Markup]]:
    """Return a picture for every choice with its title; then one of the largest interactions, where there are some."""
    span = find_span([*ablation.main, *ablation.interactions[:MAX_INTERACTIONS]])
    panels = [
        (panel_title(factor, against), draw_panel(ablation, panel_title(factor, against), effects, against, span))
        for (factor, against), effects in group_effects(ablation.main)
    ]
    if largest := ablation.interactions[:MAX_INTERACTIONS]:
        title = "interactions, the largest"
        panels.append((title, draw_panel(ablation, title, largest, "", span)))
    return panels


def group_effects(effects: Sequence[Effect]) -> Iterator[tuple[tuple[str, str], list[Effect]]]:
    """Yield main effects by their factor and what they are held against."""
    keyed = groupby(effects, key=lambda effect: (effect.factors[0], effect.against[0]))
    yield from ((key, [*members]) for key, members in keyed)


def panel_title(factor: str, against: str) -> str:
    """Return what a panel shows."""
    return f"{factor}, against {shorten(against, MAX_LETTERS)}"


def find_span(effects: Sequence[Effect]) -> tuple[float, float]:
    """Return the ends of the axis that all panels of a measure share: what intervals reach, within reason.

    An interval of three seeds may reach far beyond all effects; it is cut where it would make these invisible.
    """
    values = [effect.estimate.value for effect in effects]
    ends = [end for effect in effects for end in (effect.estimate.low, effect.estimate.high)]
    reach = 3 * max((abs(value) for value in values), default=1.0) or 1.0
    known = [min(max(end, -reach), reach) for end in ends if end is not None and isfinite(end)]
    return min([0.0, *values, *known]), max([0.0, *values, *known])


def draw_panel(
    ablation: Ablation, title: str, effects: Sequence[Effect], against: str, span: tuple[float, float]
) -> Markup:
    """Return one panel."""
    bottom = TOP + ROW * (len(effects) + bool(against))
    to_x = linear_scale(*span, LEFT, RIGHT)
    parts = [element("text", title, x=4, y=14, class_="title"), *axis(ablation, span, to_x, bottom)]
    if against:
        parts.append(level_name(against, TOP + ROW / 2))
        parts.append(element("circle", cx=to_x(0.0), cy=TOP + ROW / 2, r=3, class_="random"))
    for place, effect in enumerate(effects, start=bool(against)):
        parts.append(draw_effect(ablation, effect, to_x, span, TOP + ROW * (place + 0.5)))
    return picture(WIDTH, bottom + BOTTOM, f"{measure_title(ablation)}: {title}", *parts)


def axis(ablation: Ablation, span: tuple[float, float], to_x: Axis, bottom: float) -> list[Markup]:
    """Return lines of equal difference with their numbers; that of none is dashed."""
    parts = []
    for value in round_steps(*span, 4):
        line = element("line", x1=to_x(value), x2=to_x(value), y1=TOP, y2=bottom, class_="grid" if value else "end")
        number = format_difference(value, ablation.metric) if value else "0"
        parts += [line, element("text", number, x=to_x(value), y=bottom + 14, class_="tick", text_anchor="middle")]
    return parts


def level_name(text: str, y: float) -> Markup:
    """Return the name of a level, left of the axis."""
    return element("text", shorten(text, MAX_LETTERS), x=LEFT - 10, y=y + 4, class_="name", text_anchor="end")


def shorten_together(levels: Sequence[str], letters: int) -> list[str]:
    """Return levels cut so that so many letters have room for all of them and what stands between.

    >>> shorten_together(["occluded-from-visible", "vit"], 22), shorten_together(["whole", "convnet"], 22)
    (['occluded-from-v…', 'vit'], ['whole', 'convnet'])
    """
    room = letters - len(TIMES) * (len(levels) - 1)
    short = sorted(levels, key=len)
    for place, level in enumerate(short):
        share = room // (len(short) - place)
        if len(level) > share:
            return [shorten(one, share) for one in levels]
        room -= len(level)
    return [*levels]


def draw_effect(ablation: Ablation, effect: Effect, to_x: Axis, span: tuple[float, float], y: float) -> Markup:
    """Return the row of one effect: its level, its interval where it has one, and its difference."""
    name, estimate = TIMES.join(effect.levels), effect.estimate
    short = TIMES.join(shorten_together(effect.levels, MAX_LETTERS))
    interval = format_difference_interval(estimate, ablation.metric)
    words = f"{TIMES.join(effect.factors)} {name} against {TIMES.join(effect.against)}: "
    words += format_difference(estimate.value, ablation.metric) + (f" ({interval})" if interval else "")
    parts = [element("title", words), level_name(short, y)]
    if interval and estimate.low is not None and estimate.high is not None:
        ends = [to_x(min(max(end, span[0]), span[1])) for end in (estimate.low, estimate.high)]
        parts.append(element("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_="interval"))
    parts.append(element("circle", cx=to_x(estimate.value), cy=y, r=4.5, class_="trained"))
    return element("g", *parts)


def write_picture(path: Path, ablations: Sequence[Ablation]) -> Path:
    """Write the panels of some analyses into one SVG file that stands alone.

    Raises:
        PretaskError: It cannot be written.
    """
    parts, y = [element("style", Markup(RULES))], 0.0
    for ablation in ablations:
        parts.append(element("text", measure_title(ablation), x=4, y=y + 18, class_="title"))
        y += TITLE
        panels = [panel for _, panel in draw_panels(ablation)]
        for start in range(0, len(panels), COLUMNS):
            row = panels[start : start + COLUMNS]
            parts += [place_panel(panel, column * WIDTH, y) for column, panel in enumerate(row)]
            y += max(map(panel_height, row))
    whole = picture(COLUMNS * WIDTH, y, "Effects of each choice", *parts)
    text = whole.replace("<svg", Markup('<svg xmlns="http://www.w3.org/2000/svg"'), 1)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise PretaskError("--picture", f"to write {path}", str(error), "Name another file.", exit_code=2) from error
    return path


def panel_height(panel: Markup) -> float:
    """Return the height of a panel, as its box says."""
    return float(panel.partition('viewBox="')[2].partition('"')[0].split()[3])


def place_panel(panel: Markup, x: float, y: float) -> Markup:
    """Return a panel as a picture within another, at a place."""
    placed = f'<svg x="{x:g}" y="{y:g}" width="{WIDTH}" height="{panel_height(panel):g}"'
    return panel.replace("<svg", Markup(placed), 1)

"""Layers: what each layer of an encoder is worth, trained, supervised and at random initialisation, as pictures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pretask_bench.board.drawing import Place, element, linear_scale, path, picture, round_steps
from pretask_bench.board.entries import Entry, Field
from pretask_bench.board.standings import Scale, Table
from pretask_bench.records.encoders import RANDOM, RAW, SUPERVISED, TRAINED

MAX_LAYERS, MAX_FIRST_ENTRIES = 64, 12
LAYER = re.compile(r"layer(\d{1,4})\.(.+)")
KINDS = {SUPERVISED: "supervised", RANDOM: "random", TRAINED: "trained"}  # drawn in this order
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 264, 156, 38, 258, 14, 128


@dataclass(frozen=True)
class Curves:
    """The numbers of one measure by layer, for one entry.

    Args:
        metric: Name of the metric.
        found: By encoder, then layer: the mean over seeds.
        levels: Raw input and chance, which have no layers.
    """

    metric: str
    found: Mapping[str, Mapping[int, float]]
    levels: Mapping[str, float]

    @property
    def values(self) -> list[float]:
        """All values, which the axis must cover."""
        return [*self.levels.values(), *(value for by_layer in self.found.values() for value in by_layer.values())]

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers, sorted."""
        return sorted({layer for by_layer in self.found.values() for layer in by_layer})


def curves_of(field: Field, entry: Entry, scale: Scale) -> Curves | None:
    """Return the curves of a measure; None where the trained encoder has no layers."""
    evaluator, metric = field.evaluators[scale.measure.evaluator], scale.measure.metric
    found = {encoder: layers_of(entry, evaluator, metric, encoder) for encoder in KINDS}
    raw = entry.values(evaluator, metric, RAW)
    levels = {"end": scale.chance, **({"raw": sum(raw) / len(raw)} if raw else {})}
    return Curves(metric, found, levels) if found[TRAINED] else None


def layers_of(entry: Entry, evaluator: str, metric: str, encoder: str) -> dict[int, float]:
    """Return what every layer of an encoder reaches, as means over seeds."""
    found: dict[int, list[float]] = {}
    for row in entry.rows(evaluator, encoder):
        for name, value in row.metrics.items():
            fits = LAYER.fullmatch(name)
            if fits and fits[2] == metric and value is not None:
                found.setdefault(int(fits[1]), []).append(value)
    return {layer: sum(found[layer]) / len(found[layer]) for layer in sorted(found)[:MAX_LAYERS]}


def first_layers(table: Table) -> tuple[str, list[tuple[str, Markup]]]:
    """Return the first measure with layers, and its pictures of the first entries, all on one scale."""
    for scale in table.scales:
        first = [
            (standing.entry.title, curves_of(table.field, standing.entry, scale))
            for standing in table.standings[:MAX_FIRST_ENTRIES]
        ]
        found = [(title, curves) for title, curves in first if curves is not None]
        if found:
            every = [value for _, curves in found for value in curves.values]
            drawn = [(title, layer_picture(curves, min(every), max(every))) for title, curves in found]
            return scale.measure.title, drawn
    return "", []


def own_layers(table: Table, entry: Entry) -> list[tuple[str, Markup]]:
    """Return the pictures of one entry, one for every measure with layers."""
    found = [(scale.measure.title, curves_of(table.field, entry, scale)) for scale in table.scales]
    return [
        (title, layer_picture(curves, min(curves.values), max(curves.values)))
        for title, curves in found
        if curves is not None
    ]


def layer_picture(curves: Curves, low: float, high: float) -> Markup:
    """Return one picture whose axis runs from `low` to `high`."""
    layers = curves.layers
    up, across = linear_scale(low, high, BOTTOM, TOP), linear_scale(0, len(layers) - 1, LEFT + 8, RIGHT - 8)
    along = {layer: across(index) for index, layer in enumerate(layers)}
    parts = [*grid(round_steps(low, high), up), *ticks(layers, along)]
    parts += [
        element("line", x1=LEFT, x2=RIGHT, y1=up(value), y2=up(value), class_=kind)
        for kind, value in curves.levels.items()
    ]
    for encoder, values in curves.found.items():
        parts += curve([(along[layer], up(value)) for layer, value in values.items()], KINDS[encoder])
    return picture(WIDTH, HEIGHT, f"{curves.metric} by layer, trained beside random initialisation", *parts)


def curve(points: Sequence[tuple[float, float]], kind: str) -> list[Markup]:
    """Return a line with its points."""
    circles = [element("circle", cx=x, cy=y, r=3, class_=kind) for x, y in points]
    return [path(points, f"line {kind}-line"), *circles] if points else []


def grid(values: Sequence[float], up: Place) -> list[Markup]:
    """Return lines of equal value."""
    return [
        part
        for value in values
        for part in (
            element("line", x1=LEFT, x2=RIGHT, y1=up(value), y2=up(value), class_="grid"),
            element("text", f"{value:.2g}", x=LEFT - 6, y=up(value) + 4, class_="tick", text_anchor="end"),
        )
    ]


def ticks(layers: Sequence[int], along: Mapping[int, float]) -> list[Markup]:
    """Return the numbers of layers below the axis, about ten at most."""
    every = max(1, len(layers) // 8)
    return [
        element("text", str(layer), x=along[layer], y=HEIGHT - 7, class_="tick", text_anchor="middle")
        for layer in layers[::every]
    ]

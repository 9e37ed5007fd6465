"""Layers: what each layer of an encoder is worth, trained, supervised and at random initialization, as pictures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pretask_bench.board.drawing import Axis, element, linear_scale, path, picture, round_steps
from pretask_bench.board.entries import Competition, Entry
from pretask_bench.board.standings import Ranking, Scale
from pretask_bench.records.encoders import RANDOM, RAW, SUPERVISED, TRAINED

MAX_LAYERS, MAX_FIRST_ENTRIES = 64, 12
LAYER = re.compile(r"layer(\d{1,4})\.(.+)")
CSS_CLASSES = {SUPERVISED: "supervised", RANDOM: "random", TRAINED: "trained"}  # drawn in this order
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 264, 156, 38, 258, 14, 128


@dataclass(frozen=True)
class Curves:
    """The numbers of one measure by layer, for one entry.

    Args:
        metric: Name of the metric.
        by_encoder: By encoder, then layer: the mean over seeds.
        levels: Raw input and chance, which have no layers.
    """

    metric: str
    by_encoder: Mapping[str, Mapping[int, float]]
    levels: Mapping[str, float]

    @property
    def values(self) -> list[float]:
        """All values, which the axis must cover."""
        return [*self.levels.values(), *(value for by_layer in self.by_encoder.values() for value in by_layer.values())]

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers, sorted."""
        return sorted({layer for by_layer in self.by_encoder.values() for layer in by_layer})


def collect_curves(competition: Competition, entry: Entry, scale: Scale) -> Curves | None:
    """Return the curves of a measure; None where the trained encoder has no layers."""
    evaluator, metric = competition.evaluators[scale.measure.evaluator], scale.measure.metric
    by_encoder = {encoder: values_by_layer(entry, evaluator, metric, encoder) for encoder in CSS_CLASSES}
    raw = entry.values(evaluator, metric, RAW)
    levels = {"end": scale.chance, **({"raw": sum(raw) / len(raw)} if raw else {})}
    return Curves(metric, by_encoder, levels) if by_encoder[TRAINED] else None


def values_by_layer(entry: Entry, evaluator: str, metric: str, encoder: str) -> dict[int, float]:
    """Return a metric of an encoder by layer, as means over seeds."""
    values: dict[int, list[float]] = {}
    for result in entry.results(evaluator, encoder):
        for name, value in result.metrics.items():
            layer_and_metric = LAYER.fullmatch(name)
            if layer_and_metric and layer_and_metric[2] == metric and value is not None:
                values.setdefault(int(layer_and_metric[1]), []).append(value)
    return {layer: sum(values[layer]) / len(values[layer]) for layer in sorted(values)[:MAX_LAYERS]}


def draw_first_layers(ranking: Ranking) -> tuple[str, list[tuple[str, Markup]]]:
    """Return the first measure with layers, and its pictures of the first entries, all on one scale."""
    entries = [ranked.entry for ranked in ranking.ranked_entries[:MAX_FIRST_ENTRIES]]
    for scale in ranking.scales:
        curves_by_entry = [(entry.title, collect_curves(ranking.competition, entry, scale)) for entry in entries]
        known = [(title, curves) for title, curves in curves_by_entry if curves is not None]
        if known:
            values = [value for _, curves in known for value in curves.values]
            pictures = [(title, layer_picture(curves, min(values), max(values))) for title, curves in known]
            return scale.measure.title, pictures
    return "", []


def draw_layers(ranking: Ranking, entry: Entry) -> list[tuple[str, Markup]]:
    """Return the pictures of one entry, one for every measure with layers."""
    pictures = []
    for scale in ranking.scales:
        curves = collect_curves(ranking.competition, entry, scale)
        if curves is not None:
            pictures.append((scale.measure.title, layer_picture(curves, min(curves.values), max(curves.values))))
    return pictures


def layer_picture(curves: Curves, low: float, high: float) -> Markup:
    """Return one picture whose axis runs from `low` to `high`."""
    layers = curves.layers
    to_y, to_x = linear_scale(low, high, BOTTOM, TOP), linear_scale(0, len(layers) - 1, LEFT + 8, RIGHT - 8)
    layer_x = {layer: to_x(index) for index, layer in enumerate(layers)}
    parts = [*grid(round_steps(low, high), to_y), *ticks(layers, layer_x)]
    parts += [
        element("line", x1=LEFT, x2=RIGHT, y1=to_y(value), y2=to_y(value), class_=kind)
        for kind, value in curves.levels.items()
    ]
    for encoder, values in curves.by_encoder.items():
        parts += curve([(layer_x[layer], to_y(value)) for layer, value in values.items()], CSS_CLASSES[encoder])
    return picture(WIDTH, HEIGHT, f"{curves.metric} by layer, trained beside random initialization", *parts)


def curve(points: Sequence[tuple[float, float]], kind: str) -> list[Markup]:
    """Return a line with its points."""
    circles = [element("circle", cx=x, cy=y, r=3, class_=kind) for x, y in points]
    return [path(points, f"line {kind}-line"), *circles] if points else []


def grid(values: Sequence[float], to_y: Axis) -> list[Markup]:
    """Return lines of equal value."""
    return [
        part
        for value in values
        for part in (
            element("line", x1=LEFT, x2=RIGHT, y1=to_y(value), y2=to_y(value), class_="grid"),
            element("text", f"{value:.4g}", x=LEFT - 6, y=to_y(value) + 4, class_="tick", text_anchor="end"),
        )
    ]


def ticks(layers: Sequence[int], layer_x: Mapping[int, float]) -> list[Markup]:
    """Return the numbers of layers below the axis, about ten at most."""
    every = max(1, len(layers) // 8)
    return [
        element("text", str(layer), x=layer_x[layer], y=HEIGHT - 7, class_="tick", text_anchor="middle")
        for layer in layers[::every]
    ]

"""Scenes: an object made of parts in a landscape, composed from the numbers that a sample's own key gives.

The class is decided by which parts an object has and where. All else is drawn for any thing alike: place, size, lean,
proportions, light, landscape, and the parts of another object, strewn. Colors and textures go with the thing less than
half the time.

Axes: B batch, P parts. x to the right and y down, in image sides from the upper left corner.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int, Shaped
from pretask import Draws
from torch import Tensor

from pretask_plugins.data.image.blueprints import OBJECTS, Part

SHAPES = ("disc", "box", "dome")
TEXTURES = {"plain": (0.0, 0.0), "rows": (0.0, 1.0), "columns": (1.0, 0.0), "checks": (1.0, 1.0)}
PARTS = max(len(parts) for parts in OBJECTS.values())

# Hue, saturation and value around which the colors of a landscape are drawn: day, haze, dusk, dawn, night, sea;
# grass, sand, snow, earth, water, moss. None goes with an object.
SKIES = ((0.57, 0.6, 0.9), (0.55, 0.2, 0.95), (0.06, 0.5, 0.95), (0.92, 0.35, 0.85), (0.66, 0.6, 0.4), (0.47, 0.4, 0.8))
GROUNDS = ((0.3, 0.6, 0.6), (0.12, 0.5, 0.8), (0.58, 0.1, 0.9), (0.07, 0.5, 0.5), (0.55, 0.55, 0.7), (0.2, 0.5, 0.5))

OWN_COLOR_CHANCE = 0.4  # chance that a part has the color of its blueprint, and not any
OWN_TEXTURE_CHANCE = 0.25  # chance that a part has the texture of its blueprint, and not any


@dataclass(frozen=True)
class Parts:
    """Parts of scenes, in the order in which they are painted.

    Args:
        center: (x, y); of a dome, the middle of its foot.
        half: Half width and half height; of a dome, half width and height.
        turn: Counterclockwise, radians.
        shape: Index into SHAPES.
        taper: By what fraction a box is narrower at its top.
        color: Red, green and blue in [0, 1].
        texture: Whether it varies along x, and along y.
        period: Of the texture.
        cover: 0 invisible, 1 opaque.
        edge: By what fraction the outline is darker.
    """

    center: Float[Tensor, "B P 2"]
    half: Float[Tensor, "B P 2"]
    turn: Float[Tensor, "B P"]
    shape: Int[Tensor, "B P"]
    taper: Float[Tensor, "B P"]
    color: Float[Tensor, "B P 3"]
    texture: Float[Tensor, "B P 2"]
    period: Float[Tensor, "B P"]
    cover: Float[Tensor, "B P"]
    edge: Float[Tensor, "B P"]


@dataclass(frozen=True)
class Landscape:
    """Everything that lies behind the parts of objects.

    Args:
        level: Height of the horizon.
        waves: Height, steps per image side and phase (fractions of a turn) of two ridges of hills, far and near.
        sky: Color at the top and at the horizon.
        ground: Color at the horizon and at the bottom.
        furrows: How much darker the furrows of the ground are.
        light: Brightness of all, and how much brighter the right side is than the left.
    """

    level: Float[Tensor, " B"]
    waves: Float[Tensor, "B 2 3"]
    sky: Float[Tensor, "B 2 3"]
    ground: Float[Tensor, "B 2 3"]
    furrows: Float[Tensor, " B"]
    light: Float[Tensor, "B 2"]


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes.

    Args:
        label: Which object it shows.
        base: Where the object stands.
        scale: Its height.
        tilt: Its turn, counterclockwise, radians.
        object_parts: Its parts, those of its blueprint first; what the blueprint lacks has cover 0.
        parts: All parts, those of the object among them.
        landscape: What is behind them.
    """

    label: Int[Tensor, " B"]
    base: Float[Tensor, "B 2"]
    scale: Float[Tensor, " B"]
    tilt: Float[Tensor, " B"]
    object_parts: Parts
    parts: Parts
    landscape: Landscape


def compose(draws: Draws, label: Int[Tensor, " B"]) -> Scenes:
    """Compose a scene for every sample that shows the object of the given number."""
    landscape = compose_landscape(draws.branch("landscape"))
    scale = draws.uniform("scale", low=0.35, high=0.72)
    max_offset = 0.5 - 0.42 * scale
    column = 0.5 + max_offset * draws.uniform("across", low=-1, high=1)
    highest = torch.maximum(landscape.level + 0.08, scale + 0.06)
    base = torch.stack([column, highest + (0.96 - highest) * draws.uniform("down")], 1)
    tilt = draws.uniform("lean", low=-0.3, high=0.3)
    object_parts = compose_object(draws.branch("thing"), label, base, scale, tilt)
    groups = [
        compose_sky(draws.branch("sky"), landscape),
        compose_distractors(draws.branch("strays")),
        compose_shadow(base, scale),
        object_parts,
    ]
    return Scenes(label, base, scale, tilt, object_parts, concatenate(groups), landscape)


def compose_landscape(draws: Draws) -> Landscape:
    """Compose sky, ground, two ridges of hills, and the light, from the left or from the right."""
    skies = draw_colors(draws.branch("skies"), SKIES, 2)
    low = 0.5 + 0.5 * skies[:, 1]  # paler towards the horizon
    grounds = draw_colors(draws.branch("grounds"), GROUNDS, 1)[:, 0]
    far = grounds * draws.uniform("far", 1, low=0.75, high=1.15)
    height = draws.uniform("height", 2, low=0.01, high=0.1)
    steps = draws.uniform("steps", 2, low=0.4, high=1.6)
    light = torch.stack([draws.uniform("light", low=0.75, high=1.1), draws.uniform("side", low=-0.3, high=0.3)], 1)
    return Landscape(
        level=draws.uniform("level", low=0.4, high=0.65),
        waves=torch.stack([height, steps, draws.uniform("phase", 2)], 2),
        sky=torch.stack([skies[:, 0], low], 1),
        ground=torch.stack([far, grounds], 1),
        furrows=draws.uniform("furrows", low=0.0, high=0.25),
        light=light,
    )


def compose_sky(draws: Draws, landscape: Landscape) -> Parts:
    """Compose a sun or moon on the side that the light comes from, and two clouds."""
    side = torch.where(landscape.light[:, 1:] > 0, 0.75, 0.25)  # (B, 1)
    column = torch.cat([side + draws.uniform("sun", 1, low=-0.2, high=0.2), draws.uniform("clouds", 2)], 1)
    down = landscape.level[:, None] * draws.uniform("down", 3, low=0.15, high=0.75)
    half = draws.uniform("width", 3, 1, low=0.06, high=0.16) * torch.tensor([[0.5, 0.5], [1.0, 0.5], [1.0, 0.5]])
    cover = draws.bernoulli("seen", 0.6, 3) * torch.tensor([0.95, 0.75, 0.75])
    color = torch.tensor([[1.0, 0.95, 0.7], [1.0, 1.0, 1.0], [0.95, 0.95, 1.0]])
    return make_plain_parts(torch.stack([column, down], 2), half, cover, color, ("disc", "dome", "dome"))


def compose_shadow(base: Float[Tensor, "B 2"], scale: Float[Tensor, " B"]) -> Parts:
    """Compose a dark flat disc where the object stands."""
    half = scale[:, None, None] * torch.tensor([0.4, 0.06])
    return make_plain_parts(base[:, None], half, torch.full((len(base), 1), 0.35), torch.zeros(1, 3), ("disc",))


def make_plain_parts(
    center: Float[Tensor, "B P 2"],
    half: Float[Tensor, "B P 2"],
    cover: Float[Tensor, "B P"],
    color: Float[Tensor, "P 3"],
    shapes: tuple[str, ...],
) -> Parts:
    """Make upright parts without texture and outline."""
    zero = torch.zeros_like(cover)
    return Parts(
        center=center,
        half=half,
        turn=zero,
        shape=torch.tensor([SHAPES.index(shape) for shape in shapes]).expand(cover.shape),
        taper=zero,
        color=color.expand(*cover.shape, 3),
        texture=torch.zeros_like(half),
        period=torch.ones_like(cover),
        cover=cover,
        edge=zero,
    )


def compose_object(
    draws: Draws,
    label: Int[Tensor, " B"],
    base: Float[Tensor, "B 2"],
    scale: Float[Tensor, " B"],
    tilt: Float[Tensor, " B"],
) -> Parts:
    """Compose the labeled thing of its parts, each a little off its blueprint, placed, sized and leant as a whole."""
    plan = {name: table[label] for name, table in TABLES.items()}
    center = plan["center"] + draws.uniform("off", PARTS, 2, low=-0.02, high=0.02)
    half = plan["half"] * draws.uniform("size", PARTS, 2, low=0.88, high=1.14)
    broad = torch.stack([draws.uniform("broad", low=0.85, high=1.18), torch.ones(len(label))], 1)[:, None]
    center, half = scale[:, None, None] * broad * center, scale[:, None, None] * broad * half
    placed = base[:, None] + rotate(center * torch.tensor([1.0, -1.0]), tilt[:, None])
    return dress(draws, plan, placed, half, plan["turn"] + tilt[:, None])


def compose_distractors(draws: Draws) -> Parts:
    """Compose the parts of another thing, taken to pieces and strewn: the same parts, and no thing."""
    label = draws.integers("whose", 0, len(OBJECTS))
    plan = {name: table[label] for name, table in TABLES.items()}
    center = draws.uniform("place", PARTS, 2, low=0.03, high=0.97)
    half = plan["half"] * draws.uniform("scale", 1, 1, low=0.35, high=0.72)
    half = half * draws.uniform("size", PARTS, 2, low=0.88, high=1.14)
    turn = plan["turn"] + draws.uniform("turn", PARTS, low=-0.6, high=0.6)
    return dress(draws, plan, center, half, turn)


def dress(draws: Draws, plan: dict[str, Tensor], center: Tensor, half: Tensor, turn: Tensor) -> Parts:
    """Give parts the color and texture of their blueprint, or any; like parts of a thing are alike."""
    count = turn.shape[1]
    hue = plan["hue"] + draws.uniform("hue", count, low=-0.05, high=0.05)
    hue = torch.where(draws.bernoulli("own hue", OWN_COLOR_CHANCE, count), hue, draws.uniform("any hue", count))
    tone = plan["tone"] + draws.uniform("tone", count, 2, low=-0.15, high=0.15)
    kinds = torch.tensor(list(TEXTURES.values()))
    texture = kinds[draws.integers("any texture", 0, len(kinds), count)]
    texture = torch.where(draws.bernoulli("own texture", OWN_TEXTURE_CHANCE, count, 1), plan["texture"], texture)
    alike = {
        "hue": hue,
        "tone": tone,
        "texture": texture,
        "period": draws.uniform("period", count, low=0.06, high=0.12),
    }
    alike = {name: pick(value, plan["like"]) for name, value in alike.items()}
    return Parts(
        center=center,
        half=half,
        turn=turn,
        shape=plan["shape"],
        taper=plan["taper"],
        color=rgb(alike["hue"], alike["tone"]),
        texture=alike["texture"],
        period=alike["period"],
        cover=plan["cover"],
        edge=torch.full_like(turn, 0.45),
    )


def draw_colors(draws: Draws, table: Sequence[tuple[float, float, float]], count: int) -> Float[Tensor, "B count 3"]:
    """Draw colors near entries of a table, red, green and blue."""
    entry = torch.tensor(table)[draws.integers("entry", 0, len(table), count)]
    entry = entry + torch.tensor([0.04, 0.15, 0.12]) * draws.uniform("near", count, 3, low=-1, high=1)
    return rgb(entry[..., 0], entry[..., 1:])


def pick(values: Shaped[Tensor, "B P ..."], index: Int[Tensor, "B P"]) -> Shaped[Tensor, "B P ..."]:
    """Return values[b, index[b, p]]."""
    return values[torch.arange(len(index))[:, None], index]


def rotate(vector: Float[Tensor, "B P 2"], angle: Float[Tensor, "B 1"]) -> Float[Tensor, "B P 2"]:
    """Turn a vector counterclockwise as one sees it, y pointing down.

    >>> rotate(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[torch.pi / 2]])).round().int().tolist()
    [[[0, -1]]]
    """
    sine, cosine = sine_and_cosine(angle)
    x, y = vector.unbind(-1)
    return torch.stack([cosine * x + sine * y, cosine * y - sine * x], -1)


def sine_and_cosine(angle: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Compute both in double precision, so that what is left after rounding does not depend on place or machine."""
    return angle.double().sin().float(), angle.double().cos().float()


def rgb(hue: Float[Tensor, "B P"], tone: Float[Tensor, "B P 2"]) -> Float[Tensor, "B P 3"]:
    """Return red, green and blue of a hue (fraction of the circle), saturation and value.

    >>> rgb(torch.tensor([[1 / 3]]), torch.tensor([[[1.0, 0.5]]])).tolist()
    [[[0.0, 0.5, 0.0]]]
    """
    # Not by shared.colors.hsv_to_rgb, which rounds otherwise: 3 in a million bytes, and all fingerprints, would change.
    saturation, value = tone.clamp(0, 1).unbind(-1)
    sector = (6 * hue[..., None] + torch.tensor([0.0, 4.0, 2.0])).remainder(6)
    pure = ((sector - 3).abs() - 1).clamp(0, 1)
    return value[..., None] * (1 - saturation[..., None] * (1 - pure))


def concatenate(groups: Sequence[Parts]) -> Parts:
    """Concatenate all parts of several groups, one group after the other."""
    return Parts(
        **{field.name: torch.cat([getattr(group, field.name) for group in groups], 1) for field in fields(Parts)}
    )


def tables() -> dict[str, Tensor]:
    """Return the blueprints as tensors (things, PARTS, ...); missing parts have cover 0."""
    blank = Part("", "disc", 0, 0, 0.1, 0.1)
    rows = [[*parts, *[blank] * (PARTS - len(parts))] for parts in OBJECTS.values()]

    def table(read: Callable[[Part], object]) -> Tensor:
        return torch.tensor([[read(part) for part in row] for row in rows])

    likes = [[next(i for i, b in enumerate(row) if look(b) == look(part)) for part in row] for row in rows]
    return {
        "center": table(lambda part: (part.x, part.y)),
        "half": table(lambda part: (part.width, part.height)),
        "turn": table(lambda part: part.turn),
        "shape": table(lambda part: SHAPES.index(part.shape)),
        "taper": table(lambda part: part.taper),
        "hue": table(lambda part: part.hue),
        "tone": table(lambda part: (part.saturation, part.value)),
        "texture": table(lambda part: TEXTURES[part.texture]),
        "cover": table(lambda part: float(part is not blank)),
        "like": torch.tensor(likes),
    }


def look(part: Part) -> tuple[float, float, float, str]:
    """Return the color and texture of a part."""
    return part.hue, part.saturation, part.value, part.texture


TABLES = tables()

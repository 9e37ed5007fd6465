"""Blueprints: what the objects in the scenes are made of, in the order in which their parts are painted.

An object stands on y = 0 and is 1 high; x = 0 is its middle; y points up. Hues are fractions of the color circle (0
red, 1/3 green, 2/3 blue). Objects share hues, shapes and textures: what tells them apart is which parts they have, and
where.
"""

from dataclasses import dataclass
from typing import Literal

Shape = Literal["disc", "box", "dome"]
Texture = Literal["plain", "rows", "columns", "checks"]

RED, ORANGE, YELLOW, GREEN, BLUE, VIOLET = 0.0, 0.07, 0.14, 0.33, 0.58, 0.8


@dataclass(frozen=True)
class Part:
    """One part of an object.

    Args:
        name: Of the part.
        shape: A disc, a box, or a dome (the upper half of a disc).
        x: Middle, to the right.
        y: Middle, up; of a dome, its foot.
        width: Half of it.
        height: Half of it; of a dome, all of it.
        hue: Fraction of the color circle.
        saturation: 0 gray, 1 full.
        value: 0 black, 1 bright.
        taper: By what fraction a box is narrower at its top (1: a triangle; below 0: wider).
        turn: Counterclockwise, radians.
        texture: What it is covered with.
    """

    name: str
    shape: Shape
    x: float
    y: float
    width: float
    height: float
    hue: float = 0.0
    saturation: float = 0.75
    value: float = 0.85
    taper: float = 0.0
    turn: float = 0.0
    texture: Texture = "plain"


def eye(x: float, y: float) -> Part:
    """Make a dark round dot."""
    return Part("eye", "disc", x, y, 0.04, 0.05, BLUE, 0.3, 0.15)


def wheel(x: float) -> Part:
    """Make a dark disc on the ground."""
    return Part("wheel", "disc", x, 0.15, 0.15, 0.15, BLUE, 0.15, 0.25)


OBJECTS: dict[str, tuple[Part, ...]] = {
    "house": (
        Part("chimney", "box", 0.2, 0.84, 0.06, 0.16, RED, 0.6, 0.6),
        Part("wall", "box", 0.0, 0.28, 0.38, 0.28, YELLOW, 0.4, 0.95, texture="rows"),
        Part("roof", "box", 0.0, 0.76, 0.5, 0.22, RED, 0.75, 0.75, taper=1.0, texture="checks"),
        Part("door", "box", -0.14, 0.19, 0.1, 0.19, ORANGE, 0.7, 0.45),
        Part("window", "box", 0.17, 0.34, 0.1, 0.1, BLUE, 0.45, 0.95),
    ),
    "tree": (
        Part("trunk", "box", 0.0, 0.22, 0.08, 0.24, ORANGE, 0.65, 0.45, taper=0.3, texture="columns"),
        Part("left crown", "disc", -0.2, 0.54, 0.22, 0.2, GREEN, 0.7, 0.6),
        Part("right crown", "disc", 0.22, 0.56, 0.22, 0.2, GREEN, 0.7, 0.6),
        Part("crown", "disc", 0.0, 0.72, 0.28, 0.27, GREEN, 0.65, 0.7),
        Part("fruit", "disc", -0.12, 0.66, 0.06, 0.06, RED, 0.85, 0.9),
        Part("fruit", "disc", 0.16, 0.58, 0.06, 0.06, RED, 0.85, 0.9),
    ),
    "boat": (
        Part("mast", "box", -0.06, 0.58, 0.025, 0.42, ORANGE, 0.6, 0.4),
        Part("sail", "box", 0.16, 0.64, 0.22, 0.3, YELLOW, 0.15, 0.97, taper=1.0, texture="rows"),
        Part("flag", "box", -0.17, 0.92, 0.1, 0.06, RED, 0.8, 0.9),
        Part("hull", "box", 0.0, 0.16, 0.36, 0.16, BLUE, 0.7, 0.7, taper=-0.45, texture="columns"),
    ),
    "car": (
        Part("cabin", "box", -0.06, 0.66, 0.32, 0.2, RED, 0.8, 0.85, taper=0.35),
        Part("window", "box", -0.06, 0.67, 0.2, 0.11, BLUE, 0.35, 0.95, taper=0.3),
        Part("body", "box", 0.0, 0.36, 0.52, 0.18, RED, 0.8, 0.85, texture="rows"),
        wheel(-0.3),
        wheel(0.3),
        Part("lamp", "disc", 0.45, 0.42, 0.06, 0.06, YELLOW, 0.5, 1.0),
    ),
    "rocket": (
        Part("flame", "disc", 0.0, 0.08, 0.08, 0.1, ORANGE, 0.9, 1.0),
        Part("fins", "box", 0.0, 0.28, 0.34, 0.12, RED, 0.8, 0.8, taper=0.6, texture="columns"),
        Part("body", "box", 0.0, 0.48, 0.17, 0.28, BLUE, 0.15, 0.9),
        Part("nose", "dome", 0.0, 0.76, 0.17, 0.24, RED, 0.8, 0.85),
        Part("window", "disc", 0.0, 0.56, 0.08, 0.08, BLUE, 0.6, 0.6),
    ),
    "flower": (
        Part("stem", "box", 0.0, 0.3, 0.03, 0.3, GREEN, 0.75, 0.5),
        Part("leaf", "disc", -0.16, 0.24, 0.17, 0.07, GREEN, 0.7, 0.65, turn=-0.6),
        Part("petals", "disc", 0.0, 0.68, 0.32, 0.12, VIOLET, 0.6, 0.9, turn=0.0),
        Part("petals", "disc", 0.0, 0.68, 0.32, 0.12, VIOLET, 0.6, 0.9, turn=1.05),
        Part("petals", "disc", 0.0, 0.68, 0.32, 0.12, VIOLET, 0.6, 0.9, turn=-1.05),
        Part("heart", "disc", 0.0, 0.68, 0.13, 0.13, YELLOW, 0.8, 0.95, texture="checks"),
    ),
    "mushroom": (
        Part("stalk", "box", 0.0, 0.28, 0.13, 0.3, YELLOW, 0.2, 0.95, taper=0.3, texture="columns"),
        Part("cap", "dome", 0.0, 0.5, 0.48, 0.46, RED, 0.8, 0.85),
        Part("spot", "disc", -0.24, 0.64, 0.08, 0.07, YELLOW, 0.1, 1.0),
        Part("spot", "disc", 0.22, 0.62, 0.09, 0.08, YELLOW, 0.1, 1.0),
        Part("spot", "disc", 0.0, 0.8, 0.08, 0.07, YELLOW, 0.1, 1.0),
    ),
    "cat": (
        Part("tail", "disc", 0.32, 0.26, 0.07, 0.24, ORANGE, 0.7, 0.7, turn=-0.5, texture="rows"),
        Part("left ear", "box", -0.17, 0.88, 0.1, 0.12, ORANGE, 0.7, 0.75, taper=1.0),
        Part("right ear", "box", 0.17, 0.88, 0.1, 0.12, ORANGE, 0.7, 0.75, taper=1.0),
        Part("body", "disc", 0.0, 0.28, 0.27, 0.29, ORANGE, 0.7, 0.8, texture="rows"),
        Part("head", "disc", 0.0, 0.68, 0.28, 0.22, ORANGE, 0.65, 0.85),
        eye(-0.11, 0.7),
        eye(0.11, 0.7),
    ),
}

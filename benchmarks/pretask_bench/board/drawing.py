"""Drawing: the pieces of a picture, as SVG without styles, so that a page's rules colour it for light, dark, print.

The same numbers give the same text. Every text from outside goes through `element`, which escapes it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

Axis = Callable[[float], float]


@dataclass(frozen=True)
class Label:
    """The space of a text: from left to right, with its baseline at `y`, pixels."""

    left: float
    right: float
    y: float


def element(name: str, *inside: str | Markup, **attributes: str | float) -> Markup:
    """Return an SVG element; numbers have one digit after the point, `_` in a name becomes `-`.

    >>> print(element("text", "a < b", x=1.25, class_="name"))
    <text x="1.2" class="name">a &lt; b</text>
    """
    texts = {
        key: format_number(value) if isinstance(value, int | float) else escape(value)
        for key, value in attributes.items()
    }
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{text}"' for key, text in texts.items())
    content = Markup("").join(inside)
    return Markup(f"<{name}{written}>{content}</{name}>") if content else Markup(f"<{name}{written}/>")


def format_number(value: float) -> str:
    """Return a number with one digit after the point, none where it is zero.

    >>> format_number(3.0), format_number(-0.04), format_number(2.55)
    ('3', '0', '2.5')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def picture(width: float, height: float, label: str, *inside: Markup) -> Markup:
    """Return a whole SVG picture, which scales with the page and carries a text for screen readers."""
    box = f"0 0 {format_number(width)} {format_number(height)}"
    return element("svg", *inside, viewBox=box, role="img", aria_label=label, class_="picture")


def linear_scale(low: float, high: float, start: float, end: float) -> Axis:
    """Return the function that maps values between `low` and `high` to pixels between `start` and `end`."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def log_scale(low: float, high: float, start: float, end: float) -> Axis:
    """Return the same function on a logarithmic axis."""
    inner = linear_scale(math.log10(low), math.log10(high), start, end)
    return lambda value: inner(math.log10(value))


def round_steps(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers within a range, 1, 2 or 5 times a power of ten apart.

    >>> round_steps(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = (high - low) or 1.0
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def powers_of_ten(low: float, high: float) -> list[float]:
    """Return the powers of ten within a range, and where they are few also 2 and 5 times them."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(exponents) < 4 else (1,)
    return [
        factor * 10.0**exponent
        for exponent in exponents
        for factor in factors
        if low <= factor * 10.0**exponent <= high
    ]


def format_compact(value: float) -> str:
    """Return a number for an axis: three digits, with k, M, G and so on.

    >>> format_compact(200000), format_compact(0.25), format_compact(1.5e18)
    ('200k', '0.25', '1.5E')
    """
    for power, letter in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 10**power:
            return f"{value / 10**power:.3g}{letter}"
    return f"{value:.3g}"


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points."""
    drawn = "M" + "L".join(f"{format_number(x)} {format_number(y)}" for x, y in points)
    return element("path", d=drawn, class_=class_)


def place_labels(wanted: Iterable[Label], height: float) -> list[float]:
    """Return heights of labels near the wanted ones, moved down or up until no label lies on another.

    Args:
        wanted: The labels.
        height: Height of a label, pixels.
    """
    placed: list[Label] = []
    for label in wanted:
        beside = [other.y for other in placed if other.left < label.right and label.left < other.right]
        tries = sorted((sign * step * height / 2 for step in range(24) for sign in (1, -1)), key=abs)
        free = (label.y + by for by in tries if all(abs(label.y + by - other) >= height for other in beside))
        placed.append(replace(label, y=next(free, label.y)))
    return [label.y for label in placed]

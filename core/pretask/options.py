"""Options: what a component checks of its own when it is built, before any data is read."""

import math
from dataclasses import MISSING, fields

from pretask.errors import PretaskError

Range = tuple[float, float]  # lowest and highest, both allowed; infinity itself is no value of an option
FROM_ZERO: Range = (0, math.inf)
FROM_ONE: Range = (1, math.inf)
FRACTION: Range = (0, 1)
BELOW_ONE: Range = (0, math.nextafter(1, 0))
ABOVE_ZERO: Range = (math.nextafter(0, 1), math.inf)


def require_range(who: str, prefix: str, part: object, **ranges: Range) -> None:
    """Raise PretaskError for the first option that does not lie in its range; the message names its default.

    Of an option with several values each must lie there. What is no finite number never does.

    Args:
        who: The component, for the error.
        prefix: What the option is set under: `split`, `model`, `recipe`.
        part: A dataclass whose fields are the options.
        ranges: Lowest and highest value by the name of the option.

    >>> from pretask.recipe import Recipe
    >>> require_range("a test", "recipe", Recipe(), batch=(1, 8))
    Traceback (most recent call last):
    pretask.errors.PretaskError: a test needs recipe.batch from 1 to 8; got 256. Set recipe.batch to 8 or less.
    """
    for name, span in ranges.items():
        value = getattr(part, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not is_within(number, span):
                option = f"{prefix}.{name}"
                do = advice(part, name, option, number, span)
                raise PretaskError(who, f"{option} {describe_range(span)}", f"{value}", do, exit_code=2)


def is_within(value: object, span: Range) -> bool:
    """Return whether a value is a finite number in a range, or several of them."""
    if isinstance(value, tuple):
        return all(is_within(number, span) for number in value)
    return isinstance(value, int | float) and math.isfinite(value) and span[0] <= value <= span[1]


def describe_range(span: Range) -> str:
    """Return a range in words.

    >>> describe_range((1, math.inf)), describe_range(BELOW_ONE)
    ('of 1 or more', 'from 0 to below 1')
    """
    lowest, highest = span
    if span == ABOVE_ZERO:
        return "above 0"
    if math.isinf(highest):
        return f"of {lowest:g} or more"
    return f"from {lowest:g} to {'below ' if span == BELOW_ONE else ''}{highest:g}"


def advice(part: object, name: str, option: str, number: float, span: Range) -> str:
    """Return what can be done about an option of which a number is out of its range."""
    default = {field.name: field.default for field in fields(part)}.get(name, MISSING)  # type: ignore[arg-type]
    usual = f"; it is {format_default(default)} if left out" if is_within(default, span) else ""
    if span in (ABOVE_ZERO, BELOW_ONE):
        return f"Set {option} {describe_range(span)}{usual}."
    if not number > span[1] or math.isinf(number):  # also what is no number
        return f"Set {option} to {span[0]:g} or more{usual}."
    return f"Set {option} to {span[1]:g} or less{usual}."


def format_default(default: object) -> str:
    """Return a default as a user would write it."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)

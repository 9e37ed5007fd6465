"""Options: what a component checks of its own when it is built, before any data is read."""

import math
from dataclasses import MISSING, fields

from pretask.errors import PretaskError

Range = tuple[float, float]  # lowest and highest, both allowed
FROM_ZERO: Range = (0, math.inf)
FROM_ONE: Range = (1, math.inf)
FRACTION: Range = (0, 1)


def require_range(who: str, prefix: str, part: object, **ranges: Range) -> None:
    """Raise PretaskError for the first option that does not lie in its range; the message names its default.

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
    for name, (lowest, highest) in ranges.items():
        value = getattr(part, name)
        if not lowest <= value <= highest:
            option = f"{prefix}.{name}"
            span = f"of {lowest:g} or more" if math.isinf(highest) else f"from {lowest:g} to {highest:g}"
            raise PretaskError(
                who, f"{option} {span}", f"{value}", advice(part, name, option, lowest, highest), exit_code=2
            )


def advice(part: object, name: str, option: str, lowest: float, highest: float) -> str:
    """Return what can be done about an option that is out of its range."""
    default = {field.name: field.default for field in fields(part)}.get(name, MISSING)  # type: ignore[arg-type]
    usual = (
        f"; it is {default} if left out" if isinstance(default, int | float) and lowest <= default <= highest else ""
    )
    if not getattr(part, name) > highest:  # also what is no number
        return f"Set {option} to {lowest:g} or more{usual}."
    return f"Set {option} to {highest:g} or less{usual}."

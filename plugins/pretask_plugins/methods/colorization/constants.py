"""Constants: tensors that are made once for equal arguments and kept."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Made = TypeVar("Made")


def once(make: Callable[..., Made]) -> Callable[..., Made]:
    """The same function, computed once for equal arguments; its result must not be written to.

    A plain dictionary, because torch.compile looks through functools.cache and would compute it in every step.
    """
    kept: dict[tuple[Any, ...], Made] = {}

    @wraps(make)
    def constant(*arguments: Any) -> Made:
        if arguments not in kept:
            kept[arguments] = make(*arguments)
        return kept[arguments]

    return constant

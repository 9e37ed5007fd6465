"""Check: one promise that components keep, as a function without pytest; and how it says that it was not kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pretask import Component

PLUGIN = "plugin"  # what is checked once for each entry point, beside the kinds of components


class Failure(AssertionError):
    """A promise was not kept: what was promised, what came instead, what to do."""


class Skip(Exception):
    """A check could not be made for want of something; the message is the reason, and it is always shown."""


class Inapplicable(Skip):
    """A check asks nothing of such a component, so that nothing is missing; the message is the reason."""


@dataclass(frozen=True)
class Check:
    """One promise of a kind of component, as a function that checks it.

    Args:
        name: Lower-case words with hyphens, for `--only`.
        kinds: Of components that must keep it, or `plugin`.
        promise: One sentence.
        run: Called with a case (cases.py); raises Failure or Skip, and may return what it measured.
        when: Which components it is meant for, by their declared traits.
        once: Whether it looks at the declaration alone, so that modalities make no difference.
    """

    name: str
    kinds: tuple[str, ...]
    promise: str
    run: Callable[[Any], str | None]
    when: Callable[[Component], bool] = lambda component: True
    once: bool = False


def check(
    *kinds: str, when: Callable[[Component], bool] = lambda component: True, once: bool = False
) -> Callable[[Callable[[Any], str | None]], Check]:
    """Make a function a check of components of these kinds: its name is the check's, its docstring the promise."""
    return lambda run: Check(run.__name__.replace("_", "-"), kinds, promise_of(run), run, when, once)


def promise_of(run: Callable[..., str | None]) -> str:
    """Return the first line of the docstring, without "Check that" since a report states the promise itself."""
    line = (run.__doc__ or run.__name__.replace("_", " ")).strip().splitlines()[0]
    promise = line.removeprefix("Check that").lstrip(", ")
    return line if promise == line else promise[0].upper() + promise[1:]


def require(kept: object, broken: str) -> None:
    """Raise Failure with the message unless something holds."""
    if not kept:
        raise Failure(broken)

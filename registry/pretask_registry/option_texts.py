"""Option texts: how a value is written on a command line, and what a docstring says of an option."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from pretask_registry.options import REQUIRED

PLAIN = re.compile(r"[\w.,:/@%+=-]+")  # what a shell leaves as it is
ENTRY = re.compile(r"(\*{0,2}\w+)(?: \([^)]*\))?: (.*)")  # an option of a docstring's Args, and how its text begins


def write_value(value: Any) -> str:
    """Write a value as `--set PART.OPTION=` takes it, in quotes where a shell needs them.

    >>> write_value((512,)), write_value(()), write_value(True), write_value(None), write_value("")
    ('"(512,)"', '"()"', 'true', 'none', '""')
    """
    if value is REQUIRED:
        return "required"
    if isinstance(value, bool | None):
        return str(value).lower()
    text = write_members(value) if isinstance(value, tuple | list) else str(value)
    return text if PLAIN.fullmatch(text) else f'"{text}"'


def write_members(value: tuple[Any, ...] | list[Any]) -> str:
    """Write the members of a tuple; one alone keeps its comma."""
    members = ", ".join(str(member).lower() if isinstance(member, bool | None) else str(member) for member in value)
    return f"({members},)" if len(value) == 1 else f"({members})"


def read_option_texts(implementation: Callable[..., Any]) -> dict[str, str]:
    """Return what docstrings say under Args, by the name of the option, each as one line.

    Those of a class come before those of its __init__ and of the classes that it inherits from.
    """
    texts: dict[str, str] = {}
    for docstring in iterate_docstrings(implementation):
        for name, text in read_arguments(docstring):
            texts.setdefault(name, text)
    return texts


def iterate_docstrings(implementation: Callable[..., Any]) -> Iterator[str]:
    """Yield the docstrings that may tell of the options of a class or function, the nearest first."""
    if not inspect.isclass(implementation):
        yield inspect.getdoc(implementation) or ""
        return
    for cls in implementation.__mro__[:-1]:
        yield inspect.cleandoc(vars(cls).get("__doc__") or "")
        yield inspect.cleandoc(getattr(vars(cls).get("__init__"), "__doc__", None) or "")


def read_arguments(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of what stands under Args.

    >>> dict(read_arguments("Cut.\\n\\nArgs:\\n    gap: Pixels,\\n        or 0.\\n    jitter: Pixels.\\n\\nRaises:"))
    {'gap': 'Pixels, or 0.', 'jitter': 'Pixels.'}
    """
    _, found, rest = docstring.partition("Args:\n")
    name, words = "", list[str]()
    for line in rest.splitlines() if found else []:
        if line and not line.startswith(" "):
            break
        entry = ENTRY.fullmatch(line.strip()) if len(line) - len(line.lstrip()) <= 4 else None
        if entry is not None:
            if name:
                yield name, " ".join(words)
            name, words = entry[1], [entry[2]]
        elif line.strip():
            words.append(line.strip())
    if name:
        yield name, " ".join(words)

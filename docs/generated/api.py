"""API: which page documents which module of core; mkdocstrings reads their docstrings."""

from importlib import import_module
from typing import Any

import pretask

FOLDER = "api"
# Title and sentence of a page, and the modules it documents.
PAGES = {
    "verbs": ("Verbs", "What a user calls.", ("front_door", "composition", "training", "encoder", "recipe")),
    "events": (
        "Events",
        "What a tracker is told of a run; `pretask_trackers` is the hook that offers one.",
        ("events",),
    ),
    "declarations": (
        "Declarations",
        "What a plugin says it offers. This imports no torch.",
        ("declare", "metrics", "errors", "options"),
    ),
    "protocols": (
        "Protocols",
        "What a part must be, and what it may be as well. Nothing is inherited: a class that has the methods will do.",
        ("protocols",),
    ),
    "values": (
        "Values and specs",
        "What parts hand to each other: numbers with their shapes, and shapes without numbers.",
        ("values", "specs", "samples", "draws"),
    ),
    "helpers": (
        "Helpers",
        "What objectives and models often need.",
        ("readout", "scoring", "patches", "precision", "teacher"),
    ),
}
BORROWED = ("pretask.", "annotated_types")  # whose names are documented where they are defined
HOOKS = "pretask_registry.hookspecs"


def write_api_pages() -> dict[str, str]:
    """Return the pages of the reference, by name."""
    pages = {
        f"{FOLDER}/{name}.md": "\n".join([f"# {title}\n", f"{about}\n", *map(write_module, modules)])
        for name, (title, about, modules) in PAGES.items()
    }
    declarations = f"{FOLDER}/declarations.md"
    pages[declarations] += f"\n## Hooks of a plugin\n\n::: {HOOKS}\n    options:\n      show_root_heading: false\n"
    return pages


def write_module(module: str) -> str:
    """Return the section of a module: its public names, each from the module where it is defined."""
    names = public_names(module)
    return f"## pretask.{module}\n\n" + "".join(f"::: pretask.{module}.{name}\n\n" for name in names)


def public_names(module: str) -> list[str]:
    """Return the names of a module that `pretask` offers; all that it defines where `pretask` offers none."""
    imported = import_module(f"pretask.{module}")
    homes = {name: find_home(value) for name, value in vars(imported).items() if not name.startswith("_")}
    offered = pretask.HOMES.get(module) or [
        name for name in homes if name in pretask.__all__ and name not in pretask.HOME
    ]
    here = [name for name in offered if homes[name] == imported.__name__ or not homes[name].startswith(BORROWED)]
    return here or [name for name, home in homes.items() if home == imported.__name__]


def find_home(value: Any) -> str:
    """Return the name of the module that defines a class or function; "" of anything else."""
    return str(getattr(value, "__module__", ""))

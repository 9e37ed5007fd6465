"""Citations: the BibTeX entries that components name, from the references.bib of their plugin's package.

An entry begins with `@` at the start of a line, and ends where the next one begins.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pretask_registry.registry import Registered

FILE = "references.bib"
HEAD = re.compile(r"^@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)


@dataclass(frozen=True)
class Citation:
    """What is to be cited for some components.

    Args:
        entries: BibTeX entries by key, in the order in which they were first named.
        used_by: Kind and id of the components that name each, by key.
        missing: What names a key that its plugin has no entry for, or has a source and no key.
    """

    entries: Mapping[str, str]
    used_by: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]


def split_entries(text: str) -> dict[str, str]:
    """Return the entries of a BibTeX file by key.

    >>> split_entries("% comment\\n@book{a, title = {A}}\\n\\n@misc{b, title = {B}}\\n")
    {'a': '@book{a, title = {A}}', 'b': '@misc{b, title = {B}}'}
    """
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head[1]: text[head.start() : end].strip() for head, end in zip(heads, ends, strict=True)}


@cache
def read_entries(package: str) -> Mapping[str, str]:
    """Return the entries of a top-level package; none where it has no such file, or is a single file."""
    try:
        return split_entries((files(package) / FILE).read_text(encoding="utf-8"))
    except (OSError, ImportError, TypeError, UnicodeDecodeError):
        return {}


def find_entries(registered: Registered) -> dict[str, str]:
    """Return the entries that a component cites by key, "" where its plugin has none of that key."""
    known, found = read_entries(registered.plugin.module.partition(".")[0]), dict[str, str]()
    for cited in registered.component.cites:
        found |= split_entries(cited) if cited.startswith("@") else {cited: known.get(cited, "")}
    return found


def collect_citations(components: Iterable[Registered]) -> Citation:
    """Return what is to be cited for components, every entry once."""
    entries: dict[str, str] = {}
    used_by: dict[str, list[str]] = {}
    missing: list[str] = []
    for registered in components:
        component, who = registered.component, f"{registered.kind} {registered.id}"
        for key, entry in find_entries(registered).items():
            if entry:
                entries.setdefault(key, entry)
                used_by[key] = [*dict.fromkeys([*used_by.get(key, []), who])]
            else:
                missing.append(f"{who}: no entry {key} in its {FILE}")
        if component.source and not component.cites:
            missing.append(f"{who}: {component.source}")
    return Citation(entries, {key: tuple(users) for key, users in used_by.items()}, tuple(missing))

"""Guides: the tables of docs/guides.md, a row for every check of a kind, written from the checks themselves.

Run `python -m pretask_registry.conformance.guides docs/guides.md` after a check or a remedy has changed.
"""

import re
import sys
from pathlib import Path

from pretask_registry.conformance.kit import built_in_checks
from pretask_registry.conformance.remedies import find_remedy

PLACE = re.compile(r"(<!-- checks: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| check | what must hold | if it fails: what it often is, and the remedy |\n|---|---|---|\n"


def write_tables(text: str) -> str:
    """Return a page with the table of a kind wherever it has a place for one."""
    return PLACE.sub(lambda found: f"{found[1]}{write_table(found[2])}{found[3]}", text)


def write_table(kind: str) -> str:
    """Write the table of a kind: every check with its promise and its remedy."""
    rows = [
        f"| `{check.name}` | {as_cell(check.promise)} | {as_cell(find_remedy(kind, check.name))} |\n"
        for check in built_in_checks()
        if kind in check.kinds
    ]
    return HEAD + "".join(rows)


def as_cell(text: str) -> str:
    """Return a text that a table of Markdown can hold."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(write_tables(page.read_text(encoding="utf-8")), encoding="utf-8")

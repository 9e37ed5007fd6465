"""Tables: rows of text on stdout, drawn where it is a terminal, tab-separated where another program reads them."""

import json
import sys
from collections.abc import Sequence
from typing import Any


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table; columns whose every cell is a number are set flush right."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    from pretask_bench.terminal import drawable

    table = Table(title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        cells = [row[number] for row in rows]
        table.add_column(column, justify="right" if cells and all(map(numeric, cells)) else "left", overflow="fold")
    for row in drawable(rows):
        table.add_row(*row)
    Console().print(table)


def numeric(cell: str) -> bool:
    """Whether a cell is a number, perhaps with its sign, unit or interval; or empty."""
    return not cell.strip() or cell.strip()[0] in "+-−.0123456789"


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str, *, width: int = 100) -> None:
    """Print a table with aligned columns wherever stdout goes: what people read at the end of a run.

    Cells and title may be a stranger's: brackets are no markup, and nothing steers the terminal.

    Args:
        columns: Their headings.
        rows: Of cells.
        title: Above it.
        width: Characters, where stdout is no terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pretask_bench.terminal import drawable

    ((heading,),) = drawable([(title,)])
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in drawable(rows):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else width).print(table)

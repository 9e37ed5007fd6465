"""Tables: rows of text on stdout, drawn where it is a terminal, tab-separated where another program reads them.

No number is ever cut or broken: names wrap, and a table whose numbers do not fit is wider than the terminal.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

MIN_NAME_CHARACTERS = 12  # characters to which a column of names may be narrowed
MIN_CONSOLE, USUAL_CONSOLE = 20, 80  # characters; a console that says fewer (COLUMNS=0) is taken for a usual one
UNIT_SPACE = re.compile(r" (?=%)")  # a number and its unit stay together
NUMBER = re.compile(r"[(\[+\-−±]*\.?\d")  # how one begins
BORDERS = 3  # characters beside the cell of each column: a space on either side, and a line; one more ends the row


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table; columns whose every cell is a number are set flush right."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    print_table(columns, rows, title, [is_numeric(rows, number) for number in range(len(columns))], None)


def draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str, *, width: int = 100) -> None:
    """Print a table with aligned columns wherever stdout goes: what people read at the end of a run.

    Cells and title may be a stranger's: brackets are no markup, and nothing steers the terminal.

    Args:
        columns: Headings of the columns.
        rows: Rows of cells; the first column is set flush left.
        title: Heading above the table.
        width: Characters, where stdout is no terminal.
    """
    right = [number > 0 for number in range(len(columns))]
    print_table(columns, rows, title, right, None if sys.stdout.isatty() else width, simple=True)


def is_numeric(rows: Sequence[Sequence[str]], number: int) -> bool:
    """Return whether every cell of a column is a number, perhaps with its sign, unit or interval; or empty."""
    cells = [row[number].strip() for row in rows]
    return bool(cells) and all(not cell or cell[0] in "+-−.0123456789" for cell in cells)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str,
    right: Sequence[bool],
    width: int | None,
    *,
    simple: bool = False,
) -> None:
    """Draw a table as wide as the console, or as its numbers need."""
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    from pretask_bench.cli.terminal import escape_rows

    ((heading,),) = escape_rows([(title,)])
    lines = box.SIMPLE_HEAD if simple else box.HEAVY_HEAD
    table = Table(title=heading or None, title_justify="left", box=lines)
    console_width = Console().width
    room = (width or (console_width if console_width >= MIN_CONSOLE else USUAL_CONSOLE)) - BORDERS * len(columns) - 1
    cells = [[column, *(row[number] for row in rows)] for number, column in enumerate(columns)]
    widths = share_room([max(map(cell_len, column)) for column in cells], [*map(min_width, cells)], room)
    for column, flush_right, characters in zip(columns, right, widths, strict=True):
        table.add_column(column, justify="right" if flush_right else "left", width=characters, overflow="fold")
    for row in escape_rows(rows):
        table.add_row(*row)
    Console(width=max(room, sum(widths)) + BORDERS * len(columns) + 1).print(table)


def share_room(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths of columns: as wanted where there is room, else the widest narrowed, none below its least.

    >>> share_room([30, 6, 8], [12, 6, 4], 36), share_room([30, 6, 8], [12, 6, 4], 10)
    ([22, 6, 8], [12, 6, 4])
    """
    widths = [*wanted]
    while sum(widths) > room and (wide := [number for number, width in enumerate(widths) if width > least[number]]):
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def min_width(cells: Sequence[str]) -> int:
    """Return the characters below which a column would break a number, or a short word.

    >>> min_width(["", "perplexity (words of 57 tokens)", "4.903 ± 0.1"]), min_width(["p", "38.2 % ± 1.0"])
    (10, 6)
    """
    return max(map(longest_piece, cells), default=0)


def longest_piece(cell: str) -> int:
    """Return the length of a cell's longest unbreakable piece: all of a number, the beginning of a name."""
    pieces = UNIT_SPACE.sub("_", cell).split()
    return max(
        (len(piece) if NUMBER.match(piece) else min(len(piece), MIN_NAME_CHARACTERS) for piece in pieces), default=0
    )


def show_json(value: Any) -> None:
    """Print a value as JSON; where stdout cannot hold its texts, or they are bytes of names, with escapes."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1, default=str)
    print(text)

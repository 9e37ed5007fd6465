"""Terminal: texts of strangers, shown to people and never obeyed by their terminals."""

from collections.abc import Iterable, Sequence

from pretask.printable import escape_invisible as escape_invisible


def escape_rows(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return rows for a drawn table, in which square brackets are brackets and no markup."""
    from rich.markup import escape as without_markup

    return [tuple(without_markup(escape_invisible(cell)) for cell in row) for row in rows]

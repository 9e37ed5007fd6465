"""Terminal: texts of strangers, shown to people and never obeyed by their terminals."""

from collections.abc import Iterable, Sequence


def escape_invisible(text: str) -> str:
    """Return the text with all that is invisible, breaks lines or steers a terminal written out as escapes.

    >>> escape_invisible("a\\x1b[31m\\u202eb\\n")
    'a\\\\x1b[31m\\\\u202eb\\\\n'
    """
    return (
        text
        if text.isprintable()
        else "".join(character if character.isprintable() else escape_character(character) for character in text)
    )


def escape_character(character: str) -> str:
    """Return one character as Python would write it."""
    return character.encode("unicode_escape").decode()


def escape_rows(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return rows for a drawn table, in which square brackets are brackets and no markup."""
    from rich.markup import escape as without_markup

    return [tuple(without_markup(escape_invisible(cell)) for cell in row) for row in rows]

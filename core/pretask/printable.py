"""Printable: texts of strangers, written so that they are shown and never obeyed by a terminal."""


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

"""Names: the order of files, the files that nobody means, and names that are not UTF-8 or come in two Unicode forms.

Axes: none.
"""

import os
import re
import unicodedata
from functools import lru_cache
from pathlib import PurePosixPath

from pretask.printable import escape_invisible

# Folders and files that programs leave behind; whatever begins with a dot is left out as well (._a.jpg, .git,
# .ipynb_checkpoints, .DS_Store).
JUNK = frozenset(
    {
        "__macosx",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "lost+found",
        "system volume information",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)
DIGITS = re.compile("([0-9]+)")
MAX_DIGITS = 4000  # of a number; Python makes none of more than 4,300, which a tar file may have in a name


def is_junk(name: str) -> bool:
    """Return whether a file or folder of that name is hidden, or left behind by a program.

    >>> [name for name in ("._a.jpg", "@eaDir", "__MACOSX", "a.jpg") if not is_junk(name)]
    ['a.jpg']
    """
    return name.startswith(".") or name.lower() in JUNK


def has_junk(path: str) -> bool:
    """Return whether any folder of a path, or its file, is junk; `./` before it is none."""
    return any(is_junk(part) for part in PurePosixPath(path).parts)


Key = tuple[tuple[tuple[tuple[int, str], ...], ...], str]


def natural_key(name: str) -> Key:
    """Return a key that sorts paths folder by folder, and numbers in them by their value.

    >>> sorted(["a/frame10.png", "a/frame9.png", "a/frame1.png"], key=natural_key)
    ['a/frame1.png', 'a/frame9.png', 'a/frame10.png']
    """
    return tuple(map(split_numbers, name.split("/"))), name


@lru_cache(maxsize=1 << 14)
def split_numbers(part: str) -> tuple[tuple[int, str], ...]:
    """Return the numbers of a name by their value, and what is between them.

    >>> split_numbers("frame10.png")
    ((0, 'frame'), (10, ''), (0, '.png'))
    """
    pieces = DIGITS.split(part)  # numbers are every second one
    return tuple(
        (int(piece[:MAX_DIGITS]), piece[MAX_DIGITS:]) if place % 2 else (0, piece) for place, piece in enumerate(pieces)
    )


def unify_name(name: str) -> str:
    """Return a name in one Unicode form (NFC): macOS writes é as two characters, others as one.

    >>> unify_name("cafe\\u0301") == "caf\\u00e9"
    True
    """
    return unicodedata.normalize("NFC", name)


@lru_cache(maxsize=1 << 14)
def printable_name(name: str) -> str:
    """Return a name in one Unicode form, what is not UTF-8 or invisible written as escapes, so that it can be printed.

    >>> printable_name("caf\\udce9"), printable_name("a\\n")
    ('caf\\\\xe9', 'a\\\\n')
    """
    return escape_invisible(unify_name(os.fsencode(name).decode("utf-8", "backslashreplace")))

"""Parts: what the data sets share of the two parts that each has: their names, and which file belongs to which.

Which files are for testing depends on a hash of their names, so that others may come and go.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from pretask import PretaskError, Unknown

# Names of folders, by the part that they hold, in any case; of several, the first one that is there.
PART_FOLDERS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation", "dev"),
}
TEST_PERIOD = 10  # one of so many files or lines is for testing
MAX_LISTED = 3  # offending files that an error names


def check_part(who: str, part: str) -> None:
    """Raise Unknown unless the part is `train` or `test`."""
    if part not in ("train", "test"):
        raise Unknown(f"No part '{part}' of {who}. There are 'train' and 'test'.")


@lru_cache(maxsize=1 << 14)
def part_of_word(word: str) -> str | None:
    """Return the part that a folder of that name holds; None where it is another name.

    >>> part_of_word("Train"), part_of_word("val"), part_of_word("trains")
    ('train', 'test', None)
    """
    return next((part for part, words in PART_FOLDERS.items() if word.lower() in words), None)


def hash_text(text: str, size: int = 4) -> bytes:
    """Return bytes that look random and are always the same, in whichever Unicode form a name comes."""
    return blake2b(unicodedata.normalize("NFC", text).encode(errors="surrogateescape"), digest_size=size).digest()


def is_tenth(digest: bytes) -> bool:
    """Return whether what has this hash is for testing: a tenth of everything is."""
    return int.from_bytes(digest) % TEST_PERIOD == 0


def list_some(names: Sequence[str]) -> str:
    """Return the first names for a message, with an ellipsis where there are more.

    >>> list_some(["a", "b"]), list_some(["a", "b", "c", "d"])
    ('a, b', 'a, b, c, …')
    """
    return ", ".join([*names[:MAX_LISTED], *(["…"] if names[MAX_LISTED:] else [])])


def check_patterns(who: str, **patterns: str) -> None:
    """Raise PretaskError unless options, by their names, are regular expressions."""
    for option, pattern in patterns.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise PretaskError(
                who,
                f"a regular expression as data.{option}",
                f"{pattern} ({error})",
                "Put a backslash before characters that stand for themselves.",
                exit_code=2,
            ) from error

"""Bounds of JSON text, held before it is parsed: parsing builds what a few hostile megabytes only mention.

66 MB of `[],[],…` cost 3.3 GB and 34 s, as many bytes of short keys 8 GB and 3 min. Real records hold a few thousand
values, nested nine deep; what makes one large is a text, the bits of its items.
"""

import re
from itertools import accumulate

from pretask.errors import PretaskError

MAX_NESTING = 32  # a record's own fields take 6, options 9
MAX_VALUES = 1 << 17  # in lists and mappings
MAX_NUMBER_CHARACTERS = 64  # the longest that canonical JSON writes has 25

LONG_NUMBER = re.compile(rb"[-+.0-9eE]{%d}" % (MAX_NUMBER_CHARACTERS + 1))
STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
ALL_BUT_BRACKETS = bytes(set(range(256)) - STEPS.keys())


def require_bounds(text: bytes) -> None:
    """Raise PretaskError where a JSON text holds more values, deeper ones or longer numbers than any record does.

    >>> require_bounds(b'{"note":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}')
    """
    structure = remove_strings(text)
    values = 1 + sum(map(structure.count, (b",", b"[", b"{")))
    require_few_values(values)
    if (nesting := measure_nesting(structure)) > MAX_NESTING:
        raise bounds_error(f"lists and mappings nested at most {MAX_NESTING} deep", f"{nesting:,}")
    if long := LONG_NUMBER.search(structure):
        raise bounds_error(f"numbers of at most {MAX_NUMBER_CHARACTERS} characters", f"{long[0][:20].decode()}…")


def remove_strings(text: bytes) -> bytes:
    """Return a JSON text without the insides of its strings; raises PretaskError where these are too many.

    >>> remove_strings(b'{"a":[1,"]\\\\"x"]}')
    b'{":[1,"]}'
    """
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    require_few_values(unescaped.count(b'"') // 4)  # a key and a text for every value, two quotes each
    return b'"'.join(unescaped.split(b'"')[::2])


def require_few_values(count: int) -> None:
    """Raise PretaskError for more values than any record holds."""
    if count > MAX_VALUES:
        raise bounds_error(f"at most {MAX_VALUES:,} values", f"up to {count:,}")


def measure_nesting(structure: bytes) -> int:
    """Return how deep lists and mappings are nested in a JSON text without its strings.

    >>> measure_nesting(b"[{},[[]]]")
    3
    """
    steps = map(STEPS.__getitem__, structure.translate(None, ALL_BUT_BRACKETS))
    return max(accumulate(steps), default=0)


def bounds_error(needs: str, got: str) -> PretaskError:
    """Return the error for a text that is out of bounds."""
    return PretaskError("a record", needs, got, "Leave it out.")

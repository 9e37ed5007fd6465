"""Faults: what is wrong with a record of somebody else, in a line that is safe to print."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretask.errors import PretaskError
from pydantic import (
    ValidationError,
)

from pretask_bench.records.provenance import UNSEEN

VERSION = 1
SCHEMA = Path(__file__).with_name("record.schema.json")


def record_error(error: ValidationError) -> PretaskError:
    """Return the error with a record's first three faults; a stranger's field names are escaped and shortened."""
    faults = error.errors(include_url=False, include_input=False)
    shown = [describe_fault(fault["loc"], fault["msg"], fault.get("ctx", {})) for fault in faults[:3]]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return PretaskError("a record", f"the fields of version {VERSION}", "; ".join(shown) + more, f"See {SCHEMA.name}.")


def describe_fault(place: Sequence[str | int], message: str, context: Mapping[str, Any]) -> str:
    """Return a fault of at most 130 characters: where in the record, and what is wrong there.

    >>> describe_fault(["cell", "author"], "String should match pattern '^[^...]*$'", {"pattern": f"^[^{UNSEEN}]*$"})
    'cell.author: String should have no control or invisible characters'
    """
    where = ".".join(ascii(part)[:60].strip("'") for part in place)
    if UNSEEN in str(context.get("pattern")):
        message = "String should have no control or invisible characters"
    return f"{shorten(where, 55)}: {shorten(message, 70)}"


def shorten(text: str, most: int) -> str:
    """Return the text, its middle left out where it has more characters than `most`.

    >>> shorten("abcdefghij", 7)
    'abc…hij'
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"

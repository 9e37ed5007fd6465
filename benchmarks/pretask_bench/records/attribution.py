"""Attribution: who a record is by, under which license it may be used, and what else there is to say of it."""

from pretask.errors import PretaskError
from pydantic import ValidationError

from pretask_bench.records.field_types import Line, StrictModel, Text
from pretask_bench.records.provenance import MAX_ERROR_CHARACTERS

OPTIONS = {"author": "--author", "licence": "--license", "note": "--note"}  # fields as records call them
LIMITS = {"author": "one line of at most 400 characters", "licence": "one line of at most 400 characters"}
NOTE_LIMIT = f"a text of at most {MAX_ERROR_CHARACTERS} characters"


class Attribution(StrictModel):
    """What whoever runs something says of its records; None where nothing is said.

    Args:
        author: Who it is by.
        licence: Under which license it may be used, such as `CC-BY-4.0`.
        note: Anything else.
    """

    author: Line | None = None
    licence: Line | None = None
    note: Text | None = None


def attribute(author: str | None = None, licence: str | None = None, note: str | None = None) -> Attribution:
    """Return what was said, if records can hold it.

    Raises:
        PretaskError: A text is too long, or has characters that nobody sees.
    """
    try:
        return Attribution(author=author or None, licence=licence or None, note=note or None)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = str(fault["loc"][0])
        text = str(fault["input"])
        limit = LIMITS.get(field, NOTE_LIMIT)
        got = f"{len(text)} characters" if fault["type"] == "string_too_long" else ascii(text[:40])
        raise PretaskError(
            OPTIONS[field], f"{limit}, none of them invisible", got, "Shorten or retype it.", exit_code=2
        ) from None

"""Field types: the texts, numbers and mappings of a record, each of them bounded, and what all of its parts share."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_serializer,
)

from pretask_bench.records.canonical import MAX_SAFE_INTEGER
from pretask_bench.records.provenance import MAX_ERROR_CHARACTERS, UNSEEN

MAX_DEPTH, MAX_VALUES, MAX_OPTION_CHARACTERS = 8, 4000, 4000  # of the options of one part
WAS_READ: Mapping[str, bool] = {"was read": True}  # context in which bytes are validated that were sound before
FORBIDDEN = re.compile(f"[{UNSEEN}]")

Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=f"^[^\\t\\n\\r{UNSEEN}]*$")]
Line = Annotated[str, StringConstraints(max_length=400, pattern=f"^[^\\t\\n\\r{UNSEEN}]*$")]
Text = Annotated[str, StringConstraints(max_length=MAX_ERROR_CHARACTERS, pattern=f"^[^{UNSEEN}]*$")]
Id = Annotated[
    str,
    StringConstraints(max_length=120, pattern="^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*@[1-9][0-9]{0,4}$"),
]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16,128}$")]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Amount = Annotated[float, Field(ge=0)]


def was_read(info: Any) -> bool:
    """Return whether the bytes that are validated were sound before; of a ValidationInfo, which no check can name."""
    return info.context is WAS_READ


def check_time(text: str) -> str:
    """Return the text, if it is a moment that exists."""
    datetime.fromisoformat(text)
    return text


def check_bounds(options: dict[str, Any], info: Any) -> dict[str, Any]:
    """Return the options, if they are neither too deep nor too many nor too long."""
    if not was_read(info) and count_values(options, MAX_DEPTH) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    return options


def count_values(value: Any, depth: int) -> int:
    """Return how many values lie in a JSON value, itself included; raises ValueError where one is out of bounds."""
    count, level = 0, [value]
    while level:
        if depth < 0:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        count += len(level)
        level, depth = look_inside(level), depth - 1
    return count


def look_inside(values: Iterable[Any]) -> list[Any]:
    """Return the values, keys among them, that lie directly in some; raises ValueError where one is out of bounds."""
    inner = list[Any]()
    for value in values:
        if isinstance(value, str):
            if len(value) > MAX_OPTION_CHARACTERS or FORBIDDEN.search(value):
                raise ValueError(f"a text longer than {MAX_OPTION_CHARACTERS}, or one with control characters")
        elif isinstance(value, dict):
            inner += value
            inner += value.values()
        elif isinstance(value, list):
            inner += value
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a number that is not finite")
    return inner


Time = Annotated[
    str,
    StringConstraints(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(check_time),
]
Options = Annotated[dict[str, JsonValue], Field(max_length=MAX_VALUES), AfterValidator(check_bounds)]
Metrics = Annotated[dict[Name, float | None], Field(max_length=4000)]
Reasons = Annotated[dict[Name, Line], Field(max_length=4000)]
Numbers = Annotated[dict[Name, float], Field(max_length=4000)]
Ends = tuple[float, float]  # low, high


class StrictModel(BaseModel):
    """What all parts of a record have in common: nothing is converted, added or changed, and all is finite."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class ExtendedModel(StrictModel):
    """A part with fields that older records lack: where they say nothing they are left out, and old bytes stay."""

    later: ClassVar[frozenset[str]]

    @model_serializer(mode="wrap")
    def _without_silent_fields(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        silent = {name for name in self.later if getattr(self, name) == type(self).model_fields[name].get_default()}
        return {name: value for name, value in fields.items() if name not in silent}

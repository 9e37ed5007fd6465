"""Canonical JSON: the one text of a value, so that equal results have equal bytes and a hash can be their name.

Source: RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16, no space, numbers as ECMAScript has them.
Differs: an integer that no double holds is refused instead of rounded.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from json.encoder import encode_basestring as quote_text
from pathlib import PurePath
from typing import Any

import numpy as np
from pretask.errors import PretaskError
from pydantic import BaseModel

from pretask_bench.records.provenance import last_component

BYTES = re.compile("[\udc80-\udcff]")  # as Python decodes bytes of names that are not UTF-8
MAX_SAFE_INTEGER = 2**53 - 1  # the largest integer up to which a double holds every one


def canonical_bytes(value: Any) -> bytes:
    """Return the one JSON text of a value, as UTF-8: equal values have equal bytes, whatever their key order.

    Raises:
        PretaskError: A number that no finite double holds, a key that is no text, a text that is no Unicode.

    >>> canonical_bytes({"b": 1.0, "a": [1e21, -0.0, None]})
    b'{"a":[1e+21,0,null],"b":1}'
    """
    try:
        return json_text(value).encode()
    except UnicodeEncodeError as error:
        raise not_json_error(f"the lone surrogate {error.object[error.start : error.end]!a}") from error


def json_text(value: Any) -> str:
    """Return the canonical JSON of one value."""
    return TEXTS.get(type(value), other_text)(value)


def other_text(value: Any) -> str:
    """Return the canonical JSON of subclasses of JSON's types, and of models."""
    if isinstance(value, BaseModel):
        return json_text(value.model_dump(mode="json"))
    for kind in (str, int, float, list, tuple, Mapping):
        if isinstance(value, kind):
            return TEXTS[kind](value)
    raise not_json_error(f"a {type(value).__name__}")


def array_text(value: Sequence[Any]) -> str:
    """Return a list as JSON."""
    return f"[{','.join(map(json_text, value))}]"


def object_text(value: Mapping[Any, Any]) -> str:
    """Return a mapping as JSON, its keys sorted by UTF-16, which for ASCII is their own order."""
    try:
        ascii_only = "".join(value).isascii()
    except TypeError:
        wrong = next(key for key in value if not isinstance(key, str))
        raise not_json_error(f"the key {wrong!r}") from None
    ordered = sorted(value, key=None if ascii_only else lambda key: key.encode("utf-16-be"))
    return f"{{{','.join([f'{quote_text(key)}:{json_text(value[key])}' for key in ordered])}}}"


def object_of_texts(texts: Mapping[str, str]) -> str:
    """Return an object as JSON whose values are JSON already; its keys are names of fields.

    >>> object_of_texts({"b": "[1]", "a": "null"})
    '{"a":null,"b":[1]}'
    """
    members = ",".join(f'"{name}":{texts[name]}' for name in sorted(texts))
    return f"{{{members}}}"


def integer_text(number: int) -> str:
    """Return an integer, if a double holds it: up to 2^53, and beyond it those that number_text writes."""
    text = int.__repr__(number)
    if abs(number) > MAX_SAFE_INTEGER and (abs(number) >= 10**21 or number_text(float(number)) != text):
        raise not_json_error(f"the integer {text[:40]}")
    return text


def number_text(number: float) -> str:
    """Return a number as ECMAScript writes it: the shortest digits that read back as the same double.

    >>> number_text(1e-7), number_text(123.0), number_text(1e21)
    ('1e-7', '123', '1e+21')
    """
    if not math.isfinite(number):
        raise not_json_error(f"the number {number}")
    if number == 0:
        return "0"
    written = float.__repr__(number)
    if "e" not in written:
        return written.removesuffix(".0")  # between 1e-4 and 1e16 both languages write the same digits
    sign, figures, exponent = Decimal(written).normalize().as_tuple()
    digits = "".join(map(str, figures))
    return "-" * sign + place_point(digits, len(digits) + int(exponent))


def place_point(digits: str, point: int) -> str:
    """Return digits with the decimal point after `point` of them, as ECMAScript's Number::toString places it."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    return f"{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{point - 1:+d}"


# By type, since most values are of one of these types exactly.
TEXTS: Mapping[type, Callable[[Any], str]] = {
    str: quote_text,
    bool: lambda value: "true" if value else "false",
    int: integer_text,
    float: number_text,
    type(None): lambda value: "null",
    list: array_text,
    tuple: array_text,
    dict: object_text,
    Mapping: object_text,
}


def not_json_error(found: str) -> PretaskError:
    """Return the error for a value that canonical JSON cannot hold."""
    needs = "null, bools, finite doubles, Unicode texts, and lists and mappings of them"
    return PretaskError("canonical JSON", needs, found, "Give it another form.")


def escape_bytes(text: str) -> str:
    """Return a text, such as the name of a folder, with what is no UTF-8 in it written as escapes; JSON has no bytes.

    >>> escape_bytes("caf\\udce9")
    'caf\\\\xe9'
    """
    return BYTES.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)


def as_plain(value: Any) -> Any:
    """Return options as a record holds them: tuples as lists, sets sorted, dataclasses as objects, paths as names.

    What determines a result is the content, which the data's fingerprint tells; where it lay must not change the cell.

    Raises:
        PretaskError: A value of a type that has no such form.

    >>> as_plain({"size": (3, 4), "clip": float("inf"), "root": PurePath("/mnt/photos")})
    {'size': [3, 4], 'clip': 'inf', 'root': 'photos'}
    """
    if isinstance(value, str):
        return last_component(escape_bytes(value))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, PurePath):
        return PurePath(last_component(escape_bytes(str(value)))).name
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((as_plain(part) for part in value), key=canonical_bytes)
    if isinstance(value, list | tuple):
        return [as_plain(part) for part in value]
    if isinstance(value, BaseModel):
        return as_plain(value.model_dump(mode="json"))
    if isinstance(value, np.generic):
        return as_plain(value.item())
    raise PretaskError(
        "a record", "numbers, texts, lists and mappings", type(value).__name__, "Give such options another form."
    )

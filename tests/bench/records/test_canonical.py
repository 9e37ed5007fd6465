import doctest
import json
import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from pretask import PretaskError
from pretask_bench.records import canonical
from pretask_bench.records.canonical import as_plain, canonical_bytes, number_text

# RFC 8785, appendix B: the bits of a double, and its text.
RFC_NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
SCALARS = (
    some.none()
    | some.booleans()
    | some.integers(-(2**53) + 1, 2**53 - 1)
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=8)
)
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: a number is the double that it names."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)
    return bool(one == other)


def shuffled(value: Any, order: random.Random) -> Any:
    """The same value with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(part, order) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("bits", "text"), RFC_NUMBERS.items())
def test_a_number_is_written_as_the_rfc_writes_it(bits: str, text: str) -> None:
    assert number_text(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


def test_the_example_of_the_rfc_has_its_bytes() -> None:
    example = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert (
        canonical_bytes(example)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_keys_are_sorted_by_utf_16_as_the_rfc_sorts_them() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = json.loads(canonical_bytes(dict.fromkeys(keys, 0)))
    assert list(written) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@given(VALUES, some.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_the_bytes(value: Any, order: random.Random) -> None:
    assert canonical_bytes(shuffled(value, order)) == canonical_bytes(value)


@given(VALUES)
def test_what_is_read_back_is_what_was_written_and_has_the_same_bytes(value: Any) -> None:
    written = canonical_bytes(value)
    again = json.loads(written)
    assert same(again, value)
    assert canonical_bytes(again) == written


@given(VALUES, VALUES)
def test_different_values_have_different_bytes(one: Any, other: Any) -> None:
    assert (canonical_bytes(one) == canonical_bytes(other)) == same(one, other)


def test_equal_numbers_have_equal_bytes_whatever_their_type() -> None:
    assert canonical_bytes([1, 0, 10]) == canonical_bytes((1.0, -0.0, np.float64(10)))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**53 + 1, 10**400, "\ud800", {"\ud800": 1}, {1: 2}, {1, 2}, b"x", np.int64(3)],
    ids=repr,
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(PretaskError, match="canonical JSON needs"):
        canonical_bytes([value])


@dataclass
class Jitter:
    size: tuple[int, int] = (3, 4)


def test_options_become_json_and_paths_become_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    options = {
        "jitter": Jitter(),
        "kinds": {"b", "a"},
        "clip": float("inf"),
        "rate": np.float64(0.5),
        "root": Path("/mnt/store/photos"),
        "other": "../photos",
        "home": "/home/jane/",
        "model": "timm/resnet18",
        "pattern": r"\w+",
    }
    assert as_plain(options) == {
        "jitter": {"size": [3, 4]},
        "kinds": ["a", "b"],
        "clip": "inf",
        "rate": 0.5,
        "root": "photos",
        "other": "photos",
        "home": "~",
        "model": "timm/resnet18",
        "pattern": r"\w+",
    }


def test_options_without_a_form_are_refused_by_type() -> None:
    with pytest.raises(PretaskError, match="got function"):
        as_plain({"augment": lambda image: image})


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(canonical).failed == 0

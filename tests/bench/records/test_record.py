import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from pretask import PretaskError
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.cell import Cell, cell_key
from pretask_bench.records.faults import SCHEMA
from pretask_bench.records.measured import Items, pack_items, separate_missing
from pretask_bench.records.record import build_cell, build_record, parse_record, record_hash, schema_text
from pydantic import ValidationError

Facts = dict[str, Any]
Edit = Callable[[Facts], object]

GOLDEN_CELL = (
    '{"data":{"fingerprints":{"test":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","train":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},'
    '"id":"pretask/shapes@1","options":{"samples":4096}},"evaluators":{"pretask/linear@1":{"held_out":0.1}},'
    '"modality":"image","model":{"id":"pretask/convnet@1","options":{"name":"größe","widths":[16,32]}},'
    '"objective":{"id":"pretask/cross-entropy@1","options":{"smoothing":0}},"precision":"fp32",'
    '"recipe":{"batch":256,"lr":0.1,"optimizer":"sgd","steps":500},"seed":0,'
    '"split":{"id":"pretask/relative-position@1","options":{"jitter":2,"patch":24}},'
    '"task":"pretask/relative-position@1"}'
)
GOLDEN_CELL_KEY = "9dc74419c521fcd80b5ffae4af3b7ea4d38ed2ca6e184d18c4185c561e29585e"
GOLDEN_RECORD_HASH = "ed93f2d681cf60ba93c5600270b7286aaf0e208e16e1937533ebcb126277c57d"


@pytest.fixture
def facts(facts: dict[str, Any]) -> dict[str, Any]:
    """The record as it was first written: its bytes, its hash and its key stay, whatever options are called later."""
    facts["cell"]["data"]["options"] = {"samples": 4096}
    facts["cell"]["evaluators"] = {"pretask/linear@1": {"held_out": 0.1}}
    facts["cell"]["objective"]["options"] = {"smoothing": 0.0}
    return facts


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


def row(facts: Facts, number: int = 0) -> Any:
    return facts["results"][number]


REFUSED: dict[str, Edit] = {
    "a choice that is no name": lambda f: row(f).update(chosen={"layer": 3}),
    "another version": lambda f: f.update(record=2),
    "a field too many": lambda f: f.update(leak="x"),
    "a nested field too many": lambda f: f["provenance"]["hardware"].update(host="x"),
    "a field too few": lambda f: f["cell"].pop("seed"),
    "an unknown status": lambda f: f.update(status="fine"),
    "a complete record with an error": lambda f: f.update(error="x"),
    "a failed record without an error": lambda f: f.update(status="failed"),
    "an id without a version": lambda f: f["cell"]["split"].update(id="pretask/relative-position"),
    "an id with a line end": lambda f: f["cell"]["split"].update(id="pretask/relative-position@1\n"),
    "a fingerprint that is no hash": lambda f: f["cell"]["data"]["fingerprints"].update(train="g" * 32),
    "a hash in capitals": lambda f: f.update(weights="C" * 64),
    "a note too long": lambda f: f.update(note="x" * 8001),
    "an author too long": lambda f: f.update(author="x" * 401),
    "a name too long": lambda f: row(f)["metrics"].update({"x" * 121: 0.5}),
    "an author with an escape sequence": lambda f: f.update(author="\x1b[2J"),
    "a note that turns the direction of text": lambda f: f.update(note="\u202egnp.exe"),
    "an option with an escape sequence": lambda f: f["cell"]["recipe"].update(x="\x1b[2J"),
    "an option too long": lambda f: f["cell"]["recipe"].update(x="x" * 4001),
    "options too many": lambda f: f["cell"]["recipe"].update(x=[0] * 4000),
    "options too deep": lambda f: f["cell"]["recipe"].update(x=nested(9)),
    "rows too many": lambda f: f.update(results=[{**row(f), "evaluator": "a/b@1"}] * 257),
    "a row of an evaluator that the cell lacks": lambda f: row(f).update(evaluator="pretask/knn@1"),
    "two rows of one encoder and evaluator": lambda f: row(f, 1).update(encoder="trained"),
    "an unknown encoder": lambda f: row(f).update(encoder="best"),
    "a metric that is text": lambda f: row(f)["metrics"].update(accuracy="0.6"),
    "a metric that is a bool": lambda f: row(f)["metrics"].update(accuracy=True),
    "a null without its reason": lambda f: row(f)["missing"].clear(),
    "a reason without its null": lambda f: row(f)["missing"].update(accuracy="nan"),
    "bits of too few items": lambda f: row(f)["items"]["accuracy"].update(count=8),
    "bits of too many items": lambda f: row(f)["items"]["accuracy"].update(count=17),
    "bits after the last item": lambda f: row(f)["items"]["accuracy"].update(bits="qsA=", count=9),
    "bits with loose base64": lambda f: row(f)["items"]["accuracy"].update(bits="qoB="),
    "bits that are no base64": lambda f: row(f)["items"]["accuracy"].update(bits="q€A="),
    "no items": lambda f: row(f)["items"]["accuracy"].update(bits="", count=0),
    "a negative number of samples": lambda f: f["provenance"].update(samples=-1),
    "a negative time": lambda f: f["provenance"].update(seconds=-0.5),
    "a negative seed": lambda f: f["cell"].update(seed=-1),
    "a seed that no double holds": lambda f: f["cell"].update(seed=2**53),
    "a seed that is a fraction": lambda f: f["cell"].update(seed=0.5),
    "a month that does not exist": lambda f: f["provenance"].update(started="2026-13-01T12:00:00Z"),
    "a time without its zone": lambda f: f["provenance"].update(started="2026-03-01T12:00:00"),
    "a commit that is no hash": lambda f: f["provenance"].update(commit="main"),
}


@pytest.mark.parametrize("edit", REFUSED.values(), ids=REFUSED)
def test_a_record_is_refused_that_has(facts: Facts, edit: Edit) -> None:
    edit(facts)
    with pytest.raises(PretaskError, match="a record needs the fields of version 1; got"):
        parse_record(json.dumps(facts).encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(text: str, number: str) -> None:
    for old in ('"accuracy": 0.6', '"held_out": 0.1', '"seconds": 61.25'):
        assert old in text
        broken = text.replace(old, f"{old.split(':')[0]}: {number}")
        with pytest.raises(PretaskError):
            parse_record(broken.encode())


def test_a_choice_is_kept_by_name_and_a_row_without_one_has_the_bytes_that_it_had(facts: Facts) -> None:
    before = canonical_bytes(parse_record(json.dumps(facts).encode()))
    assert b"chosen" not in before
    row(facts)["chosen"] = {"layer": "layer3", "layer3.pooling": "mean-max"}
    found = parse_record(json.dumps(facts).encode())
    assert found.results[0].chosen == row(facts)["chosen"]
    assert parse_record(canonical_bytes(found)) == found


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000], ids=lambda data: repr(data[:4]))
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(PretaskError, match="a record needs"):
        parse_record(data)


def test_a_refusal_shows_what_strangers_wrote_escaped_and_short(facts: Facts) -> None:
    facts["\x1b[2J" + "x" * 1000] = 1
    with pytest.raises(PretaskError) as caught:
        parse_record(json.dumps(facts).encode())
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_record_survives_being_written_and_read(text: str) -> None:
    record = parse_record(text.encode())
    assert parse_record(canonical_bytes(record)) == record


def test_a_record_cannot_be_changed(text: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_record(text.encode()).status = "failed"


def test_the_canonical_bytes_of_a_record_hold_every_field_and_value(facts: Facts, text: str) -> None:
    assert json.loads(canonical_bytes(parse_record(text.encode()))) == facts


def test_the_hash_of_a_record_is_the_golden_one(text: str) -> None:
    assert record_hash(parse_record(text.encode())) == GOLDEN_RECORD_HASH


def test_the_key_of_a_cell_is_the_golden_one_and_skips_what_is_null(text: str) -> None:
    assert sha256(GOLDEN_CELL.encode()).hexdigest() == GOLDEN_CELL_KEY
    assert cell_key(parse_record(text.encode()).cell) == GOLDEN_CELL_KEY


@pytest.mark.parametrize("field", sorted(Cell.model_fields))
def test_every_field_of_the_cell_changes_its_key_unless_left_out(facts: Facts, field: str) -> None:
    part = {"id": "pretask/other@1", "options": {}}
    data = {**part, "fingerprints": {"train": "e" * 32}}
    other = {
        "seed": 1,
        "artifact": "e" * 32,
        "fitted_with": "e" * 64,
        "begun_with": "e" * 64,
        "hold_out": 0.1,
        "recipe": {"lr": 0.2},
        "evaluators": {"pretask/knn@1": {}},
    }
    other |= {"data": data, "evaluated_on": data, "precision": "bf16", "modality": "video", "task": None}
    one, two = build_cell(facts["cell"]), build_cell({**facts["cell"], field: other.get(field, part)})
    assert cell_key(one) != cell_key(two)
    assert cell_key(one, {field}) == cell_key(two, {field})


def test_the_cell_does_not_tell_where_the_data_lay(facts: Facts) -> None:
    keys = set()
    for root in ("/mnt/photos", "/home/jane/data/photos/", "../photos"):
        facts["cell"]["data"]["options"]["root"] = root
        keys.add(cell_key(build_record(facts).cell))
        keys.add(cell_key(build_cell(facts["cell"])))
    assert len(keys) == 1


def test_an_exception_becomes_the_error_of_a_failed_record_without_its_path(facts: Facts) -> None:
    failed = build_record({**facts, "status": "failed", "error": OSError("cannot read /home/jane/a.png")})
    assert failed.error == "OSError: cannot read a.png"


def test_numbers_that_are_not_finite_become_null_with_the_reason(facts: Facts) -> None:
    row(facts).update(separate_missing({"accuracy": torch.tensor(0.5), "loss": float("inf"), "n": 3}))
    assert row(facts)["missing"] == {"loss": "inf"}
    assert build_record(facts).results[0].metrics == {"accuracy": 0.5, "loss": None, "n": 3.0}


@given(some.lists(some.booleans(), min_size=1, max_size=40))
def test_items_come_back_as_they_were_packed(correct: list[bool]) -> None:
    digits = "".join("1" if bit else "0" for bit in correct)
    packed = bytes(int(digits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(digits), 8))
    items = pack_items(correct, "ab" * 16)
    assert items.correct().tolist() == correct
    assert items.bits == b64encode(packed).decode()
    assert Items.model_validate_json(items.model_dump_json()) == items


def test_items_of_a_list_an_array_and_a_tensor_are_the_same() -> None:
    correct = [True, False, True]
    assert pack_items(correct, "ab" * 16) == pack_items(torch.tensor(correct), "ab" * 16)
    assert pack_items(correct, "ab" * 16) == pack_items(np.array(correct), "ab" * 16)


@pytest.mark.parametrize("wrong", [[0, 1], [0.5], [], [[True], [False]]], ids=repr)
def test_items_that_are_not_one_bool_each_are_refused(wrong: list[Any]) -> None:
    with pytest.raises(PretaskError, match="one bool per test item"):
        pack_items(wrong, "ab" * 16)


def test_the_exported_schema_is_up_to_date() -> None:
    assert SCHEMA.read_text() == schema_text(), "run: python -m pretask_bench.records.record"


def test_the_schema_bounds_every_text_list_and_mapping() -> None:
    loose, waiting = [], [json.loads(schema_text())]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
            bounds = {"string": {"maxLength", "pattern", "const", "enum"}, "array": {"maxItems"}}
            kind = part.get("type")
            if kind in bounds and not bounds[kind] & part.keys():
                loose.append(part)
            if kind == "object" and part.get("additionalProperties", True) is not False and "maxProperties" not in part:
                loose.append(part)
        elif isinstance(part, list):
            waiting += part
    assert loose == []


def test_records_are_read_without_torch() -> None:
    code = "import sys, pretask_bench.records.store, pretask_bench.results.statistics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

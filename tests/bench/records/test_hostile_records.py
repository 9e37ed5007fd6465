"""Files that lie among records and are none, each refused with one line, and nothing else suffers."""

import copy
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pretask import PretaskError
from pretask_bench.cli.main import invoke
from pretask_bench.records import bounds, store
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.record import build_record, parse_record
from pretask_bench.records.verify import FORM

Facts = dict[str, Any]
Place = tuple[str | int, ...]
Content = Callable[[Facts], bytes]
Spoil = Callable[[Path], object]


def put(*place: str | int, value: Any) -> Content:
    """Set one value of the record."""

    def make(facts: Facts) -> bytes:
        inner: Any = facts
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value
        return to_json(facts)

    return make


def drop(*place: str | int) -> Content:
    def make(facts: Facts) -> bytes:
        inner: Any = facts
        for step in place[:-1]:
            inner = inner[step]
        del inner[place[-1]]
        return to_json(facts)

    return make


def to_json(facts: Facts) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()


def change(old: bytes, new: bytes) -> Content:
    """Change the canonical bytes of the record."""

    def make(facts: Facts) -> bytes:
        content = canonical_bytes(build_record(facts))
        assert old in content
        return content.replace(old, new, 1)

    return make


def nest(depth: int) -> Any:
    return [nest(depth - 1)] if depth else 0


def exactly(content: bytes) -> Content:
    return lambda facts: content


FIELDS, OTHER_FORM = "the fields of version 1", "the same record in another form"
ROW, ITEMS, ORIGIN = ("results", 0), ("results", 0, "items", "accuracy"), ("provenance",)
CONTENTS: dict[str, tuple[Content, str]] = {
    # bytes
    "nothing": (exactly(b""), FIELDS),
    "no json": (exactly(b"record"), FIELDS),
    "no text": (exactly(b"\xff\xfe\x00"), FIELDS),
    "utf-16": (lambda facts: to_json(facts).decode().encode("utf-16"), FIELDS),
    "a byte-order mark": (lambda facts: b"\xef\xbb\xbf" + to_json(facts), FIELDS),
    "zeros": (exactly(bytes(4096)), FIELDS),
    "a text that is no utf-8": (change("größe".encode(), "größe".encode("latin-1")), FIELDS),
    "a lone surrogate": (change('"größe"'.encode(), b'"\\ud800"'), FIELDS),
    "half of it": (lambda facts: to_json(facts)[:400], FIELDS),
    "twice": (lambda facts: to_json(facts) * 2, FIELDS),
    "one line of several": (lambda facts: to_json(facts) + b"\n{}", FIELDS),
    "a comment": (lambda facts: b"// mine\n" + to_json(facts), FIELDS),
    "a comma too many": (change(b'"seed":0', b'"seed":0,'), FIELDS),
    "single quotes": (exactly(b"{'record': 1}"), FIELDS),
    "null": (exactly(b"null"), FIELDS),
    "a number": (exactly(b"1"), FIELDS),
    "a text": (exactly(b'"record"'), FIELDS),
    "a list": (exactly(b"[]"), FIELDS),
    "a list of records": (lambda facts: b"[" + to_json(facts) + b"]", FIELDS),
    "an empty mapping": (exactly(b"{}"), FIELDS),
    "a pickle": (exactly(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix"), FIELDS),
    # bounds
    "brackets": (exactly(b"[" + b"[]," * 400_000 + b"[]]"), "at most 131,072 values"),
    "mappings": (exactly(b'{"note":[' + b"{}," * 400_000 + b"{}]}"), "at most 131,072 values"),
    "numbers": (exactly(b"[" + b"1," * 400_000 + b"1]"), "at most 131,072 values"),
    "keys": (exactly(b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b"}"), "at most 131,072 values"),
    "one key again and again": (exactly(b"{" + b'"record":1,' * 200_000 + b'"a":1}'), "at most 131,072 values"),
    "texts": (exactly(b"[" + b'"",' * 400_000 + b'""]'), "at most 131,072 values"),
    "texts of backslashes": (exactly(b"[" + b'"\\\\",' * 400_000 + b'""]'), "at most 131,072 values"),
    "quotes": (exactly(b'"' * 1_000_000), "at most 131,072 values"),
    "deep lists": (exactly(b"[" * 100_000), "nested at most 32 deep; got 100,000"),
    "deep lists that end": (exactly(b"[" * 100 + b"]" * 100), "nested at most 32 deep; got 100"),
    "deep mappings": (exactly(b'{"a":' * 90_000), "nested at most 32 deep"),
    "deep behind a text": (exactly(b'{"a":"\\"]]]","b":' + b"[" * 40), "nested at most 32 deep; got 41"),
    "a deep option": (put("cell", "recipe", "x", value=nest(40)), "nested at most 32 deep"),
    "an option a little too deep": (put("cell", "recipe", "x", value=nest(9)), "cell.recipe"),
    "a number of many digits": (exactly(b'{"record":1' + b"0" * 100_000 + b"}"), "at most 64 characters"),
    "a fraction of many digits": (exactly(b'{"record":0.' + b"1" * 100_000 + b"}"), "at most 64 characters"),
    "an exponent of many digits": (exactly(b'{"record":1e' + b"9" * 100_000 + b"}"), "at most 64 characters"),
    "a text without its end": (exactly(b'{"note":"' + b'\\"' * 100_000), FIELDS),
    "a note of a megabyte": (put("note", value="x" * (1 << 20)), "note"),
    "options too many": (put("cell", "recipe", "x", value=[0] * 4000), "cell.recipe"),
    "an option too long": (put("cell", "recipe", "x", value="x" * 4001), "cell.recipe"),
    "rows too many": (lambda facts: to_json({**facts, "results": facts["results"] * 200}), "results"),
    "metrics too many": (put(*ROW, "metrics", value=dict.fromkeys(map(str, range(4001)), 1)), "metrics"),
    "a name too long": (put(*ROW, "metrics", "x" * 121, value=1), "metrics"),
    "an author too long": (put("author", value="x" * 401), "author"),
    "a command too long": (put(*ORIGIN, "command", value=["x"] * 401), "provenance.command"),
    # form
    "another order of keys": (lambda facts: json.dumps(facts).encode(), OTHER_FORM),
    "spaces": (lambda facts: json.dumps(facts, indent=1, sort_keys=True).encode(), OTHER_FORM),
    "a megabyte of spaces": (lambda facts: to_json(facts) + b" " * (1 << 20), OTHER_FORM),
    "a line end": (change(b"}", b"}\n"), OTHER_FORM),
    "a field twice": (change(b'"record":1', b'"record":1,"record":1'), OTHER_FORM),
    "a field twice, the first a lie": (change(b'"seed":0', b'"seed":7,"seed":0'), OTHER_FORM),
    "an escape that need not be": (change(b'"image"', b'"im\\u0061ge"'), OTHER_FORM),
    "a minus zero": (change(b'"label_smoothing":0', b'"label_smoothing":-0.0'), OTHER_FORM),
    "an exponent that need not be": (change(b"61.25", b"6125e-2"), OTHER_FORM),
    "zeros at the end": (change(b"61.25", b"61.2500"), OTHER_FORM),
    # numbers
    "NaN": (change(b"61.25", b"NaN"), "provenance.seconds"),
    "infinity": (change(b"61.25", b"Infinity"), "provenance.seconds"),
    "minus infinity": (change(b"61.25", b"-Infinity"), "provenance.seconds"),
    "beyond a double": (change(b"61.25", b"1e999"), "provenance.seconds"),
    "NaN among options": (change(b'"batch":256', b'"batch":NaN'), "cell.recipe"),
    "a number of Python": (change(b'"batch":256', b'"batch":2_56'), FIELDS),
    "zeros at the start": (change(b'"batch":256', b'"batch":0256'), FIELDS),
    "a hexadecimal number": (change(b'"batch":256', b'"batch":0x10'), FIELDS),
    "an option that no double holds": (put("cell", "recipe", "x", value=2**53 + 1), "integer"),
    "a huge option": (put("cell", "recipe", "x", value=10**40), "integer"),
    "a seed that no double holds": (put("cell", "seed", value=2**53), "cell.seed"),
    "a negative seed": (put("cell", "seed", value=-1), "cell.seed"),
    "a seed that is a fraction": (put("cell", "seed", value=0.5), "cell.seed"),
    "a seed that is true": (put("cell", "seed", value=True), "cell.seed"),
    "a seed that is text": (put("cell", "seed", value="0"), "cell.seed"),
    "negative seconds": (put(*ORIGIN, "seconds", value=-1), "provenance.seconds"),
    "negative samples": (put(*ORIGIN, "samples", value=-1), "provenance.samples"),
    "a metric that is text": (put(*ROW, "metrics", "accuracy", value="0.6"), "metrics.accuracy"),
    "a null without its reason": (put(*ROW, "missing", value={}), "missing"),
    # names, texts and times
    "another version": (put("record", value=2), "record"),
    "an unknown field": (put("leak", value=1), "leak"),
    "an unknown field within": (put(*ORIGIN, "hardware", "host", value="x"), "provenance.hardware.host"),
    "a field whose name steers a terminal": (put("\x1b[2J", value=1), "\\x1b[2J"),
    "a field whose name is long": (put("x" * 100_000, value=1), FIELDS),
    "an unknown status": (put("status", value="fine"), "status"),
    "a failure without an error": (put("status", value="failed"), "a failed record has an error"),
    "an id without a version": (put("cell", "split", "id", value="pretask/whole"), "cell.split.id"),
    "an id of a path": (put("cell", "split", "id", value="../../etc/passwd@1"), "cell.split.id"),
    "an id with a line end": (put("cell", "split", "id", value="pretask/whole@1\n"), "cell.split.id"),
    "an id of other letters": (put("cell", "split", "id", value="prеtask/whole@1"), "cell.split.id"),
    "a fingerprint that is none": (put("cell", "data", "fingerprints", "test", value="g" * 32), "fingerprints"),
    "a hash in capitals": (put("weights", value="C" * 64), "weights"),
    "an author who steers a terminal": (put("author", value="\x1b]0;evil\x07"), "author"),
    "an author of two lines": (put("author", value="a\nb"), "author"),
    "an author who turns the text": (put("author", value="\u202egnp.exe"), "author"),
    "an author whom nobody can tell from another": (put("author", value="Ann\u200b"), "author"),
    "an author behind a byte order mark": (put("author", value="\ufeffAnn"), "author"),
    "a note with a zero byte": (put("note", value="a\0b"), "note"),
    "an option that steers a terminal": (put("cell", "recipe", "x", value="\x1b[2J"), "cell.recipe"),
    "a month that does not exist": (put(*ORIGIN, "started", value="2026-13-01T12:00:00Z"), "provenance.started"),
    "a time without its zone": (put(*ORIGIN, "started", value="2026-03-01T12:00:00"), "provenance.started"),
    "a time in other digits": (put(*ORIGIN, "started", value="٢٠٢٦-03-01T12:00:00Z"), "provenance.started"),
    # items
    "bits that are no base64": (put(*ITEMS, "bits", value="q€A="), "items.accuracy"),
    "bits of too few items": (put(*ITEMS, "count", value=8), "items.accuracy"),
    "bits of too many items": (put(*ITEMS, "count", value=17), "items.accuracy"),
    "bits after the last item": (put(*ITEMS, "bits", value="qsH="), "items.accuracy"),
    "no items": (put(*ITEMS, "count", value=0), "items.accuracy"),
    "more items than there can be": (put(*ITEMS, "count", value=2**24 + 1), "items.accuracy"),
    # rows
    "a row of nothing": (put("results", 0, value={}), "results.0"),
    "a row of an evaluator that the cell lacks": (put(*ROW, "evaluator", value="pretask/knn@1"), "evaluators"),
    "two rows of one encoder": (put("results", 1, "encoder", value="trained"), "two rows"),
    "an unknown encoder": (put(*ROW, "encoder", value="best"), "encoder"),
    "a picture that is a path": (
        put(*ROW, "pictures", value=[{"name": "a", "caption": "", "png": "../../secret"}]),
        "pictures",
    ),
    "no cell": (drop("cell"), "cell"),
    "no seed": (drop("cell", "seed"), "cell.seed"),
    "no hardware": (drop("provenance", "hardware"), "provenance.hardware"),
}
NAME = f"{'0' * 64}.json"
PLACES: dict[str, tuple[Spoil, str]] = {
    "a file of another name": (lambda place: place.write_bytes(b"{}"), "bytes whose SHA-256 is its name"),
    "an empty file": (Path.touch, "bytes whose SHA-256 is its name"),
    "a folder": (Path.mkdir, "a file"),
    "a pipe": (os.mkfifo, "a file"),
    "a link to nothing": (lambda place: place.symlink_to("nowhere"), "a file"),
    "a link to itself": (lambda place: place.symlink_to(place.name), "a file"),
    "a link to a folder": (lambda place: place.symlink_to("/"), "a file"),
    "a link to an endless device": (lambda place: place.symlink_to("/dev/zero"), "a file"),
    "a link to another file": (lambda place: place.symlink_to(__file__), "bytes whose SHA-256 is its name"),
    "a large file": (lambda place: write_hole(place, store.MAX_FILE_BYTES + 1), "at most 67108864 bytes"),
    "a very large file": (lambda place: write_hole(place, 1 << 40), "at most 67108864 bytes"),
}
STRANGE_NAMES = {
    "a name that steers a terminal": b"\x1b]0;evil\x07.json",
    "a name of two lines": b"a\nb.json",
    "a name that is no utf-8": b"caf\xe9.json",
    "a name that turns the text": "\u202egnp.json".encode(),
    "a name in capitals": b"A" * 64 + b".json",
    "a name too short": b"abc.json",
    "a name that is markup": b"[red]x.json",
}


def write_hole(place: Path, size: int) -> None:
    with place.open("wb") as file:
        file.truncate(size)


def put_content(folder: Path, content: bytes) -> Path:
    path = folder / f"{sha256(content).hexdigest()}.json"
    path.write_bytes(content)
    return path


def the_refusal(place: Path) -> str:
    """The one line with which all that lies there is refused."""
    records, refused = store.read_all([place])
    assert records == []
    ((_, reason),) = refused
    assert reason.isprintable()
    assert len(reason) < 500
    return reason


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_that_is_no_record_is_refused_with_one_line(kind: str, tmp_path: Path, facts: Facts) -> None:
    make, reason = CONTENTS[kind]
    assert reason in the_refusal(put_content(tmp_path, make(facts)))


@pytest.mark.parametrize("kind", PLACES)
def test_what_lies_in_the_place_of_a_record_is_refused_with_one_line(kind: str, tmp_path: Path) -> None:
    spoil, reason = PLACES[kind]
    spoil(tmp_path / NAME)
    assert reason in the_refusal(tmp_path)


@pytest.mark.parametrize("name", STRANGE_NAMES.values(), ids=STRANGE_NAMES)
def test_a_strange_name_is_refused_and_shown_harmless(name: bytes, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(name)).write_text("{}")
    assert "SHA-256" in the_refusal(tmp_path)


FREE = ("options", "recipe", "evaluators")  # what lies within may be any JSON


def iterate_places(facts: Any, place: Place = ()) -> Iterator[Place]:
    """Every place of a record, but those within options, which are free."""
    if place and place[-1] in FREE:
        return
    if isinstance(facts, dict | list):
        for step, inner in facts.items() if isinstance(facts, dict) else enumerate(facts):
            yield (*place, step)
            yield from iterate_places(inner, (*place, step))


def test_a_field_of_the_wrong_kind_is_refused_by_its_name_wherever_it_is(facts: Facts) -> None:
    places = list(iterate_places(facts))
    assert len(places) > 80
    for place in places:
        for wrong in ([[[]]], "" if place[-1] in FREE else {"x": {"x": {"x": [1]}}}):
            content = put(*place, value=wrong)(copy.deepcopy(facts))
            with pytest.raises(PretaskError, match="needs the fields of version 1; got ") as caught:
                parse_record(content)
            assert str(place[0]) in str(caught.value), place


def test_verbs_name_all_that_is_no_record_and_go_on_with_what_is(
    tmp_path: Path, facts: Facts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "records"
    facts["results"][0]["metrics"]["accuracy"] = 0.5  # what its items say
    good = store.write(folder, build_record(facts))
    for make, _ in CONTENTS.values():
        put_content(folder, make(copy.deepcopy(facts)))
    for number, (spoil, _) in enumerate(PLACES.values()):
        spoil(folder / f"{number:064}.json")
    for name in STRANGE_NAMES.values():
        (folder / os.fsdecode(name)).write_text("{}")
    hostile = len(list(folder.iterdir())) - 1
    assert hostile == len(CONTENTS) + len(PLACES) + len(STRANGE_NAMES)
    for arguments, code in (
        (["verify", str(folder), "--json"], 1),
        (["results", str(folder), "--format", "csv"], 0),
        (["board", "quick", str(folder), "--out", str(tmp_path / "site")], 0),
    ):
        assert invoke(arguments) == code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        assert all(line.isprintable() for line in captured.err.splitlines())
        if arguments[0] in ("results", "board"):
            assert captured.err.count("left out") == hostile
        if arguments[0] == "verify":
            report = json.loads(captured.out)
            assert report["records"] == 1
            named = [finding["file"] for finding in report["findings"] if finding["check"] == FORM]
            assert len(named) == hostile
            assert str(good) not in named


def test_a_text_of_brackets_is_no_depth_and_one_of_commas_no_count() -> None:
    bounds.require_bounds(json.dumps({"note": "[" * 1000 + '\\"{' * 1000 + "," * 1_000_000}).encode())


def test_a_record_with_the_items_of_a_large_test_set_is_within_bounds(facts: Facts) -> None:
    items = facts["results"][0]["items"]["accuracy"]
    items.update(count=2**24, bits=b64encode(b"\xff" * 2**21).decode())
    parse_record(to_json(facts))


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0), Json), min_size=1, max_size=2))
def test_whatever_a_record_says_it_is_read_whole_or_refused_with_one_line(
    changes: list[tuple[int, Any]], lasting_facts: Facts
) -> None:
    facts = copy.deepcopy(lasting_facts)
    for number, value in changes:
        places = [*iterate_places(facts), ("extra",)]
        put(*places[number % len(places)], value=value)(facts)
    check_bytes(to_json(facts))


@settings(max_examples=150, deadline=None)
@given(cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=6)), min_size=1, max_size=3))
def test_whatever_bytes_a_record_has_it_is_read_whole_or_refused_with_one_line(
    cuts: list[tuple[float, int, bytes]], lasting_facts: Facts
) -> None:
    content = to_json(lasting_facts)
    for where, taken, given_instead in cuts:
        start = int(where * len(content))
        content = content[:start] + given_instead + content[start + taken :]
    check_bytes(content)


def check_bytes(content: bytes) -> None:
    """Hold that bytes are a record that comes back as it was, or are refused with one printable line."""
    try:
        record = parse_record(content)
        again = canonical_bytes(record)
    except PretaskError as error:
        reason = str(error)
    else:
        assert parse_record(again) == record
        return
    assert reason.isprintable()
    assert len(reason) < 500

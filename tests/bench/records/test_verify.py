"""Verify: every kind of lie that can be told without the weights is found, and what cannot be checked is counted."""

import doctest
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pretask_bench.cli.terminal
import pretask_bench.records.bounds
import pretask_bench.records.verify
import pytest
import torch
from pretask import Observed, PretaskError, Samples
from pretask_bench.cli.main import invoke
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.provenance import timestamp
from pretask_bench.records.recompute import count_overlap, make_data
from pretask_bench.records.record import build_record
from pretask_bench.records.store import write, write_picture
from pretask_bench.records.verify import Verification, verify
from pretask_registry import Registry

Facts = dict[str, Any]
Change = Callable[[Facts], object]


def changed(facts: Facts, *changes: Change) -> Facts:
    copied: Facts = json.loads(json.dumps(facts))
    for change in changes:
        change(copied)
    return copied


def put(folder: Path, facts: Facts) -> Path:
    return write(folder, build_record(facts))


@pytest.fixture
def honest(facts: Facts) -> Facts:
    """The record of conftest, with the accuracy that its items say, the budget that it used, and options that exist."""
    facts["results"][0]["metrics"]["accuracy"] = 0.5
    facts["cell"]["recipe"] = {"optimizer": "sgd", "lr": 0.1, "batch": 256, "samples": 128000}
    facts["cell"]["model"] = {"id": "pretask/convnet@1", "options": {"width": 16}}
    return facts


def row(facts: Facts) -> Facts:
    first: Facts = facts["results"][0]
    return first


LIES: dict[str, tuple[Change, str]] = {
    "an accuracy that its items do not say": (lambda f: row(f)["metrics"].update(accuracy=0.7), "10 items say 0.5"),
    "items whose accuracy is left out": (
        lambda f: row(f).update(metrics={"loss": None}, chance={}),
        "accuracy is None, its 10 items say 0.5",
    ),
    "a fraction above one": (
        lambda f: f["pretext"]["metrics"].update({"a.accuracy": 1.01}),
        "which no fraction can be",
    ),
    "a fraction below zero": (
        lambda f: f["pretext"]["shortcut"].update({"a.accuracy": -0.1}),
        "which no fraction can be",
    ),
    "a fraction of an evaluator": (lambda f: row(f)["chance"].update({"accuracy": -0.25}), "which no fraction can be"),
    "chance of nothing": (lambda f: f["pretext"]["chance"].update(nats=1.0), "chance level of nats, but no such"),
    "items of other data": (lambda f: row(f)["items"]["accuracy"].update(test="e" * 32), "items of other data"),
    "an end before the start": (lambda f: f["provenance"].update(ended="2026-02-01T12:00:00Z"), "before 2026-03"),
    "a year that is not yet": (
        lambda f: f["provenance"].update(started="9999-01-01T00:00:00Z", ended="9999-01-01T00:01:01Z"),
        "ended 9999-01-01T00:01:01Z, which is not yet",
    ),
    "seconds that do not lie between start and end": (
        lambda f: f["provenance"].update(seconds=1e6),
        "1e+06 seconds are declared, 61 lie between",
    ),
    "an option that no recipe has": (lambda f: f["cell"]["recipe"].update(junk=1), "no option recipe.junk"),
    "a value of another type": (lambda f: f["cell"]["recipe"].update(lr="0.1"), "lr '0.1', which a run records as"),
    "a precision that its recipe does not have": (
        lambda f: f["cell"].update(precision="bf16"),
        "the precision is 'bf16', that of its recipe 'fp32'",
    ),
    "more samples than the recipe": (lambda f: f["provenance"].update(samples=256000), "its recipe makes 128000"),
}


@pytest.mark.parametrize("lie", LIES)
def test_of_two_records_the_one_that_lies_is_found_and_only_it(tmp_path: Path, honest: Facts, lie: str) -> None:
    put(tmp_path, {**honest, "note": "honest"})
    change, message = LIES[lie]
    liar = put(
        tmp_path, changed(honest, change, lambda f: f["cell"].update(seed=1), lambda f: f.update(weights="e" * 64))
    )
    (fault,) = verify([tmp_path]).faults
    assert fault.path == liar
    assert message in fault.message


def day_off(hours: int) -> Change:
    """Start and end moved, as a clock that is wrong or set during the run moves them."""
    now = datetime.now(UTC)

    def change(facts: Facts) -> None:
        facts["provenance"] |= {"started": timestamp(now), "ended": timestamp(now + timedelta(hours=hours))}

    return change


@pytest.mark.parametrize("hours", [-23, 0, 23])
def test_a_clock_that_was_wrong_by_less_than_a_day_or_was_set_back_makes_no_fault(
    tmp_path: Path, honest: Facts, hours: int
) -> None:
    put(tmp_path, changed(honest, day_off(hours)))
    assert verify([tmp_path]).faults == []


def test_a_clock_here_that_went_back_does_not_make_old_records_future_ones(
    tmp_path: Path, honest: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    put(tmp_path, honest)
    assert verify([tmp_path]).faults == []


def test_options_that_an_installed_part_does_not_have_are_a_fault_and_others_counted_as_unchecked(
    tmp_path: Path, honest: Facts
) -> None:
    honest["cell"]["objective"] = {"id": "acme/far@1", "options": {"anything": 1}}
    honest["cell"]["split"]["id"] = "pretask/relative-position@2"
    put(tmp_path, honest)
    liar = put(tmp_path, changed(honest, lambda f: f["cell"]["split"]["options"].update(junk=1), other(cell__seed=3)))
    found = verify([tmp_path], Registry.load())
    assert {
        (fault.path, "no option split.junk" in fault.message) for fault in found.faults if "option" in fault.check
    } == {(liar, True)}
    assert found.unchecked["acme/far@1 is not installed here, so its options were not checked"] == 2


def test_every_flipped_byte_of_a_store_is_found_by_its_file(tmp_path: Path, honest: Facts) -> None:
    paths = [put(tmp_path, changed(honest, lambda f, n=n: f["cell"].update(seed=n))) for n in range(8)]
    for place, path in enumerate(paths):
        content = bytearray(path.read_bytes())
        content[len(content) * place // 8] ^= 4
        path.write_bytes(content)
        assert {fault.path for fault in verify([tmp_path]).faults} >= set(paths[: place + 1])


def test_a_lie_with_its_hash_made_to_fit_but_in_another_form_is_found(tmp_path: Path, honest: Facts) -> None:
    loose = json.dumps(honest, indent=1).encode()
    (tmp_path / f"{sha256(loose).hexdigest()}.json").write_bytes(loose)
    deep = b'{"cell":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (tmp_path / f"{sha256(deep).hexdigest()}.json").write_bytes(deep)
    found = verify([tmp_path])
    assert (len(found.faults), len(found.records)) == (2, 0)


def other(**changes: Any) -> Change:
    def change(facts: Facts) -> None:
        facts["note"] = str(changes)
        for path, value in changes.items():
            *parents, last = path.split("__")
            inside = facts
            for parent in parents:
                inside = inside[parent]
            inside[last] = value

    return change


PAIRS: dict[str, tuple[Change, str | None]] = {
    "a copy under another seed": (other(cell__seed=5), "has weights and answers of seed"),
    "other weights of another seed": (other(cell__seed=5, weights="e" * 64), None),
    "other numbers of the same run": (other(weights="e" * 64), "gave other numbers"),
    "other numbers on another machine": (other(weights="e" * 64, provenance__threads=8), None),
    "the same run twice": (other(), None),
    "other content of the same data": (
        other(cell__seed=5, weights="e" * 64, cell__data__fingerprints={"train": "f" * 32, "test": "b" * 32}),
        "other content here than in",
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_records_that_cannot_both_be_are_found(tmp_path: Path, honest: Facts, pair: str) -> None:
    change, message = PAIRS[pair]
    put(tmp_path, honest)
    put(tmp_path, changed(honest, change))
    faults = [fault.message for fault in verify([tmp_path]).faults]
    assert len(faults) == (message is not None)
    assert message is None or message in faults[0]


def test_a_run_made_again_elsewhere_with_other_numbers_is_worth_knowing(tmp_path: Path, honest: Facts) -> None:
    put(tmp_path, honest)
    put(tmp_path, changed(honest, other(weights="e" * 64, provenance__threads=8)))
    assert ["has other numbers in" in finding.message for finding in verify([tmp_path]).findings] == [True]


def test_another_count_of_items_of_the_same_test_set_is_found(tmp_path: Path, honest: Facts) -> None:
    put(tmp_path, honest)
    nine = {"accuracy": {"count": 9, "bits": "qoA=", "test": "b" * 32}}
    fewer = changed(honest, other(cell__seed=5), lambda f: row(f).update(items=nine, metrics={"accuracy": 5 / 9}))
    put(tmp_path, changed(fewer, lambda f: row(f).update(missing={})))
    assert "elsewhere" in " ".join(fault.message for fault in verify([tmp_path]).faults)


def test_a_damaged_picture_is_a_fault_and_a_missing_one_is_counted(tmp_path: Path, honest: Facts) -> None:
    name = write_picture(tmp_path, b"\x89PNG\r\n\x1a\n and so on")
    pictures = [{"name": "a", "caption": "", "png": name}, {"name": "b", "caption": "", "png": "ab" * 32}]
    put(tmp_path, changed(honest, lambda f: row(f).update(pictures=pictures)))
    sound = verify([tmp_path])
    assert sound.faults == []
    assert sound.unchecked["pictures that do not lie beside their record"] == 1
    (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n and so off")
    assert "SHA-256" in verify([tmp_path]).faults[0].message


def test_what_was_checked_is_counted_and_what_could_not_be_is_named(
    tmp_path: Path, honest: Facts, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "runs" / "records", honest)
    assert invoke(["verify", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    counts = {check["check"]: check["checked"] for check in report["checks"]}
    assert counts["files are records: schema, canonical form, name is hash"] == 1
    assert counts["accuracies recomputed from their items"] == 1
    assert counts["shares are shares"] == 2 + 2 + 3  # two numbers and two chance levels of rows; of the pretext three
    assert report["unchecked"]["numbers without the items that they were counted from"] == 2


def test_a_fault_or_nothing_to_check_exits_with_1_and_says_it_without_steering_the_terminal(
    tmp_path: Path, honest: Facts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["verify", str(tmp_path)]) == 1
    path = put(tmp_path, honest)
    path.rename(tmp_path / "\x1b[2J[red]evil.json")
    assert invoke(["verify", str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "\\x1b[2J[red]evil.json" in output


def test_data_that_can_be_made_here_is_held_against_its_fingerprint(
    tmp_path: Path, honest: Facts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    put(
        tmp_path / "records",
        changed(honest, other(cell__data__id="pretask/digits@1", cell__data__options={"image_size": 8})),
    )
    assert invoke(["verify", str(tmp_path / "records"), "--recompute-data", "--json"]) == 1
    wrong = [finding for finding in json.loads(capsys.readouterr().out)["findings"] if finding["fault"]]
    assert [f"should be {'a' * 32}, made here it is" in finding["message"] for finding in wrong].count(True) == 1


def test_data_that_is_not_installed_or_lies_elsewhere_or_would_be_fetched_is_left_unchecked(
    tmp_path: Path, honest: Facts, capsys: pytest.CaptureFixture[str]
) -> None:
    for data, options in (
        ("acme/secret@1", {}),
        ("pretask/folder@1", {"root": "photos"}),
        ("pretask/torchvision@1", {"name": "MNIST", "download": True}),
        ("pretask/digits@1", {"image_size": "__import__('os')"}),
    ):
        put(tmp_path, changed(honest, other(cell__data__id=data, cell__data__options=options)))
    invoke(["verify", str(tmp_path), "--recompute-data", "--json"])
    unchecked = " ".join(reason for reason in json.loads(capsys.readouterr().out)["unchecked"])
    assert all(
        words in unchecked
        for words in ("acme/secret", "--set folder.root=PLACE", "no download", "to be a whole number")
    )


def test_a_place_is_only_where_the_user_says(honest: Facts) -> None:
    part = build_record(
        changed(honest, other(cell__data__id="pretask/folder@1", cell__data__options={"root": "../../etc"}))
    ).cell.data
    with pytest.raises(PretaskError, match=r"the place of 'etc'; got only its name"):
        make_data(Registry.load(), part, {}, None)


def test_test_samples_that_occur_in_training_are_counted_by_content() -> None:
    def samples(rows: list[list[int]]) -> Samples:
        data = torch.tensor(rows)
        return Samples(Observed("text", (3,), "int64", len(data)), data)

    assert count_overlap(samples([[1, 2, 3], [4, 5, 6]]), samples([[4, 5, 6], [6, 5, 4], [4, 5, 6]])) == 2


def test_bytes_of_the_honest_record_pass(tmp_path: Path, honest: Facts) -> None:
    path = put(tmp_path, honest)
    assert path.read_bytes() == canonical_bytes(honest)
    found = verify([path])
    assert isinstance(found, Verification)
    assert found.findings == []


@pytest.mark.parametrize(
    "module", [pretask_bench.records.verify, pretask_bench.records.bounds, pretask_bench.cli.terminal]
)
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0

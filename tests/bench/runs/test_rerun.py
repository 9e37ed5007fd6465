"""Rerun: the same comes out to the last bit; what is planted in a record to differ is found, and other data refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretask import PretaskError, Unknown
from pretask_bench.cli.main import invoke
from pretask_bench.records.agreement import judge, verdict
from pretask_bench.records.cell import cell_key
from pretask_bench.records.measured import pack_items
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import read, write, write_picture
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.rerun import Rerun, file_rerun, plan_from_cell, provenance_differences, rerun
from pretask_bench.runs.run import run
from pretask_registry import Registry

REGISTRY = Registry.load()
SMALL = {"model.hidden": (8,), "objective.latent_dim": 2, "recipe.samples": 64, "recipe.batch": 16}
Facts = dict[str, Any]
Change = Callable[[Facts], object]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for all tests of this file: data is decoded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(tmp_path_factory.mktemp("cache")))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield tmp_path_factory.mktemp("runs")
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def path(cache: Path) -> Path:
    """A record of a real run."""
    plan = make_plan(REGISTRY, "vae", preset="small", parts={"data": "digits"}, settings=SMALL, evaluators=("knn",))
    return run(REGISTRY, plan, RunContext(cache, torch.device("cpu"), references=("raw-input",)))[1]


@pytest.fixture
def old(path: Path) -> Record:
    """The same, read."""
    return read(path)


def changed(record: Record, change: Change) -> Record:
    facts = record.model_dump(mode="json")
    change(facts)
    return build_record(facts)


def test_a_rerun_trains_again_and_is_exact_and_says_what_differs_in_how_it_came_about(
    path: Path, old: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = changed(old, lambda facts: facts["provenance"].update(versions={"python": "3.9.0"}))
    other = write(tmp_path, elsewhere)
    command = ["rerun", str(other), "--device", "cpu", "--out", str(tmp_path / "reruns")]
    assert invoke([*command, "--file", str(tmp_path), "--author", "Ada", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (read(told["filed"]).reruns, Path(told["filed"]).parent) == (other.stem, tmp_path)
    assert (told["verdict"], told["weights"], told["cell"]) == ("exact", True, [])
    assert (told["differing"], told["numbers"] > 10) == ([], True)
    assert {difference["name"] for difference in told["provenance"]} >= {"python", "torch"}
    assert told["file"] != str(path)
    work = Path(told["file"]).parents[1]
    assert [path.name for path in work.iterdir()] == ["records"]  # or the next rerun would find its training done


def test_a_filed_rerun_names_what_it_ran_again_and_brings_its_author_note_and_pictures(
    path: Path, old: Record, tmp_path: Path
) -> None:
    figure = write_picture(path.parent, b"\x89PNG\r\n\x1a\n and so on")
    pictured = changed(old, lambda f: f["results"][0].update(pictures=[{"name": "a", "caption": "", "png": figure}]))
    done = Rerun(pictured, path, "exact", [], True, 0, [], [], [])
    filed = read(file_rerun(done, old, tmp_path, "Ada", "on a laptop"))
    assert (filed.reruns, filed.author, filed.note) == (path.stem, "Ada", "on a laptop")
    assert cell_key(filed.cell) == cell_key(old.cell)
    assert (tmp_path / f"{figure}.png").is_file()


def test_an_author_of_nothing_that_is_filed_is_refused_before_anything_is_trained(path: Path) -> None:
    assert invoke(["rerun", str(path), "--author", "Ada"]) == 2


def flipped(record: Record, count: int) -> Record:
    """The record with the answers to so many of the items, right before, now wrong."""

    def flip(facts: Facts) -> None:
        items = record.results[0].items["accuracy"]
        right = items.correct()
        right[np.flatnonzero(right)[:count]] = False
        facts["results"][0]["items"]["accuracy"] = pack_items(right, items.test).model_dump(mode="json")
        facts["results"][0]["metrics"]["accuracy"] = float(right.mean())
        facts["weights"] = "e" * 64

    return changed(record, flip)


@pytest.fixture
def answered(facts: Facts) -> Record:
    """A record of 400 items, 300 of which were answered rightly."""
    items = pack_items(np.arange(400) < 300, "b" * 32).model_dump(mode="json")
    facts["results"][0].update(metrics={"accuracy": 0.75}, missing={}, items={"accuracy": items})
    facts["results"][1].update(metrics={"auc": 0.6})
    facts["pretext"]["metrics"] = {"order": 1.5, "order.accuracy": 0.4, "blind: order": 9.0}
    facts["pretext"]["chance"] = {}
    return build_record(facts)


def verdict_of(old: Record, new: Record) -> str:
    return verdict(old, new, [*judge(old, new)])


@pytest.mark.parametrize(("count", "expected"), [(0, "consistent"), (5, "consistent"), (12, "divergent")])
def test_items_agree_where_the_99_percent_interval_of_the_paired_difference_holds_0(
    answered: Record, count: int, expected: str
) -> None:
    # Of n items that only one gets right, none is drawn with probability e^-n: below half a per cent from n = 6.
    assert verdict_of(answered, flipped(answered, count)) == expected


NUMBERS: dict[str, tuple[Change, str]] = {
    "nothing": (lambda facts: None, "exact"),
    "a loss by 1 %": (lambda facts: facts["pretext"]["metrics"].update(order=1.515), "consistent"),
    "a loss by 3 %": (lambda facts: facts["pretext"]["metrics"].update(order=1.545), "divergent"),
    "a share by 1 point": (lambda f: f["pretext"]["metrics"].update({"order.accuracy": 0.41}), "consistent"),
    "a share by 3 points": (lambda f: f["pretext"]["metrics"].update({"order.accuracy": 0.43}), "divergent"),
    "a trivial guess": (lambda facts: facts["pretext"]["metrics"].update({"blind: order": 1.0}), "consistent"),
    "the only number of a row by 3 %": (lambda f: f["results"][1]["metrics"].update(auc=0.582), "divergent"),
    "a row less": (lambda facts: facts["results"].pop(1), "divergent"),
    "a number that is lost": (
        lambda f: f["pretext"].update(
            metrics={"order": None, "order.accuracy": 0.4, "blind: order": 9.0}, missing={"order": "nan"}
        ),
        "divergent",
    ),
    "items of other data": (lambda f: f["results"][0]["items"]["accuracy"].update(test="e" * 32), "divergent"),
    "the weights alone": (lambda facts: facts.update(weights="e" * 64), "consistent"),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_the_rule_for_numbers_is_kept(answered: Record, what: str) -> None:
    change, expected = NUMBERS[what]
    assert verdict_of(answered, changed(answered, change)) == expected


def test_what_differs_in_how_it_came_about_is_named(answered: Record) -> None:
    new = changed(answered, lambda f: f["provenance"].update(threads=4, commit="e" * 40, versions={"python": "3.12.1"}))
    assert provenance_differences(answered, new) == [
        ("pretask", "0.1.0", ""),
        ("python", "3.11.7", "3.12.1"),
        ("commit", "d" * 40, "e" * 40),
        ("threads", "1", "4"),
    ]


def test_other_data_is_refused_before_anything_is_trained(old: Record, tmp_path: Path) -> None:
    def swap(facts: Facts) -> None:
        facts["cell"]["data"]["fingerprints"]["train"] = "a" * 32

    with pytest.raises(
        PretaskError, match=r"digits@1 \(train\) needs content aaaa.*Other data cannot be compared"
    ) as e:
        rerun(REGISTRY, changed(old, swap), {}, tmp_path, torch.device("cpu"), lambda line: None)
    assert e.value.exit_code == 1
    assert [*tmp_path.iterdir()] == []


def test_what_is_not_installed_a_missing_place_and_a_changed_option_are_named(old: Record) -> None:
    newer = changed(old, lambda facts: facts["cell"]["split"].update(id="pretask/relative-position@9"))
    with pytest.raises(PretaskError, match="the split pretask/relative-position@9; got none that works here"):
        plan_from_cell(REGISTRY, newer.cell, {})
    photos = {"id": "pretask/folder@1", "options": {"root": "photos", "image_size": 32, "grayscale": False}}
    placed = changed(old, lambda facts: facts["cell"]["data"].update(photos))
    with pytest.raises(PretaskError, match=r"the place of 'photos'; got only its name\. .*--set data\.root=PLACE"):
        plan_from_cell(REGISTRY, placed.cell, {})
    assert (
        plan_from_cell(REGISTRY, placed.cell, {"data.root": "/mnt/photos"}).options_of("data")["root"] == "/mnt/photos"
    )
    with pytest.raises(Unknown, match=r"got 'split\.patch'\. Places of this record: data\.root"):
        plan_from_cell(REGISTRY, placed.cell, {"split.patch": "9"})


def test_a_failed_run_is_not_run_again(answered: Record, tmp_path: Path) -> None:
    failed = changed(answered, lambda facts: facts.update(status="failed", error="no"))
    with pytest.raises(PretaskError, match="needs a complete record"):
        rerun(REGISTRY, failed, {}, tmp_path, torch.device("cpu"), lambda line: None)

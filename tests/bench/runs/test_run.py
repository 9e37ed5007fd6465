"""A run: one record, the random-init row beside the trained one, and nothing lost when it is stopped or fails."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Incompatible, PretaskError
from pretask.composition import Task
from pretask_bench.cli.main import invoke
from pretask_bench.records.cell import cell_key
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.runs import stages
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.plan import Plan, PlanSettings, add_task_settings, make_plan, parse_setting
from pretask_bench.runs.prepare import prepare_run
from pretask_bench.runs.run import run
from pretask_bench.runs.session import say_left_out
from pretask_registry import Registry

REGISTRY = Registry.load()
SMALL = {
    "data.size": 64,
    "data.test_size": 32,
    "data.image_size": 32,
    "split.patch": 8,
    "split.gap": 2,
    "split.jitter": 1,
    "model.width": 4,
    "model.depth": 2,
    "objective.hidden": (16,),
    "recipe.batch": 16,
    "recipe.samples": 160,
    "recipe.optimizer": "adamw",
    "split.color": "keep",
}
WORDS = [
    word
    for name, value in SMALL.items()
    for word in ("--set", f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
]
COMMAND = [
    "run",
    "relative-position",
    "--data",
    "shapes",
    "--model",
    "convnet",
    *WORDS,
    "--evaluate",
    "ridge",
    "--device",
    "cpu",
    "--threads",
    "1",
]


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests of this file: data is decoded once."""
    torch.set_num_threads(1)  # sums over threads differ in their last bits, and a tie may then fall otherwise
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def small_run(out: Path, **changes: object) -> Record:
    settings = {**SMALL, **changes}
    parts = {"data": "shapes", "model": "convnet"}
    plan = make_plan(REGISTRY, "relative-position", parts=parts, settings=settings, evaluators=("ridge", "knn"))
    return run(REGISTRY, plan, RunContext(out, torch.device("cpu")))[0]


class Ran(NamedTuple):
    """One run that several tests look at.

    Args:
        out: Its folder.
        record: Its record.
        measured: The tasks that evaluators measured, each with the weights of its encoder before that.
    """

    out: Path
    record: Record
    measured: list[tuple[Task, dict[str, torch.Tensor]]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    out, measured = tmp_path_factory.mktemp("runs"), []
    evaluate_encoder = stages.evaluate_encoder

    def watched(evaluator: object, encoder: str, task: Task, *rest: object) -> object:
        before = {name: value.clone() for name, value in task.model.state_dict().items()}
        result = evaluate_encoder(evaluator, encoder, task, *rest)  # type: ignore[arg-type]
        measured.append((task, before))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "evaluate_encoder", watched)
        return Ran(out, small_run(out), measured)


def test_a_run_writes_one_complete_record_with_random_init_and_raw_input_beside_it(ran: Ran) -> None:
    record = ran.record
    (stored,), refused = read_all([ran.out / "records"])
    assert stored == record
    assert not refused
    assert record.status == "complete"
    assert {(row.encoder, row.evaluator) for row in record.results} == {
        (encoder, evaluator)
        for encoder in ("trained", "random-init", "raw-input")
        for evaluator in ("pretask/ridge@1", "pretask/knn@1")
    }
    for row in record.results:
        assert row.chosen["layer"] == "layer1" if row.encoder == "raw-input" else row.chosen["layer"][:5] == "layer"
        assert row.chosen["pooling"] == row.chosen[f"{row.chosen['layer']}.pooling"] in ("mean", "mean-max")
    assert record.cell.evaluators["pretask/ridge@1"]["pooling"] == ["mean", "last", "own", "mean-max"]
    assert record.pretext is not None
    assert record.pretext.chance["position.accuracy"] == pytest.approx(1 / 8, abs=0.06)  # counted, on few answers
    assert record.pretext.chance["position"] == pytest.approx(math.log(8), abs=0.1)
    assert 0 < record.pretext.shortcut["position.accuracy"] < 0.8


def test_the_cell_holds_full_ids_and_every_option_with_its_default(ran: Ran) -> None:
    cell = ran.record.cell
    assert cell.split.id == "pretask/relative-position@2"
    assert cell.split.options["standardize"] is True
    assert cell.recipe["warmup"] == 0.05
    assert set(cell.data.fingerprints) == {"train", "test"}


def test_an_encoder_is_measured_on_other_data_and_the_record_says_so(tmp_path: Path) -> None:
    parts = {"data": "shapes", "model": "convnet", "on": "shapes"}
    settings = {**SMALL, "on.image_size": 48, "on.size": 80, "on.test_size": 40}
    plan = make_plan(REGISTRY, "relative-position", parts=parts, settings=settings, evaluators=["knn"])
    record, _ = run(REGISTRY, plan, RunContext(tmp_path, torch.device("cpu")))
    other = record.cell.evaluated_on
    assert other is not None
    assert (record.cell.data.options["image_size"], other.options["image_size"]) == (32, 48)
    assert {row.items["accuracy"].test for row in record.results} == {other.fingerprints["test"]}


def test_other_data_that_the_encoder_cannot_read_is_refused_before_training(tmp_path: Path) -> None:
    parts = {"data": "shapes", "model": "convnet", "on": "digits"}
    plan = make_plan(REGISTRY, "relative-position", parts=parts, settings={**SMALL, "on.image_size": 32})
    with pytest.raises(Incompatible, match="images of 3 channels"):
        run(REGISTRY, plan, RunContext(tmp_path, torch.device("cpu")))


def test_a_task_whose_classes_are_its_training_images_is_scored_on_new_views_of_these(tmp_path: Path) -> None:
    settings = {"data.size": 8, "data.test_size": 32, "data.image_size": 48, "split.patch": 16, "model.width": 4}
    plan = make_plan(
        REGISTRY, "exemplar", preset="small", parts={"data": "shapes"}, settings={**settings, "recipe.samples": 256},
        evaluators=[],
    )  # fmt: skip
    record, _ = run(REGISTRY, plan, RunContext(tmp_path, torch.device("cpu")))
    assert record.pretext is not None
    assert record.pretext.chance["exemplar.accuracy"] == 1 / 8


def test_a_place_is_not_part_of_the_cell_but_what_lies_there(tmp_path: Path) -> None:
    cells = []
    for place in ("here", "there"):
        for part, category in product(("train", "val"), ("cat", "dog")):
            folder = tmp_path / place / "photos" / part / category
            folder.mkdir(parents=True)
            for number in range(2):
                picture = np.full((40, 40, 3), 60 * number + 100 * (category == "dog"), np.uint8)
                Image.fromarray(picture).save(folder / f"{number}.png")
        settings = {**{k: v for k, v in SMALL.items() if not k.startswith("data.")}, "data.image_size": 32}
        plan = make_plan(
            REGISTRY,
            "relative-position",
            parts={"data": "folder", "model": "convnet"},
            settings={**settings, "data.root": str(tmp_path / place / "photos")},
        )
        cells.append(prepare_run(plan, torch.device("cpu")).cell)
    assert cells[0] == cells[1]
    assert cells[0].data.options["root"] == "photos"


def test_the_same_run_is_not_computed_again(ran: Ran) -> None:
    assert small_run(ran.out) == ran.record


def test_a_run_that_has_no_baselines_is_not_computed_again_either(tmp_path: Path) -> None:
    settings = {"recipe.samples": 200, "model.hidden": (8,), "objective.hidden": (8,), "density.test_size": 10}
    plan = make_plan(REGISTRY, "vae", preset="small", settings=settings, evaluators=["density"])
    first, second = (run(REGISTRY, plan, RunContext(tmp_path, torch.device("cpu"))) for _ in range(2))
    assert first == second


def test_two_runs_of_one_cell_give_the_same_numbers(ran: Ran, tmp_path: Path) -> None:
    first, second = ran.record, small_run(tmp_path)
    assert cell_key(first.cell) == cell_key(second.cell)
    assert first.results == second.results
    assert first.weights == second.weights


def test_a_task_without_a_name_is_run_from_its_parts(tmp_path: Path) -> None:
    parts = {"data": "shapes", "split": "relative-position", "objective": "cross-entropy", "model": "convnet"}
    settings = {name: value for name, value in SMALL.items() if name != "split.color"}
    plan = make_plan(REGISTRY, None, parts=parts, settings=settings, evaluators=("knn",))
    assert plan.name == "relative-position-cross-entropy-convnet"
    assert run(REGISTRY, plan, RunContext(tmp_path, torch.device("cpu")))[0].cell.task is None


def test_a_replaced_part_takes_its_settings_with_it() -> None:
    plan = make_plan(REGISTRY, "relative-position", parts={"data": "shapes", "model": "convnet"})
    assert plan.options_of("model") == {}
    assert plan.options_of("objective") == {"hidden": (4096, 4096)}


def test_settings_that_went_with_a_replaced_part_are_said_where_the_new_one_has_them(tmp_path: Path) -> None:
    plan = make_plan(REGISTRY, "vae", preset="small", parts={"objective": "iwae"})
    assert plan.left_out["objective.likelihood"] == "bernoulli"
    kept = make_plan(
        REGISTRY, "vae", preset="small", parts={"objective": "iwae"}, settings={"objective.likelihood": "bernoulli"}
    )
    assert "objective.likelihood" not in kept.left_out
    assert make_plan(REGISTRY, "vae", preset="small").left_out == {}
    said: list[str] = []
    say_left_out(plan, RunContext(tmp_path, torch.device("cpu"), say=said.append))
    line = "objective.likelihood=bernoulli was made for what iwae replaces, and is left out: "
    assert f"{line}--set objective.likelihood=bernoulli keeps it" in said


def test_settings_win_over_presets_and_presets_over_the_paper() -> None:
    plan = make_plan(
        REGISTRY, "relative-position", preset="small", parts={"data": "shapes"}, settings={"split.gap": "3"}
    )
    assert plan.parts["model"].name == "convnet"
    assert (plan.options_of("split")["patch"], plan.options_of("split")["gap"]) == (32, "3")


def test_every_task_has_a_preset_of_half_precision_which_goes_with_its_own() -> None:
    for task in REGISTRY.current("task"):
        settings = PlanSettings()
        add_task_settings(settings, task, "bf16")
        assert settings.options["recipe"]["precision"] == "bf16"
    plan = make_plan(REGISTRY, "vae", preset="small+bf16")
    assert (plan.recipe.precision, plan.recipe.optimizer, plan.parts["data"].name) == ("bf16", "adam", "digits")
    with pytest.raises(PretaskError, match=r"no preset 'fast'.* small, manifold, bf16"):
        make_plan(REGISTRY, "vae", preset="small+fast")


def test_a_setting_is_a_part_an_option_and_a_value() -> None:
    assert parse_setting("data.root=a=b") == ("data.root", "a=b")


def test_a_failed_run_is_a_record_too_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="finite loss"):
        small_run(tmp_path, **{"recipe.lr": 1e30, "recipe.warmup": 0.0, "recipe.optimizer": "sgd"})
    (record,), _ = read_all([tmp_path / "records"])
    assert record.status == "failed"
    assert "finite loss" in str(record.error)


def test_the_table_shows_trained_random_and_their_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*COMMAND, "--seeds", "2", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "12.5 %" in out
    for word in ("trained", "random init", "difference", "accuracy", "±", "record:"):
        assert word in out


def test_evaluation_never_changes_the_encoder(ran: Ran) -> None:
    assert len(ran.measured) == 6
    for task, before in ran.measured:
        assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())


def test_the_seconds_of_training_count_all_that_it_was_gone_on_with(ran: Ran, tmp_path: Path) -> None:
    shutil.copytree(ran.out, tmp_path, dirs_exist_ok=True)
    parts = {"data": "shapes", "model": "convnet"}
    plan = make_plan(REGISTRY, "relative-position", parts=parts, settings=SMALL, evaluators=("knn",))
    again, _ = run(REGISTRY, plan, RunContext(tmp_path, torch.device("cpu"), again=True))
    assert again.provenance.stages["pretrain"] == ran.record.provenance.stages["pretrain"] > 0


MASKED = {
    "data.size": 16,
    "data.test_size": 16,
    "data.image_size": 16,
    "recipe.batch": 16,
    "recipe.samples": 16,
    "objective.hidden": (8,),
    "model.width": 4,
    "model.depth": 1,
}


def masked_plan() -> Plan:
    parts = {"data": "shapes", "split": "any-from-any", "objective": "regression", "model": "convnet"}
    return make_plan(REGISTRY, parts=parts, settings=MASKED, evaluators=())


def test_pictures_of_a_split_are_in_the_record_and_in_the_folder_of_the_run(tmp_path: Path) -> None:
    context = RunContext(tmp_path, torch.device("cpu"), references=())
    record = run(REGISTRY, masked_plan(), context)[0]
    assert record.pretext is not None
    (picture,) = record.pretext.pictures
    assert picture.name == "split"
    (drawn,) = tmp_path.glob("*/pictures/split.png")
    assert drawn.read_bytes() == (tmp_path / "records" / f"{picture.png}.png").read_bytes()


def test_pictures_that_are_not_wanted_or_cannot_be_drawn_end_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, said = prepare_run(masked_plan(), torch.device("cpu")), list[str]()
    task, context = parts.compose(torch.device("cpu")), RunContext(tmp_path, torch.device("cpu"), say=said.append)
    assert stages.draw_pictures(parts, task, replace(context, pictures=False)) == []

    def fail(*_: object) -> None:
        raise ZeroDivisionError("no room")

    monkeypatch.setattr("pretask_plugins.splits.masking.masking_figures", fail)
    assert stages.draw_pictures(parts, task, context) == []
    assert said == ["left out a picture of any-from-any-regression-convnet: ZeroDivisionError: no room"]
    assert not [*tmp_path.rglob("*.png")]

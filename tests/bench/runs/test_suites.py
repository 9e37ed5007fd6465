"""Suites: what is fixed decides who enters; what is installed decides what is run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import PretaskError, Unknown
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import Record, build_record
from pretask_bench.runs.bench import PlannedRun, plan_suite, run_all
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.cost import training_flops
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.prepare import prepare_run
from pretask_bench.runs.suites import Suite, SuiteFile, fix_options, read_suite
from pretask_registry import Registry

LINEAR = {"evaluator": "linear", "metric": "accuracy", "chance": "majority"}
DIGITS: dict[str, Any] = {
    "name": "digits",
    "modality": "image",
    "data": "digits",
    "samples": 256,
    "preset": "small",
    "measures": [LINEAR],
    "tasks": {"vae": {"model.hidden": [8]}},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def suite_of(registry: Registry, **changes: Any) -> Suite:
    file = SuiteFile.model_validate({"summary": "…", "seeds": 1, "division": [DIGITS | changes]})
    return Suite("acme/tiny@1", file, {division.name: fix_options(registry, division) for division in file.division})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suite")


@pytest.fixture(scope="module")
def entered(registry: Registry, folder: Path) -> Record:
    suite = suite_of(registry)
    context = RunContext(folder, torch.device("cpu"), say=lambda line: None)
    (outcome,) = run_all(registry, plan_suite(registry, suite, tasks=["vae"]), context)
    assert outcome.record is not None, outcome
    return outcome.record


@pytest.mark.parametrize("name", ["pretask/quick@1", "quick", "photos", "lecture", "lecture-gpu"])
def test_the_built_in_suites_fix_data_and_evaluators_that_are_installed(registry: Registry, name: str) -> None:
    suite = read_suite(registry, name)
    assert all(suite.fixed[division.name].evaluators for division in suite.file.division)


@pytest.mark.parametrize("name", ["pretask/quick@1", "pretask/quick@2"])
def test_quick_has_every_built_in_task_but_vae_in_each_modality_once(name: str, registry: Registry) -> None:
    planned = plan_suite(registry, read_suite(registry, name), everything=True)
    tasks = [entry.task.name for entry in planned if entry.plan is not None]
    built_in = {task.name for task in registry.current("task") if task.id.startswith("pretask/")}
    assert built_in <= {*tasks}
    assert len(tasks) == len({*tasks})


def test_quick_runs_the_tasks_that_it_names_with_the_evaluators_that_it_names_for_them(registry: Registry) -> None:
    planned = plan_suite(registry, read_suite(registry, "quick"))
    evaluators = {run.task.name: [part.name for part in run.plan.evaluators] for run in planned if run.plan is not None}
    assert len(evaluators) == 7
    assert evaluators["colorization"] == ["linear", "knn", "colorization"]
    assert evaluators["relative-position"] == ["linear", "knn"]
    assert {run.plan.parts["data"].component.traits["modality"] for run in planned if run.plan is not None} == {
        *("image", "text", "video", "audio")
    }


def test_an_entry_has_all_that_its_division_fixes_whatever_its_preset_says(registry: Registry) -> None:
    for entry in plan_suite(registry, read_suite(registry, "quick"), tasks=["arrow-of-time"]):
        assert entry.plan is not None
        assert entry.plan.recipe.samples == entry.division.samples
        assert entry.plan.options_of("data")["test_size"] == 32  # the preset has 1024


def test_what_a_run_under_the_suite_records_enters_it(registry: Registry, entered: Record) -> None:
    suite = suite_of(registry)
    assert suite.explain_exclusion(suite.file.division[0], entered) is None
    assert {row.encoder for row in entered.results} == {"trained", "random-init", "raw-input", "supervised"}


LECTURE = {  # every task that the lecture tells of, and two that people run today
    *("vae", "text-vae", "vq-vae-2", "causal-lm", "masked-lm", "elmo", "word2vec", "glove", "relative-position"),
    *("colorization", "exemplar", "sequence-verification", "arrow-of-time", "colorization-tracking", "masked-speech"),
    *("masked-image", "exemplar-pair"),
}


@pytest.mark.parametrize("name", ["lecture", "lecture-gpu"])
def test_all_that_the_suites_of_the_lecture_run_can_be_planned(registry: Registry, name: str) -> None:
    assert not [entry.refusal for entry in plan_lecture(registry, name) if entry.plan is None]


def plan_lecture(registry: Registry, name: str) -> list[PlannedRun]:
    """What one of the lecture's suites runs with one seed, on data that its user gives."""
    suite = read_suite(registry, name)
    given = {
        f"{division.name}.{setting}": "mine" for division in suite.file.division for setting in division.given_settings
    }
    return plan_suite(registry, suite, given=given, seeds=1)


def test_lecture_has_every_task_of_the_lecture(registry: Registry) -> None:
    planned = plan_lecture(registry, "lecture")
    assert {entry.task.name for entry in planned} >= LECTURE
    assert all(entry.plan.recipe.samples <= 600_000 for entry in planned if entry.plan is not None)


def test_the_tier_for_a_gpu_has_the_divisions_measures_and_data_of_lecture(registry: Registry) -> None:
    lecture, gpu = (read_suite(registry, name).file.division for name in ("lecture", "lecture-gpu"))
    same = ("name", "modality", "data", "on", "given", "given_as", "run", "measures")
    assert [[getattr(one, name) for name in same] for one in gpu] == [
        [getattr(one, name) for name in same] for one in lecture
    ]


def test_of_several_presets_those_are_taken_that_a_task_has(registry: Registry) -> None:
    suite = suite_of(registry, preset="small+bf16+demo", tasks={})
    vae, position = plan_suite(registry, suite, tasks=["vae", "relative-position"])
    assert vae.plan is not None
    assert vae.plan.recipe.precision == "bf16"
    assert position.plan is not None
    assert position.plan.options_of("split")["patch"] == 16


def test_a_task_may_have_a_budget_of_its_own(registry: Registry, entered: Record) -> None:
    suite = suite_of(registry, samples=512, budgets={"vae": 256})
    assert suite.explain_exclusion(suite.file.division[0], entered) is None
    (planned,) = plan_suite(registry, suite, tasks=["vae"])
    assert planned.plan is not None
    assert planned.plan.recipe.samples == 256


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": "shapes"}, "learned from pretask/digits@1"),
        ({"settings": {"data.seed": 1}, "data": "shapes"}, "learned from"),
        ({"samples": 512}, "saw 256 samples, not 512"),
        ({"budgets": {"vae": 300}}, "saw 256 samples, not 300"),
        (
            {"settings": {"linear.val_fraction": 0.2}},
            "linear@1 was set to val_fraction=0.1, and the suite's is val_fraction=0.2",
        ),
        ({"also": ["knn"]}, "knn@1 did not measure it"),
    ],
)
def test_a_record_under_other_terms_does_not_enter(
    registry: Registry, entered: Record, changes: dict[str, Any], reason: str
) -> None:
    suite = suite_of(registry, **changes)
    assert reason in str(suite.explain_exclusion(suite.file.division[0], entered))


def test_a_record_from_before_an_option_enters_where_the_suite_leaves_that_as_it_was(
    registry: Registry, entered: Record
) -> None:
    facts = entered.model_dump(mode="json")
    for options in (facts["cell"]["evaluators"]["pretask/linear@1"], facts["cell"]["data"]["options"]):
        assert options.pop("val_fraction", options.pop("image_size", None)) is not None
    earlier = build_record(facts)
    assert suite_of(registry).explain_exclusion(suite_of(registry).file.division[0], earlier) is None
    other = suite_of(registry, settings={"linear.val_fraction": 0.2})
    assert "no val_fraction" in str(other.explain_exclusion(other.file.division[0], earlier))


def test_a_record_measured_on_other_data_does_not_enter(registry: Registry, entered: Record) -> None:
    facts = entered.model_dump(mode="json")
    facts["cell"]["evaluated_on"] = facts["cell"]["data"]
    suite = suite_of(registry)
    assert "measured on other data" in str(suite.explain_exclusion(suite.file.division[0], build_record(facts)))


def test_running_a_suite_again_computes_nothing(registry: Registry, folder: Path, entered: Record) -> None:
    said: list[str] = []
    context = RunContext(folder, torch.device("cpu"), say=said.append)
    (outcome,) = run_all(registry, plan_suite(registry, suite_of(registry), tasks=["vae"]), context)
    assert outcome.record == entered
    assert any("already recorded" in line for line in said)


def test_an_entry_is_measured_beside_the_references_of_its_division(registry: Registry, tmp_path: Path) -> None:
    more, usual = {"baselines": ("random-init", "supervised")}, {"name": "others"}
    file = SuiteFile.model_validate(
        {"summary": "…", "seeds": 1, "baselines": ("random-init",), "division": [DIGITS | more, DIGITS | usual]}
    )
    suite = Suite("acme/two@1", file, {division.name: fix_options(registry, division) for division in file.division})
    context = RunContext(tmp_path, torch.device("cpu"), say=lambda line: None)
    planned = plan_suite(registry, suite, tasks=["vae"], divisions=("others",))
    (first,) = run_all(registry, planned, context)
    (second,) = run_all(registry, plan_suite(registry, suite, tasks=["vae"], divisions=("digits",)), context)
    measured = [{row.encoder for row in outcome.record.results} for outcome in (first, second) if outcome.record]
    assert measured == [{"trained", "random-init"}, {"trained", "random-init", "supervised"}]


def test_a_task_may_be_measured_beside_references_that_no_other_needs(registry: Registry) -> None:
    named = {"vae": {"beside": ["supervised", "random-init"]}}
    suite = suite_of(registry, baselines=["random-init"], tasks=named, run=["vae", "colorization"])
    (division,) = suite.file.division
    planned = plan_suite(registry, suite)
    assert [entry.arguments["references"] for entry in planned] == [("random-init", "supervised"), ("random-init",)]
    assert suite.baselines_of(division) == ("random-init",)
    assert suite.shown_of(division) == ("random-init", "supervised")


def test_a_division_may_take_what_another_is_given_and_need_fewer_seeds(registry: Registry) -> None:
    given = {"data": "folder", "given": ["root"], "measures": [LINEAR], "run": ["vae"], "tasks": {}}
    divisions = [
        DIGITS | given | {"name": "first"},
        DIGITS | given | {"name": "second", "given_as": "first", "seeds": 1},
    ]
    file = SuiteFile.model_validate({"summary": "…", "seeds": 2, "division": divisions})
    suite = Suite("acme/two@1", file, {division.name: fix_options(registry, division) for division in file.division})
    places = {"first.data.root": "photos"}
    planned = plan_suite(registry, suite, given=places)
    roots = [(entry.division.name, entry.seed, entry.arguments["settings"]["data.root"]) for entry in planned]
    assert roots == [("first", 0, "photos"), ("first", 1, "photos"), ("second", 0, "photos")]
    own = plan_suite(registry, suite, given={**places, "second.data.root": "cards"}, seeds=1)
    assert [entry.arguments["settings"]["data.root"] for entry in own] == ["photos", "cards"]


def test_a_refused_and_a_failing_entry_hide_no_other(registry: Registry, folder: Path, entered: Record) -> None:
    suite = suite_of(registry, tasks={"vae": {"model.hidden": [8]}, "exemplar": {"split.patch": 99}})
    planned = plan_suite(registry, suite, tasks=["causal-lm", "exemplar", "vae"])
    assert [entry.task.name for entry in planned] == ["causal-lm", "exemplar", "vae"]
    context = RunContext(folder, torch.device("cpu"), say=lambda line: None)
    refused, too_large, done = run_all(registry, planned, context)
    assert "text" in refused.refused
    assert too_large.record is None
    assert "patch" in too_large.refused + too_large.failed
    assert done.record == entered


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"divisions": ["letters"]}, "no division 'letters'"),
        ({"given": {"data.seed": "1"}}, "fixes what is measured"),
        ({"tasks": ["vea"]}, "Did you mean 'vae'"),
    ],
)
def test_what_a_suite_does_not_know_is_refused(registry: Registry, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(Unknown, match=message):
        plan_suite(registry, suite_of(registry), **arguments)


def test_a_suite_asks_for_what_it_leaves_to_its_user(registry: Registry) -> None:
    with pytest.raises(Unknown, match=r"needs --set data\.root"):
        plan_suite(registry, read_suite(registry, "photos"))
    (first, *_) = plan_suite(registry, read_suite(registry, "photos"), given={"data.root": "album"})
    assert isinstance(first, PlannedRun)
    assert str(first.plan and first.plan.options_of("data")["root"]) == "album"


def test_what_a_suite_leaves_open_may_differ_by_division(registry: Registry) -> None:
    division = DIGITS | {"data": "folder", "given": ["root"], "tasks": {}}
    file = SuiteFile.model_validate({"summary": "…", "seeds": 1, "division": [division, division | {"name": "scans"}]})
    suite = Suite("acme/two@1", file, {one.name: fix_options(registry, one) for one in file.division})
    given = {"data.root": "album", "scans.data.root": "archive"}
    planned = plan_suite(registry, suite, tasks=["colorization"], given=given)
    assert [str(one.plan and one.plan.options_of("data")["root"]) for one in planned] == ["album", "archive"]
    with pytest.raises(Unknown, match=r"needs --set data\.root=…; got none for its division digits"):
        plan_suite(registry, suite, given={"scans.data.root": "archive"})
    plan_suite(registry, suite, divisions=["scans"], given={"scans.data.root": "archive"})
    with pytest.raises(Unknown, match=r"fixes what is measured; --set scans\.data\.size"):
        plan_suite(registry, suite, given=given | {"scans.data.size": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"given_as": "imagess"}, "given_as names no division: imagess"),
        ({"tasks": {"vae": {"beside": "supervised"}}}, "beside lists some of random-init"),
        ({"tasks": {"vae": {"beside": ["superviced"]}}}, "got .'superviced'."),
    ],
)
def test_a_suite_that_misspells_is_refused(registry: Registry, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite_of(registry, **changes)


def test_a_file_that_is_no_suite_is_refused_by_name(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pretask_bench.runs.suites.tomllib.loads", lambda text: {"summary": "…", "seeds": 0})
    with pytest.raises(PretaskError, match=r"pretask/quick@2 needs a suite in quick-2\.toml"):
        read_suite(registry, "quick")


def test_the_plan_is_shown_and_nothing_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["bench", "quick", "--plan", "--division", "sound"]) == 0
    assert capsys.readouterr().out == "sound\tpretask/masked-speech@1\t0\tto run, or found\n"
    assert invoke(["bench", "quick", "--plan", "--division", "sound", "--division", "clips"]) == 0
    assert {line.split("\t")[0] for line in capsys.readouterr().out.splitlines()} == {"sound", "clips"}


@pytest.mark.parametrize("batch", [10, 50])  # of a large batch no more than a few samples are put through
def test_operations_are_those_of_every_sample(registry: Registry, tmp_path: Path, batch: int) -> None:
    options = {"model.hidden": [16], "recipe.samples": 100, "recipe.batch": batch, "objective.hidden": [4]}
    parts = {"data": "digits", "split": "whole", "objective": "elbo", "model": "mlp"}
    plan = make_plan(registry, parts=parts, settings=options | {"objective.latent_dim": 2})
    built = prepare_run(plan, torch.device("cpu"))
    flops = training_flops(built.compose(torch.device("cpu")), built.train, 0)
    weights = 64 * 16 + 2 * (16 * 2) + 2 * 4 + 4 * 64  # one hidden layer, mean and spread, one hidden layer, pixels
    forward_and_backward = 10 * 10 * 2 * (3 * weights - 64 * 16)  # pixels need no gradient
    assert flops == forward_and_backward


def test_a_division_may_fix_other_data_that_is_measured_on(registry: Registry, entered: Record) -> None:
    suite = suite_of(registry, on="folder", settings={"on.image_size": 9}, given=["on.root"])
    (division,) = suite.file.division
    with pytest.raises(Unknown, match=r"needs --set on.root="):
        plan_suite(registry, suite)
    (planned,) = plan_suite(registry, suite, tasks=["vae"], given={"on.root": "photos"})
    assert planned.plan is not None
    assert planned.plan.parts["on"].name == "folder"
    assert planned.plan.options_of("on")["image_size"] == 9
    assert planned.plan.options_of("on")["root"] == "photos"
    assert "on what it learned from, not on pretask/folder@1" in str(suite.explain_exclusion(division, entered))
    facts = entered.model_dump(mode="json")
    options = {**suite.fixed["digits"].on_options, "root": "photos"}
    facts["cell"]["evaluated_on"] = {**facts["cell"]["data"], "id": "pretask/folder@1", "options": options}
    assert suite.explain_exclusion(division, build_record(facts)) is None
    facts["cell"]["evaluated_on"]["options"] = {**options, "image_size": 8}
    assert "image_size=8, and the suite's is image_size=9" in str(
        suite.explain_exclusion(division, build_record(facts))
    )

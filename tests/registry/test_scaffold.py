"""The scaffold: what `pretask new` writes installs, is lint-free, fits and learns as it is, and overwrites nothing."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from clean_room import install_all
from pretask import Draws, PretaskError, Recipe, Unknown
from pretask.composition import compose
from pretask.training import train
from pretask_bench.runs.bench import plan_suite
from pretask_bench.runs.plan import make_plan, parse_setting
from pretask_bench.runs.suites import read_suite
from pretask_registry import Registry, build, read_component_options
from pretask_registry.canned import make_canned_samples
from pretask_registry.conformance import run
from pretask_registry.scaffold import KINDS, MODALITIES, Written, new_package

STEPS = {"image": 30, "text": 110, "video": 30, "audio": 25}  # of batches of 32, to know better than chance
EVERY = [*product(KINDS, MODALITIES)]
DATA_ONLY = ("task", "suite")  # kinds that nothing implements


def name_of(kind: str, modality: str) -> str:
    return f"example-{kind}-{modality}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    folder = tmp_path_factory.mktemp("new")
    return {
        name: new_package(name, kind, modality, folder / name)
        for kind, modality in EVERY
        for name in [name_of(kind, modality)]
    }


@pytest.fixture(scope="module")
def registry(written: dict[str, Written], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """All of them installed, beside what is built in."""
    with install_all([package.folder for package in written.values()], tmp_path_factory.mktemp("site")) as registry:
        yield registry


def test_every_kind_and_modality_is_a_plugin_that_loads_with_no_problem(
    written: dict[str, Written], registry: Registry
) -> None:
    found = {plugin.name: plugin for plugin in registry.plugins}
    assert {name: found[name].problems for name in written} == dict.fromkeys(written, ())
    assert {kind for kind, _ in EVERY} <= {component.kind for name in written for component in found[name].components}
    assert all(found[name].release == f"pretask-{name} 0.1.0" for name in written)


def test_every_implementation_can_be_imported_and_shows_its_options(
    written: dict[str, Written], registry: Registry
) -> None:
    mine = [
        component
        for component in registry.components()
        if component.namespace in written and component.kind not in DATA_ONLY
    ]
    assert len(mine) == len([kind for kind, _ in EVERY if kind != "suite"])  # that of a task is its split
    assert all(read_component_options(component) for component in mine)


def test_what_is_written_passes_a_linter_and_is_formatted(written: dict[str, Written]) -> None:
    folders = [str(package.folder) for package in written.values()]
    rules = ["--isolated", "--line-length", "120"]
    select = ["--select", "E,F,W,I,B,UP,SIM,D1,ANN,PT,C4,RET", "--ignore", "D105,D107"]
    for verb in (["check", *rules, *select], ["format", "--check", *rules]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *verb, *folders], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "modality"), [pair for pair in EVERY if pair[0] != "split"])  # tasks have the same
def test_every_check_of_the_conformance_kit_passes_but_for_the_golden_output_that_is_not_kept_yet(
    kind: str, modality: str, registry: Registry
) -> None:
    outcomes = list(run(registry, name_of(kind, modality)))
    assert len(outcomes) > (4 if kind == "suite" else 10)
    untraceable = {
        "compiles",
        "compiled-answers-as-eager",
        "compiled-step-answers-as-eager",
    }  # where tests check shapes; test_publish_page.py runs it in a process of its own
    assert {outcome.check for outcome in outcomes if outcome.state != "passed"} - untraceable == {"output-is-golden"}


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_split_of_a_new_task_is_learned_on_the_data_and_network_of_its_preset(
    modality: str, registry: Registry
) -> None:
    name = name_of("task", modality)
    plan = make_plan(registry, name, preset="small", evaluators=[])
    parts = {part: plan.build(part) for part in ("split", "objective", "model")}
    given = {**plan.options_of("data"), "size": 128, "test_size": 16} if modality != "image" else {}
    samples = build(plan.parts["data"], given)("train")
    recipe = replace(plan.recipe, batch=32, samples=32 * STEPS[modality], channels_last=False)
    task = compose(samples.observed, parts["split"], parts["model"], parts["objective"], recipe)
    batch = samples.batch(torch.arange(96), task.device)
    (blind,) = [value for part, value in task.objective.chance.items() if "." not in part]
    train(task, samples)
    assert float(task.loss(batch, Draws(batch.index)).total.detach()) < 0.9 * blind


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "objective"])
def test_a_new_model_and_a_new_objective_learn_canned_data(kind: str, registry: Registry) -> None:
    names = {"split": "any-from-any", "objective": "regression", "model": name_of("model", "image")}
    if kind == "objective":
        names = {"split": "relative-position", "objective": name_of("objective", "image"), "model": "convnet"}
    split, objective, model = (registry.find(part, names[part]) for part in ("split", "objective", "model"))
    samples = make_canned_samples("image", 64)
    made = {registered.kind: build(registered, registered.component.small) for registered in (split, objective, model)}
    recipe = Recipe(batch=32, samples=32 * 60, lr=3e-3, channels_last=False)
    task = compose(samples.observed, made["split"], made["model"], made["objective"], recipe)
    batch = samples.batch(torch.arange(64), task.device)
    before = float(task.loss(batch, Draws(batch.index)).total.detach())
    train(task, samples)
    assert float(task.loss(batch, Draws(batch.index)).total.detach()) < 0.9 * before


@pytest.mark.parametrize("modality", MODALITIES)
def test_new_data_is_the_same_for_a_sample_however_many_there_are_and_shows_its_labels(
    modality: str, registry: Registry
) -> None:
    found = registry.find("data", name_of("data", modality))
    few, many = (build(found, {"size": count})("train") for count in (8, 200))
    assert torch.equal(few.data, many.data[:8])
    assert few.observed.modality == modality
    assert many.labels["class"].value.bincount().min() > 20
    means = [many.data[many.labels["class"].value == category].float().mean(0) for category in range(4)]
    assert all(not torch.allclose(one, two) for one, two in pairwise(means))


@pytest.mark.parametrize(("kind", "modality"), EVERY)
def test_the_command_that_tries_a_new_component_settles(
    kind: str, modality: str, written: dict[str, Written], registry: Registry
) -> None:
    words = written[name_of(kind, modality)].run.split()[2:]
    if kind == "suite":
        (division,) = read_suite(registry, words[0]).file.division
        assert division.modality == modality
        assert plan_suite(registry, read_suite(registry, words[0]), seeds=1)
        return
    task = None if words[0].startswith("--") else words.pop(0)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    options: dict[str, Any] = {key.removeprefix("--"): value for key, value in pairs if key != "--set"}
    settings = dict(parse_setting(value) for key, value in pairs if key == "--set")
    parts = {part: options[part] for part in ("data", "split", "objective", "model") if part in options}
    evaluators = options.get("evaluate", "linear").split(",")
    plan = make_plan(
        registry, task, preset=options.get("preset"), parts=parts, settings=settings, evaluators=evaluators
    )
    used = {component.namespace for component in (*plan.parts.values(), *plan.evaluators)}
    assert name_of(kind, modality) in used


def test_a_new_package_says_its_licence_its_citation_and_its_checks(written: dict[str, Written]) -> None:
    folder = written["example-task-image"].folder
    about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert about["license"] == "Apache-2.0"
    assert "@software{pretask_example_task_image," in (folder / "README.md").read_text()
    promises = (folder / "tests" / "test_conformance.py").read_text().splitlines()
    assert promises[-3:] == [
        "from pretask_registry.conformance import conformance",
        "",
        'test_conformance = conformance("example-task-image")',
    ]
    assert "pretask check example-task-image" in (folder / ".github" / "workflows" / "check.yml").read_text()


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(PretaskError, match="a folder that does not exist"):
        new_package("mine", "task", "image", tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyTask", "Did you mean 'my-task'"),
        ("my_task", "Did you mean 'my-task'"),
        ("3d", "lower-case words with hyphens; got '3d'. Did you mean 'd'"),
        ("../up", "Did you mean 'up'"),
        ("", "lower-case words with hyphens"),
        ("acme", "'acme' is taken"),
        ("registry", "'registry' is taken"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Unknown, match=message):
        new_package(name, "task", "image", tmp_path / "new", taken={"acme"})
    assert not (tmp_path / "new").exists()


def test_a_prefix_that_every_distribution_has_is_not_doubled(tmp_path: Path) -> None:
    assert new_package("pretask-mirror", "split", "image", tmp_path / "m").names.distribution == "pretask-mirror"


def test_kinds_and_modalities_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="Did you mean 'split'"):
        new_package("mine", "spilt", "image", tmp_path / "new")
    with pytest.raises(Unknown, match="Did you mean 'image'"):
        new_package("mine", "split", "imgae", tmp_path / "new")

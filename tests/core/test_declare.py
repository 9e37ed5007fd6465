"""Declarations: data alone, with the traits that fitting reads, and nothing imported."""

import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from types import ModuleType
from typing import Any

import pluggy
import pretask
import pytest
from pretask import Component, declare
from pretask.declare import KINDS
from pretask_registry.validate import TRAITS, find_declaration_fault

# One of each kind, with as little as may be said and with all that may be said.
LEAST: dict[str, Component] = {
    "data": pretask.data("words", "acme.data:Words", modality="text"),
    "split": pretask.split("cut-out", "acme.split:CutOut", modality="image", targets={"values"}),
    "model": pretask.model("deep", "acme.model:Deep", modality="image"),
    "objective": pretask.objective("nearest", "acme.objective:Nearest", targets="agreement"),
    "evaluator": pretask.evaluator("probe", "acme.evaluator:Probe"),
    "task": pretask.task("cut-out", split="cut-out", objective="regression", model="convnet"),
    "suite": pretask.suite("quick", "acme.suites:quick.toml"),
}
DECLARED: dict[str, Callable[..., Component]] = {
    "data": pretask.data,
    "split": pretask.split,
    "model": pretask.model,
    "objective": pretask.objective,
    "evaluator": pretask.evaluator,
    "task": pretask.task,
    "suite": pretask.suite,
}


def traits(component: Component) -> dict[str, Any]:
    return dict(component.traits)


def test_there_is_one_function_for_every_kind() -> None:
    assert tuple(DECLARED) == KINDS
    assert all(function.__name__ == kind for kind, function in DECLARED.items())
    assert {component.kind: component for component in LEAST.values()} == LEAST


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_makes_is_what_the_registry_reads(kind: str) -> None:
    made = LEAST[kind]
    assert find_declaration_fault(made) is None
    assert set(TRAITS[kind]) <= set(made.traits)


@pytest.mark.parametrize("kind", KINDS)
def test_name_place_summary_and_version_arrive(kind: str) -> None:
    known = {
        "name": "a-name",
        "implementation": "acme:Thing",
        "path": "acme:a.toml",
        "modality": "image",
        "targets": {"values"},
        "summary": "What?",
        "source": "Who, when",
        "version": 3,
        "small": {"size": 2},
        "split": "cut",
        "objective": "o",
        "model": "m",
    }
    accepted = inspect.signature(DECLARED[kind]).parameters
    made = DECLARED[kind](**{name: value for name, value in known.items() if name in accepted})
    assert (made.kind, made.name, made.summary, made.version) == (kind, "a-name", "What?", 3)
    assert made.implementation == {"task": "", "suite": "acme:a.toml"}.get(kind, "acme:Thing")
    assert made.source == ("Who, when" if "source" in accepted else "")
    assert made.small == ({"size": 2} if "small" in accepted else {})


def test_one_name_and_several_become_a_set() -> None:
    assert traits(pretask.model("m", "a:M", modality="image")) == {
        "modality": frozenset({"image"}),
        "streams": frozenset({"all"}),
    }
    several = pretask.model("m", "a:M", modality=("text", "audio"), streams=["past", "future"])
    assert traits(several) == {"modality": frozenset({"text", "audio"}), "streams": frozenset({"past", "future"})}


def test_a_split_says_what_it_splits_gives_asks_and_hides() -> None:
    assert traits(LEAST["split"]) == {
        "modality": frozenset({"image"}),
        "targets": {"image": frozenset({"values"})},
        "gives": None,
        "views": 1,
        "sees": frozenset({"all"}),
        "hidden": True,
    }
    declared = pretask.split(
        "both-ways",
        "a:B",
        modality=("text", "audio"),
        targets={"text": {"categories"}, "audio": ("values", "categories")},
        gives="image",
        views=None,
        sees=("past", "future"),
        hidden=False,
    )
    assert traits(declared) == {
        "modality": frozenset({"text", "audio"}),
        "targets": {"text": frozenset({"categories"}), "audio": frozenset({"values", "categories"})},
        "gives": "image",
        "views": None,
        "sees": frozenset({"past", "future"}),
        "hidden": False,
    }


def test_the_same_targets_go_for_every_modality() -> None:
    declared = pretask.split("s", "a:S", modality=("image", "video"), targets={"values"})
    assert declared.traits["targets"] == {"image": frozenset({"values"}), "video": frozenset({"values"})}


def test_a_kind_of_target_may_be_named_alone() -> None:
    for declared in ("categories", {"categories"}, {"image": "categories"}):
        assert pretask.split("s", "a:S", modality="image", targets=declared).traits["targets"] == {
            "image": frozenset({"categories"})
        }


def test_an_objective_and_an_evaluator_say_what_they_need() -> None:
    assert traits(LEAST["objective"]) == {
        "targets": frozenset({"agreement"}),
        "bottleneck": False,
        "streams": frozenset(),
        "depends_on_batch": False,
        "state": frozenset(),
        "metrics": {},
    }
    assert pretask.objective("elbo", "a:E", targets={"values"}, bottleneck=True).traits["bottleneck"] is True
    nothing = {"metrics": {}, "headline": ""}
    assert traits(LEAST["evaluator"]) == {"needs": "encoder", "modality": frozenset(), **nothing}
    declared = pretask.evaluator("density", "a:D", needs="objective", modality=("image", "text"))
    assert traits(declared) == {"needs": "objective", "modality": frozenset({"image", "text"}), **nothing}
    assert traits(LEAST["data"]) == {"modality": "text"}


def test_a_task_names_its_parts_and_copies_its_settings() -> None:
    recipe, options, preset = {"lr": 0.1}, {"split.patch": 96}, {"model": "convnet"}
    declared = pretask.task(
        "t", split="s", objective="o", model="m", recipe=recipe, options=options, presets={"small": preset}
    )
    for settings in (recipe, options, preset):
        settings.clear()
    assert traits(declared) == {
        "parts": {"split": "s", "objective": "o", "model": "m"},
        "recipe": {"lr": 0.1},
        "options": {"split.patch": 96},
        "presets": {"small": {"model": "convnet"}},
    }


def test_a_declaration_cannot_be_changed() -> None:
    made = LEAST["model"]
    with pytest.raises(FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.small["size"] = 3  # type: ignore[index]


def test_nothing_that_is_declared_is_imported() -> None:
    assert pretask.model("m", "no_such_module_anywhere:Model", modality="image").implementation.endswith(":Model")


def test_a_hook_of_a_light_module_is_called() -> None:
    class Hooks:
        @pluggy.HookspecMarker("pretask")
        def pretask_components(self) -> None:
            """Declare."""

    plugin = ModuleType("plugin")
    plugin.pretask_components = declare.hookimpl(lambda: list(LEAST.values()))  # type: ignore[attr-defined]
    manager = pluggy.PluginManager("pretask")
    manager.add_hookspecs(Hooks)
    manager.register(plugin)
    assert manager.hook.pretask_components() == [list(LEAST.values())]

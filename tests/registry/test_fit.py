"""Fit: declarations alone tell what cannot go together, why, and what nearly the same would."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from pluggy import PluginManager
from pretask import (
    Batch,
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Inputs,
    InputSpec,
    Loss,
    Observed,
    Targets,
    TargetSpecs,
    model,
    objective,
    split,
)
from pretask_registry import Plugin, Registry, build_matrix, exact_fit, explain_misfit, find_closest, static_fit
from pretask_registry.canned import observe_canned
from torch import Tensor

LECTURE = """
split("causal-lm", "m:A", modality="text", targets=["categories"], sees="past")
split("mask-tokens", "m:A", modality="text", targets=["categories"])
split("both-ways", "m:A", modality="text", targets=["categories"], sees={"past", "future"})
split("patches", "m:A", modality={"image", "video"}, targets={"image": ["categories"], "video": ["reference"]})
split("two-answers", "m:A", modality="text", targets={"categories", "reference"})
split("spectrum", "m:A", modality="audio", gives="image", targets=["values"])
split("whole", "m:A", modality={"image", "text"}, targets={"image": ["values"], "text": ["categories"]}, hidden=False)
model("bert", "m:A", modality="text", streams="all")
model("gpt2", "m:A", modality="text", streams="past")
model("bilstm", "m:A", modality="text", streams={"past", "future"})
model("embedding", "m:A", modality="text", streams="present")
model("convnet", "m:A", modality="image")
model("clip-net", "m:A", modality="video")
objective("cross-entropy", "m:A", targets="categories")
objective("regression", "m:A", targets="values")
objective("elbo", "m:A", targets={"categories", "values"}, bottleneck=True)
objective("pointer", "m:A", targets="reference")
"""


@pytest.fixture
def registry(shelf: Any) -> Registry:
    shelf.offer("lecture", LECTURE)
    loaded: Registry = shelf.load()
    return loaded


def three(registry: Registry, words: str) -> dict[str, Any]:
    return {
        kind: registry.find(kind, name)
        for kind, name in zip(("split", "objective", "model"), words.split(), strict=True)
    }


@pytest.mark.parametrize(
    "words",
    [
        "causal-lm cross-entropy gpt2",
        "causal-lm cross-entropy bilstm",
        "causal-lm cross-entropy embedding",
        "mask-tokens cross-entropy gpt2",
        "mask-tokens elbo bert",
        "both-ways cross-entropy bilstm",
        "both-ways cross-entropy embedding",
        "spectrum regression convnet",
        "whole elbo convnet",
        "patches cross-entropy convnet",
        "patches pointer clip-net",
    ],
)
def test_what_the_field_does_fits(registry: Registry, words: str) -> None:
    assert static_fit(**three(registry, words)) is None


@pytest.mark.parametrize(
    ("words", "modality", "reason"),
    [
        (
            "causal-lm cross-entropy bert",
            None,
            "causal-lm + bert do not fit: a target may see at most 'past', the model offers only 'all'.",
        ),
        (
            "both-ways cross-entropy gpt2",
            None,
            "both-ways + gpt2 do not fit: a target may see at most 'future', the model offers only 'past'.",
        ),
        (
            "patches cross-entropy convnet",
            "audio",
            "patches does not fit audio data: it splits only image or video.",
        ),
        (
            "two-answers cross-entropy bert",
            None,
            "two-answers + cross-entropy do not fit: "
            "the targets are categories and reference, the objective scores only categories.",
        ),
        ("mask-tokens elbo convnet", None, "mask-tokens + convnet do not fit: x is text, the model reads only image."),
        ("spectrum regression bert", "audio", "spectrum + bert do not fit: x is image, the model reads only text."),
        (
            "patches cross-entropy clip-net",
            "video",
            "patches + cross-entropy do not fit: the targets are reference, the objective scores only categories.",
        ),
        (
            "whole cross-entropy bert",
            "text",
            "whole + cross-entropy do not fit: x shows the answer, the objective has no bottleneck.",
        ),
    ],
)
def test_what_does_not_fit_has_a_reason(registry: Registry, words: str, modality: str | None, reason: str) -> None:
    assert static_fit(**three(registry, words), data_modality=modality) == reason


def test_parts_that_fit_in_different_modalities_only_do_not_fit(registry: Registry) -> None:
    assert static_fit(**three(registry, "patches cross-entropy clip-net")) is not None


def test_the_nearest_substitution_changes_one_part_and_fits(registry: Registry) -> None:
    parts = three(registry, "causal-lm cross-entropy bert")
    found = find_closest(registry, **parts)
    assert [(part, component.name) for part, component in found] == [("split", "mask-tokens"), ("model", "gpt2")]
    assert all(static_fit(**{**parts, part: component}) is None for part, component in found)


def test_why_names_the_reason_and_what_to_type_instead(registry: Registry) -> None:
    assert explain_misfit(registry, **three(registry, "causal-lm cross-entropy bert")) == (
        "causal-lm + bert do not fit: a target may see at most 'past', the model offers only 'all'. "
        "Closest that fit: --split mask-tokens | --model gpt2"
    )


def test_why_says_so_where_no_single_change_helps(registry: Registry) -> None:
    reason = explain_misfit(registry, **three(registry, "causal-lm pointer convnet"))
    assert reason is not None
    assert reason.endswith("No change of one part alone makes them fit.")


def test_why_has_nothing_to_say_where_the_parts_fit(registry: Registry) -> None:
    assert explain_misfit(registry, **three(registry, "causal-lm cross-entropy gpt2")) is None


def test_a_part_is_never_its_own_substitute(registry: Registry) -> None:
    parts = three(registry, "causal-lm cross-entropy gpt2")
    found = find_closest(registry, **parts)
    assert {part for part, _ in found} == {"split", "objective", "model"}
    assert all(component.id != parts[part].id for part, component in found)


def test_a_newer_version_of_a_part_may_be_the_substitute(shelf: Any) -> None:
    net = 'model("net", "m:A", modality="text", streams="all")'
    shelf.offer("lecture", LECTURE)
    shelf.offer("acme", f"{net}\n{net.replace('all', 'past')[:-1]}, version=2)")
    registry = shelf.load()
    parts = three(registry, "causal-lm cross-entropy net@1")
    assert ("model", "acme/net@2") in [(part, component.id) for part, component in find_closest(registry, **parts)]


def test_substitutions_fit_the_data_too(registry: Registry) -> None:
    found = find_closest(registry, **three(registry, "mask-tokens cross-entropy convnet"), data_modality="image")
    assert [(part, component.name) for part, component in found] == [("split", "patches")]


def test_the_matrix_agrees_with_static_fit_on_every_row(registry: Registry) -> None:
    rows = list(build_matrix(registry))
    assert (
        len(rows)
        == sum(len(registered.component.traits["modality"]) for registered in registry.components("split")) * 4 * 6
    )
    for row in rows:
        assert row.fits == (static_fit(row.split, row.objective, row.model, row.modality) is None)
        assert row.fits or row.reason == static_fit(row.split, row.objective, row.model, row.modality)


def test_the_matrix_can_be_narrowed_and_left_without_misfits(registry: Registry) -> None:
    rows = list(build_matrix(registry, split="whole", model="lecture/convnet", fitting=True))
    assert [(row.modality, row.objective.name) for row in rows] == [("image", "elbo")]
    every = list(build_matrix(registry))
    assert list(build_matrix(registry, fitting=True)) == [row for row in every if row.fits]


class Counting(Mapping[str, Any]):
    """Traits that count how often they are looked at."""

    looks = 0

    def __init__(self, traits: Mapping[str, Any]) -> None:
        self.traits = traits

    def __getitem__(self, name: str) -> Any:
        Counting.looks += 1
        return self.traits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.traits)

    def __len__(self) -> int:
        return len(self.traits)


def test_sixty_of_each_are_filtered_by_looking_at_pairs_and_never_at_triples() -> None:
    sights, kinds = ("present", "past", "future", "all"), ("categories", "values", "reference")
    declared = []
    for number, sees, kind in zip(range(60), sights * 15, kinds * 20, strict=True):
        declared += [
            split(f"split-{number}", "m:A", modality="text", targets={kind}, sees=sees),
            objective(f"objective-{number}", "m:A", targets=kind),
            model(f"model-{number}", "m:A", modality="text", streams=sees),
        ]
    counted = tuple(replace(component, traits=Counting(component.traits)) for component in declared)
    registry = Registry((Plugin("many", "m", "pretask-many", "1", components=counted),), PluginManager("pretask"))
    Counting.looks = 0
    fitting = list(build_matrix(registry, fitting=True))
    expected = sum(
        kind == scored and (stream == sees or sees == "all" or stream == "present")
        for (sees, kind), scored, stream in product(zip(sights * 15, kinds * 20, strict=True), kinds * 20, sights * 15)
    )
    assert len(fitting) == expected
    assert Counting.looks < 10 * 2 * 60 * 60  # ten looks for each pair; triples would be 216,000 times several


class Halves:
    """A split that asks for one of two sides."""

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        return InputSpec("image", observed.shape), {"side": Categories(classes=2)}

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        return InputSpec("image", observed.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        raise AssertionError("exact fit runs nothing")

    def whole(self, batch: Batch, /) -> Inputs:
        raise AssertionError("exact fit runs nothing")


class Eye:
    """A model whose features are as wide as its images, and which must be made on the meta device."""

    def __init__(self, spec: InputSpec, whole: InputSpec) -> None:
        import torch

        assert torch.empty(1).device.type == "meta"

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        return FeatureSpec(width=spec.shape[-1])

    def __call__(self, inputs: Inputs, /, layers: bool = False) -> Features:
        raise AssertionError("exact fit runs nothing")


class Score:
    """An objective that wants features of a width."""

    wanted = 32

    def __init__(self, features: FeatureSpec, targets: TargetSpecs) -> None:
        if features.width != self.wanted:
            raise Incompatible("halves", f"{self.wanted} features", str(features.width), "Widen the model.")
        assert dict(targets) == {"side": Categories(classes=2)}

    def __call__(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        raise AssertionError("exact fit runs nothing")

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        raise AssertionError("exact fit runs nothing")


class WideScore(Score):
    wanted = 64


def test_exact_fit_hands_specs_along_on_the_meta_device() -> None:
    assert exact_fit(Halves(), Score, Eye, observe_canned("image")) is None


def test_exact_fit_returns_what_the_part_complains_of() -> None:
    assert (
        exact_fit(Halves(), WideScore, Eye, observe_canned("image"))
        == "halves needs 64 features; got 32. Widen the model."
    )

"""Every part of a built-in objective's loss is declared, so that whoever shows it knows its unit and its direction."""

from typing import Any

import pytest
import torch
from pretask import Agreement, Categories, Draws, Features, FeatureSpec, Reference, Target, TargetSpec, Values
from pretask.metrics import LOSS, find_loss_metric
from pretask.specs import Sight
from pretask_plugins.methods.contrastive_predictive.split import Latents
from pretask_plugins.methods.glove.split import Cooccurrence
from pretask_registry import Registry, build
from pretask_registry.registry import Registered

REGISTRY = Registry.load()
OBJECTIVES = [entry for entry in REGISTRY.current("objective") if entry.namespace == "pretask"]
DRAWING = ("patch-decoder", "vector-quantization")  # objectives that draw on rows and columns
JOINING = ("class-activation",)  # objectives that join maps for one label of a sample
BATCH, WIDTH, GRID = 6, 8, (4,)
SPECS: dict[str, TargetSpec] = {
    "categories": Categories(5, grid=GRID),
    "values": Values(2, grid=GRID),
    "agreement": Agreement(),
    "reference": Reference(3, grid=GRID),
    "co-occurrence": Cooccurrence(grid=GRID),
    "latents": Latents(grid=GRID, sees="past"),
}
LABELS = torch.arange(BATCH)[:, None] % 3 + torch.arange(4) % 2
GIVEN = (torch.arange(4) % 2).float().expand(BATCH, -1)  # a position of weight 0 may be pointed at
TARGETS = {
    "categories": Target(LABELS),
    "values": Target(LABELS[..., None].float().expand(-1, -1, 2)),
    "agreement": Target(torch.arange(BATCH) // 2),
    "reference": Target(LABELS % 3, GIVEN),
    "co-occurrence": Target(LABELS.float()),
    "latents": Target(torch.arange(BATCH * 4).view(BATCH, 4)),
}


def parts_of_loss(objective: Any, kind: str) -> set[str]:
    """The names in the loss of two targets of a kind, and in its chance levels."""
    names = ("one",) if kind == "co-occurrence" else ("one", "two")
    views = 2 if kind == "co-occurrence" else 1
    streams: tuple[Sight, ...] = ("present", "past") if kind == "latents" else ("all",)
    built = objective(FeatureSpec(WIDTH, GRID, views, streams), dict.fromkeys(names, SPECS[kind]))
    vectors = Draws(torch.arange(BATCH)).normal("features", views, 4, WIDTH)
    features = Features(dict.fromkeys(streams, vectors), dict.fromkeys(streams, vectors.mean(2)), GRID)
    loss = built(features, dict.fromkeys(names, TARGETS[kind]), Draws(torch.arange(BATCH)))
    return {*loss.parts, *getattr(built, "chance", {})}


def parts_of_drawing(objective: Any) -> set[str]:
    """The same of an objective that draws one image."""
    built = objective(FeatureSpec(WIDTH, (2, 2)), {"one": Values(2, grid=(2, 2))})
    vectors = Draws(torch.arange(BATCH)).normal("features", 1, 4, WIDTH)
    features = Features({"all": vectors}, {"all": vectors.mean(2)}, (2, 2))
    target = Target(TARGETS["values"].value.unflatten(1, (2, 2)))
    return {*built(features, {"one": target}, Draws(torch.arange(BATCH))).parts, *built.chance}


def parts_of_joining(objective: Any) -> set[str]:
    """The same of an objective that reads one label of a map."""
    built = objective(FeatureSpec(WIDTH, (2, 2)), {"one": Categories(5)})
    vectors = Draws(torch.arange(BATCH)).normal("features", 1, 4, WIDTH)
    features = Features({"all": vectors}, {"all": vectors.mean(2)}, (2, 2))
    target = Target(TARGETS["categories"].value[:, 0])
    return {*built(features, {"one": target}, Draws(torch.arange(BATCH))).parts, *built.chance}


def list_parts(name: str, built: Any, kind: str) -> set[str]:
    """The names in the loss of an objective on what it reads."""
    if name in DRAWING:
        return parts_of_drawing(built)
    return parts_of_joining(built) if name in JOINING else parts_of_loss(built, kind)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda entry: entry.id)
def test_every_part_of_the_loss_is_declared(objective: Registered) -> None:
    traits = objective.component.traits
    for kind in traits["targets"]:
        built = build(objective, objective.component.small)
        parts = list_parts(objective.name, built, kind)
        assert [name for name in parts if find_loss_metric(traits["metrics"], name) is None] == []
        assert all(name.rpartition(".")[2] in traits["metrics"] for name in parts if "." in name)
    assert traits["metrics"][LOSS].lower_is_better

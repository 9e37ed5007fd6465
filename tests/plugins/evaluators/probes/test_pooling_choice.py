"""The choice of pooling: what is told in one way alone is found there, and no test item has a say."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import Budget, Choice, Items, PretaskError, Samples
from pretask_plugins.evaluators.probes.few_label import FewLabels
from pretask_plugins.evaluators.probes.knn import NearestNeighbors
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.rank import Rank
from pretask_plugins.evaluators.probes.ridge import RidgeProbe

sys.path.insert(0, str(Path(__file__).parent))

from sentences import WAYS, sentences, sentences_task

PROBES = pytest.mark.parametrize("probe", [LinearProbe, NearestNeighbors, RidgeProbe], ids=["linear", "knn", "ridge"])
CHANCE = 0.5  # a quarter, and more than five standard errors of 80 test samples


def measure(probe: Any, way: str, data: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in probe(sentences_task(), data or partial(sentences, way=way), Budget()):
        found[f"{name}.items" if isinstance(value, Items) else name] = value
    return found


@PROBES
@pytest.mark.parametrize("way", WAYS)
def test_the_pooling_that_alone_tells_the_class_is_chosen_and_said(probe: Any, way: str) -> None:
    found = measure(probe(), way)
    assert found["pooling"] == found["layer2.pooling"] == Choice(way)
    assert found["layer"] == Choice("layer2")
    assert found["accuracy"] == found["layer2.accuracy"] > 0.95
    assert found["layer1.accuracy"] < CHANCE


@pytest.mark.parametrize("way", WAYS)
def test_the_other_poolings_do_not_tell_it(way: str) -> None:
    others = tuple(name for name in WAYS if way not in name.split("-"))  # mean and max holds the mean
    assert measure(RidgeProbe(pooling=tuple(name for name in others if name != way)), way)["accuracy"] < CHANCE


@PROBES
def test_test_rows_choose_neither_layer_nor_pooling(probe: Any) -> None:
    def poisoned(part: str) -> Samples:
        made = sentences(part, "last")
        if part == "train":
            return made
        rotate_weights = made.data.clone()
        rotate_weights[40:] = sentences("test", "own").data[40:].flip(0)
        label = replace(made.labels["class"], value=made.labels["class"].value.clone())
        label.value[40:] = 3 - label.value[40:]
        return replace(made, data=rotate_weights, labels={"class": label}, fingerprint="poisoned")

    clean, dirty = (measure(probe(), "last", data) for data in (None, poisoned))
    assert torch.equal(clean["accuracy.items"].correct[:40], dirty["accuracy.items"].correct[:40])
    assert clean["accuracy"] > dirty["accuracy"]
    for name in ("layer", "pooling", "layer1.pooling", "layer2.pooling"):
        assert clean[name] == dirty[name]


def test_few_labels_and_ranks_are_of_the_mean_unless_another_pooling_is_named() -> None:
    few = partial(FewLabels, per_class=(5,), label_fraction=(), draws=2)
    assert measure(few(), "mean")["5.accuracy"] > 0.95
    assert measure(few(), "last")["5.accuracy"] < CHANCE
    assert measure(few(pooling="last"), "last")["5.accuracy"] > 0.95
    assert measure(Rank(), "mean")["width"] == 4
    assert measure(Rank(pooling="mean-max"), "mean")["width"] == 8


@pytest.mark.parametrize("pooling", [(), ("cls",), ("mean", "sum")])
def test_poolings_that_do_not_exist_are_refused(pooling: tuple[str, ...]) -> None:
    for probe in (LinearProbe, NearestNeighbors, RidgeProbe):
        with pytest.raises(PretaskError, match=r"pooling needs some of mean, last, own, mean-max, segments"):
            probe(pooling=pooling)
    for single in (FewLabels, Rank):
        with pytest.raises(PretaskError, match=r"pooling needs some of mean, last, own, mean-max, segments"):
            single(pooling="cls")


def test_a_pooling_that_no_layer_offers_is_refused_by_name() -> None:
    for probe in (LinearProbe(pooling=("own",)), FewLabels(pooling="own"), Rank(pooling="own")):
        with pytest.raises(PretaskError, match=r"pooling needs a layer that offers own; got none"):
            measure(probe, "mean")
    with pytest.raises(PretaskError, match=r"layer needs one of 2, the layers that offer the pooling own; got 1"):
        measure(FewLabels(pooling="own", layer=1), "own")

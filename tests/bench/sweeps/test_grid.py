"""Grids: every combination that a file asks for, once and in order, and a reason for each that is left out."""

from pathlib import Path
from typing import Any

import pytest
from pretask import PretaskError, Unknown
from pretask_bench.sweeps.grid import GridFile, expand, read_grid
from pretask_registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def combine(registry: Registry, **fields: Any) -> list[dict[str, Any]]:
    """The choices of all cells of a grid."""
    return [dict(combination.choices) for combination in expand(registry, GridFile.model_validate(fields))]


def test_axes_multiply_zips_move_together_and_seeds_come_last(registry: Registry) -> None:
    found = combine(
        registry,
        seeds=[3, 7],
        fixed={"recipe.lr": 0.1},
        axes={"recipe.batch": [8, 16]},
        zip=[{"data": ["digits", "tones"], "model": ["mlp", "transformer"]}],
    )
    numbers = [(cell["data"], cell["model"], cell["recipe.batch"], cell["seed"]) for cell in found]
    digits, tones = ("pretask/digits@1", "pretask/mlp@1"), ("pretask/tones@1", "pretask/transformer@1")
    assert numbers == [(*pair, batch, seed) for pair in (digits, tones) for batch in (8, 16) for seed in (3, 7)]
    assert {cell["recipe.lr"] for cell in found} == {0.1}


def test_a_pattern_on_an_axis_means_the_newest_version_of_each_component_that_matches(registry: Registry) -> None:
    found = [cell["split"] for cell in combine(registry, axes={"split": ["pretask/*", "whole"]})]
    assert found == [one.id for one in registry.current("split") if one.namespace == "pretask"]
    names = combine(registry, axes={"split": ["future-from-*"]})
    assert [cell["split"] for cell in names] == [
        "pretask/future-from-past@1",
        "pretask/future-from-recent-past@1",
    ]


def test_several_grids_are_the_union_and_share_what_stands_above_them(registry: Registry) -> None:
    grids = [{"axes": {"split.patch": [2, 4]}}, {"fixed": {"data": "tones"}}]
    found = combine(registry, fixed={"task": "vae"}, grid=grids)
    shared = {"task": "pretask/vae@1", "seed": 0}
    assert found == [
        {**shared, "split.patch": 2},
        {**shared, "split.patch": 4},
        {**shared, "data": "pretask/tones@1"},
    ]


@pytest.mark.parametrize(
    ("when", "dropped"),
    [
        ({"split": "whole", "objective": "elbo"}, [0]),
        ({"split": "pretask/w*"}, [0, 1]),
        ({"objective": ["elbo", "iwae"]}, [0, 2]),
        ({"model.hidden": [[8, 8], [9]], "evaluate": "knn"}, [0, 1, 2, 3]),
        ({"model.hidden": [8]}, []),
        ({"seed": 1}, []),
    ],
)
def test_a_drop_leaves_out_what_meets_all_of_its_conditions(
    when: dict[str, Any], dropped: list[int], registry: Registry
) -> None:
    axes = {"split": ["whole", "top-from-bottom"], "objective": ["elbo", "regression"]}
    fixed = {"evaluate": "knn,ridge", "model.hidden": [8, 8]}
    file = GridFile.model_validate({"axes": axes, "fixed": fixed, "drop": [{"reason": "so", "when": when}]})
    reasons = [combination.dropped for combination in expand(registry, file)]
    assert [number for number, reason in enumerate(reasons) if reason == "so"] == dropped
    assert reasons.count("") == 4 - len(dropped)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("[axes]\nsplits = ['whole']", "no choice 'splits'"),
        ("[fixed]\nhold_out = 'a tenth'", "a share such as 0.1"),
        ("[axes]\nhold_out = [0.1, true]", "a share such as 0.1"),
        ("[axes]\nsplit = []", "axes.split"),
        ("[axes]\nsplit = ['whole']\n[fixed]\nsplit = 'whole'", "split is chosen in two places"),
        ("[[zip]]\nsplit = ['whole']\nmodel = ['mlp', 'convnet']", "split 1, model 2"),
        ("[[drop]]\nwhen = { split = 'whole' }", "drop.0.reason"),
        ("seeds = [1, 1]", "seeds are different whole numbers"),
        ("baselines = ['nothing']", "baselines.0"),
        ("seeds = ", "Invalid value"),
        ("[more]", "more Extra inputs"),
    ],
)
def test_a_file_that_is_no_grid_is_refused_by_what_is_wrong_with_it(text: str, needs: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    with pytest.raises(PretaskError, match=r"grid\.toml needs fixed, axes, zip, drop and seeds") as raised:
        read_grid(path)
    assert needs in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"axes": {"split": ["nothing-*"]}}, "means no split"),
        ({"axes": {"split": ["relativ-position"]}}, "relative-position"),
        ({"fixed": {"split": "pretask/*"}}, "Move it to axes"),
        ({"axes": {"recipe.lr": [*range(2000)], "recipe.batch": [*range(2000)]}}, "at most 1000000 cells; got 4000000"),
    ],
)
def test_names_of_nothing_and_too_many_cells_are_refused(
    fields: dict[str, Any], needs: str, registry: Registry
) -> None:
    with pytest.raises(Unknown, match=needs.replace("*", r"\*")):
        combine(registry, **fields)

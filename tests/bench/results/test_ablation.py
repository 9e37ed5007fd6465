"""Ablations: planted effects come back, whatever is missing, and nothing is compared that nothing connects."""

import itertools
import json
import math
import random
import shutil
import xml.dom.minidom
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pretask_bench.board.curves import draw_curves
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import Record
from pretask_bench.records.store import write
from pretask_bench.results.ablation import Ablation, Effect, analyze
from pretask_bench.results.latex import escape_latex
from pretask_bench.results.means import collect_means, means_table
from pretask_bench.results.statistics import mean_over_seeds, paired_difference
from pretask_plugins.shared.tiny_files import write_pictures
from pretask_registry import Registry
from sweep_cells import FIXED, plan_cells, record_of

SEEDS = (0, 1, 2)
RATES, LATENT = (0.1, 0.2, 0.3), (2, 4)
AXES: Mapping[str, Any] = {"recipe.lr": RATES, "objective.latent_dim": LATENT}
GRID = "seeds = 3\n[axes]\n'recipe.lr' = [0.1, 0.2, 0.3]\n'objective.latent_dim' = [2, 4]\nevaluate = ['knn']\n"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def make_records(
    registry: Registry, folder: Path, value: Callable[[Mapping[str, Any]], float | None], **fields: Any
) -> list[Record]:
    """Records of a grid with the numbers that a function gives; none where it gives None."""
    fields = {"axes": AXES, "seeds": list(SEEDS), **fields}
    fields["fixed"] = {"evaluate": "knn", **fields.get("fixed", {})}
    made = []
    for cell in plan_cells(registry, folder, **fields):
        assert cell.described is not None
        if (number := value(cell.choices)) is not None:
            (evaluator,) = cell.described.fields["evaluators"]
            row = {"encoder": "trained", "evaluator": evaluator, "metrics": {"accuracy": number}}
            made.append(record_of(cell, results=[row]))
    return made


def noise(choices: Mapping[str, Any]) -> float:
    """A number of a seed that all its runs have in common, far larger than any effect, and a small one of the run."""
    own = random.Random(repr(sorted(choices.items(), key=str))).uniform(-0.001, 0.001)
    return 0.3 * float(choices["seed"]) / 3 + own


def find(ablation: Ablation, factors: str, levels: str) -> Effect:
    """The effect of these levels."""
    (effect,) = (
        effect
        for effect in (*ablation.main, *ablation.interactions)
        if (" ".join(effect.factors), " ".join(effect.levels)) == (factors, levels)
    )
    return effect


def planted(choices: Mapping[str, Any]) -> float:
    """0.05 for four latent numbers, 0.1 for the rate 0.2 and 0.04 more for both together."""
    rate, latent = choices["recipe.lr"] == 0.2, choices["objective.latent_dim"] == 4
    return 0.2 + 0.1 * rate + 0.05 * latent + 0.04 * (rate and latent) + noise(choices)


def test_planted_effects_and_interactions_come_back_with_seeds_paired(registry: Registry, tmp_path: Path) -> None:
    (ablation,) = analyze(make_records(registry, tmp_path, planted))
    assert (ablation.runs, ablation.seeds, ablation.metric_name) == (18, SEEDS, "accuracy")
    assert dict(ablation.factors) == {"objective.latent_dim": ["2", "4"], "recipe.lr": ["0.1", "0.2", "0.3"]}
    rate = find(ablation, "recipe.lr", "0.2")
    assert rate.against == ("0.1",)
    assert rate.contexts == 2
    assert rate.estimate.value == pytest.approx(0.12, abs=0.002)  # with the half of what both together add
    assert rate.estimate.low is not None
    assert 0.11 < rate.estimate.low < rate.estimate.value, "the seeds' own numbers are of no effect"
    assert find(ablation, "objective.latent_dim", "4").estimate.value == pytest.approx(0.05 + 0.04 / 3, abs=0.002)
    both = find(ablation, "objective.latent_dim recipe.lr", "4 0.2")
    assert both.estimate.value == pytest.approx(0.04, abs=0.004)


def test_an_effect_is_the_mean_of_paired_differences_over_the_contexts_that_both_levels_have(
    registry: Registry, tmp_path: Path
) -> None:
    missing = {(0.1, 2), (0.3, 4)}

    def value(choices: Mapping[str, Any]) -> float | None:
        pair = (choices["recipe.lr"], choices["objective.latent_dim"])
        one_failed = pair == (0.2, 4) and choices["seed"] == 2
        return None if pair in missing or one_failed else planted(choices) * 1.7

    records = make_records(registry, tmp_path, value)
    (ablation,) = analyze(records)
    numbers = {
        (record.cell.recipe["lr"], record.cell.objective.options["latent_dim"], record.cell.seed): float(
            record.results[0].metrics["accuracy"] or 0
        )
        for record in records
    }
    for effect in ablation.main:
        if effect.factors == ("recipe.lr",):
            level, against = float(effect.levels[0]), float(effect.against[0])
            pairs = [
                (latent, seed)
                for latent, seed in itertools.product(LATENT, SEEDS)
                if (level, latent, seed) in numbers and (against, latent, seed) in numbers
            ]
            latents = {latent for latent, _ in pairs}
            assert len(latents) == effect.contexts == 1
            sides = [{seed: numbers[rate, latent, seed] for latent, seed in pairs} for rate in (level, against)]
            assert effect.estimate == paired_difference(*sides)
    assert {(*effect.levels, *effect.against) for effect in ablation.main if effect.factors == ("recipe.lr",)} == {
        ("0.1", "0.2"),
        ("0.3", "0.2"),
    }


def test_runs_on_other_data_are_contexts_of_their_own_and_never_compared(registry: Registry, tmp_path: Path) -> None:
    zips = [{"data.size": [16, 24], "model.hidden": [[8], [9]]}]
    fixed = {"data": "shapes", "data.image_size": 16, "data.test_size": 8}
    records = make_records(registry, tmp_path, noise, zip=zips, axes={"recipe.lr": RATES}, fixed=fixed)
    (ablation,) = analyze(records)
    assert {effect.factors for effect in ablation.main} == {("recipe.lr",)}
    assert all(effect.contexts == 2 for effect in ablation.main)


def test_options_of_a_part_are_averaged_over_where_the_part_is_the_factor(registry: Registry, tmp_path: Path) -> None:
    grids = [
        {"axes": {"objective": ["elbo"], "objective.latent_dim": [2, 4, 8]}},
        {"axes": {"objective": ["iwae"], "objective.num_latents": [2, 4]}},
    ]
    values = {2: 0.1, 4: 0.2, 8: 0.6}

    def value(choices: Mapping[str, Any]) -> float:
        return values.get(choices.get("objective.latent_dim", 0), 0.5) + noise(choices)

    (ablation,) = analyze(make_records(registry, tmp_path, value, grid=grids, axes={}))
    effect = find(ablation, "objective", "iwae")
    assert effect.against == ("elbo",)
    assert effect.estimate.value == pytest.approx(0.5 - 0.3, abs=0.002)
    assert find(ablation, "objective.latent_dim", "8").estimate.value == pytest.approx(0.5, abs=0.002)


def test_one_seed_gives_differences_without_intervals(registry: Registry, tmp_path: Path) -> None:
    (ablation,) = analyze(make_records(registry, tmp_path, planted, seeds=1))
    assert {(effect.estimate.low, effect.p_value, effect.corrected) for effect in ablation.main} == {(None, None, None)}


def test_the_tables_and_the_page_hold_the_effects_and_equal_records_give_equal_bytes(
    registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "records"
    for record in make_records(registry, tmp_path, planted):
        write(store, record)
    assert invoke(["results", str(store), "--ablation", "--picture", str(tmp_path / "effects.svg")]) == 0
    assert "+12.0" in capfd.readouterr().out
    assert invoke(["results", str(store), "--ablation", "--format", "tex"]) == 0
    assert capfd.readouterr().out.splitlines()[0] == r"\begin{tabular}{llrrrrrrr}"
    drawn = xml.dom.minidom.parse(str(tmp_path / "effects.svg"))
    titles = [node.firstChild.nodeValue for node in drawn.getElementsByTagName("title") if node.firstChild is not None]
    assert any(title is not None and title.startswith("recipe.lr 0.2 against 0.1: +12.") for title in titles)
    grid = tmp_path / "rates.toml"
    grid.write_text(f"{GRID}[fixed]\ntask = 'vae'\npreset = 'small'\ndata = 'digits'\n'recipe.samples' = 512\n")
    for out in ("first", "second"):
        assert invoke(["board", str(grid), str(store), "--out", str(tmp_path / out)]) == 0
    forms = ("csv", "json", "md", "tex")
    names = [*(f"effects.{form}" for form in forms), "index.html", *(f"means.{form}" for form in forms)]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    assert all((tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes() for name in names)
    page = (tmp_path / "first" / "index.html").read_text()
    assert "18 of 18 cells recorded" in page
    (ablation,) = analyze(make_records(registry, tmp_path, planted))
    curves = 1  # of the three rates; two latent numbers are no line
    assert page.count("<svg") == len(ablation.factors) + 1 + curves
    assert "knn accuracy ↑ by recipe.lr" in page


def test_the_page_of_a_sweep_needs_its_records_and_not_its_data(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = itertools.product(("train", "test"), "ab", ("1.png", "2.png"))
    write_pictures(Path("photos", *place) for place in places)
    fixed = {"data": "folder", "data.root": "photos", "data.image_size": 32, "data.grayscale": True}
    axes = {"recipe.lr": RATES}
    for record in make_records(registry, tmp_path, noise, fixed=fixed, axes=axes):
        write(tmp_path / "records", record)
    shutil.rmtree("photos")
    shutil.rmtree("cache")
    grid = tmp_path / "rates.toml"
    lines = [
        f"{json.dumps(name)} = {json.dumps(value)}" for name, value in {**FIXED, **fixed, "evaluate": "knn"}.items()
    ]
    grid.write_text("\n".join(["seeds = 3", "[axes]", f"'recipe.lr' = {list(RATES)}", "[fixed]", *lines]))
    assert invoke(["board", str(grid), "records", "--out", "site"]) == 0
    assert "9 of 9 cells recorded" in Path("site/index.html").read_text()


def test_a_split_and_the_objective_that_it_always_has_are_one_choice(registry: Registry, tmp_path: Path) -> None:
    pairs = [("colorization", "cross-entropy"), ("exemplar", "cross-entropy"), ("any-from-any", "regression")]
    fixed = {"data": "shapes", "data.image_size": 16, "data.size": 16, "data.test_size": 8, "model": "convnet"}
    grids = [
        {"fixed": {"split": split, "objective": objective, **({"split.patch": 8} if split != "colorization" else {})}}
        for split, objective in pairs
    ]

    def value(choices: Mapping[str, Any]) -> float:
        return 0.2 + 0.1 * ("any-from-any" in choices["split"]) + noise(choices)

    records = make_records(registry, tmp_path, value, grid=grids, axes={}, fixed=fixed)
    (ablation,) = analyze(records)
    assert [*ablation.factors] == ["split"]
    by_level = {effect.levels[0]: effect.estimate.value for effect in ablation.main}
    assert by_level == pytest.approx({"colorization": -0.1, "exemplar": -0.1}, abs=0.002)
    assert [mean.name() for mean in collect_means(records, ablation)] == ["any-from-any", "colorization", "exemplar"]


def test_means_are_over_seeds_and_gains_over_random_weights_paired(registry: Registry, tmp_path: Path) -> None:
    def add_random(record: Record) -> Record:
        (row,) = record.results
        number = row.metrics["accuracy"]
        assert number is not None
        random = row.model_copy(update={"encoder": "random-init", "metrics": {"accuracy": number - 0.05}})
        return record.model_copy(update={"results": [row, random]})

    records = [add_random(record) for record in make_records(registry, tmp_path, planted)]
    (ablation,) = analyze(records)
    means = collect_means(records, ablation)
    assert len(means) == len(RATES) * len(LATENT)
    for mean in means:
        levels = (float(mean.levels["recipe.lr"]), int(mean.levels["objective.latent_dim"]))
        numbers = {
            record.cell.seed: float(record.results[0].metrics["accuracy"] or 0)
            for record in records
            if (record.cell.recipe["lr"], record.cell.objective.options["latent_dim"]) == levels
        }
        assert mean.trained == mean_over_seeds([*numbers.values()])
        assert mean.gain is not None
        assert mean.gain.value == pytest.approx(0.05)
    (row,) = (row for row in means_table([ablation], [means]).cells if row[1] == means[0].name())
    assert row[4] == "+5.0"


def test_means_of_other_data_and_other_options_of_the_evaluator_stand_apart(registry: Registry, tmp_path: Path) -> None:
    fixed = {"data": "shapes", "data.image_size": 16, "data.test_size": 8}
    axes = {"recipe.lr": RATES, "data.size": [16, 24], "knn.k": [[5], [20]]}

    def value(choices: Mapping[str, Any]) -> float:
        return 0.2 + 0.1 * (choices["data.size"] == 24) + 0.01 * (choices["knn.k"] == [20])

    records = make_records(registry, tmp_path, value, axes=axes, fixed=fixed)
    (ablation,) = analyze(records)
    means = collect_means(records, ablation)
    assert len(means) == len(RATES) * 4
    assert len({mean.name() for mean in means}) == len(means)
    assert sorted({round(mean.trained.value, 2) for mean in means}) == [0.2, 0.21, 0.3, 0.31]


def test_a_probe_of_several_sizes_is_drawn_as_a_line_of_each_combination(registry: Registry, tmp_path: Path) -> None:
    def grow(record: Record) -> Record:
        (row,) = record.results
        metrics = {f"{size}.accuracy": 0.1 + size / 100 for size in (1, 5, 20)}
        return record.model_copy(update={"results": [row.model_copy(update={"metrics": metrics})]})

    fixed = {"evaluate": "few-label"}
    records = [*map(grow, make_records(registry, tmp_path, noise, fixed=fixed, axes={"objective.latent_dim": LATENT}))]
    (ablation,) = analyze(records)
    (drawn,) = draw_curves(ablation, collect_means(records, ablation), records)
    assert 'aria-label="few-label accuracy by size"' in drawn
    said = [node.firstChild.nodeValue for node in xml.dom.minidom.parseString(drawn).getElementsByTagName("title")]
    assert said == [f"{latent}, {size}: {10 + size:.1f} %" for latent in LATENT for size in (1, 5, 20)]


@pytest.mark.parametrize("text", ["a_b & 50 %", r"\input{x}", "#1 ~ ^2 $x$ {y}"])
def test_latex_shows_a_strangers_text_and_obeys_none_of_it(text: str) -> None:
    escaped = escape_latex(text)
    for special in "_&%#$":
        assert escaped.count(special) == escaped.count(f"\\{special}")
    assert r"\input" not in escaped
    assert math.isclose(escaped.count("{"), escaped.count("}"))

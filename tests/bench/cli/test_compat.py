"""Compat: the matrix at a glance, from declarations alone, and fast because answers lie between two parts only."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice, product

import pytest
from pluggy import PluginManager
from pretask import Component, model, objective, split
from pretask_bench.cli.fit_matrix import fitting_rows, modality_tables
from pretask_bench.cli.main import invoke
from pretask_registry import Plugin, Registry, static_fit
from pretask_registry.fit import build_matrix, iterate_blocks

Capture = pytest.CaptureFixture[str]
MODALITIES, TARGETS, SIGHTS = ("image", "text"), ("categories", "values", "reference"), ("all", "past", "present")


def declared(count: int) -> tuple[Component, ...]:
    made = []
    for number in range(count):
        modality, target, sight = (names[number % len(names)] for names in (MODALITIES, TARGETS, SIGHTS))
        made += [
            split(f"split-{number}", "m:A", modality=modality, targets={target}, sees=sight, hidden=number % 5 > 0),
            objective(f"objective-{number}", "m:A", targets={target}, bottleneck=number % 4 == 0),
            model(f"model-{number}", "m:A", modality=modality, streams=sight),
        ]
    return tuple(made)


def registry_of(components: tuple[Component, ...]) -> Registry:
    return Registry((Plugin("acme", "acme", "pretask-acme", "1.0", components=components),), PluginManager("pretask"))


def seconds(work: Callable[[], object]) -> float:
    """The shortest of three measurements, in time of this process."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def test_blocks_say_of_every_triple_what_static_fit_says() -> None:
    registry = registry_of(declared(8))
    rows = {(row.split.id, row.objective.id, row.model.id): row.reason or None for row in build_matrix(registry)}
    kinds = [registry.current(kind) for kind in ("split", "objective", "model")]
    assert rows == {tuple(part.id for part in three): static_fit(*three) for three in product(*kinds)}
    fitting = [reason for reason in rows.values() if reason is None]
    assert 0 < len(fitting) < len(rows)
    assert sum(block.fitting for block in iterate_blocks(registry)) == len(fitting)
    assert len(list(build_matrix(registry, fitting=True))) == len(fitting)


def test_sixty_of_each_are_filtered_in_a_small_part_of_the_time_that_their_triples_take() -> None:
    registry = registry_of(declared(60))
    kinds = [registry.current(kind) for kind in ("split", "objective", "model")]
    count = 6000  # of 216,000
    one_by_one = seconds(lambda: [static_fit(*three) for three in islice(product(*kinds), count)]) * 216_000 / count
    assert seconds(lambda: list(iterate_blocks(registry))) < one_by_one / 8
    assert seconds(lambda: list(build_matrix(registry, fitting=True))) < one_by_one / 3


def test_a_table_counts_the_models_that_fit_a_split_and_an_objective() -> None:
    registry = registry_of(
        (
            split("patches", "m:A", modality="image", targets={"categories"}),
            split("words", "m:A", modality="text", targets={"values"}),
            objective("cross-entropy", "m:A", targets={"categories"}),
            objective("regression", "m:A", targets={"values", "categories"}),
            model("small", "m:A", modality="image"),
            model("large", "m:A", modality={"image", "text"}),
        )
    )
    image, text = modality_tables(registry)
    assert image.columns == ("split", "cross-entropy", "regression")
    assert image.cells == (("patches", "2/2", "2/2"),)
    assert text.columns == ("split", "regression")
    assert text.cells == (("words", "1/2"),)
    assert text.title == "text: 1 of 4 combinations fit, by what they declare"


def test_the_matrix_at_a_glance_imports_no_torch() -> None:
    program = (
        "import sys; from pretask_bench.cli.main import invoke; code = invoke(['compat'])\n"
        "print(code, 'torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "0 False"
    assert all(f"{modality}: " in done.stdout for modality in ("image", "text", "video", "audio"))


def test_json_without_a_name_has_a_row_for_every_triple_and_a_reason_for_every_refusal(capsys: Capture) -> None:
    assert invoke(["compat", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    parts = {kind: {row[kind] for row in rows} for kind in ("split", "objective", "model")}
    assert len(rows) >= len(parts["split"]) * len(parts["objective"]) * len(parts["model"])
    assert all(row["fits"] == (row["reason"] == "") for row in rows)


def test_what_is_tried_on_tiny_data_fits_at_most_where_declarations_allow_it() -> None:
    registry = Registry.load()
    query = (registry, "relative-position", "cross-entropy", None)
    by_declaration, tried = fitting_rows(*query, exact=False), fitting_rows(*query)
    assert [row["model"] for row in tried] == [row["model"] for row in by_declaration]
    assert all(one["fits"] or not two["fits"] for one, two in zip(by_declaration, tried, strict=True))
    assert {row["model"] for row in tried if row["fits"]} >= {"pretask/convnet@1", "pretask/timm@1"}

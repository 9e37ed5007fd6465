"""The kit finds what is broken: every mutant is caught by the check that is meant for it, and no sound twin is."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from mutant_table import KINDS, MUTANTS, Mutant
from pretask_registry import Registry
from pretask_registry.conformance.kinds import iterate_cases
from pretask_registry.conformance.kit import run_cases
from pretask_registry.conformance.outcomes import Outcome, format_outcome
from processes import start_python

TWINS = [(kind, twin) for kind, twins in KINDS.items() for twin in twins]
CAUGHT: list[tuple[Mutant, str]] = []


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("mutants")
    info = folder / "pretask_mutants-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pretask-mutants\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pretask.plugins.v1]\nmutants = mutant_plugin\n")
    sys.path.insert(0, str(folder))
    yield Registry.load()
    sys.path.remove(str(folder))


def outcomes(registry: Registry, kind: str, name: str, only: set[str]) -> list[Outcome]:
    return list(run_cases(registry, iterate_cases(registry, registry.find(kind, f"mutants/{name}")), only))


UNTRACEABLE = {"compiles", "compiled-answers-as-eager"}  # where tests check shapes
HERE = [mutant for mutant in MUTANTS if mutant.check not in UNTRACEABLE]


@pytest.mark.parametrize("mutant", HERE, ids=lambda mutant: f"{mutant.kind}-{mutant.name}")
def test_every_mutant_is_caught_by_the_check_that_is_meant_for_it(registry: Registry, mutant: Mutant) -> None:
    found = outcomes(registry, mutant.kind, mutant.name, {mutant.check})
    failed = [outcome for outcome in found if outcome.state == "failed"]
    assert failed, [format_outcome(outcome) for outcome in found]
    assert f"pretask check mutants/{mutant.name}@1" in failed[0].reproduce
    CAUGHT.append((mutant, failed[0].message))


@pytest.mark.parametrize(("kind", "twin"), TWINS)
def test_a_sound_twin_passes_every_check(registry: Registry, kind: str, twin: str) -> None:
    found = outcomes(registry, kind, twin, set())
    wrong = [format_outcome(outcome) for outcome in found if outcome.state == "failed"]
    assert wrong == []
    meant = set(KINDS[kind][twin].values()) - UNTRACEABLE
    assert meant <= {outcome.check for outcome in found if outcome.state == "passed"}


@pytest.mark.exhaustive
def test_a_branch_on_a_value_is_caught_where_it_is_compiled(registry: Registry) -> None:
    found = check_elsewhere("mutants", "compiles")
    broken = found["mutants/rotate-branch-on-a-value@1"]
    assert broken["state"] == "failed"
    assert all(found[f"mutants/{twin}@1"]["state"] == "passed" for twin in KINDS["split"])
    CAUGHT.append((next(mutant for mutant in MUTANTS if mutant.check == "compiles"), broken["message"]))


@pytest.mark.exhaustive
def test_labels_that_a_compiler_gets_wrong_are_caught_and_named_and_the_sound_twin_passes(registry: Registry) -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.check == "compiled-answers-as-eager"]
    broken = check_elsewhere(f"mutants/{mutant.name}", mutant.check)[f"mutants/{mutant.name}@1"]
    assert broken["state"] == "failed"
    assert "y.tone.value" in broken["message"]
    assert "index-of-a-strided-extreme" in broken["message"]
    assert "torch.cdist" in broken["message"]
    assert check_elsewhere("mutants/quantize", mutant.check)["mutants/quantize@1"]["state"] == "passed"
    CAUGHT.append((mutant, broken["message"]))


def check_elsewhere(name: str, check: str) -> dict[str, dict[str, Any]]:
    """The outcomes of one check of splits, by id, from a process that checks no shapes and so can compile."""
    ran = start_python("-m", "pretask_bench", "check", name, "--kind", "split", "--only", check, "--json")
    ran.wait()
    return {outcome["id"]: outcome for outcome in json.loads(ran.out)["outcomes"]}


def test_the_table_of_mutants_is_printed(capsys: Any) -> None:
    with capsys.disabled():
        print(f"\n{len(CAUGHT)} mutants of {len(MUTANTS)}, each caught by the check that is meant for it:")
        for mutant, _ in CAUGHT:
            print(f"  {mutant.kind:10} {mutant.twin:9} {mutant.fault:28} {mutant.check}")

"""The kit finds what is broken: every mutant is caught by the check that is meant for it, and no sound twin is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from mutant_table import KINDS, MUTANTS, Mutant
from pretask_registry import Registry
from pretask_registry.testing.kinds import cases_of
from pretask_registry.testing.kit import run_cases
from pretask_registry.testing.outcomes import Outcome, told

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
    return list(run_cases(registry, cases_of(registry, registry.find(kind, f"mutants/{name}")), only))


HERE = [each for each in MUTANTS if each.check != "compiles"]  # what checks shapes in tests cannot be traced


@pytest.mark.parametrize("mutant", HERE, ids=lambda mutant: f"{mutant.kind}-{mutant.name}")
def test_every_mutant_is_caught_by_the_check_that_is_meant_for_it(registry: Registry, mutant: Mutant) -> None:
    found = outcomes(registry, mutant.kind, mutant.name, {mutant.check})
    failed = [each for each in found if each.state == "failed"]
    assert failed, [told(each) for each in found]
    assert f"pretask check mutants/{mutant.name}@1" in failed[0].reproduce
    CAUGHT.append((mutant, failed[0].message))


@pytest.mark.parametrize(("kind", "twin"), TWINS)
def test_a_sound_twin_passes_every_check(registry: Registry, kind: str, twin: str) -> None:
    found = outcomes(registry, kind, twin, set())
    wrong = [told(each) for each in found if each.state == "failed"]
    assert wrong == []
    meant = set(KINDS[kind][twin].values()) - {"compiles"}
    assert meant <= {each.check for each in found if each.state == "passed"}


def test_a_branch_on_a_value_is_caught_where_it_is_compiled(registry: Registry) -> None:
    script = "import sys; from pretask_bench.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "check", "mutants", "--kind", "split", "--only", "compiles", "--json"]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found = {each["id"]: each for each in json.loads(ran.stdout)["outcomes"]}
    broken = found["mutants/rotate-branch-on-a-value@1"]
    assert ran.returncode == 1
    assert broken["state"] == "failed"
    assert all(found[f"mutants/{twin}@1"]["state"] == "passed" for twin in KINDS["split"])
    CAUGHT.append((next(each for each in MUTANTS if each.check == "compiles"), broken["message"]))


def test_the_table_of_mutants_is_printed(capsys: Any) -> None:
    with capsys.disabled():
        print(f"\n{len(CAUGHT)} mutants of {len(MUTANTS)}, each caught by the check that is meant for it:")
        for mutant, _ in CAUGHT:
            print(f"  {mutant.kind:10} {mutant.twin:9} {mutant.fault:28} {mutant.check}")

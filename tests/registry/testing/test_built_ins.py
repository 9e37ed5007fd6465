"""Every built-in component keeps what its kind promises; third parties write the same two lines."""

import json
import os
import subprocess
import sys

import pytest
from pretask_registry.testing import conformance

test_conformance = conformance("pretask")


@pytest.mark.slow
def test_every_built_in_split_compiles_in_one_graph() -> None:
    # In a process of its own: the import hook that checks shapes in tests does not trace.
    command = [
        sys.executable,
        "-m",
        "pretask_bench",
        "check",
        "pretask",
        "--kind",
        "split",
        "--only",
        "compiles",
        "--json",
    ]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    outcomes = json.loads(ran.stdout)["outcomes"]
    assert len(outcomes) > 20
    assert [each for each in outcomes if each["state"] != "passed"] == []

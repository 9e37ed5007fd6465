"""Every built-in component keeps what its kind promises; third parties write the same two lines."""

import json

import pytest
from pretask_registry import Registry
from pretask_registry.conformance import conformance, run
from processes import run_python

# Of networks of the papers' size, all of which together take a minute; mutants of them are tried in every run.
LARGE = ("every-size-is-trainable-without-memory", "gradient-reaches-every-parameter-of-the-paper")
test_conformance = conformance("pretask", without=LARGE)


COMPILED = pytest.mark.compiled  # half an hour of compiling: every preset of every task


@pytest.mark.exhaustive  # and up to 1 GB
def test_a_gradient_reaches_every_parameter_of_the_networks_of_the_papers() -> None:
    outcomes = list(run(Registry.load(), "pretask", kind="task", only=LARGE))
    assert [outcome for outcome in outcomes if outcome.state != "passed"] == []
    assert len(outcomes) == 2 * 21


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "check", "least"),
    [
        pytest.param("split", "compiles", 20, marks=pytest.mark.exhaustive),
        pytest.param("split", "compiled-answers-as-eager", 20, marks=COMPILED),
        pytest.param("task", "compiled-step-answers-as-eager", 12, marks=COMPILED),
    ],
)
def test_every_built_in_compiles_in_one_graph_and_then_answers_as_before(kind: str, check: str, least: int) -> None:
    # In a process of its own: the import hook that checks shapes in tests does not trace.
    ran = run_python("-m", "pretask_bench", "check", "pretask", "--kind", kind, "--only", check, "--json")
    outcomes = json.loads(ran.out)["outcomes"]
    assert len(outcomes) > least
    assert [outcome for outcome in outcomes if outcome["state"] != "passed"] == []

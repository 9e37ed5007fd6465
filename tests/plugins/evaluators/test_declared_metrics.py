"""Every number of a built-in evaluator is declared, so that whoever shows it knows its unit and its direction."""

import pytest
from pretask.metrics import find_metric
from pretask_registry import Registry
from pretask_registry.conformance.evaluating import find_first_measured, numbers
from pretask_registry.conformance.kinds import EvaluatorCase
from pretask_registry.registry import Registered

REGISTRY = Registry.load()
EVALUATORS = [entry for entry in REGISTRY.current("evaluator") if entry.namespace == "pretask"]


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda entry: entry.id)
def test_every_number_is_declared_and_the_headline_is_one_that_can_be_better_or_worse(evaluator: Registered) -> None:
    traits = evaluator.component.traits
    modality = min(traits["modality"], default="image")
    yielded = numbers(find_first_measured(EvaluatorCase(REGISTRY, evaluator, modality, 0)).yielded)
    assert [name for name in yielded if find_metric(traits["metrics"], name) is None] == []
    assert traits["headline"] in yielded
    headline = find_metric(traits["metrics"], traits["headline"])
    assert headline is not None
    assert headline.higher_is_better is not None

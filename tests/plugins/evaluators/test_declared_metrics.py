"""Every built-in evaluator declares what its numbers are; the kit holds it to that (numbers-are-as-declared)."""

import pytest
from pretask.metrics import find_metric
from pretask_registry import Registry
from pretask_registry.registry import Registered

EVALUATORS = [entry for entry in Registry.load().current("evaluator") if entry.namespace == "pretask"]


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda entry: entry.id)
def test_the_headline_of_every_evaluator_can_be_better_or_worse(evaluator: Registered) -> None:
    traits = evaluator.component.traits
    metric = find_metric(traits["metrics"], traits["headline"])
    assert metric is not None
    assert metric.higher_is_better is not None

"""Objectives that more than one method is combined from.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, objective


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the objectives."""
    yield objective(
        "cross-entropy",
        "pretask_plugins.objectives.cross_entropy:CrossEntropy",
        targets={"categories"},
        summary="Which class? Hard or soft, per sample, view or position, several targets at once.",
        source="Good 1952; heads as in each task's paper",
    )
    yield objective(
        "regression",
        "pretask_plugins.objectives.regression:Regression",
        targets={"values"},
        summary="How much? Squared, absolute or Huber error, per sample, view or position.",
        source="Legendre 1805; Huber 1964",
    )

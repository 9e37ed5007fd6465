"""Tracking: how well frozen features propagate a mask from frame to frame.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HIGHER = Metric(FRACTION, higher_is_better=True)


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluator."""
    yield evaluator(
        "tracking",
        "pretask_plugins.evaluators.tracking.tracking:Tracking",
        modality="video",
        metrics={
            "J&F": HIGHER,
            "validation_J&F": HIGHER,
            "mean": HIGHER,
            "recall": HIGHER,
            "decay": Metric(higher_is_better=False),  # a difference of fractions, below 0 where a track gets better
            "accuracy": HIGHER,
            "standard_error": Metric(),
            "layer": Metric(),
            "radius": Metric(),
            "top_k": Metric(),
            "temperature": Metric(),
        },
        headline="J&F",
        summary="Tracking: propagate the first mask by frozen features; J and F (Perazzi 2016).",
        version=3,  # 2 chose only the layer, and compared features that were not centered
        source="Perazzi et al. 2016 (J and F); Jabri, Owens and Efros 2020 (propagation)",
        cites=("perazzi2016benchmark", "jabri2020space"),
        small={"max_clips": 4, "radius": 4, "top_k": 10},
    )

"""Tracking: how well frozen features propagate a mask, or keypoints, from frame to frame.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HIGHER = Metric(FRACTION, higher_is_better=True)
READOUT = {name: Metric() for name in ("standard_error", "layer", "radius", "top_k", "temperature")}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
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
            **READOUT,
        },
        headline="J&F",
        summary="Tracking: propagate the first mask by frozen features; J and F (Perazzi 2016).",
        version=3,  # 2 chose only the layer, and compared features that were not centered
        source="Perazzi et al. 2016 (J and F); Jabri, Owens and Efros 2020 (propagation)",
        cites=("perazzi2016benchmark", "jabri2020space"),
        small={"max_clips": 4, "radius": 4, "top_k": 10},
    )
    yield evaluator(
        "keypoint-tracking",
        "pretask_plugins.evaluators.tracking.keypoints:KeypointTracking",
        modality="video",
        metrics={
            **{f"PCK@{percentage}": HIGHER for percentage in (10, 20, 30, 40, 50)},
            "validation_PCK": HIGHER,
            "accuracy": HIGHER,
            **READOUT,
        },
        headline="PCK@10",
        summary="Keypoint tracking: carry points on by frozen features; PCK (Jhuang 2013).",
        source="Jhuang, Gall, Zuffi, Schmid and Black 2013 (JHMDB, PCK); Vondrick et al. 2018; Jabri et al. 2020",
        cites=("jhuang2013towards", "vondrick2018tracking", "jabri2020space"),
        small={"max_clips": 4, "radius": 4, "top_k": 10},
    )

"""Detection: what an encoder is worth as the backbone of a detector of objects.

`average_precision` holds the rules by which boxes are counted, `detector` puts an R-CNN on an encoder, `detection`
trains it and measures.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HERE = "pretask_plugins.evaluators.detection"
HIGHER = Metric(FRACTION, higher_is_better=True)
BOUND = Metric(FRACTION)  # of an interval


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluator."""
    yield evaluator(
        "voc-detection",
        f"{HERE}.detection:VocDetection",
        modality="image",
        metrics={
            "AP50": HIGHER,
            "AP50_low": BOUND,
            "AP50_high": BOUND,
            "AP50_11_points": HIGHER,
            "AP": HIGHER,
            "recall": HIGHER,
            "train_objects": Metric("objects"),
        },
        headline="AP50",
        summary="Object detection: the backbone in an R-CNN, trained further; AP of VOC and COCO.",
        source="Girshick et al. 2014; Ren et al. 2015; Everingham et al. 2010; Lin et al. 2014",
        cites=("girshick2014rich", "ren2015faster", "everingham2010pascal", "lin2014microsoft"),
        small={"steps": 2, "batch": 2, "width": 16, "proposals": 8, "anchors": (8, 16)},
    )

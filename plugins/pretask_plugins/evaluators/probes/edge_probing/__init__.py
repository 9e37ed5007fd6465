"""Edge probing: what spans are, read from frozen features, and at which layer; declared with the probes.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator
from pretask.metrics import FRACTION

HIGHER = Metric(FRACTION, higher_is_better=True)
OF_DATA = Metric(FRACTION)  # what the data, or the probe, reach alone: no merit of an encoder
DIFFERENCE = Metric(higher_is_better=True)  # of fractions, below 0 where the second is larger
LAYERS = Metric("layers")


def declare() -> Iterator[Component]:
    """Declare the evaluator."""
    yield evaluator(
        "edge-probe",
        "pretask_plugins.evaluators.probes.edge_probing.edge_probe:EdgeProbe",
        modality="text",
        metrics={
            "f1": HIGHER,
            "accuracy": HIGHER,
            "lexical_f1": OF_DATA,
            "majority_f1": OF_DATA,
            "control_f1": OF_DATA,
            "selectivity": DIFFERENCE,
            "weight": Metric(FRACTION),
            "gamma": Metric(),
            "center_of_gravity": LAYERS,
            "divergence": Metric("bits"),
            "gain": DIFFERENCE,
            "gain_error": Metric(FRACTION, higher_is_better=False),
            "expected_layer": LAYERS,
        },
        headline="f1",
        summary="Edge probe: spans and pairs of spans, and at which layer (Tenney 2019).",
        version=3,  # 1 named the items of edges after F1; 2 had one rate for all weights
        source="Tenney, Das and Pavlick 2019; Tenney et al. 2019; Hewitt and Liang 2019",
        cites=("tenney2019bert", "tenney2019what", "hewitt2019designing"),
        small={"projection": 16, "steps": 40, "interval": 20, "lr": 1e-2, "batch": 32},
    )

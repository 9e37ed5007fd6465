"""Objectives: losses for any target of the right kind.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, hookimpl, objective
from pretask.metrics import FRACTION, LOSS

NATS = Metric("nats", higher_is_better=False)
ACCURACY = Metric(FRACTION, higher_is_better=True)


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the objectives."""
    yield objective(
        "cross-entropy",
        "pretask_plugins.objectives.cross_entropy:CrossEntropy",
        targets={"categories"},
        metrics={LOSS: NATS, "accuracy": ACCURACY},
        summary="Cross-entropy: hard or soft classes, per sample, view or position.",
        source="Good 1952; heads as in each task's paper",
        cites="good1952rational",
    )
    yield objective(
        "class-activation",
        "pretask_plugins.objectives.class_activation:ClassActivation",
        targets={"categories"},
        metrics={LOSS: NATS, "accuracy": ACCURACY},
        summary="Class activation: classify joined maps, and show where from (Wei 2018, T-CAM).",
        source="Zhou et al. 2016; Wei, Lim, Zisserman and Freeman 2018",
        cites=("zhou2016learning", "wei2018learning"),
        small={"width": 8, "depth": 1},
    )
    yield objective(
        "shared-softmax",
        "pretask_plugins.objectives.shared_softmax:SharedSoftmax",
        targets={"categories"},
        metrics={LOSS: NATS, "accuracy": ACCURACY},
        summary="Shared softmax: one matrix for all targets, sampled in training (Peters 2018).",
        source="Peters et al. 2018; Jean, Cho, Memisevic and Bengio 2015",
        cites=("peters2018deep", "jean2015using"),
        small={"sampled": 8},
    )
    yield objective(
        "regression",
        "pretask_plugins.objectives.regression:Regression",
        targets={"values"},
        metrics={LOSS: Metric("error", higher_is_better=False), "r2": Metric(higher_is_better=True)},
        summary="Regression: squared, absolute or Huber error, per sample, view or position.",
        source="Legendre 1805; Huber 1964",
        cites=("legendre1805nouvelles", "huber1964robust"),
    )
    yield objective(
        "info-nce",
        "pretask_plugins.objectives.info_nce:InfoNce",
        targets={"agreement"},
        metrics={LOSS: NATS, "accuracy": ACCURACY, "mutual_information": Metric("nats", higher_is_better=True)},
        summary="InfoNCE: contrast views of a sample with all others of the batch (Chen 2020).",
        source="van den Oord, Li and Vinyals 2018; Chen, Kornblith, Norouzi and Hinton 2020; Khosla et al. 2020",
        cites=("oord2018representation", "chen2020simple", "khosla2020supervised"),
        small={"hidden": (16,), "out_dim": 8},
    )
    yield objective(
        "negative-sampling",
        "pretask_plugins.objectives.negative_sampling:NegativeSampling",
        targets={"categories"},
        metrics={LOSS: NATS, "ranking_accuracy": ACCURACY},
        summary="Negative sampling: tell the label from noise classes (Mikolov 2013).",
        source="Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013",
        cites="mikolov2013distributed",
    )
    yield objective(
        "pointer",
        "pretask_plugins.objectives.pointer:Pointer",
        targets={"reference"},
        metrics={LOSS: NATS, "accuracy": ACCURACY},
        summary="Pointer: copy labels from reference positions with similar features.",
        source="Vondrick et al. 2018; Vinyals, Fortunato and Jaitly 2015",
        cites=("vondrick2018tracking", "vinyals2015pointer"),
        small={"width": 8},
    )

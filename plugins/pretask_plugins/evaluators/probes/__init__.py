"""Evaluators that fit any encoder: what its frozen features are worth.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HIGHER = Metric(FRACTION, higher_is_better=True)
SHARE_OF_DATA = Metric(FRACTION)  # what the data alone reach: no merit of an encoder
PROBE_METRICS = {"accuracy": HIGHER, "balanced_accuracy": HIGHER, "majority": SHARE_OF_DATA}
LOGISTIC_METRICS = {**PROBE_METRICS, "gradient_norm": Metric(higher_is_better=False)}  # 0 where the fit has converged


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "linear",
        "pretask_plugins.evaluators.probes.linear:LinearProbe",
        metrics=LOGISTIC_METRICS,
        headline="accuracy",
        summary="Logistic regression on frozen features: layer, pooling, regulariser chosen on held-out data.",
        source="Kornblith, Shlens and Le 2019; Oquab et al. 2023 (the grid of regularisers)",
    )
    yield evaluator(
        "knn",
        "pretask_plugins.evaluators.probes.knn:NearestNeighbours",
        metrics=PROBE_METRICS,
        headline="accuracy",
        summary="Cosine neighbours: layer, pooling, k and temperature chosen on held-out data.",
        source="Wu, Xiong, Yu and Lin 2018",
    )
    yield evaluator(
        "few-label",
        "pretask_plugins.evaluators.probes.few_label:FewLabels",
        metrics={**PROBE_METRICS, "low": SHARE_OF_DATA, "high": SHARE_OF_DATA, "layer": Metric()},
        headline="5.accuracy",
        summary="Logistic regression on 1, 5, 10, 100 labels per class, 1 % and 10 %: mean and interval over draws.",
        source="Zhai et al. 2019; Chen, Kornblith, Norouzi and Hinton 2020",
        small={"per_class": (1, 5), "share": (), "draws": 2},
    )
    yield evaluator(
        "ridge",
        "pretask_plugins.evaluators.probes.ridge:RidgeProbe",
        metrics=PROBE_METRICS,
        headline="accuracy",
        summary="Least squares in closed form: layer, pooling and regulariser chosen on held-out data.",
        source="Hoerl and Kennard 1970",
    )
    yield evaluator(
        "rank",
        "pretask_plugins.evaluators.probes.rank:Rank",
        metrics={
            "rankme": Metric(higher_is_better=True),
            "effective_dimension": Metric(higher_is_better=True),
            "constant_features": Metric(FRACTION, higher_is_better=False),
            "mean_cosine": Metric(),
            "width": Metric(),
            "collapsed": Metric(higher_is_better=False),
        },
        headline="rankme",
        summary="RankMe, effective dimension and collapse of every layer's features; needs no labels.",
        source="Garrido, Balestriero, Najman and LeCun 2023",
    )
    yield evaluator(
        "tagging",
        "pretask_plugins.evaluators.probes.tagging:Tagging",
        modality="text",
        metrics={**LOGISTIC_METRICS, "lexical": SHARE_OF_DATA},
        headline="accuracy",
        summary="The linear probe on single words (parts of speech, senses, entities), chosen on held-out sentences.",
        source="Peters et al. 2018; Tenney et al. 2019",
    )

"""Evaluators that fit any encoder: what its frozen features are worth, and what it is where all of it is trained.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

from pretask_plugins.evaluators.probes import edge_probing, fine_tuning

HIGHER = Metric(FRACTION, higher_is_better=True)
SHARE_OF_DATA = Metric(FRACTION)  # what the data alone reach: no merit of an encoder
MAJORITY = Metric(FRACTION, trivial_for="accuracy", title="most frequent class")
PROBE_METRICS = {"accuracy": HIGHER, "balanced_accuracy": HIGHER, "majority": MAJORITY}
LOGISTIC_METRICS = {
    **PROBE_METRICS,
    "gradient_norm": Metric(higher_is_better=False),  # 0 where the fit has converged
    "weight": Metric(FRACTION),  # of a layer in a mix
    "gamma": Metric(),
}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "linear",
        "pretask_plugins.evaluators.probes.linear:LinearProbe",
        metrics=LOGISTIC_METRICS,
        headline="accuracy",
        summary="Linear probe: logistic regression on frozen features (Kornblith 2019).",
        source="Kornblith, Shlens and Le 2019; Oquab et al. 2023 (the grid of regularizers)",
        cites=("kornblith2019better", "oquab2023dinov2"),
    )
    yield evaluator(
        "multi-label",
        "pretask_plugins.evaluators.probes.multi_label:MultiLabelProbe",
        metrics={"mAP": HIGHER, "frequency_mAP": SHARE_OF_DATA, "answers.accuracy": HIGHER},
        headline="mAP",
        summary="Linear probe where a sample may be of several classes: mean average precision.",
        source="Everingham et al. 2010; Doersch, Gupta and Efros 2015",
        cites=("everingham2010pascal", "doersch2015unsupervised"),
        small={"pooling": ("mean",)},
    )
    yield evaluator(
        "knn",
        "pretask_plugins.evaluators.probes.knn:NearestNeighbors",
        metrics=PROBE_METRICS,
        headline="accuracy",
        summary="Nearest neighbors: weighted vote by the cosine of features (Wu 2018).",
        source="Wu, Xiong, Yu and Lin 2018",
        cites="wu2018unsupervised",
    )
    yield evaluator(
        "retrieval",
        "pretask_plugins.evaluators.probes.retrieval:Retrieval",
        modality=("image", "video"),
        metrics={
            "mAP": HIGHER,
            "precision@1": HIGHER,
            "precision@5": HIGHER,
            "precision@10": HIGHER,
            "chance": SHARE_OF_DATA,
        },
        headline="mAP",
        summary="Retrieval: the nearest images, places or moments by cosine, in numbers and pictures.",
        source="Doersch, Gupta and Efros 2015; Wu et al. 2018",
        cites=("doersch2015unsupervised", "wu2018unsupervised"),
    )
    yield evaluator(
        "few-label",
        "pretask_plugins.evaluators.probes.few_label:FewLabels",
        metrics={**PROBE_METRICS, "low": SHARE_OF_DATA, "high": SHARE_OF_DATA, "layer": Metric()},
        headline="5.accuracy",
        summary="Few labels: logistic regression on 1 to 100 labels per class, 1 % and 10 %.",
        source="Zhai et al. 2019; Chen, Kornblith, Norouzi and Hinton 2020",
        cites=("zhai2019large", "chen2020simple"),
        small={"per_class": (1, 5), "label_fraction": (), "draws": 2},
    )
    yield evaluator(
        "ridge",
        "pretask_plugins.evaluators.probes.ridge:RidgeProbe",
        metrics=PROBE_METRICS,
        headline="accuracy",
        summary="Ridge probe: least squares on frozen features, in closed form.",
        source="Hoerl and Kennard 1970",
        cites="hoerl1970ridge",
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
        summary="RankMe: effective rank of every layer's features, without labels (Garrido 2023).",
        source="Garrido, Balestriero, Najman and LeCun 2023",
        cites="garrido2023rankme",
    )
    yield evaluator(
        "tagging",
        "pretask_plugins.evaluators.probes.tagging:Tagging",
        modality="text",
        metrics={
            **LOGISTIC_METRICS,
            "lexical": Metric(FRACTION, trivial_for="accuracy", title="most frequent tag of a word"),
        },
        headline="accuracy",
        summary="Tagging: linear probe on single words, such as parts of speech (Peters 2018).",
        source="Peters et al. 2018; Tenney et al. 2019",
        cites=("peters2018deep", "tenney2019what"),
    )
    yield evaluator(
        "senses",
        "pretask_plugins.evaluators.probes.senses:Senses",
        modality="text",
        metrics={
            "accuracy": HIGHER,
            "majority": MAJORITY,
            "ambiguous": SHARE_OF_DATA,
            "within": Metric(),
            "between": Metric(),
        },
        headline="accuracy",
        summary="Senses: tell the senses of a form by the nearest average vector (Peters 2018).",
        source="Peters et al. 2018; Melamud, Goldberger and Dagan 2016",
        cites=("peters2018deep", "melamud2016context2vec"),
    )
    yield from edge_probing.declare()
    yield from fine_tuning.declare()

"""Evaluators that fit any encoder: what its frozen features are worth.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, evaluator, hookimpl


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "linear",
        "pretask_plugins.evaluators.probes.linear:LinearProbe",
        summary="Logistic regression on frozen features: layer, pooling, regulariser chosen on held-out data.",
        source="Kornblith, Shlens and Le 2019; Oquab et al. 2023 (the grid of regularisers)",
    )
    yield evaluator(
        "knn",
        "pretask_plugins.evaluators.probes.knn:NearestNeighbours",
        summary="Cosine neighbours: layer, pooling, k and temperature chosen on held-out data.",
        source="Wu, Xiong, Yu and Lin 2018",
    )
    yield evaluator(
        "few-label",
        "pretask_plugins.evaluators.probes.few_label:FewLabels",
        summary="Logistic regression on 1, 5, 10, 100 labels per class, 1 % and 10 %: mean and interval over draws.",
        source="Zhai et al. 2019; Chen, Kornblith, Norouzi and Hinton 2020",
        small={"per_class": (1, 5), "share": (), "draws": 2},
    )
    yield evaluator(
        "ridge",
        "pretask_plugins.evaluators.probes.ridge:RidgeProbe",
        summary="Least squares in closed form: layer, pooling and regulariser chosen on held-out data.",
        source="Hoerl and Kennard 1970",
    )
    yield evaluator(
        "rank",
        "pretask_plugins.evaluators.probes.rank:Rank",
        summary="RankMe, effective dimension and collapse of every layer's features; needs no labels.",
        source="Garrido, Balestriero, Najman and LeCun 2023",
    )
    yield evaluator(
        "tagging",
        "pretask_plugins.evaluators.probes.tagging:Tagging",
        modality="text",
        summary="The linear probe on single words (parts of speech, senses, entities), chosen on held-out sentences.",
        source="Peters et al. 2018; Tenney et al. 2019",
    )

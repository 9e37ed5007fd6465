"""Retrieval: which training images are nearest to a test image, and which places of images to a place. Version 1.

Nothing is fitted. Test images are queries, training images what is searched, by the cosine of features. An image is
relevant where its class is that of the query:

    precision@k  the share of the k nearest that is relevant
    mAP          mean over queries of the mean precision at every relevant image, in the order of all training images

Layer and pooling are those with the best mAP on a held-out tenth of the training part. `chance` is what an order at
random reaches, for each k and in the limit for mAP: the share of training images of the query's class. Pictures show
the nearest images, and the nearest places of the deepest layer that keeps a map, one of each training image. Clips are
searched like images, and shown by the frame in their middle; beside them stand the nearest moments, views of clips.

Source: Doersch, Gupta and Efros, ICCV 2015, section 4.1 (nearest neighbors of patches); Wu et al., CVPR 2018.
Axes: N training images, Q queries, D width, K neighbors, H W image, h w map.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pretask import Budget, Choice, Data, Figure, Items, Task
from pretask.options import InnerFraction, PositiveInt
from pretask.pooling import POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import normalize_rows
from pretask_plugins.evaluators.probes.nearest_moments import draw_moments
from pretask_plugins.evaluators.probes.nearest_places import draw_images, draw_places
from pretask_plugins.evaluators.probes.validation_split import (
    LabeledFeatures,
    best_poolings,
    build_probe_data,
    check_neighbors,
    check_poolings,
    find_classes,
    layer_name,
    name_choices,
)

WHO = "retrieval"
QUERY_BATCH = 256  # looked up at once
SHOWN_QUERIES, SHOWN = 6, 6  # of a picture: queries, and neighbors of each

Yielded = Iterator[tuple[str, float | Items | Choice | Figure]]


@dataclass(frozen=True)
class Retrieval:
    """Nearest training images, or clips, by the cosine of features.

    Args:
        k: Numbers of neighbors of which precision is said; the first one is the items'.
        label: Name of the labels; the first ones when empty.
        val_fraction: Fraction of the training part on which layer and pooling are chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max,
            segments and quarters, which keep the order of time and what is where (pretask.pooling).
    """

    k: tuple[PositiveInt, ...] = (1, 5, 10)
    label: str = ""
    val_fraction: InnerFraction = 0.1
    pooling: tuple[str, ...] = POOLINGS

    def __post_init__(self) -> None:
        check_poolings(WHO, self.pooling)
        check_neighbors(WHO, self.k)

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels to probe, or too few samples of a class."""
        find_classes(WHO, data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `mAP`, `precision@K`, `chance`, items (whether the nearest image is relevant), and pictures.

        Raises:
            PretaskError: There are no labels, or too few samples of a class.
        """
        probe = build_probe_data(WHO, task, data, budget, self.label, self.val_fraction, self.pooling)
        ratings = {}
        for name in probe.train.features:
            fit, validation = probe.fit_and_validation(name)
            found = search(fit.rows.all(), fit.labels, validation.rows.all(), validation.labels, max(self.k))
            ratings[name] = float(found.precision.mean())
        names = best_poolings(ratings)
        best = max(names, key=lambda name: ratings[name])
        train, test = probe.train, probe.test
        for name in names:
            rows, queries = train.rows(name).all(), test.rows(name).all()
            found = search(rows, train.labels, queries, test.labels, max(self.k))
            yield f"{layer_name(name)}.mAP", float(found.precision.mean())
            if name == best:
                yield from report(found, self.k)
                shown = torch.linspace(0, len(queries) - 1, min(SHOWN_QUERIES, len(queries))).long()
                yield "images", draw_images(data, numbers(test, shown), numbers(train, found.nearest[shown, :SHOWN]))
        share = torch.bincount(train.labels, minlength=probe.classes).double() / len(train.labels)
        yield "chance", float(share[test.labels].mean())
        yield from name_choices(best, names)
        if is_video(data):
            moments = draw_moments(task, data("train"), data("test"), budget.seed, SHOWN_QUERIES, SHOWN)
            if moments is not None:
                yield "moments", moments
            return
        places = draw_places(task, data, budget.seed, SHOWN_QUERIES, SHOWN)
        if places is not None:
            yield "places", places


def is_video(data: Data) -> bool:
    """Return whether the samples are clips."""
    return data("test").observed.modality == "video"


def numbers(features: LabeledFeatures, rows: Int[Tensor, " ..."]) -> Int[Tensor, " ..."]:
    """Return the numbers of samples among all, given those among the labeled ones."""
    return rows if features.index is None else features.index[rows]


@dataclass(frozen=True)
class Retrieved:
    """What was found for every query.

    Args:
        nearest: Numbers of the nearest images, nearest first.
        relevant: Whether they are of the query's class.
        precision: Average precision over all images.
    """

    nearest: Int[Tensor, "Q K"]
    relevant: Bool[Tensor, "Q K"]
    precision: Float[Tensor, " Q"]


def report(found: Retrieved, depths: tuple[int, ...]) -> Yielded:
    """Yield the numbers of one layer."""
    yield "mAP", float(found.precision.mean())
    for k in depths:
        yield f"precision@{k}", float(found.relevant[:, :k].double().mean())
    yield f"precision@{depths[0]}", Items(found.relevant[:, 0])


def search(
    rows: Float[Tensor, "N D"], labels: Int[Tensor, " N"], queries: Float[Tensor, "Q D"], own: Int[Tensor, " Q"], k: int
) -> Retrieved:
    """Order all images by their cosine with every query."""
    rows = normalize_rows(rows)
    parts = []
    for some, label in zip(torch.split(queries, QUERY_BATCH), torch.split(own, QUERY_BATCH), strict=True):
        order = (normalize_rows(some) @ rows.T).argsort(dim=1, descending=True, stable=True)
        relevant = labels[order] == label[:, None]
        parts.append(Retrieved(order[:, :k], relevant[:, :k], average_precision(relevant)))
    return Retrieved(
        *(torch.cat(columns) for columns in zip(*((p.nearest, p.relevant, p.precision) for p in parts), strict=True))
    )


def average_precision(relevant: Bool[Tensor, "Q N"]) -> Float[Tensor, " Q"]:
    """Return the mean precision at every relevant place of an order; 0 where none is relevant.

    >>> average_precision(torch.tensor([[True, False, True]])).item()
    0.8333333333333333
    """
    hits = relevant.double().cumsum(1)
    precision = hits / torch.arange(1, relevant.shape[1] + 1)
    return (precision * relevant).sum(1) / hits[:, -1].clamp(min=1)

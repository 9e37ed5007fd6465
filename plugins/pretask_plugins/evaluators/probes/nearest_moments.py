"""Nearest moments: pictures of moments of held-out clips, with those of training clips whose features are nearest.

A moment is a view of the undivided clip as the encoder sees it: a frame, or a group of frames of which the first is
shown. A model that makes one vector of a whole clip has no moments.

Source: Misra, Zitnick and Hebert, ECCV 2016, section 4.1 (nearest neighbors of frames).
Axes: N clips, V views, C channels, H W frame, D width, Q queries, K neighbors.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Draws, Figure, Samples, Task
from pretask.pretext_score import evaluation_mode
from pretask.specs import SEES_AT_MOST
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import normalize_rows
from pretask_plugins.evaluators.probes.nearest_places import draw_rows

SEARCHED = 256  # training clips whose moments are looked at
AT_ONCE = 32  # clips that are encoded together
COLORS = 3  # channels of a picture; of groups of frames, those of the first


@dataclass(frozen=True)
class Moments:
    """Views of clips as they are shown, and their features, of length 1."""

    views: Float[Tensor, "N V C H W"]
    vectors: Float[Tensor, "N V D"]


def draw_moments(task: Task, train: Samples, test: Samples, seed: int, queries: int, count: int) -> Figure | None:
    """Draw moments of test clips, each with the nearest moments of training clips; None where there are no moments."""
    index = Draws(torch.arange(queries), seed).branch("moments").integers("clip", 0, len(test))
    wanted = read_moments(task, test, index)
    found = read_moments(task, train, torch.arange(min(SEARCHED, len(train))))
    if wanted is None or found is None:
        return None
    view = Draws(torch.arange(queries), seed).branch("moments").integers("view", 0, wanted.views.shape[1])
    rows = torch.arange(queries)
    clip, moment = find_moments(wanted.vectors[rows, view], found.vectors, count)
    pictures = [
        torch.cat([wanted.views[row, view[row]][None], found.views[clip[row], moment[row]]]) for row in range(queries)
    ]
    shown = [(picture[:, :COLORS] * 255).round().clamp(0, 255).byte() for picture in pictures]
    caption = "Moments of held-out clips (left), and the moments of training clips whose features are nearest."
    return draw_rows(shown, caption)


def read_moments(task: Task, samples: Samples, index: Int[Tensor, " N"]) -> Moments | None:
    """Return the views of some clips with the pooled output of the encoder; None where it has none for each view."""
    views, vectors = [], []
    for start in range(0, len(index), AT_ONCE):
        batch = samples.batch(index[start : start + AT_ONCE], task.device)
        with evaluation_mode(task), torch.no_grad():
            shown, features = task.split.whole(batch).data, task.encode(batch)
        pooled = features.pooled[next(sight for sight in SEES_AT_MOST["all"] if sight in features.pooled)]
        if shown.ndim != 5 or shown.shape[1] < 2 or pooled.shape[1] != shown.shape[1]:
            return None
        views.append(shown.cpu())
        vectors.append(pooled.float().cpu())
    every = torch.cat(vectors)
    return Moments(torch.cat(views), normalize_rows(every.flatten(0, 1)).view_as(every))


def find_moments(
    wanted: Float[Tensor, "Q D"], vectors: Float[Tensor, "N V D"], count: int
) -> tuple[Int[Tensor, "Q K"], Int[Tensor, "Q K"]]:
    """Return for every query the clips and views that are nearest, one view of a clip, nearest first.

    >>> clip, view = find_moments(torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), 1)
    >>> clip.tolist(), view.tolist()
    ([[0]], [[1]])
    """
    best = torch.einsum("qd,nvd->qnv", wanted, vectors).max(2)
    clip = best.values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return clip, best.indices.gather(1, clip)

"""The artificial cues of the paper: linear classifiers of the direction that understand nothing of a clip.

Three linear classifiers, each on a handful of numbers a frame: the pixels at the edges, the motion of the whole
picture, and how much detail it has, which is what its compressed size goes by. After preprocessing they should be at
chance; where they are not, the direction may be read off the making of the film. A fourth one, on where a few regions
of the picture grow lighter and darker, is no cue of the making but the least that a network must beat.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018, section 3. Differs: the picture's motion is one translation by least
squares (Lucas and Kanade 1981), with its mean brightness; detail stands for the size of a compressed frame.
Axes: B batch, F frames, C channels, H W image, K numbers of a clip.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Predictor
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.arrow_of_time.motion import find_slopes

if TYPE_CHECKING:
    from pretask_plugins.methods.arrow_of_time.split import ReverseClip

MAX_FIT_BATCHES = 32  # of the training part; each is seen in both directions
EDGE_SEGMENTS = 4
REGIONS = 4  # along each side of the picture
RIDGE = 1e-4  # added to the least squares of motion, which flat pictures would leave without a solution
INVERSE_PENALTY = 0.1  # of the classifiers, C of scikit-learn
Cue = Callable[[Float[Tensor, "B F C H W"]], Float[Tensor, "B K"]]


def fit_cues(split: "ReverseClip", batches: Iterable[Batch]) -> Mapping[str, Predictor]:
    """Fit a predictor for each cue to the training part."""
    statistics: dict[str, list[Tensor]] = {name: [] for name in CUES}
    labels = []
    for batch in islice(batches, MAX_FIT_BATCHES):
        for epoch in (0, 1):
            frames, target = split.show_frames(batch, Draws(batch.index, epoch=epoch))
            for name, cue in CUES.items():
                statistics[name].append(cue(frames).cpu())
            labels.append(target.value.cpu())
    label = torch.cat(labels)
    return {name: fit_predictor(split, cue, torch.cat(statistics[name]), label) for name, cue in CUES.items()}


def fit_predictor(split: "ReverseClip", cue: Cue, statistics: Float[Tensor, "N K"], label: Tensor) -> Predictor:
    """Fit a logistic regression on the numbers of a cue."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000))
    fitted.fit(statistics.numpy(), label.numpy())

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        numbers = cue(split.show_frames(batch, draws)[0]).cpu().numpy()
        logit = torch.from_numpy(fitted.decision_function(numbers)).float()
        return {"direction": F.logsigmoid(torch.stack([-logit, logit], 1)).to(batch.device)}

    return predict


def border_brightness(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """Return the mean brightness of the outermost pixels, a few segments to an edge."""
    gray = frames.mean(2)
    edges = [gray[..., 0, :], gray[..., -1, :], gray[..., :, 0], gray[..., :, -1]]
    return torch.cat([F.adaptive_avg_pool1d(edge, EDGE_SEGMENTS) for edge in edges], 2).flatten(1)


def global_motion(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """Return the translation of the whole picture from frame to frame, its size, and its mean brightness."""
    translations = estimate_translations(frames.mean(2))
    return torch.cat([translations.flatten(1), translations.norm(dim=2), frames.mean((2, 3, 4))], 1)


def estimate_translations(gray: Float[Tensor, "B F H W"]) -> Float[Tensor, "B F1 2"]:
    """Return by how many pixels (down, right) each frame lies off the one before, by least squares over the picture.

    Source: Lucas and Kanade 1981, with one window.
    """
    down, right, change = find_slopes(gray)
    slope = torch.stack([down, right], -1).flatten(2, 3)  # (B, F1, pixels, 2)
    squares = slope.transpose(2, 3) @ slope + RIDGE * torch.eye(2, device=gray.device)
    translations: Tensor = torch.linalg.solve(squares, slope.transpose(2, 3) @ change.flatten(2)[..., None])
    return -translations[..., 0]


def mean_detail(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """Return the mean absolute difference of neighboring pixels, frame by frame."""
    gray = frames.mean(2)
    return gray.diff(dim=2).abs().mean((2, 3)) + gray.diff(dim=3).abs().mean((2, 3))


def region_changes(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """Return by how much every region grows lighter, and by how much it grows darker, from frame to frame."""
    change = frames.mean(2).diff(dim=1)
    parts = [F.adaptive_avg_pool2d(part, REGIONS) for part in (change.clamp(min=0), change.clamp(max=0))]
    return torch.stack(parts, 1).flatten(1)


CUES: dict[str, Cue] = {
    "border": border_brightness,
    "motion": global_motion,
    "detail": mean_detail,
    "differences": region_changes,
}

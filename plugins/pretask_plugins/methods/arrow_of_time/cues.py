"""What may tell the direction of a clip although nothing in it is understood: the artificial cues of the paper.

Three linear classifiers, each on a handful of numbers a frame: the pixels at the edges, the motion of the whole
picture, and how much detail it has, which is what its compressed size goes by. After preprocessing they should be at
chance; where they are not, the direction may be read off the making of the film.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018, section 3. Differs: the picture's motion is one translation by least
squares (Lucas and Kanade 1981), with its mean brightness; detail stands for the size of a compressed frame.
Axes: B batch, F frames, C channels, H W image, K what is known of a clip.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Predictor
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from pretask_plugins.methods.arrow_of_time.split import ReverseClip

BATCHES = 32  # of the training part, at most; each is seen in both directions
SEGMENTS = 4  # of an edge
Cue = Callable[[Float[Tensor, "B F C H W"]], Float[Tensor, "B K"]]


def cues(split: "ReverseClip", batches: Iterable[Batch]) -> Mapping[str, Predictor]:
    """A predictor for each cue, fitted to the training part."""
    known: dict[str, list[Tensor]] = {name: [] for name in CUES}
    answers = []
    for batch in islice(batches, BATCHES):
        for epoch in (0, 1):
            inputs, targets = split(batch, Draws(batch.index, epoch=epoch))
            frames = split.ungrouped(inputs.data)
            for name, cue in CUES.items():
                known[name].append(cue(frames).cpu())
            answers.append(targets["direction"].value.cpu())
    label = torch.cat(answers)
    return {name: predictor(split, cue, torch.cat(known[name]), label) for name, cue in CUES.items()}


def predictor(split: "ReverseClip", cue: Cue, known: Float[Tensor, "N K"], label: Tensor) -> Predictor:
    """A logistic regression on what a cue tells."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    fitted.fit(known.numpy(), label.numpy())

    def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        told = cue(split.ungrouped(inputs.data)).cpu().numpy()
        score = torch.from_numpy(fitted.decision_function(told)).float()
        return {"direction": F.logsigmoid(torch.stack([-score, score], 1)).to(batch.device)}

    return guess


def border(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """Mean brightness of the outermost pixels, a few segments to an edge."""
    gray = frames.mean(2)
    edges = [gray[..., 0, :], gray[..., -1, :], gray[..., :, 0], gray[..., :, -1]]
    return torch.cat([F.adaptive_avg_pool1d(edge, SEGMENTS) for edge in edges], 2).flatten(1)


def motion(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """The translation of the whole picture from frame to frame, its size, and its mean brightness."""
    moved = translations(frames.mean(2))
    return torch.cat([moved.flatten(1), moved.norm(dim=2), frames.mean((2, 3, 4))], 1)


def translations(gray: Float[Tensor, "B F H W"]) -> Float[Tensor, "B F1 2"]:
    """By how many pixels (down, right) each frame lies off the one before, by least squares over the picture.

    Source: Lucas and Kanade 1981, with one window.
    """
    between = (gray[:, 1:] + gray[:, :-1]) / 2
    down = (between[..., 2:, 1:-1] - between[..., :-2, 1:-1]) / 2
    right = (between[..., 1:-1, 2:] - between[..., 1:-1, :-2]) / 2
    change = (gray[:, 1:] - gray[:, :-1])[..., 1:-1, 1:-1]
    slope = torch.stack([down, right], -1).flatten(2, 3)  # (B, F1, pixels, 2)
    squares = slope.transpose(2, 3) @ slope + 1e-4 * torch.eye(2, device=gray.device)
    moved: Tensor = torch.linalg.solve(squares, slope.transpose(2, 3) @ change.flatten(2)[..., None])
    return -moved[..., 0]


def detail(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B K"]:
    """Mean absolute difference of neighboring pixels, frame by frame."""
    gray = frames.mean(2)
    return gray.diff(dim=2).abs().mean((2, 3)) + gray.diff(dim=3).abs().mean((2, 3))


CUES: dict[str, Cue] = {"border": border, "motion": motion, "detail": detail}

"""Order of time: what a probe reads where nothing but the order of frames tells the class.

Every clip is there twice, forwards and backwards, which are the two classes.
Axes: N clips, T frames, D width.
"""

import sys
from pathlib import Path

import torch
from pretask import Budget, Draws, Features, Inputs, Labels, Observed, Samples
from pretask_plugins.evaluators.probes.linear import LinearProbe
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from planted import task_of

FRAMES, CLIPS = 9, 60


def clips(part: str) -> Samples:
    """Clips that become brighter, most of them, by steps of their own, and the same ones backwards."""
    number = torch.arange(CLIPS) + (0 if part == "train" else CLIPS)
    brightness = Draws(number).uniform("step", FRAMES).sub(0.35).cumsum(1)
    both = torch.cat([brightness, brightness.flip(1)])[:, :, None, None, None]
    labels = {"direction": Labels(torch.arange(2).repeat_interleave(CLIPS), ("forwards", "backwards"))}
    return Samples(Observed("video", (FRAMES, 1, 1, 1), "float32", len(both)), both, labels, fingerprint=part)


class Brightness(nn.Module):
    """Two numbers of every frame, which is a moment of one view, or a view."""

    def __init__(self, as_views: bool) -> None:
        super().__init__()
        self.as_views = as_views

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        brightness = inputs.data.flatten(2)  # (N, 1, T)
        tokens = torch.stack([brightness, brightness.square()], -1)
        if self.as_views:
            return Features({"all": tokens.transpose(1, 2)}, {"all": tokens[:, 0]}, (1, 1))
        return Features({"all": tokens}, {"all": tokens.mean(2)}, (FRAMES, 1, 1))


def accuracy(pooling: tuple[str, ...], as_views: bool = False) -> float:
    task = task_of(Brightness(as_views), Observed("video", (FRAMES, 1, 1, 1), "float32"))
    found = LinearProbe(pooling=pooling)(task, clips, Budget())
    return next(value for name, value in found if name == "accuracy" and isinstance(value, float))


def test_what_is_pooled_over_time_cannot_tell_the_order_and_segments_do() -> None:
    assert accuracy(("mean", "mean-max")) == 0.5  # the same features forwards and backwards
    assert accuracy(("mean", "mean-max", "segments")) > 0.85  # the last is chosen, on held-out data


def test_frames_that_are_views_keep_their_order_in_every_pooling() -> None:
    assert accuracy(("mean",), as_views=True) > 0.85

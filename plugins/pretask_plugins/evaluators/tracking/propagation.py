"""Propagation: labels of the first frame are carried on by what looks alike nearby.

Every position of a new frame takes the mean label of the few positions most like it, in the first frame and a queue of
the newest ones, no farther away than a radius. Positions are worked off in blocks of 8 x 8 with the window around them,
so that memory is bounded by a block and a window whatever the size of a frame; the result is the same as with all
affinities. The most similar positions do not depend on labels, so that several ways to copy share the search for them.

Source: Jabri, Owens and Efros, NeurIPS 2020, section 4.1 (top k, radius, queue). Differs: the first frame's positions
are restricted to the radius as well.
Axes: B clips, h w positions, D width, R ways to copy, C labels, Q positions of a block, W positions of its window, K
frames looked back at.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BLOCK = 8  # positions, along each axis

FrameFeatures = Float[Tensor, "B h w D"]
FrameLabels = Float[Tensor, "B h w C"]
CopiedLabels = Float[Tensor, "B h w R C"]


@dataclass(frozen=True)
class Copying:
    """A way to copy labels from the most similar positions.

    Args:
        top_k: How many positions a position copies from.
        temperature: Of the softmax over the similarity of these positions.
    """

    top_k: int = 10
    temperature: float = 0.1


@dataclass(frozen=True)
class Propagation:
    """Propagation of labels from frame to frame.

    Args:
        top_k: How many positions a position copies from.
        radius: Positions along each axis that these may be away.
        context_frames: Of the past that are looked back at, beside the first.
        temperature: Of the softmax over the similarity of these positions.
    """

    top_k: int = 10
    radius: int = 12
    context_frames: int = 7
    temperature: float = 0.1

    def __call__(self, features: Iterable[FrameFeatures], first: FrameLabels) -> Iterator[FrameLabels]:
        """Yield the labels of every frame after the first, one by one.

        Args:
            features: Of every frame, of length 1.
            first: Labels of the first frame.
        """
        for labels in self.copy_in_ways(features, first, [Copying(self.top_k, self.temperature)]):
            yield labels[:, :, :, 0]

    def copy_in_ways(
        self, features: Iterable[FrameFeatures], first: FrameLabels, ways: Sequence[Copying]
    ) -> Iterator[CopiedLabels]:
        """Yield the same for several ways to copy, each of which goes on from labels of its own."""
        stream = iter(features)
        labels = first[:, :, :, None].expand(-1, -1, -1, len(ways), -1)
        start, past = (next(stream), labels), deque[tuple[Tensor, Tensor]](maxlen=self.context_frames)
        for frame in stream:
            labels = self.propagate_in_ways(frame, [start, *past], ways)
            yield labels
            past.append((frame, labels))

    def propagate_labels(self, frame: FrameFeatures, context: list[tuple[Tensor, Tensor]]) -> FrameLabels:
        """Copy the labels of one frame from those of others."""
        context = [(features, labels[:, :, :, None]) for features, labels in context]
        return self.propagate_in_ways(frame, context, [Copying(self.top_k, self.temperature)])[:, :, :, 0]

    def propagate_in_ways(
        self, frame: FrameFeatures, context: list[tuple[Tensor, Tensor]], ways: Sequence[Copying]
    ) -> CopiedLabels:
        """Copy the labels of one frame from those of others, block by block."""
        height, width = frame.shape[1:3]
        result = frame.new_zeros(*frame.shape[:3], *context[0][1].shape[-2:])
        for top in range(0, height, BLOCK):
            for left in range(0, width, BLOCK):
                block = (slice(top, min(top + BLOCK, height)), slice(left, min(left + BLOCK, width)))
                rows, columns = (slice(max(span.start - self.radius, 0), span.stop + self.radius) for span in block)
                window = [tuple(maps[:, rows, columns] for maps in pair) for pair in context]
                is_near = self.is_near(block, (rows, columns), frame)
                count = len(context) * self.count_near(block, (height, width))
                copied = copy_labels(frame[:, *block].flatten(1, 2), window, is_near, count, ways)
                result[:, *block] = copied.view_as(result[:, *block])
        return result

    def is_near(
        self, block: tuple[slice, slice], window: tuple[slice, slice], frame: FrameFeatures
    ) -> Bool[Tensor, "Q W"]:
        """Return which positions of the window each position of the block may copy from."""
        near_by_axis = []
        for block_range, around, side in zip(block, window, frame.shape[1:3], strict=True):
            line = torch.arange(side, device=frame.device)
            near_by_axis.append((line[block_range, None] - line[None, around]).abs() <= self.radius)
        nearby = near_by_axis[0][:, None, :, None] & near_by_axis[1][None, :, None, :]
        return nearby.flatten(2).flatten(0, 1)

    def count_near(self, block: tuple[slice, slice], sides: tuple[int, int]) -> int:
        """Return how many positions of a frame the position of the block has within the radius that has fewest.

        By arithmetic: to count on the device would wait for it, block by block.
        """
        fewest = 1
        for span, side in zip(block, sides, strict=True):
            near = [
                min(at + self.radius, side - 1) - max(at - self.radius, 0) + 1 for at in (span.start, span.stop - 1)
            ]
            fewest *= min(near)
        return fewest


def copy_labels(
    block: Float[Tensor, "B Q D"],
    window: list[tuple[Tensor, ...]],
    is_near: Bool[Tensor, "Q W"],
    count: int,
    ways: Sequence[Copying],
) -> Float[Tensor, "B Q R C"]:
    """Return the mean label of the positions most like each, by the softmax of their similarity.

    Args:
        block: Features of the positions that copy.
        window: Features (B, H, W, D) and labels (B, H, W, R, C) of the positions around them, frame by frame.
        is_near: Which of these may be copied from.
        count: How many each position has at least to copy from, over all frames.
        ways: Of copying.
    """
    window_features = torch.cat([features for features, _ in window], 1).flatten(1, 2)  # (B, K W, D)
    window_labels = torch.cat([labels for _, labels in window], 1).flatten(1, 2)  # (B, K W, R, C)
    similarity = block @ window_features.transpose(1, 2)
    similarity.view(*block.shape[:2], len(window), -1).masked_fill_(~is_near[:, None], -torch.inf)
    best, position = similarity.topk(min(max(way.top_k for way in ways), count), dim=2)
    clip = torch.arange(len(window_labels), device=window_labels.device)[:, None, None]
    labels = window_labels[clip, position]  # (B, Q, top, R, C)
    weights = torch.stack([weigh_most_similar(best, way) for way in ways], -1)
    return (weights[..., None] * labels).sum(2)


def weigh_most_similar(best: Float[Tensor, "B Q top"], way: Copying) -> Float[Tensor, "B Q top"]:
    """Return the weights of positions that are sorted by their similarity; 0 for those that are not copied from."""
    weights = (best[..., : way.top_k] / way.temperature).softmax(2)
    return torch.nn.functional.pad(weights, (0, best.shape[2] - weights.shape[2]))

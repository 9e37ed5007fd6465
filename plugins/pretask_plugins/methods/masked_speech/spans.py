"""Spans of frames: where they start, what they cover, what may stand in their place.

Source: Liu et al. 2020, section 2.
Axes: B batch, T frames, M mel bands.
"""

import torch
from jaxtyping import Bool, Float, Int
from pretask import Draws
from torch import Tensor


def draw_span_starts(
    draws: Draws, length: Int[Tensor, " B"], frames: int, mask_ratio: float, span: int
) -> Bool[Tensor, "B T"]:
    """Return where spans start: at round(mask_ratio * length / span) different frames, at least one.

    None starts too late to fit.
    """
    position = torch.arange(frames, device=length.device)
    score = torch.where(position <= (length - span)[:, None], draws.uniform("begin", frames), -1.0)
    rank = score.argsort(1, descending=True).argsort(1)
    count = (mask_ratio * length / span).round().clamp(min=1)
    return (rank < count[:, None]) & (score >= 0)


def cover_spans(starts: Bool[Tensor, "B T"], span: int) -> Bool[Tensor, "B T"]:
    """Return every frame that is less than `span` after a start.

    >>> cover_spans(torch.tensor([[True, False, False, False]]), 3).int().tolist()
    [[1, 1, 1, 0]]
    """
    return frames_since_start(starts) < span


def frames_since_start(starts: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return how many frames ago the latest span started; more than T where none did."""
    position = torch.arange(starts.shape[1], device=starts.device)
    never = -2 * starts.shape[1]
    return position - torch.where(starts, position, never).cummax(1).values


def draw_replacements(
    draws: Draws, starts: Bool[Tensor, "B T"], length: Int[Tensor, " B"], span: int
) -> Int[Tensor, "B T"]:
    """Return for every frame the one that may replace it: as far into a span elsewhere as it is into its own."""
    frames = starts.shape[1]
    num_starts = (length - span + 1).clamp(min=1)
    elsewhere = (draws.uniform("other", frames) * num_starts[:, None]).long()  # start of the other span, by own start
    position = torch.arange(frames, device=starts.device).expand_as(elsewhere)
    into = frames_since_start(starts).clamp(0, span - 1)
    return (elsewhere.gather(1, (position - into).clamp(min=0)) + into).clamp(max=frames - 1)


def gather_frames(mel: Float[Tensor, "B T M"], position: Int[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return for every frame the one at the given position."""
    return mel.gather(1, position[..., None].expand_as(mel))


def visible_sides(hidden: Bool[Tensor, "B T"]) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Return the positions of the nearest visible frames before (-1 for none) and after (T for none).

    A visible frame is both of its own.
    """
    frames = hidden.shape[1]
    position = torch.arange(frames, device=hidden.device)
    before = position.masked_fill(hidden, -1).cummax(1).values
    after = position.masked_fill(hidden, frames).flip(1).cummin(1).values.flip(1)
    return before, after


def copy_before(mel: Float[Tensor, "B T M"], hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return every frame as the last visible one up to it; as the next one, where none came before."""
    before, after = visible_sides(hidden)
    return gather_frames(mel, torch.where(before < 0, after, before).clamp(0, mel.shape[1] - 1))


def copy_after(mel: Float[Tensor, "B T M"], hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return every frame as the next visible one from it; as the last one, where none comes after."""
    before, after = visible_sides(hidden)
    return gather_frames(mel, torch.where(after >= mel.shape[1], before, after).clamp(0, mel.shape[1] - 1))


def interpolate(mel: Float[Tensor, "B T M"], hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return a straight line, band by band, from the last visible frame before a gap to the first one after it."""
    before, after = visible_sides(hidden)
    position = torch.arange(mel.shape[1], device=mel.device)
    fraction = ((position - before) / (after - before).clamp(min=1)).clamp(0, 1)[..., None]
    left, right = copy_before(mel, hidden), copy_after(mel, hidden)
    return left + fraction * (right - left)

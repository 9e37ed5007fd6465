"""Spans of frames: where they start, what they cover, what may stand in their place.

Source: Liu et al. 2020, section 2.
Axes: B batch, T frames, M mel bands.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pretask import Draws
from torch import Tensor

from pretask_plugins.shared.constants import build_once, count_up

NEVER = -(1 << 40)  # where a span started that did not


def draw_latest_starts(
    draws: Draws, length: int | Int[Tensor, " B"], frames: int, mask_ratio: float, span: int
) -> Int[Tensor, "B T"]:
    """Return for every frame where the latest span up to it started; NEVER where none did.

    Spans start at round(mask_ratio * length / span) different frames, at least one, none of them too late to fit.

    Args:
        draws: Of the batch.
        length: Frames of every recording that are no padding; one number where none has any.
        frames: T.
        mask_ratio: Of the frames that are covered, up to overlaps.
        span: Frames that a span covers.
    """
    score = draws.uniform("begin", frames)
    if isinstance(length, int):
        count = count_spans(length, mask_ratio, span)
        place = find_highest(score[:, : length - span + 1], count)
        return never(frames, score.device).expand(score.shape).scatter(1, place, place).cummax(1).values
    position = torch.arange(frames, device=score.device)
    score = torch.where(position <= (length - span)[:, None], score, -1.0)
    rank = score.argsort(1, descending=True).argsort(1)
    counts = (mask_ratio * length / span).round().clamp(min=1)
    starts = (rank < counts[:, None]) & (score >= 0)
    return torch.where(starts, position, NEVER).cummax(1).values


def find_highest(score: Float[Tensor, "B S"], count: int) -> Int[Tensor, "B count"]:
    """Return the places of the highest scores, none of which is NaN, in any order.

    On a CPU by numpy, which divides numbers without branching on them: of new ones that takes a quarter of the time.
    Two that are equal at the border are left to torch, so that the same one is chosen as ever.
    """
    if score.is_cpu and not torch.compiler.is_compiling():
        lines = score.numpy()
        lowest = np.partition(lines, -count, axis=1)[:, -count, None]
        places = np.flatnonzero(lines >= lowest)
        if len(places) == len(lines) * count:
            return torch.from_numpy(places % lines.shape[1]).view(-1, count)
    return score.topk(count, sorted=False).indices


@build_once
def count_spans(length: int, mask_ratio: float, span: int) -> int:
    """Return how many spans a recording of so many frames has, rounded as those of recordings with padding are."""
    return int((mask_ratio * torch.tensor([length]) / span).round().clamp(min=1))


def cover_spans(latest: Int[Tensor, "B T"], span: int) -> Bool[Tensor, "B T"]:
    """Return every frame that is less than `span` after the latest start.

    >>> cover_spans(torch.tensor([[0, 0, 0, 0]]), 3).int().tolist()
    [[1, 1, 1, 0]]
    """
    return since_latest(latest) < span


@build_once
def never(frames: int, device: torch.device) -> Int[Tensor, "1 T"]:
    """Return NEVER for every frame."""
    return torch.full((1, frames), NEVER, device=device)


def since_latest(latest: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return how many frames ago the latest span started; a great many where none did.

    >>> since_latest(torch.tensor([[NEVER, 1, 1, 1]])).clamp(max=9).tolist()
    [[9, 0, 1, 2]]
    """
    return count_up(latest.shape[1], latest.device) - latest


def draw_replacements(
    draws: Draws, latest: Int[Tensor, "B T"], since: Int[Tensor, "B T"], length: int | Int[Tensor, " B"], span: int
) -> Int[Tensor, "B T"]:
    """Return for every frame of a span the one that may replace it: as far into a span elsewhere; for others, any."""
    frames = latest.shape[1]
    if isinstance(length, int):
        elsewhere = draws.uniform("other", frames, high=float(max(length - span + 1, 1))).long()
    else:
        elsewhere = (draws.uniform("other", frames) * (length - span + 1).clamp(min=1)[:, None]).long()
    # `elsewhere` is the start of the other span, at the place of the own start.
    return (elsewhere.gather(1, latest.clamp(min=0)) + since).clamp(max=frames - 1)


def gather_frames(mel: Float[Tensor, "B T M"], position: Int[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return for every frame the one at the given position: whole rows are copied."""
    return mel.flatten(0, 1).index_select(0, (position + first_rows(*mel.shape[:2], mel.device)).flatten()).view_as(mel)


def replace_frames(
    mel: Float[Tensor, "B T M"],
    visible: Bool[Tensor, "B T"],
    position: Int[Tensor, "B T"],
    erased: Bool[Tensor, "B 1"],
) -> Float[Tensor, "B T M"]:
    """Return visible frames as they are; for others the one at the given position, or zeros where those are erased.

    On a CPU, all are copied as they are, and the few others written over. Elsewhere, where to find those would make the
    step wait, a row of zeros is copied like any other.

    >>> frames, everywhere = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.zeros(2, 2, dtype=torch.long)
    >>> visible, erased = torch.tensor([[True, False], [True, False]]), torch.tensor([[True], [False]])
    >>> replace_frames(frames, visible, everywhere, erased).tolist()
    [[[1.0], [0.0]], [[3.0], [3.0]]]
    """
    first = first_rows(*mel.shape[:2], mel.device)
    if mel.is_cpu and not torch.compiler.is_compiling():
        return write_frames(mel, visible, position + first, erased)
    rows = torch.cat([mel.flatten(0, 1), row_of_zeros(mel.shape[2], mel.device)])
    other = (position + first).masked_fill_(erased, len(rows) - 1)
    index = torch.where(visible, first + count_up(mel.shape[1], mel.device), other)
    return rows.index_select(0, index.flatten()).view_as(mel)


def write_frames(
    mel: Float[Tensor, "B T M"], visible: Bool[Tensor, "B T"], row: Int[Tensor, "B T"], erased: Bool[Tensor, "B 1"]
) -> Float[Tensor, "B T M"]:
    """Return what `replace_frames` does, on a CPU, of the row of all frames that may replace each."""
    frames, shown = mel.flatten(0, 1), mel.clone(memory_format=torch.contiguous_format)
    rows = shown.view_as(frames).numpy()  # by numpy, which finds and copies few rows faster
    hidden, zero = ~visible.numpy(), erased.numpy()
    rows[np.flatnonzero(hidden & zero)] = 0
    others = np.flatnonzero(hidden & ~zero)
    rows[others] = frames.numpy()[row.flatten().numpy()[others]]
    return shown


@build_once
def first_rows(count: int, frames: int, device: torch.device) -> Int[Tensor, "B 1"]:
    """Return the row of every recording's first frame where the frames of all are rows."""
    return torch.arange(count, device=device)[:, None] * frames


@build_once
def row_of_zeros(bands: int, device: torch.device) -> Float[Tensor, "1 M"]:
    """Return a frame of zeros."""
    return torch.zeros(1, bands, device=device)


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

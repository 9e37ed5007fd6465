"""Pooling: the ways from a layer's vectors, one per position, to the one vector per sample that a probe reads.

No one way is right for every encoder. A last token may be one that pretraining never saw (packed rows hold no end
token), a class token one that nothing trained; a mean says little of what stands in one place only. So probes choose
among several on held-out data, as they choose the layer:

    mean      over the positions; every layer has it
    last      the last position, where positions are a line (text, frames of sound, moments): a causal model's has seen
              all; of a stream that reads backwards, the first. A grid of several axes (images, clips of several
              places) has no last place, and is not offered it
    own       the model's own pooled vector, where no pooling of positions gives it: a class token, a learned pool
    mean-max  the mean, and the largest value of every feature, side by side; of up to 1,024 features, since twice the
              width costs a probe eight times the arithmetic
    segments  the means of four segments of equal length, one after the other, side by side: the others, but for the
              last position, forget the order of time. Only where it is named, since it has four times the width; of
              lines, and of clips whose time is an axis of the grid, the first of three
    quarters  the means of the four quarters of an image, row by row, side by side: the others forget what stood where.
              Likewise only where it is named; of grids of two axes

Positions are those of content: neither padding nor the tokens that a vocabulary names as pad, start, end, separator or
class. A mask and the unknown token stand for words, and count. Where a sample has no content, all of it is 0. Of a
single position only `mean` is offered, which is the position's vector.

Views stay side by side, so that frames that are views keep their order in every pooling. Features are those of the
stream that has seen most. Where a model offers past and future but nothing that has seen both, they are put side by
side, as ELMo hands them on.

Source: Devlin et al., NAACL 2019 (class token); Conneau et al., EMNLP 2017 (mean and max over positions); Radford et
al. 2018 (last token); Laptev, Marszalek, Schmid and Rozenfeld, CVPR 2008 (a histogram for each segment of time);
Lazebnik, Schmid and Ponce, CVPR 2006 (one for each quarter of an image).
Axes: B batch, V views, N positions, T of them along time, P places, L tokens, S segments, H, W positions down and
across, D width.
"""

import math
from collections.abc import Collection, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pretask.specs import SEES_AT_MOST, Sight, Vocabulary
from pretask.values import Features, Inputs

POOLINGS = ("mean", "last", "own", "mean-max")  # of equally good ones, probes take the first
KNOWN_POOLINGS = (*POOLINGS, "segments", "quarters")  # with what has to be named
NUM_SEGMENTS = 4
MAX_WIDTH = 1024  # features up to which mean-max is offered
MIN_MATRIX = 1 << 15  # numbers of a sample's vectors, below which they are laid out all samples at once
NO_CONTENT = ("pad", "start", "end", "separator", "class")  # roles of tokens that are in no text


def pool(
    features: Features, content: Bool[Tensor, "B V L"] | None = None, names: Collection[str] = POOLINGS
) -> dict[str, Float[Tensor, "B _"]]:
    """Pool features into one vector per sample in every way that they offer, in the order of KNOWN_POOLINGS.

    Args:
        features: Of one layer.
        content: Which positions of the input are content; None for all. It counts where the layer has these positions;
            elsewhere the layer's own `present` does.
        names: The ways that are wanted.
    """
    vectors, sights = join_widest(features.streams), find_widest_sights(features.streams)
    mask = forget_full(features.present if content is None or content.shape != vectors.shape[:3] else content)
    mean = mean_over(vectors, mask)
    found = {"mean": mean}
    if vectors.shape[2] > 1:
        if vectors.shape[3] <= MAX_WIDTH:
            found["mean-max"] = torch.cat([mean, max_over(vectors, mask)], -1)
        if len(features.grid) == 1:
            found["last"] = torch.cat([last_over(features.streams[sight], mask, sight) for sight in sights], -1)
    if features.own_pooled:
        found["own"] = join_widest(features.pooled)
    if "segments" in names and len(features.grid) in (1, 3) and features.grid[0] > 1:
        found["segments"] = segment_means(vectors, mask, features.grid[0])
    if "quarters" in names and len(features.grid) == 2 and min(features.grid) > 1:
        found["quarters"] = quarter_means(vectors, mask, features.grid)
    return {name: found[name].flatten(1) for name in KNOWN_POOLINGS if name in found and name in names}


def forget_full(mask: Bool[Tensor, "B V N"] | None) -> Bool[Tensor, "B V N"] | None:
    """Return None for a mask that leaves nothing out, by which vectors would only be copied.

    That is looked at on a CPU alone: elsewhere whoever looks waits, and what is traced must not depend on numbers.
    """
    if mask is None or not mask.is_cpu or is_traced():
        return mask
    return None if bool(mask.all()) else mask


def is_traced() -> bool:
    """Return whether torch is compiling or exporting what is called now."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def find_content(inputs: Inputs, vocabulary: Vocabulary | None) -> Bool[Tensor, "B V L"] | None:
    """Return which positions of an input are content; None where all are.

    >>> words = Vocabulary(9, (("pad", 0), ("end", 3)))
    >>> find_content(Inputs(torch.tensor([[[7, 8, 3, 0]]])), words).tolist()
    [[[True, True, False, False]]]
    """
    special = list_special_ids(vocabulary)
    if not special:
        return inputs.present
    words = ~torch.isin(inputs.data, torch.tensor(special, device=inputs.data.device))
    return words if inputs.present is None else words & inputs.present


def list_special_ids(vocabulary: Vocabulary | None) -> list[int]:
    """Return the ids that are no content, sorted."""
    special = () if vocabulary is None else vocabulary.special
    return sorted({number for role, number in special if role in NO_CONTENT})


def mean_over(vectors: Float[Tensor, "B V N D"], mask: Bool[Tensor, "B V N"] | None) -> Float[Tensor, "B V D"]:
    """Return the mean over some positions; 0 where there is none."""
    if mask is None:
        return vectors.mean(2)
    counted = vectors.masked_fill(~mask[..., None], 0)
    return counted.sum(2) / mask.sum(2, keepdim=True).clamp(min=1)


def max_over(vectors: Float[Tensor, "B V N D"], mask: Bool[Tensor, "B V N"] | None) -> Float[Tensor, "B V D"]:
    """Return the largest value of every feature at some positions; 0 where there is none."""
    if mask is None:
        return vectors.amax(2)
    highest = vectors.masked_fill(~mask[..., None], -torch.inf).amax(2)
    return highest.masked_fill(~mask.any(2, keepdim=True), 0)


def last_over(
    vectors: Float[Tensor, "B V N D"], mask: Bool[Tensor, "B V N"] | None, sight: Sight
) -> Float[Tensor, "B V D"]:
    """Return the vector at the position, of some, that a stream reaches last: the first one where it reads backwards.

    It is 0 where there is no such position.
    """
    backwards = sight == "future"
    if mask is None:
        return vectors[:, :, 0 if backwards else -1]
    position = mask.int().argmax(2) if backwards else (torch.arange(mask.shape[2], device=mask.device) * mask).amax(2)
    found = vectors.take_along_dim(position[..., None, None], 2)[:, :, 0]
    return found.masked_fill(~mask.any(2, keepdim=True), 0)


def segment_means(
    vectors: Float[Tensor, "B V N D"], mask: Bool[Tensor, "B V N"] | None, moments: int
) -> Float[Tensor, "B V _"]:
    """Return the means of consecutive segments of those moments that have a position, side by side, in their order.

    Args:
        vectors: N is moments by places.
        mask: Which positions count. A segment without any, as of fewer moments than segments, is 0.
        moments: Positions along time, of which segments have as many as can be, to within one.
    """
    count = min(NUM_SEGMENTS, moments)
    tokens = vectors.reshape(*vectors.shape[:2], moments, -1, vectors.shape[3])  # (B, V, T, P, D)
    kept = torch.ones_like(tokens[..., 0], dtype=torch.bool) if mask is None else mask.reshape(tokens.shape[:-1])
    seen = kept.any(3)  # (B, V, T)
    segment = (seen.cumsum(2) - 1) * count // seen.sum(2, keepdim=True).clamp(min=1)
    inside = segment[..., None] == torch.arange(count, device=vectors.device)  # (B, V, T, S)
    weight = (inside[:, :, :, None] & kept[..., None]).to(vectors.dtype)  # (B, V, T, P, S)
    total = torch.einsum("bvtps,bvtpd->bvsd", weight, tokens.masked_fill(~kept[..., None], 0))
    means: Tensor = total / weight.sum((2, 3)).clamp(min=1)[..., None]
    return means.flatten(2)


def quarter_means(
    vectors: Float[Tensor, "B V N D"], mask: Bool[Tensor, "B V N"] | None, grid: tuple[int, ...]
) -> Float[Tensor, "B V _"]:
    """Return the means of the quarters of images, the upper left one first, row by row.

    Args:
        vectors: N is H by W.
        mask: Which positions count. A quarter without any is 0.
        grid: H and W; an odd row or column in the middle is of the upper or left quarters.
    """
    down, across = ((torch.arange(side, device=vectors.device) * 2 >= side + side % 2).int() for side in grid)
    quarter = (2 * down[:, None] + across).flatten()  # (N,)
    weight = (
        (quarter[:, None] == torch.arange(4, device=vectors.device)).to(vectors.dtype).expand(*vectors.shape[:3], 4)
    )
    if mask is not None:
        weight, vectors = weight * mask[..., None], vectors.masked_fill(~mask[..., None], 0)
    total = torch.einsum("bvns,bvnd->bvsd", weight, vectors)
    means: Tensor = total / weight.sum(2).clamp(min=1)[..., None]
    return means.flatten(2)


def join_widest(by_sight: Mapping[str, Tensor]) -> Tensor:
    """Return the streams that have seen most; past and future side by side where nothing has seen both."""
    found = [by_sight[sight] for sight in find_widest_sights(by_sight)]
    return lay_out(found[0]) if len(found) == 1 else torch.cat(found, -1)


def lay_out(vectors: Tensor) -> Tensor:
    """Return the same with the numbers of a vector side by side in memory, which of maps are a picture apart.

    On a CPU matrix by matrix, which torch transposes in blocks: that takes less than half of the time.
    """
    is_small = math.prod(vectors.shape[-2:]) < MIN_MATRIX
    if is_small or is_traced() or not vectors.is_cpu or torch.is_grad_enabled() or vectors.is_contiguous():
        return vectors.contiguous()
    laid_out = torch.empty(vectors.shape, dtype=vectors.dtype)
    for matrix, place in zip(vectors.flatten(0, -3), laid_out.flatten(0, -3), strict=True):
        place.copy_(matrix)
    return laid_out


def find_widest_sights(sights: Collection[str]) -> tuple[Sight, ...]:
    """Return the sight that sees most, or past and future where no other sees both.

    >>> find_widest_sights(["present", "past", "future"]), find_widest_sights(["past", "all"])
    (('past', 'future'), ('all',))
    """
    if "all" not in sights and {"past", "future"} <= {*sights}:
        return ("past", "future")
    return (next(sight for sight in SEES_AT_MOST["all"] if sight in sights),)

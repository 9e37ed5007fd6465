"""The six masked splits: each puts a mask generator into the masking split. Their parameters are the options.

Source: see mask_generators.py. Differs: see the folder's header.
"""

from typing import Literal

from pretask.options import Fraction, InnerFraction, Size

from pretask_plugins.splits.mask_generators import Block, Layout, RandomPatches, Side, TimeWindows
from pretask_plugins.splits.masking import Masking

TIME_MODALITIES = ("video", "text", "audio")  # modalities with an axis of time
OF_SPACE = ("image", "video")  # modalities with rows and columns


def any_from_any(
    *, mask_ratio: InnerFraction = 0.5, layout: Layout = "random", patch: Size = 4, frame: Size = 160
) -> Masking:
    """Predict some patches from the others.

    Args:
        mask_ratio: Fraction of the patches that is hidden: exactly so many of every sample.
        layout: Hide patches at random, in blocks of a quarter of the sides, or on a grid: so many of every 2 x 2.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.

    Source: He et al., CVPR 2022, section 3 (ratio .75, patch 16). Differs: pixels are not normalized patch by patch.
    """
    return Masking("any-from-any", RandomPatches(mask_ratio, layout), patch=patch, frame=frame)


def occluded_from_visible(
    *,
    mask_ratio: InnerFraction = 0.25,
    position: Literal["random", "center"] = "random",
    patch: Size = 4,
    frame: Size = 160,
) -> Masking:
    """Predict a block from what is around it.

    Args:
        mask_ratio: Fraction of t that the block hides, about: its sides are whole patches.
        position: Anywhere, or in the middle.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.

    Source: Pathak et al., CVPR 2016, section 3.3 (the middle, ratio .25).
    """
    return Masking("occluded-from-visible", Block(mask_ratio, position), patch=patch, frame=frame)


def top_from_bottom(
    *,
    mask_ratio: InnerFraction = 0.5,
    side: Literal["top", "bottom", "left", "right"] = "top",
    patch: Size = 4,
    frame: Size = 160,
) -> Masking:
    """Predict one side of an image, or of every frame of a clip, from the other side.

    Args:
        mask_ratio: Fraction of the rows or columns that is hidden.
        side: Which side is hidden.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.
    """
    return Masking("top-from-bottom", Side(mask_ratio, side), OF_SPACE, patch, frame)


def future_from_past(
    *, boundary: InnerFraction = 0.5, boundary_jitter: Fraction = 0.0, patch: Size = 4, frame: Size = 160
) -> Masking:
    """Predict everything after the boundary from everything before it.

    Args:
        boundary: Where the future begins, as a fraction of the length.
        boundary_jitter: The boundary moves by up to this fraction of the length to either side, at random.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.
    """
    windows = TimeWindows(boundary, boundary_jitter, past=None, future=None, target="future")
    return Masking("future-from-past", windows, TIME_MODALITIES, patch, frame)


def future_from_recent_past(
    *,
    context_length: Size = 2,
    prediction_length: Size = 2,
    boundary: InnerFraction = 0.5,
    boundary_jitter: Fraction = 0.0,
    patch: Size = 4,
    frame: Size = 160,
) -> Masking:
    """Predict what comes just after the boundary from what came just before it.

    Args:
        context_length: Positions that are visible: frames of a clip, tokens, or frames of a waveform.
        prediction_length: Positions that are predicted.
        boundary: Where the future begins, as a fraction of the length.
        boundary_jitter: The boundary moves by up to this fraction of the length to either side, at random.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.
    """
    windows = TimeWindows(boundary, boundary_jitter, context_length, prediction_length, target="future")
    return Masking("future-from-recent-past", windows, TIME_MODALITIES, patch, frame)


def past_from_present(
    *,
    context_length: Size = 1,
    prediction_length: Size = 2,
    boundary: InnerFraction = 0.5,
    boundary_jitter: Fraction = 0.0,
    patch: Size = 4,
    frame: Size = 160,
) -> Masking:
    """Predict what came just before the boundary from what begins at it.

    Args:
        context_length: Positions that are visible: frames of a clip, tokens, or frames of a waveform.
        prediction_length: Positions that are predicted.
        boundary: Where the future begins, as a fraction of the length.
        boundary_jitter: The boundary moves by up to this fraction of the length to either side, at random.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.
    """
    windows = TimeWindows(boundary, boundary_jitter, prediction_length, context_length, target="past")
    return Masking("past-from-present", windows, TIME_MODALITIES, patch, frame)

"""Clips: videos of any size and length as the clips that an encoder was trained on.

Axes: B clips, T frames of a clip, F frames of a video, C channels, H W image.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional as F

from pretask.preparation.arrays import as_tensor
from pretask.preparation.flat_images import flatten_image, read_rgb
from pretask.preparation.images import CHANNELS, COLOR_MODES, describe_image, is_bytes, is_ready, read_image
from pretask.preparation.refusal import refuse
from pretask.specs import Observed


def prepare_clips(
    videos: Any, observed: Observed, rate: float | None = None
) -> tuple[UInt8[Tensor, "B T C H W"], Bool[Tensor, "B T"]]:
    """Return clips of the wanted size and length, and where their frames are no padding.

    A longer video gives its middle, a shorter one is padded with its last frame.

    Args:
        videos: uint8 arrays (F, H, W, C) or tensors (F, C, H, W), or lists of images: one video, a batch of equally
            long ones, or a list with videos of any size and length.
        observed: What the encoder was trained on.
        rate: Frames per second; where the encoder's clips have a rate as well, frames are chosen to keep it.

    Raises:
        PretaskError: There is none, or something is no video.
    """
    length = observed.shape[0]
    if is_ready(videos, observed.shape) and rate in (None, observed.rate):
        return as_tensor(videos), torch.ones(len(videos), length, dtype=torch.bool)
    clips = [prepare_clip(video, observed, rate) for video in list_videos(videos)]
    if not clips:
        raise refuse("at least one clip", "none", "Give one or more.")
    present = torch.arange(length) < torch.tensor([len(clip) for clip in clips])[:, None]
    return torch.stack([pad_clip(clip, length) for clip in clips]), present


def list_videos(videos: Any) -> Iterator[Any]:
    """Yield the videos of a list or batch, or the only one."""
    if isinstance(videos, list | tuple) or (isinstance(videos, Tensor | np.ndarray) and videos.ndim == 5):
        yield from videos
    else:
        yield videos


def prepare_clip(video: Any, observed: Observed, rate: float | None) -> UInt8[Tensor, "F C H W"]:
    """Return the frames of one video that are encoded: at most as many as a clip has."""
    length, channels, height, width = observed.shape
    frames = read_frames(video)
    if rate is not None and observed.rate is not None:
        count = max(1, int(len(frames) * observed.rate / rate))
        frames = frames[np.minimum(np.round(np.arange(count) * rate / observed.rate), len(frames) - 1).astype(int)]
    start = max(0, len(frames) - length) // 2
    frames = frames[start : start + length]
    if frames.shape[3] != channels:
        frames = match_channels(frames, observed)
    return torch.from_numpy(crop_frames(frames, height, width))


def read_frames(video: Any) -> UInt8[np.ndarray, "F h w C"]:
    """Return the frames of a video with their channels last; raise PretaskError for anything that is none."""
    if isinstance(video, list | tuple) and video:
        images = [read_rgb(read_image(image)) for image in video]
        if len({image.shape for image in images}) > 1:
            raise refuse("frames of one size in a clip", "several", "Scale them first.")
        return np.stack(images)
    if not isinstance(video, Tensor | np.ndarray) or video.ndim != 4 or not is_bytes(video) or not len(video):
        raise refuse("clips of uint8, (T, H, W, C)", describe_image(video), "Decode the video into its frames first.")
    array = video.detach().cpu().numpy() if isinstance(video, Tensor) else video
    order = (1, 3) if isinstance(video, Tensor) else (3, 1)
    axis = next((axis for axis in order if array.shape[axis] in CHANNELS), None)
    if 0 in array.shape:
        raise refuse("clips of at least one pixel", describe_image(video), "Leave it out.")
    if axis is None:
        raise refuse("clips of 1 to 4 channels", describe_image(video), "Give (T, H, W, C) or (T, C, H, W).")
    return np.moveaxis(array, axis, -1)


def match_channels(frames: UInt8[np.ndarray, "F h w C"], observed: Observed) -> UInt8[np.ndarray, "F h w D"]:
    """Return frames with the encoder's channels: gray or colors, what is transparent on white."""
    channels = observed.shape[1]
    if channels not in COLOR_MODES:
        raise refuse(f"clips of {channels} channels", f"{frames.shape[3]}", "Give the channels that the data had.")
    flat = [np.asarray(flatten_image(read_image(frame)).convert(COLOR_MODES[channels])) for frame in frames]
    return np.stack(flat).reshape(*frames.shape[:3], channels)


def pad_clip(clip: UInt8[Tensor, "F C H W"], length: int) -> UInt8[Tensor, "T C H W"]:
    """Return a clip of so many frames, the last one repeated."""
    return clip if len(clip) == length else torch.cat([clip, clip[-1:].expand(length - len(clip), -1, -1, -1)])


def resize_frames(frames: UInt8[np.ndarray, "F h w C"], height: int, width: int) -> UInt8[np.ndarray, "F C H W"]:
    """Resize frames, and return them as (F, C, H, W)."""
    images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    if images.shape[2:] == (height, width):
        return images.contiguous().numpy()
    smooth = F.interpolate(images.float(), (height, width), mode="bilinear", antialias=True, align_corners=False)
    return smooth.round().clamp(0, 255).byte().numpy()


def crop_squares(frames: UInt8[np.ndarray, "F h w C"], side: int) -> UInt8[np.ndarray, "F C S S"]:
    """Resize frames so that their short side is `side`, and cut the middle square out."""
    return crop_frames(frames, side, side)


def crop_frames(frames: UInt8[np.ndarray, "F h w C"], height: int, width: int) -> UInt8[np.ndarray, "F C H W"]:
    """Resize frames until they cover so many pixels, and cut the middle out."""
    rows, columns = frames.shape[1:3]
    scale = max(height / rows, width / columns)
    tall, broad = max(height, round(rows * scale)), max(width, round(columns * scale))
    top, left = (tall - height) // 2, (broad - width) // 2
    return np.ascontiguousarray(resize_frames(frames, tall, broad)[:, :, top : top + height, left : left + width])

"""Patches: t as views, cut into the patches that a mask hides or shows, and joined again.

A patch is a square of an image or of a video frame, a frame of a waveform, or a token.
Axes: B batch, V views (T frames of a clip, else 1), C channels, H W image, h w patches of an image, L tokens, S samples
of a waveform, F frames of it, N tokens or frames, K numbers in a patch.
"""

from jaxtyping import Bool, Shaped
from pretask import Batch, Incompatible, InputSpec, Observed, TargetSpec
from pretask.specs import Categories, Values
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.fractions import as_fractions

TARGET = {"image": "pixels", "video": "pixels", "audio": "samples", "text": "tokens"}


def describe_views(who: str, observed: Observed, frame: int) -> InputSpec:
    """Return the spec of what `as_views` gives; raise Incompatible where the data has no such views."""
    shape, modality = observed.shape, observed.modality
    if modality == "video":
        return InputSpec("video", shape[1:], views=shape[0], ordered=True)
    if modality == "audio":
        check_frame(who, frame)
        return InputSpec("audio", (-(-shape[0] // frame), frame))
    if modality not in TARGET:
        raise Incompatible(who, " or ".join(TARGET) + " data", modality, "Choose another split: pretask list split.")
    if modality == "text" and observed.vocabulary is None:
        raise Incompatible(who, "text with a vocabulary", "none", "Use data that names its token ids.")
    return InputSpec(modality, shape, vocabulary=observed.vocabulary)


def check_frame(who: str, frame: int) -> None:
    """Raise Incompatible unless a waveform can be cut into such frames."""
    if frame < 1:
        raise Incompatible(who, "split.frame of at least 1 sample", f"{frame}", "Leave split.frame at 160.")


def find_grid(who: str, spec: InputSpec, patch: int) -> tuple[int, ...]:
    """Return the patches of one view along every axis; raise Incompatible where the squares do not fill the image."""
    if spec.modality not in ("image", "video"):
        return spec.shape[:1]
    height, width = spec.shape[-2:]
    if patch < 1 or height % patch or width % patch:
        raise Incompatible(
            who,
            f"images whose sides are multiples of split.patch = {patch} pixels",
            f"{height} x {width}",
            "Set split.patch to a number that divides both sides.",
        )
    return height // patch, width // patch


def describe_target(spec: InputSpec, patch: int) -> TargetSpec:
    """Return the spec of a target that has a value for every patch of a view."""
    grid = find_grid("patches", spec, patch)
    if spec.vocabulary is not None:
        return Categories(spec.vocabulary.size, grid=grid)
    if spec.modality == "audio":
        return Values(spec.shape[1], grid=grid)
    return Values(spec.shape[0] * patch**2, grid=grid, views=spec.views if spec.modality == "video" else None)


def is_text(data: Tensor) -> bool:
    """Return whether a batch, or its views, are tokens."""
    return data.ndim <= 3 and not data.is_floating_point()


def batch_target_name(batch: Batch) -> str:
    """Return the name of the target of such data."""
    if batch.data.ndim >= 4:
        return TARGET["image"]
    return TARGET["text"] if is_text(batch.data) else TARGET["audio"]


def as_views(data: Shaped[Tensor, "B ..."], frame: int) -> Shaped[Tensor, "B V ..."]:
    """Return images in [0, 1], tokens as they are, a waveform as frames, the last one filled up with silence."""
    if is_text(data):
        return data[:, None]
    if data.ndim == 2:
        return F.pad(data, (0, -data.shape[1] % frame)).view(len(data), 1, -1, frame)
    values = data.float() if data.is_floating_point() else as_fractions(data)
    return values if data.ndim == 5 else values[:, None]


def present_views(batch: Batch, frame: int) -> Bool[Tensor, "B 1 N"] | None:
    """Return which tokens are no padding; which frames of a waveform are not all padding."""
    if batch.present is None or batch.data.ndim != 2:
        return None
    if is_text(batch.data):
        return batch.present[:, None]
    padded = F.pad(batch.present, (0, -batch.data.shape[1] % frame))
    return padded.view(len(padded), 1, -1, frame).any(-1)


def patchify(views: Shaped[Tensor, "B V ..."], patch: int) -> Shaped[Tensor, "B V ..."]:
    """Cut images into patches (B, V, h, w, K), K in the order (C, row, column); return other views as they are."""
    if views.ndim < 5:
        return views
    images = views.flatten(0, 1)
    squares = images if patch == 1 else F.pixel_unshuffle(images, patch)  # (B V, K, h, w)
    return squares.movedim(1, -1).reshape(*views.shape[:2], *squares.shape[2:], -1)


def unpatchify(patches: Shaped[Tensor, "B V ..."], patch: int) -> Shaped[Tensor, "B V ..."]:
    """Return the views that `patchify` gives these patches of."""
    if patches.ndim < 5:
        return patches
    images = F.pixel_shuffle(patches.flatten(0, 1).movedim(-1, 1), patch)
    return images.view(*patches.shape[:2], *images.shape[1:])


def expand_to_pixels(mask: Bool[Tensor, "B V h w"], patch: int) -> Bool[Tensor, "B V H W"]:
    """Return the mask of the pixels of masked squares."""
    return mask.repeat_interleave(patch, 2).repeat_interleave(patch, 3)


def erase(views: Shaped[Tensor, "B V ..."], visible: Bool[Tensor, "B V ..."], token: int) -> Shaped[Tensor, "B V ..."]:
    """Make gray, silent or `token` what is not visible."""
    if is_text(views):
        return views.where(visible, token)
    if views.ndim == 5:
        return views.where(visible[:, :, None], 0.5)
    return views.where(visible[..., None], 0.0)


def as_signal(views: Shaped[Tensor, "B V ..."]) -> Shaped[Tensor, "B V ..."]:
    """Return the frames of a waveform end to end; images as they are."""
    return views if views.ndim == 5 else views.flatten(2)

"""Canned data: tiny samples of every modality, on which components are tried without any data set.

Each sample has one of four classes, and shows it: a bright quarter of an image (growing brighter, in a clip), a quarter
of the vocabulary, or the pitch of a tone. Of tokens each has a label of its own as well, its quarter of the vocabulary.
Axes: N samples, T frames, C channels, H W image, L tokens, S samples of a waveform.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from pretask import InputSpec, Observed, Unknown, Vocabulary

if TYPE_CHECKING:
    from pretask import Draws, Inputs, Samples
    from torch import Tensor

CLASSES = 4
ROLES = ("pad", "mask", "start", "end", "separator", "class", "unknown")
VOCABULARY = Vocabulary(64, tuple((role, number) for number, role in enumerate(ROLES)))
SHARED_COUNT = 64  # samples that all trials share; a step takes a few of them
LOWEST = 400.0  # Hz of the first class; each further one is half an octave higher

OBSERVED = {
    "image": Observed("image", (3, 32, 32), "uint8"),
    "video": Observed("video", (8, 3, 32, 32), "uint8", rate=8.0),
    "text": Observed("text", (16,), "int64", vocabulary=VOCABULARY),
    "audio": Observed("audio", (4000,), "float32", rate=8000.0),
}


def observe_canned(modality: str, count: int = 64, scale: int = 1, frames: int = 1) -> Observed:
    """Return what canned data of a modality yields.

    Args:
        modality: Which.
        count: How many samples.
        scale: How many times the sides of images and frames, the length of texts and the rate of sound.
        frames: How many times the frames of a clip.

    >>> observe_canned("text").vocabulary.id("mask")
    1
    >>> observe_canned("video", scale=2).shape, observe_canned("audio", scale=2).rate
    ((8, 3, 64, 64), 16000.0)

    Raises:
        Unknown: There is none of this modality.
    """
    if modality not in OBSERVED:
        raise Unknown(f"No canned data for the modality {modality!r}. There is some for {', '.join(OBSERVED)}.")
    plain = OBSERVED[modality]
    times = {"video": (frames, 1, scale, scale), "image": (1, scale, scale)}.get(modality, (scale,))
    shape = tuple(size * factor for size, factor in zip(plain.shape, times, strict=True))
    rate = plain.rate * scale if modality == "audio" and plain.rate else plain.rate
    return Observed(plain.modality, shape, plain.dtype, count, plain.vocabulary, rate)


def make_canned_samples(
    modality: str, count: int = 64, first: int = 0, *, scale: int = 1, frames: int = 1
) -> "Samples":
    """Make canned data of a modality: the same for every call, each sample the same for any count.

    Args:
        modality: Which.
        count: How many samples.
        first: The number of the first one, so that a test part can have others than the training part.
        scale: As of `observe_canned`.
        frames: Likewise.

    Raises:
        Unknown: There is none of this modality.
    """
    import torch
    from pretask import Draws, Labels, Samples
    from pretask.cache import fingerprint

    observed = observe_canned(modality, count, scale, frames)
    numbers = torch.arange(first, first + count)
    draws = Draws(numbers).branch("canned")  # or a split that is tried would draw the same
    label = draws.integers("class", 0, CLASSES)
    make = {"image": make_images, "video": make_clips, "text": make_tokens, "audio": make_waves}[modality]
    data = make(label, draws, observed.shape)
    names = tuple(f"class {number}" for number in range(CLASSES))
    labels = {"class": Labels(label, names)}
    if modality == "text":
        class_size = (VOCABULARY.size - len(ROLES)) // CLASSES
        labels["part"] = Labels(((data - len(ROLES)) // class_size).clamp(max=CLASSES - 1), names)
    return Samples(observed, data, labels, fingerprint=fingerprint(data.numpy(), label.numpy()))


@lru_cache(maxsize=8)
def share_canned_samples(modality: str) -> "Samples":
    """Make canned data of a modality, once for all that try something on them, none of which may change them."""
    return make_canned_samples(modality, SHARED_COUNT)


def make_canned_inputs(modality: str, count: int = 8) -> "tuple[InputSpec, Inputs]":
    """Make what a model may be shown of canned data: an image, frames of a clip in order, tokens or sound.

    Raises:
        Unknown: There is none of this modality.
    """
    import torch
    from pretask import Inputs

    data = make_canned_samples(modality, count).data
    if modality == "text":
        segment = torch.arange(data.shape[1]).expand(count, 1, -1) * 2 // data.shape[1]
        return InputSpec("text", tuple(data.shape[1:]), vocabulary=VOCABULARY), Inputs(data[:, None], segment=segment)
    if modality == "audio":
        frames = data.view(count, 1, 16, -1)
        return InputSpec("audio", tuple(frames.shape[2:])), Inputs(frames)
    if modality == "video":
        clips = data[:, ::2, :, ::2, ::2] / 255
        return InputSpec("video", tuple(clips.shape[2:]), views=clips.shape[1], ordered=True), Inputs(clips)
    return InputSpec(modality, tuple(data.shape[1:])), Inputs(data[:, None] / 255)


def make_neutral_samples(modality: str, count: int, first: int = 0) -> "Samples":
    """Make data without labels whose edges, brightness and energy tell nothing of place, order or direction.

    Textures of random colors; a clip is such a texture before which something bright falls; tokens of any kind; a
    tone that rises again and again.

    Args:
        modality: Which.
        count: How many samples.
        first: The number of the first one.

    Raises:
        Unknown: There is none of this modality.
    """
    import torch
    from pretask import Draws, Samples
    from pretask.cache import fingerprint

    observed = observe_canned(modality, count)
    draws = Draws(torch.arange(first, first + count)).branch("neutral")
    make = {"image": textures, "video": make_falling, "text": draw_tokens, "audio": make_rising}[modality]
    data = make(draws, observed.shape)
    return Samples(observed, data, fingerprint=fingerprint(data.numpy()))


def textures(draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Smooth colors with fine grain."""
    from torch.nn import functional as F

    side = shape[-1]
    coarse = draws.uniform("coarse", shape[0], 6, 6, high=150.0)
    smooth = F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 150)
    return (smooth + draws.uniform("grain", shape[0], side, side, high=60.0) + 20).byte()


def make_falling(draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Make something bright that is thrown up and falls back before a texture, with grain that moves."""
    import torch

    frames, side = shape[0], shape[-1]
    time = torch.linspace(-1, 1, frames)
    height = draws.uniform("bow", 1, low=8.0, high=14.0)  # rows are counted downwards
    slant, aside = (draws.uniform(name, 1, low=-6.0, high=6.0) for name in ("slant", "aside"))
    middle = draws.uniform("middle", 2, low=side * 0.45, high=side * 0.55)
    row = middle[:, :1] + height * (time.square() - 0.5) + slant * time
    column = middle[:, 1:] + aside * time
    down, across = ((-(torch.arange(side) - middle[..., None]).square() / 8).exp() for middle in (row, column))
    ground = textures(draws, shape[1:])[:, None].float() * 0.6
    grain = draws.uniform("moving grain", *shape, high=20.0)
    return (ground + 80 * down[:, :, None, :, None] * across[:, :, None, None, :] + grain).byte()


def draw_tokens(draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Draw ordinary tokens, all equally likely."""
    return draws.integers("token", len(ROLES), VOCABULARY.size, *shape)


def make_rising(draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Make a tone of steady loudness whose pitch rises and drops back, in teeth of any phase."""
    import torch

    turns = torch.arange(shape[0]) / 800 + draws.uniform("phase", 1)
    pitch = draws.uniform("pitch", 1, low=600.0, high=1800.0) * (1 + 0.3 * (turns % 1.0))
    angle = (2 * math.pi / 8000 * pitch).cumsum(1)
    return 0.5 * angle.sin() + 0.05 * draws.normal("noise", *shape)


def make_images(label: "Tensor", draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Make noise below half brightness, and a quarter of the image that is brighter by a third."""
    noise = draws.uniform("noise", *shape, high=127.0)
    return (noise + 85.0 * quarter(label, shape[-1])[:, None]).byte()


def make_clips(label: "Tensor", draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Make images of which the bright quarter brightens by a seventh from frame to frame."""
    import torch

    noise = draws.uniform("noise", *shape, high=127.0)
    brightness = torch.linspace(32.0, 128.0, shape[0])[:, None, None, None]
    return (noise + brightness * quarter(label, shape[-1])[:, None, None]).byte()


def quarter(label: "Tensor", side: int) -> "Tensor":
    """Return (N, H, W), 1 in the quarter of the given number, in reading order, and 0 elsewhere."""
    import torch

    line = torch.arange(side, device=label.device) * 2 // side
    number = 2 * line[:, None] + line
    return (number == label[:, None, None]).float()


def make_tokens(label: "Tensor", draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Draw ordinary tokens: three in four from the class's own part of the vocabulary, the others from all of it."""
    first, ordinary = len(ROLES), VOCABULARY.size - len(ROLES)
    class_size = ordinary // CLASSES
    of_class = first + class_size * label[:, None] + draws.integers("own", 0, class_size, *shape)
    return of_class.where(draws.bernoulli("is own", 0.75, *shape), first + draws.integers("any", 0, ordinary, *shape))


def make_waves(label: "Tensor", draws: "Draws", shape: tuple[int, ...]) -> "Tensor":
    """Make a tone of the class's pitch, with a phase of its own, in noise of a tenth of its size."""
    import torch

    rate = OBSERVED["audio"].rate or 1.0
    pitch = LOWEST * 2.0 ** (0.5 * label[:, None])
    seconds = torch.arange(shape[0]) / rate
    phase = draws.uniform("phase", 1, high=2 * math.pi)
    return 0.5 * (2 * math.pi * pitch * seconds + phase).sin() + 0.05 * draws.normal("noise", *shape)

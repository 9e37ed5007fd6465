"""Cut a patch and one of its eight neighbors out of every image; predict which neighbor it is.

Source: Doersch, Gupta and Efros, ICCV 2015, section 3.1 (gap, jitter, chromatic aberration) and the released code.
Axes: B batch, V views (center, neighbor), C channels, H W image, P patch side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from pretask import (
    Batch,
    Categories,
    Draws,
    Figure,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Target,
    Targets,
    TargetSpecs,
    Task,
)
from pretask.options import Size, SizeOrZero, require_range
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor

from pretask_plugins.methods.relative_position.figures import draw_pairs
from pretask_plugins.shared.constants import build_once, count_up
from pretask_plugins.shared.fractions import as_fractions

# A label is an index into these (row, column) steps away from the center, in reading order.
NEIGHBORS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
GREEN_MAGENTA = (-1.0, 2.0, -1.0)  # the color axis that lenses spread, section 3.1
DROPPED_NOISE_STD = 0.01  # of the noise in a dropped channel, as a fraction of the kept channel's std, section 3.1
MAX_BLOCK = 1 << 16  # numbers whose mean is found at a time: half a megabyte in double precision
MIN_STD = 1e-3  # of a patch that is standardized; a flat one is not blown up
Color = Literal["keep", "drop", "project"]


@dataclass(frozen=True)
class CutPair:
    """Cut a random patch and one of its neighbors out of every image.

    Args:
        patch: Side of a patch, pixels.
        gap: Empty pixels between neighbors, so that no edge runs across both.
        jitter: Each patch moves by up to this many pixels along each axis, so that no line does either.
        color: Against chromatic aberration, which gives away where in the lens a patch was: keep all channels, drop two
            of each patch at random and put noise in their place, or project the green-magenta axis away.
        standardize: Whether each patch is brought to its own mean and standard deviation.

    Source: Doersch, Gupta and Efros, ICCV 2015. Differs: see the folder's header.
    """

    patch: Size = 96
    gap: SizeOrZero = 48
    jitter: SizeOrZero = 7
    color: Color = "keep"
    standardize: bool = True

    def __post_init__(self) -> None:
        require_range("relative-position", "split", self)

    @property
    def smallest(self) -> int:
        """The smallest side of an image in which a center has room for all its neighbors, pixels."""
        return 3 * self.patch + 2 * self.gap + 2 * self.jitter

    @property
    def shows_versions(self) -> bool:
        """Whether an image is read as the mean of several versions of it, since no patch shows all channels."""
        return self.color == "drop"

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return two patches, and one of eight positions."""
        self.check(images)
        view = (images.shape[0], self.patch, self.patch)
        return InputSpec("image", view, views=2), {"position": Categories(len(NEIGHBORS))}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the spec of the image; of as many of it as there are channels to keep, where others are dropped."""
        return describe_whole(images, self.color)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return center and neighbor, and the neighbor's position in reading order."""
        label = draws.integers("neighbour", 0, len(NEIGHBORS))
        step = self.patch + self.gap
        height, width = (side - self.smallest + 1 for side in batch.data.shape[2:])
        room = height if height == width else as_room(height, width, batch.device)
        center = self.jitter + step + draws.integers("centre", 0, room, 2)  # (B, 2)
        neighbor = center + steps(batch.device)[label] * step
        offset = draws.integers("jitter", -self.jitter, self.jitter + 1, 2, 2)  # (B, V, 2)
        patches = as_fractions(crop(batch.data, torch.stack([center, neighbor], 1) + offset, self.patch))
        return Inputs(prepare(patches, draws, self.color, self.standardize)), {"position": Target(label)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the image, prepared as patches are; with `drop`, a version for each channel that may be kept."""
        return show_whole(batch, self.color, self.standardize)

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield a picture of some pairs, put together as the network would."""
        draws = Draws(batch.index, 0, HELD_OUT_EPOCH)
        inputs, targets = task.apply_split(batch, draws)
        prediction = task.predict(batch, draws).get("position")
        places = prediction is not None and prediction.shape == (len(inputs.data), len(NEIGHBORS))
        predicted = prediction.argmax(1) if prediction is not None and places else None
        yield draw_pairs(inputs.data, targets["position"].value, predicted)

    def check(self, images: Observed) -> None:
        """Raise Incompatible unless the images are large enough and have the channels that the option needs."""
        if images.modality != "image" or min(images.shape[-2:]) < self.smallest:
            raise Incompatible(
                "relative-position",
                f"images of at least {self.smallest} pixels a side (3 patches of {self.patch}, "
                f"2 gaps of {self.gap}, 2 jitters of {self.jitter})",
                f"{images.shape[-2]} x {images.shape[-1]}" if images.modality == "image" else images.modality,
                "Use larger images, or smaller split.patch and split.gap (--preset small has 32 and 8).",
            )
        check_channels("relative-position", images, self.color)


def check_channels(who: str, images: Observed, color: Color) -> None:
    """Raise Incompatible unless images are bytes, and have the channels that a countermeasure needs."""
    if images.dtype != "uint8":
        do = "Let the data yield bytes, 0 to 255."
        raise Incompatible(who, "images of 8 bits a channel (uint8)", images.dtype, do)
    if color != "keep" and images.shape[0] != 3:
        got = f"{images.shape[0]}"
        raise Incompatible(f"{who} with split.color={color}", "images of 3 channels", got, "Set split.color=keep.")


def describe_whole(images: Observed, color: Color) -> InputSpec:
    """Return the spec of images as they are shown whole; see `show_whole`."""
    return InputSpec("image", images.shape, views=images.shape[0] if color == "drop" else 1)


def show_whole(batch: Batch, color: Color, standardize: bool) -> Inputs:
    """Return images, prepared as patches are; where channels are dropped, a version for each that may be kept."""
    images = as_fractions(batch.data[:, None])
    if color == "drop":
        images = keep_each_channel(images)
    elif color == "project":
        images = project(images)
    return Inputs(normalize_in_place(images) if standardize else images)


def prepare(
    patches: Float[Tensor, "B V C P P"], draws: Draws, color: Color, standardize: bool
) -> Float[Tensor, "B V C P P"]:
    """Return the patches after the chosen countermeasure and normalization.

    Channels come last in memory, but those of projected patches, which a product has laid out.
    """
    if color == "drop":
        patches = drop_channels(patches, draws)
    elif color == "project":
        patches = project(patches)
    patches = normalize_in_place(patches) if standardize else patches
    return patches if color == "project" else interleave_channels(patches)


def normalize_in_place(views: Float[Tensor, "B V C H W"]) -> Float[Tensor, "B V C H W"]:
    """Bring views to mean 1/2 and std 1/4, the middle of [0, 1] at the usual contrast."""
    std, mean = std_mean(views)
    return views.sub_(mean).div_(4 * std.clamp(min=MIN_STD)).add_(0.5)


@build_once
def as_room(height: int, width: int, device: torch.device) -> Int[Tensor, " 2"]:
    """Return the places that a center has along either axis."""
    return torch.tensor([height, width], device=device)


@build_once
def steps(device: torch.device) -> Int[Tensor, "8 2"]:
    """Return NEIGHBORS as a tensor."""
    return torch.tensor(NEIGHBORS, device=device)


def crop(images: Shaped[Tensor, "B C H W"], corner: Int[Tensor, "B V 2"], side: int) -> Shaped[Tensor, "B V C P P"]:
    """Crop squares whose upper left pixels are at the given (row, column).

    Whole rows are copied out of a view of all squares, on a CPU by numpy, which takes a tenth of torch's time for it.
    """
    squares = images.unfold(2, side, 1).unfold(3, side, 1)
    sample, (row, column) = count_up(len(images), images.device)[:, None], corner.unbind(-1)
    if images.is_cpu and not torch.compiler.is_compiling():
        return torch.from_numpy(squares.numpy()[sample.numpy(), :, row.numpy(), column.numpy()])
    return squares[sample, :, row, column]


def interleave_channels(views: Float[Tensor, "B V C P P"]) -> Float[Tensor, "B V C P P"]:
    """Return the same views with the channels of a pixel side by side in memory, as convolutions read them fastest."""
    return torch.stack(views.unbind(2), -1).movedim(-1, 2) if views.shape[2] > 1 else views


def std_mean(views: Float[Tensor, "B V C H W"]) -> tuple[Float[Tensor, "B V 1 1 1"], Float[Tensor, "B V 1 1 1"]]:
    """Return standard deviation and mean of every view.

    `torch.std_mean` updates both in double precision, number by number. On a CPU the same are found by sums, of so few
    numbers at a time that they stay in the cache: 2 to 4 times as fast, and the same floats.
    """
    dims = (2, 3, 4)
    if not views.is_cpu or torch.compiler.is_compiling():
        return torch.std_mean(views, dims, correction=0, keepdim=True)
    means, squares = [], []
    for block in torch.split(views, max(1, MAX_BLOCK // max(views[:1].numel(), 1))):
        centered = block.double()
        means.append(centered.mean(dims, keepdim=True))
        squares.append(centered.sub_(means[-1]).square_().mean(dims, keepdim=True))
    return torch.cat(squares).sqrt_().float(), torch.cat(means).float()


def drop_channels(patches: Float[Tensor, "B V C P P"], draws: Draws) -> Float[Tensor, "B V C P P"]:
    """Keep one channel of each patch; the others become its mean plus noise of a hundredth of its std."""
    samples, views, channels, *side = patches.shape
    kept = draws.integers("channel", 0, channels, views)[..., None]  # (B, V, 1)
    dropped = (kept + 1 + count_up(channels - 1, patches.device)) % channels  # (B, V, C - 1)
    first_plane = channels * count_up(samples * views, patches.device).view(samples, views, 1)
    planes = patches.reshape(-1, *side)  # (B V C, P, P)
    std, mean = std_mean(planes[first_plane + kept])
    rows = (first_plane[:1] + dropped).flatten(1)  # of a sample's own planes: those of the first sample begin at 0
    noise = draws.normal("dropped", views * channels, *side, rows=rows)
    noise = noise.view(*dropped.shape, *side).mul_(DROPPED_NOISE_STD * std).add_(mean)
    return planes.index_copy(0, (first_plane + dropped).flatten(), noise.flatten(0, 2)).view(patches.shape)


def keep_each_channel(images: Float[Tensor, "B 1 C H W"]) -> Float[Tensor, "B C C H W"]:
    """Return a version of an image for each channel: it is kept, and the others are its mean, without noise."""
    kept = images.squeeze(1)[:, :, None]  # (B, version, 1, H, W)
    same = torch.eye(images.shape[2], dtype=torch.bool, device=images.device)[..., None, None]
    return torch.where(same, kept, kept.mean((-1, -2), keepdim=True))


@build_once
def projection(device: torch.device) -> Float[Tensor, "3 3"]:
    """Return B = I - a a^T / (a^T a) of section 3.1: takes the green-magenta axis a out of a color, leaves the rest.

    >>> (projection(torch.device("cpu")) * 6).round().int().tolist()
    [[5, 2, -1], [2, 2, 2], [-1, 2, 5]]
    """
    axis = torch.tensor(GREEN_MAGENTA, device=device)
    return torch.eye(3, device=device) - torch.outer(axis, axis) / (axis @ axis)


def project(views: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 3 H W"]:
    """Return the views without their green-magenta axis."""
    return torch.einsum("ij,bvjhw->bvihw", projection(views.device), views)

"""Peers of images: relative position by PIL and torch, exemplar pairs by lightly, colors by scikit-image.

A peer works off one photograph after the other and stacks the results, as a DataLoader's worker does; ours begins with
the same bytes as one tensor. What is decided at random is decided in the same way, and the results have the same scale.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from pretask import Observed
from pretask.fitting import fit_split
from pretask_plugins.methods.colorization.palette import BINS
from pretask_plugins.methods.colorization.split import DropColor
from pretask_plugins.methods.exemplar.split import TransformPair
from pretask_plugins.methods.relative_position.split import DROPPED_NOISE_STD, MIN_STD, NEIGHBORS, CutPair
from torch import Tensor

from benchmarks.speed.race import Work, require_peer
from benchmarks.speed.splitting import split_batches

LIGHTLY, SKIMAGE = "lightly==1.6.0", "scikit-image scikit-learn"
KERNEL = 5.0  # standard deviation of the nearest bins' weights, of the paper


def make_images(count: int, side: int) -> Tensor:
    """Return images of smooth colors with noise."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(count, 3, 6, 6, generator=generator), side, mode="bicubic")
    noise = torch.rand(count, 3, side, side, generator=generator)
    return (255 * (0.9 * smooth + 0.1 * noise)).clamp(0, 255).byte()


def as_pictures(images: Tensor) -> list[Image.Image]:
    """Return images as PIL has them."""
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


def cut_pairs(device: torch.device, count: int, side: int, patch: int, color: str) -> tuple[Work, dict[str, Work]]:
    """Return ways to cut a patch and a neighbor out of every image."""
    split = CutPair(patch, patch // 4, patch // 8, color=color)  # type: ignore[arg-type]
    images = make_images(count, side)
    pictures = as_pictures(images)
    return split_batches(split, images, device), {
        "PIL": lambda: stack_pairs([cut_pair(split, picture, crop_picture, side) for picture in pictures]),
        "tensors": lambda: stack_pairs([cut_pair(split, image, crop_tensor, side) for image in images]),
    }


def crop_picture(picture: Image.Image, top: int, left: int, side: int) -> Tensor:
    """Crop a square of a picture, as fractions."""
    functional = require_peer("torchvision.transforms.functional", "torchvision")
    cropped: Tensor = functional.to_tensor(picture.crop((left, top, left + side, top + side)))
    return cropped


def crop_tensor(image: Tensor, top: int, left: int, side: int) -> Tensor:
    """Crop a square of a tensor, as fractions."""
    return image[:, top : top + side, left : left + side].float() / 255


def cut_pair(split: CutPair, image: Any, crop: Callable[..., Tensor], side: int) -> tuple[Tensor, int]:
    """Cut center and neighbor out of one image."""
    label, step = random.randrange(len(NEIGHBORS)), split.patch + split.gap
    center = [split.jitter + step + random.randrange(side - split.smallest + 1) for _ in range(2)]
    patches = []
    for away in ((0, 0), NEIGHBORS[label]):
        top, left = (
            start + direction * step + random.randint(-split.jitter, split.jitter)
            for start, direction in zip(center, away, strict=True)
        )
        patch = crop(image, top, left, split.patch)
        patches.append(standardize(drop_channels(patch) if split.color == "drop" else patch))
    return torch.stack(patches), label


def drop_channels(patch: Tensor) -> Tensor:
    """Keep one channel of a patch; the others become its mean and noise."""
    kept = random.randrange(3)
    std, mean = torch.std_mean(patch[kept], correction=0)
    noisy = patch.clone()
    noisy[[channel for channel in range(3) if channel != kept]] = mean + DROPPED_NOISE_STD * std * torch.randn(
        2, *patch.shape[1:]
    )
    return noisy


def standardize(patch: Tensor) -> Tensor:
    """Return a patch of mean 1/2 and std 1/4."""
    std, mean = torch.std_mean(patch, correction=0)
    return 0.5 + 0.25 * (patch - mean) / std.clamp(min=MIN_STD)


def stack_pairs(pairs: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Return pairs and labels as a batch."""
    views, labels = zip(*pairs, strict=True)
    return torch.stack(views), torch.tensor(labels)


def show_two_views(device: torch.device, count: int, side: int, patch: int) -> tuple[Work, dict[str, Work]]:
    """Return ways to show two views of every image: our exemplar pair, and the transform of SimCLR in lightly."""
    transform = require_peer("lightly.transforms", LIGHTLY).SimCLRTransform(input_size=patch)
    images = make_images(count, side)
    pictures = as_pictures(images)

    def transform_all() -> list[Tensor]:
        views = [transform(picture) for picture in pictures]
        return [torch.stack(of_all) for of_all in zip(*views, strict=True)]

    return split_batches(fit(TransformPair(patch=patch), images), images, device), {"SimCLRTransform": transform_all}


def fit(split: Any, images: Tensor) -> Any:
    """Fit a split to images."""
    from pretask import Samples

    samples = Samples(Observed("image", tuple(images.shape[1:]), samples=len(images)), images)
    return fit_split(split, samples.observed, samples.batches(64, images.device), None, name="peer")


def drop_colors(device: torch.device, count: int, side: int) -> tuple[Work, dict[str, Work]]:
    """Return ways to make lightness, and the five bins nearest to the color of every fourth pixel."""
    color, neighbors = require_peer("skimage.color", SKIMAGE), require_peer("sklearn.neighbors", SKIMAGE)
    images = make_images(count, side)
    rows = [image.permute(1, 2, 0).numpy() for image in images]
    finder = neighbors.NearestNeighbors(n_neighbors=5).fit(np.asarray(BINS, np.float32))

    def drop_color(row: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        lab = color.rgb2lab(row).astype(np.float32)
        distance, nearest = finder.kneighbors(lab[::4, ::4, 1:].reshape(-1, 2))
        weight = np.exp(-(distance**2) / (2 * KERNEL**2))
        weight /= weight.sum(1, keepdims=True)
        return torch.from_numpy(lab[..., 0] / 100), torch.from_numpy(nearest), torch.from_numpy(weight)

    def drop_all() -> list[Tensor]:
        return [torch.stack(of_all) for of_all in zip(*map(drop_color, rows), strict=True)]

    return split_batches(fit(DropColor(), images), images, device), {"scikit-image": drop_all}

"""Torchvision: its image data sets by name, decoded once into the cache.

Axes: N samples, C channels, H W image.
"""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from pretask import PretaskError, Samples
from pretask.cache import cache_key
from pretask.options import ImageSize

from pretask_plugins.data.image.folder import is_for_test
from pretask_plugins.data.image.images import DECODER, Album, cached_samples, crop_square, decode_images
from pretask_plugins.shared import tiny_files
from pretask_plugins.shared.listing.digests import digest_files
from pretask_plugins.shared.parts import check_part

Name = Literal[
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "FashionMNIST",
    "KMNIST",
    "SVHN",
    "STL10",
    "Imagenette",
    "EuroSAT",
    "Flowers102",
    "OxfordIIITPet",
]
GRAYSCALE = ("MNIST", "FashionMNIST", "KMNIST")
VARIED = ("Imagenette", "Flowers102", "OxfordIIITPet")  # images of differing sizes; others have a side of their own
SIDE = 128  # pixels, for these, where no option says otherwise
# What each data set calls its parts, where it does not ask whether it should give the one to train on.
SPLITS = {
    "SVHN": ("train", "test"),
    "STL10": ("train", "test"),
    "Imagenette": ("train", "val"),
    "Flowers102": ("train", "test"),
    "OxfordIIITPet": ("trainval", "test"),
}
UNLABELED = "STL10"  # the one with images without labels
UNDIVIDED = ("EuroSAT",)  # all in one; a tenth is for testing
# Where each data set has its files below the root.
FILES = {
    "CIFAR10": "cifar-10-batches-py/*",
    "CIFAR100": "cifar-100-python/*",
    "MNIST": "MNIST/raw/*",
    "FashionMNIST": "FashionMNIST/raw/*",
    "KMNIST": "KMNIST/raw/*",
    "SVHN": "*_32x32.mat",
    "STL10": "stl10_binary/*",
    "Imagenette": "imagenette2*/**/*",
    "EuroSAT": "eurosat/2750/**/*",
    "Flowers102": "flowers-102/**/*",
    "OxfordIIITPet": "oxford-iiit-pet/**/*",
}
EXAMPLES = ("n01440764", "n02102040")  # of its classes: tench, English springer
EDITIONS = {"160px": 160, "320px": 320, "full": None}  # of Imagenette: short sides, pixels


@dataclass(frozen=True)
class TorchvisionData:
    """One of torchvision's labeled image data sets.

    Args:
        name: As torchvision calls it.
        root: Folder that torchvision keeps it in.
        image_size: Side of the images, pixels; the data set's own when left out, 128 where its images differ.
        download: Whether to fetch what is missing.
        unlabeled: Whether the training part is STL10's 100,000 images without labels, from which it was made to learn;
            its labeled ones are then named with `--on`.
    """

    name: Name
    root: Path
    image_size: ImageSize | None = None
    download: bool = False
    unlabeled: bool = False

    def __post_init__(self) -> None:
        if self.unlabeled and self.name != UNLABELED:
            do = "Leave data.unlabeled out."
            raise PretaskError("torchvision with data.unlabeled", UNLABELED, self.name, do, exit_code=2)

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: The files are not where torchvision looks for them.
        """
        check_part("torchvision", part)
        side = self.image_size if self.image_size is not None or self.name not in VARIED else SIDE
        if not self.files():
            self.open(part, side)  # fetches, or tells what is missing
        kept = "unlabeled" if self.is_unlabeled(part) else part
        facts = {"data": "torchvision", "name": self.name, "part": kept, "image_size": side, "decoder": DECODER}
        names = [str(path.relative_to(self.root.expanduser())) for path in self.files()]
        content = list(zip(names, digest_files(self.files()), strict=True))
        where = {"root": self.root.expanduser().resolve(), "files": cache_key({"files": content})}
        return cached_samples(facts | where, lambda: self.album(part, side))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a few images of two of Imagenette's classes."""
        places = (folder / "imagenette2-160" / part / name for part in SPLITS["Imagenette"] for name in EXAMPLES)
        tiny_files.write_pictures(place / f"{number}.JPEG" for place in places for number in range(3))
        return {"name": "Imagenette", "root": folder, "image_size": tiny_files.SIDE}

    def is_unlabeled(self, part: str) -> bool:
        """Return whether the images of a part have no labels."""
        return self.unlabeled and part == "train"

    def open(self, part: str, side: int | None) -> Any:
        """Open torchvision's own data set object."""
        import torchvision

        root = self.root.expanduser()
        which: dict[str, Any] = {} if self.name in UNDIVIDED else {"train": part == "train"}
        if self.name in SPLITS:
            which = {"split": "unlabeled" if self.is_unlabeled(part) else SPLITS[self.name][part == "test"]}
        if self.name == "Imagenette":
            which["size"] = choose_edition(root, side or SIDE)
        try:
            with redirect_stdout(sys.stderr):  # where torchvision talks
                return getattr(torchvision.datasets, self.name)(str(root), download=self.download, **which)
        except (RuntimeError, OSError) as error:
            raise PretaskError(
                f"torchvision {self.name}",
                f"its files below {root}",
                str(error).strip() or type(error).__name__,
                "Put them there, or set data.download=true to fetch them.",
            ) from error

    def files(self) -> list[Path]:
        """List the data set's files: what changes when the data does."""
        return sorted(path for path in self.root.expanduser().glob(FILES[self.name]) if path.is_file())

    def album(self, part: str, side: int | None) -> Album:
        """Decode its images, one after the other."""
        found, gray = self.open(part, side), self.name in GRAYSCALE
        labels = torch.as_tensor(class_numbers(found), dtype=torch.int64).numpy()
        own = np.arange(len(labels))
        if self.name in UNDIVIDED:
            own = own[[is_for_test(Path(path).name) == (part == "test") for path, _ in found.samples]]

        def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
            return crop_square(found[own[number]][0], side, gray)

        pieces = decode_images("torchvision", len(own), decode, lambda number: f"{self.name} {own[number]}")
        return Album(decode(0).shape, labels[own], class_names(found, labels), pieces)


def choose_edition(root: Path, side: int) -> str:
    """Choose Imagenette's smallest edition with images of that side: of those below the root, else of all."""
    enough = [name for name, short in EDITIONS.items() if short is None or short >= side]
    there = [name for name in enough if (root / f"imagenette2{'' if name == 'full' else '-' + name[:-2]}").is_dir()]
    return (there or enough)[0]


def class_numbers(found: Any) -> Any:
    """Return the class number of every sample, without decoding any where the data set keeps them."""
    for name in ("targets", "labels", "_labels"):
        if hasattr(found, name):
            return getattr(found, name)
    if hasattr(found, "_samples"):
        return [label for _, label in found._samples]
    return [label for _, label in found]


def class_names(found: Any, labels: np.ndarray) -> list[str]:
    """Return the data set's own names of its classes, else numbers; a class of several names gets the first one."""
    names = getattr(found, "classes", None)
    if names is None:
        return [str(number) for number in range(int(labels.max()) + 1)]
    return [name if isinstance(name, str) else name[0] for name in names]

"""Torchvision: its image data sets by name, decoded once into the cache.

Axes: N samples, C channels, H W image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from pretask import PretaskError, Samples

from pretask_plugins.data.images import Album, cached_samples, check_part, decoded, pixels

Name = Literal[
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "FashionMNIST",
    "KMNIST",
    "SVHN",
    "STL10",
    "Imagenette",
    "Flowers102",
    "OxfordIIITPet",
]
GREY = ("MNIST", "FashionMNIST", "KMNIST")
VARIED = ("Imagenette", "Flowers102", "OxfordIIITPet")  # images of differing sizes; others have a side of their own
SIDE = 128  # pixels, for these, where nothing else is asked for
# What each data set calls its parts, where it does not ask whether it should give the one to train on.
SPLITS = {
    "SVHN": ("train", "test"),
    "STL10": ("train", "test"),
    "Imagenette": ("train", "val"),
    "Flowers102": ("train", "test"),
    "OxfordIIITPet": ("trainval", "test"),
}


@dataclass(frozen=True)
class TorchvisionData:
    """One of torchvision's labelled image data sets.

    Args:
        name: As torchvision calls it.
        root: Folder that torchvision keeps it in.
        size: Side of the images, pixels; the data set's own when left out, 128 where its images differ.
        download: Whether to fetch what is missing.
    """

    name: Name
    root: Path
    size: int | None = None
    download: bool = False

    def __call__(self, part: str, /) -> Samples:
        """One part.

        Raises:
            PretaskError: The files are not where torchvision looks for them.
        """
        check_part("torchvision", part)
        found = self.open(part)
        side = self.size if self.size is not None or self.name not in VARIED else SIDE
        facts = {"data": "torchvision", "name": self.name, "part": part, "size": side, "root": self.stamps()}
        return cached_samples(facts, lambda: self.album(found, side))

    def open(self, part: str) -> Any:
        """Torchvision's own data set object."""
        import torchvision

        which: dict[str, Any] = {"train": part == "train"}
        if self.name in SPLITS:
            which = {"split": SPLITS[self.name][part == "test"]}
        try:
            return getattr(torchvision.datasets, self.name)(str(self.root), download=self.download, **which)
        except (RuntimeError, FileNotFoundError, OSError) as error:
            raise PretaskError(
                f"torchvision {self.name}",
                f"its files below {self.root}",
                str(error).strip() or type(error).__name__,
                "Put them there, or set data.download=true to fetch them.",
            ) from error

    def stamps(self) -> list[Any]:
        """Names, sizes and times of the files below the root: what changes when the data does."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.root)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]

    def album(self, found: Any, side: int | None) -> Album:
        """Its images, decoded as they are asked for."""
        grey = self.name in GREY

        def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
            image = found[number][0]
            if not isinstance(image, Image.Image):
                raise ValueError(f"{type(image).__name__} instead of an image")
            return pixels(image, side, grey)

        labels = torch.as_tensor(labels_of(found), dtype=torch.int64).numpy()
        pieces = decoded("torchvision", len(found), decode, lambda number: f"{self.name} {number}")
        return Album(decode(0).shape, labels, class_names(found, labels), pieces)


def labels_of(found: Any) -> Any:
    """The class number of every sample, without decoding any where the data set keeps them."""
    for name in ("targets", "labels", "_labels"):
        if hasattr(found, name):
            return getattr(found, name)
    if hasattr(found, "_samples"):
        return [label for _, label in found._samples]
    return [label for _, label in found]


def class_names(found: Any, labels: np.ndarray) -> list[str]:
    """The data set's own names of its classes, else numbers; a class of several names gets the first one."""
    names = getattr(found, "classes", None)
    if names is None:
        return [str(number) for number in range(int(labels.max()) + 1)]
    return [name if isinstance(name, str) else name[0] for name in names]

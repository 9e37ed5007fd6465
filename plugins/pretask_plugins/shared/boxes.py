"""Boxes: what data of object detection offer beside their images: where objects are, and of which class.

Axes: N images, L objects of an image at most.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Boxes:
    """The objects of the images of a part.

    Args:
        corners: Left, top, right and bottom, pixels of the samples, right and bottom exclusive.
        classes: Numbers of names; -1 where an image has fewer objects.
        difficult: Objects that need not be found: neither finding nor missing them counts (VOC's `difficult`, COCO's
            `iscrowd`).
        names: Of the classes.
    """

    corners: Float[Tensor, "N L 4"]
    classes: Int[Tensor, "N L"]
    difficult: Bool[Tensor, "N L"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def of_image(self, image: int) -> tuple[Float[Tensor, "M 4"], Int[Tensor, " M"], Bool[Tensor, " M"]]:
        """Return corners, classes and difficulty of the objects of an image."""
        there = self.classes[image] >= 0
        return self.corners[image][there], self.classes[image][there], self.difficult[image][there]


@runtime_checkable
class HasBoxes(Protocol):
    """Data of images that know where objects are."""

    def boxes(self, part: str, /) -> Boxes:
        """Return the objects of a part."""
        ...

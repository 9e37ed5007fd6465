"""Digits: 1,797 real hand-written digits of 8 x 8 pixels that come with scikit-learn, so that nothing must be fetched.

Source: Alpaydin and Kaynak 1998, the test part of "Optical Recognition of Handwritten Digits".
Axes: N samples.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from pretask import Samples
from pretask.options import ImageSize, require_range

from pretask_plugins.data.image.images import image_samples
from pretask_plugins.shared.parts import check_part

SIDE = 8  # pixels of the originals
DEEPEST = 16  # their blackest ink
HELD_OUT = 5  # every fifth digit of each class is for testing


@dataclass(frozen=True)
class Digits:
    """Gray images (1, image_size, image_size), white ink on black.

    Args:
        image_size: Side, pixels; other than 8 it is interpolated.

    Raises:
        PretaskError: The size is below 1.
    """

    image_size: ImageSize = SIDE

    def __post_init__(self) -> None:
        require_range("digits", "data", self)

    def __call__(self, part: str, /) -> Samples:
        """Return 1,442 digits to train on or 355 to test on; the same ones always, all classes alike in both."""
        from sklearn.datasets import load_digits

        check_part("digits", part)
        found = load_digits()
        chosen = is_for_test(found.target) == (part == "test")
        levels = (found.images[chosen] * (255 / DEEPEST) + 0.5).astype(np.uint8)
        images = levels if self.image_size == SIDE else np.stack([resize(level, self.image_size) for level in levels])
        return image_samples(images[:, None], found.target[chosen].astype(np.int64), [str(name) for name in range(10)])


def is_for_test(labels: np.ndarray) -> np.ndarray:
    """Return whether each digit is the fifth, tenth … of its class.

    >>> is_for_test(np.array([3, 3, 7, 3, 3, 3])).tolist()
    [False, False, False, False, False, True]
    """
    place = np.zeros(len(labels), int)
    for label in np.unique(labels):
        place[labels == label] = np.arange((labels == label).sum())
    out: np.ndarray = place % HELD_OUT == HELD_OUT - 1
    return out


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the image by interpolating between its pixels."""
    larger = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.array(larger, dtype=np.uint8)

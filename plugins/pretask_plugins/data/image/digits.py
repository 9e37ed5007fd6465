"""Digits: 1,797 real hand-written digits of 8 x 8 pixels that come with scikit-learn, so that nothing must be fetched.

Source: Alpaydin and Kaynak 1998, the test part of "Optical Recognition of Handwritten Digits".
Axes: N samples.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image
from pretask import PretaskError, Samples
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
        check_part("digits", part)
        levels, labels = read_digits()
        chosen = is_for_test(labels) == (part == "test")
        levels = (levels[chosen] * (255 / DEEPEST) + 0.5).astype(np.uint8)
        images = levels if self.image_size == SIDE else np.stack([resize(level, self.image_size) for level in levels])
        return image_samples(images[:, None], labels[chosen], [str(name) for name in range(10)])


@cache
def read_digits() -> tuple[Int[np.ndarray, "N 8 8"], Int[np.ndarray, " N"]]:
    """Read levels of ink and labels from scikit-learn's own file; to import all of it takes longer than many a run.

    Raises:
        PretaskError: scikit-learn keeps the file elsewhere.
    """
    spec = find_spec("sklearn")
    folders = spec.submodule_search_locations if spec is not None else None
    file = Path(next(iter(folders or [""]))) / "datasets/data/digits.csv.gz"
    if not file.exists():
        raise PretaskError("digits", f"{file.name} of scikit-learn", f"none at {file}", "Install scikit-learn anew.")
    rows = np.loadtxt(file, delimiter=",", dtype=np.int64)  # 64 levels, and the digit
    return rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1]


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

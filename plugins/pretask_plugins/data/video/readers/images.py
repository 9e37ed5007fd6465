"""Images: a folder of pictures as a video.

Axes: F frames, H W image.
"""

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float
from pretask.preparation.flat_images import read_rgb

from pretask_plugins.data.video.readers.reader import EDITION, Picture


def describe_images() -> str:
    """Return what decodes images, with its version."""
    import PIL

    return f"pillow {PIL.__version__}, edition {EDITION}"


class Images:
    """Frames that are images of their own, in the order of their names.

    Args:
        names: Of the images.
        read: Gives the bytes of one.
    """

    times: Float[np.ndarray, " F"] | None = None

    def __init__(self, names: Sequence[str], read: Callable[[str], bytes]) -> None:
        self.names, self.read = names, read
        self.count = len(names)

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the images of the given numbers, which must be of one size."""
        from PIL import Image

        first = None
        for number in index:
            with Image.open(io.BytesIO(self.read(self.names[number]))) as image:
                frame = read_rgb(image)
            first = first or frame.shape[:2]
            if frame.shape[:2] != first:
                sizes = sorted([first, frame.shape[:2]])
                raise ValueError(f"images of several sizes, {sizes[0]} and {sizes[1]}")
            yield frame

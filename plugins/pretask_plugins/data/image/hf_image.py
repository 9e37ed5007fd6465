"""Images of data sets of the datasets library.

Source: Lhoest et al., EMNLP 2021 (the library).
Axes: N samples, C channels, H W image.
"""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pretask import Samples
from pretask.options import ImageSize, require_range

from pretask_plugins.data.hub import Choice, HubData
from pretask_plugins.data.image.images import DECODER, Album, cached_samples, crop_square, decode_images


@dataclass(frozen=True)
class HfImage:
    """Images (3, image_size, image_size) from a data set of the datasets library.

    Args:
        name: On the Hugging Face hub, such as ylecun/mnist; or a folder that save_to_disk wrote or load_dataset reads.
        subset: Of data sets that have several.
        train_split: To train on; train when left out.
        test_split: To test on; test, or validation, when left out; without any, a tenth of the rows to train on.
        column: That holds the images; the first one of images when left out.
        label: Column of the class; label, or the first one of classes, when left out.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.
        grayscale: Whether to make one channel of the colors.
        revision: A tag or commit of the data set; the newest one when left out.
    """

    name: str
    subset: str = ""
    train_split: str = ""
    test_split: str = ""
    column: str = ""
    label: str = ""
    image_size: ImageSize = 128
    grayscale: bool = False
    revision: str = ""

    def __post_init__(self) -> None:
        require_range("hf-image", "data", self)

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: The data set, a split or a column is not there, or an image cannot be decoded.
        """
        splits = (self.train_split, self.test_split)
        choice = Choice("hf-image", "Image", self.name, self.subset, self.revision, splits, self.column, self.label)
        found = choice.open()
        options = {"image_size": self.image_size, "grayscale": self.grayscale, "decoder": DECODER}
        classes = found.classes(part)
        facts = found.facts(part) | options | {"names": found.names, "classes": classes.tolist()}
        return cached_samples(facts, lambda: self.album(found, part))

    def album(self, found: HubData, part: str) -> Album:
        """Decode the images of a part, one after the other."""
        content = found.content(part)

        def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
            with Image.open(io.BytesIO(content.read(number))) as image:
                return crop_square(image, self.image_size, self.grayscale)

        shape = (1 if self.grayscale else 3, self.image_size, self.image_size)
        pieces = decode_images("hf-image", len(content), decode, content.name)
        return Album(shape, found.classes(part), found.names, pieces)

"""WebDataset: images in tar shards that are decoded while they are trained on, for more than disk or memory holds.

`folder` decodes the same shards once and reads every epoch from there, which is faster wherever the pixels have room.
Here only the places of samples are kept. Neighbors in a shard are read together: an epoch permutes blocks of 64
samples, and then the samples of 128 blocks at a time, by seed and epoch alone.

Source: Aizman, Maltby and Breuel, IEEE Big Data 2019 (the layout).
Differs: shards are files at hand, read at the places of their samples. The library reads streams from end to end, and
its shuffle keeps samples in a buffer, whose order follows from how many processes read.
Axes: B batch, N samples, C channels, H W image.
"""

import io
import os
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cache_key
from pretask.options import ImageSize
from pretask.unread_rows import UnreadRows
from torch import Tensor

from pretask_plugins.data.decoding import first_line
from pretask_plugins.data.image.folder import ENDINGS
from pretask_plugins.data.image.images import DECODER, MAX_THREADS, crop_square
from pretask_plugins.shared.listing import ShardIndex, index_shards
from pretask_plugins.shared.parts import PART_FOLDERS, check_part
from pretask_plugins.shared.tiny_files import SIDE, write_pictures

BLOCK = 64  # samples that lie together in an epoch's order


@dataclass(frozen=True)
class WebDataset:
    """Images in numbered tar files.

    Args:
        root: A folder of uncompressed tar files: train-000000.tar … and test-000000.tar … (or val-…), also in folders
            of these names, with a.jpg and its class in a.cls or a.json, or CLASS/a.jpg. Of shards that name no part a
            tenth of the samples is for testing, by a hash of their names.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.
        grayscale: Whether to make one channel of the colors.
    """

    root: Path
    image_size: ImageSize = 128
    grayscale: bool = False

    def __call__(self, part: str, /) -> Samples:
        """Return one part, whose images are decoded when a batch asks for them.

        Raises:
            PretaskError: There are no shards, one is compressed or broken, or a part has no images.
        """
        check_part("webdataset", part)
        index = index_shards("webdataset", self.root, ENDINGS)[part]
        shape = (1 if self.grayscale else 3, self.image_size, self.image_size)
        decode = Decoder(index, self.image_size, self.grayscale)
        names = index.classes
        return Samples(
            Observed("image", shape, "uint8", len(index)),
            UnreadRows(decode, (len(index), *shape), torch.uint8),
            {"class": Labels(torch.from_numpy(index.labels), names)} if names else {},
            fingerprint=self.fingerprint(index),
            block=BLOCK,
        )

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write two shards for each part, with a few images of two classes."""
        root = folder / "shards"
        root.mkdir()
        pictures = [folder / "pictures" / part / f"{number}.png" for part in PART_FOLDERS for number in range(6)]
        write_pictures(pictures)
        for number, path in enumerate(pictures):
            shard = root / f"{path.parent.name}-{number % 6 // 3:06d}.tar"
            with tarfile.open(shard, "a") as archive:
                archive.add(path, path.name)
                label = tarfile.TarInfo(f"{path.stem}.cls")
                label.size = 1
                archive.addfile(label, io.BytesIO(b"ab"[number % 2 :][:1]))
        return {"root": root, "image_size": SIDE}

    def fingerprint(self, index: ShardIndex) -> str:
        """Return a hash of all that determines the images of a part: no pixel is looked at before it is needed."""
        options = {"image_size": self.image_size, "grayscale": self.grayscale, "classes": index.classes}
        return cache_key({"data": "webdataset", "decoder": DECODER, "content": index.content, **options})


@dataclass(frozen=True, eq=False)
class Decoder:
    """Decodes images by their numbers.

    Args:
        index: Where they lie.
        size: Side of the square.
        grayscale: Whether they get one channel.
    """

    index: ShardIndex
    size: int
    grayscale: bool

    def __call__(self, numbers: Int[Tensor, " B"]) -> UInt8[Tensor, "B C H W"]:
        """Decode images, by several threads where there are several cores; raise PretaskError for one that is none."""
        if not len(numbers):
            return torch.empty(0, 1 if self.grayscale else 3, self.size, self.size, dtype=torch.uint8)
        threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
        if threads == 1:
            images = [self.decode(number) for number in numbers.tolist()]
        else:
            with ThreadPoolExecutor(threads) as pool:
                images = list(pool.map(self.decode, numbers.tolist()))
        return torch.from_numpy(np.stack(images))

    def decode(self, number: int) -> UInt8[np.ndarray, "C H W"]:
        """Decode one image."""
        try:
            with Image.open(io.BytesIO(self.index.read(number))) as image:
                return crop_square(image, self.size, self.grayscale)
        except Exception as error:  # decoders raise nearly everything
            raise PretaskError(
                "webdataset",
                "images that can be decoded",
                f"{self.index.locate(number)} ({first_line(error)})",
                "Replace it or take it out, and start again.",
            ) from error

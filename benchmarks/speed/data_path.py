"""Data path: photographs decoded once, read from the cache, and read from a file that memory does not hold.

`decoded once`: the first call of our loader, which decodes, scales and writes everything, beside PIL doing the decoding
and scaling of one epoch. `an epoch`: fetching all samples of an epoch in batches, beside decoding them again in each.
`a start`: opening the cache in a new process, checksums included, beside decoding. `cold`: batches in random order out
of a file whose pages were dropped before (Linux), as if it were larger than memory, beside the same in memory.
"""

import os
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from pretask import Samples
from pretask.mapped import map_file
from pretask_bench.runs.plan import make_plan
from pretask_registry import Registry
from pretask_registry.conformance.small_data import use_fresh_cache

from benchmarks.speed.peers_images import as_pictures, make_images
from benchmarks.speed.race import judge, print_heading, print_race, race, time_work

CPU = torch.device("cpu")
SIDE, PHOTO, CLASSES = 64, 160, 4
PHOTOS, BATCH = 400, 64
COLD_MEGABYTES = 512


def measure_data(photos: int = PHOTOS, megabytes: int = COLD_MEGABYTES, **options: Any) -> dict[str, Any]:
    """Return what decoding once, epochs and starts cost beside decoding in every epoch, and cold pages beside warm."""
    with tempfile.TemporaryDirectory() as folder, use_fresh_cache():
        files = write_photos(Path(folder) / "photos", photos)
        measured = measure_decoding(Path(folder) / "photos", files, **options)
        measured["cold pages"] = measure_cold(Path(folder) / "large.npy", megabytes)
    return measured


def write_photos(folder: Path, count: int) -> list[Path]:
    """Write JPEG files into folders of classes, for training and test."""
    files = []
    for number, picture in enumerate(as_pictures(make_images(count, PHOTO))):
        path = folder / ("test" if number % 10 == 0 else "train") / f"class{number % CLASSES}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=90)
        files.append(path)
    return [path for path in files if "train" in path.parts]


def load_photos(folder: Path) -> Samples:
    """Return the training part of our loader, as a run would have it."""
    settings = {"data": "folder", "data.root": str(folder), "data.image_size": SIDE}
    samples: Samples = make_plan(Registry.load(), "vae", settings=settings).build("data")("train")
    return samples


def decode(path: Path) -> np.ndarray:
    """Decode and scale one file as loaders of images do."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def measure_decoding(folder: Path, files: list[Path], **options: Any) -> dict[str, Any]:
    """Return the ratios of decoding in every epoch over the first call, an epoch, and a start."""
    print_heading(theirs="decoding ms")

    def decode_all() -> torch.Tensor:
        return torch.from_numpy(np.stack([decode(path) for path in files]))

    load_photos(folder.with_name("photos"))  # imports and finds files
    with use_fresh_cache():
        first = time_work(lambda: load_photos(folder), 1)
    bare = time_work(decode_all, 1)
    once = {"ratio": bare[0] / first[0], "ratio_wall": bare[1] / first[1], "noise": 1.0}
    once |= {"ours_ms": 1e3 * first[0], "theirs_ms": 1e3 * bare[0]}
    samples = load_photos(folder)
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))

    def fetch_epoch() -> None:
        for index in order.split(BATCH):
            samples.batch(index, CPU)

    found = {
        "decoded once": judge(once, None),
        "an epoch": judge(race(fetch_epoch, decode_all, **options), None),
        "a start": judge(race(lambda: load_photos(folder), decode_all, **options), None),
    }
    for name, numbers in found.items():
        print_race(name, numbers)
    return found


def measure_cold(path: Path, megabytes: int) -> dict[str, float]:
    """Return seconds of an epoch in random order from dropped pages and from memory, and megabytes a second."""
    rows = megabytes * 2**20 // (3 * SIDE * SIDE)
    np.save(path, np.random.default_rng(0).integers(0, 256, (rows, 3, SIDE, SIDE), np.uint8))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    cold, warm = read_all(path, order, drop=True), read_all(path, order, drop=False)
    print(
        f"{'cold pages over warm':44}{cold / warm:8.2f}   {megabytes / cold:.0f} MB/s cold, {megabytes / warm:.0f} warm"
    )
    return {"ratio": cold / warm, "cold MB/s": megabytes / cold, "warm MB/s": megabytes / warm}


def read_all(path: Path, order: torch.Tensor, *, drop: bool) -> float:
    """Return the wall seconds of fetching all rows of a mapped file in batches."""
    if drop and hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    data = torch.from_numpy(map_file(path))
    begin = perf_counter()
    for index in order.split(BATCH):
        data.index_select(0, index)
    return perf_counter() - begin

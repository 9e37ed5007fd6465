"""Clips: what the data sets of clips share: frames of one size, and the cache of what was decoded.

Axes: N samples, T frames, C channels, H W image, F any frames, K joints.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int, Int8, Int16, UInt8
from pretask import Labels, Observed, Samples
from pretask.cache import cached, fingerprint, write_rows
from pretask.mapped import map_file

from pretask_plugins.data.decoding import Decoded, Work, decode_batches

THREADS = 2  # videos that are decoded at once; the decoders keep no hold on Python's lock


@dataclass(frozen=True)
class Reel:
    """Clips that are yet to be made.

    Args:
        shape: Of one clip, (T, C, H, W).
        count: How many there are.
        clips: The clips in order, any number at a time.
        rate: Frames per second, where known.
        classes: Class numbers by the name of the labels.
        names: Of these classes.
        masks: Which thing every pixel belongs to, 0 for none and -1 where nobody knows, in the order of the clips.
        things: Names of what the numbers of a mask mean.
        present: False where a frame is padding.
        keypoints: Row and column of joints, -1 where one is not seen.
        joints: Names of these.
    """

    shape: tuple[int, int, int, int]
    count: int
    clips: Iterable[UInt8[np.ndarray, "_ T C H W"]]
    rate: float | None = None
    classes: Mapping[str, Int[np.ndarray, " N"]] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    masks: Iterable[Int8[np.ndarray, "_ T H W"]] | None = None
    things: Sequence[str] = ()
    present: Bool[np.ndarray, "N T"] | None = None
    keypoints: Int16[np.ndarray, "N T K 2"] | None = None
    joints: Sequence[str] = ()


def cached_samples(facts: Mapping[str, Any], reel: Callable[[], Reel]) -> Samples:
    """Return the samples of an entry of the cache, mapped into memory; made from the reel where there is none.

    Args:
        facts: What determines the reel.
        reel: Called only where it must be made.
    """
    arrays, notes = cached("clips", facts, lambda folder: write_reel(folder, reel()))
    labels = {
        name: Labels(torch.from_numpy(arrays[name]), tuple(classes)) for name, classes in notes["classes"].items()
    }
    clips, present = torch.from_numpy(arrays["clips"]), arrays.get("present")
    observed = Observed("video", tuple(clips.shape[1:]), "uint8", len(clips), rate=notes["rate"])
    return Samples(
        observed,
        clips,
        labels,
        None if present is None else torch.from_numpy(present),
        notes["fingerprint"],
    )


def write_reel(folder: Path, reel: Reel) -> Mapping[str, Any]:
    """Write a reel's arrays into a folder; labels get files of their own names."""
    write_rows(folder / "clips.npy", (reel.count, *reel.shape), "uint8", reel.clips)
    for name, classes in reel.classes.items():
        np.save(folder / f"{name}.npy", classes.astype(np.int64))
    if reel.masks is not None:
        frames, _, height, width = reel.shape
        write_rows(folder / "masks.npy", (reel.count, frames, height, width), "int8", reel.masks)
    if reel.keypoints is not None:
        np.save(folder / "keypoints.npy", reel.keypoints)
    if reel.present is not None:
        np.save(folder / "present.npy", reel.present)
    written = sorted(folder.glob("*.npy"))
    names = {name: list(classes) for name, classes in reel.names.items()}
    names |= {"masks": list(reel.things)} if reel.masks is not None else {}
    names |= {"keypoints": list(reel.joints)} if reel.keypoints is not None else {}
    known = fingerprint(*map(map_file, written), names=[*[path.stem for path in written], *chain(*names.values())])
    return {"rate": reel.rate, "classes": names, "fingerprint": known}


def decode_videos(
    who: str, count: int, decode: Callable[[int], Decoded], name: Callable[[int], str]
) -> Iterator[Decoded]:
    """Yield what `decode` gives of the videos 0 to count - 1; see `decode_batches`."""
    work = Work(who, "videos", count, THREADS, THREADS)
    return chain.from_iterable(decode_batches(work, decode, name))

"""Audio folder: recordings in files, decoded once, resampled, and cut or padded to one length.

Axes: N recordings, S samples of a waveform.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int
from pretask import PretaskError, Samples
from pretask.options import Interval, Seconds, Size, require_range

from pretask_plugins.data.audio.recordings import describe_decoder
from pretask_plugins.data.audio.waves import Sounds, cached_samples
from pretask_plugins.shared.listing import (
    FileTree,
    Item,
    Listing,
    build_listing,
    check_classes,
    list_any,
    open_tree,
    printable_name,
)
from pretask_plugins.shared.parts import PART_FOLDERS, check_part, check_patterns, hash_text, is_tenth
from pretask_plugins.shared.tiny_files import SAMPLE_RATE, write_recordings

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a")
EDITION = 3  # of what is decoded; raised when that changes


@dataclass(frozen=True)
class AudioFolder:
    """Recordings from a folder, tar files or a table, of any sample format; of several channels the mean.

    Args:
        root: A folder or tar file with train/CLASS/… and test/CLASS/… (or val/…), CLASS/…, or recordings alone; a
            folder of numbered tar files in the layout of WebDataset (train-000000.tar with a.flac and a.cls); a .csv,
            .tsv or .parquet file with the columns file, label and split.
        sample_rate: Hz to which everything is resampled.
        seconds: Length of every recording; longer ones are cut, shorter ones padded with silence (`present` tells).
        label_pattern: Pattern whose first group, found in the file's name, is the class; the folder's name when empty.
        test_pattern: Pattern of the names that are the part `test`, whatever folders there are; when empty, the folders
            of parts, else a tenth by hash of the name.
    """

    root: Path
    sample_rate: Size = 16000
    seconds: Seconds = 1.0
    label_pattern: str = ""
    test_pattern: str = ""

    def __post_init__(self) -> None:
        sample = Interval(ge=1 / max(self.sample_rate, 1))
        require_range("audio-folder", "data", self, seconds=sample)
        check_patterns("audio-folder", label_pattern=self.label_pattern, test_pattern=self.test_pattern)

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There are no files, some cannot be used, or a name has no label.
        """
        check_part("audio-folder", part)
        with open_tree("audio-folder", self.root, "recordings") as tree:
            listing = self.list_recordings(tree)
            items = listing.select(part)
            if not items:
                raise PretaskError(
                    "audio-folder",
                    f"{' or '.join(SUFFIXES)} files for the part {part} in {printable_name(str(self.root))}",
                    "none",
                    "Name the folder with data.root, and see data.test_pattern.",
                )
            if part == "test" and not self.test_pattern:
                check_classes("audio-folder", listing, "recordings")
            return self.read(tree, [item.name for item in items], listing.number(items), listing.classes, part)

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a few recordings of two classes for each part."""
        write_recordings(folder / part / name / f"{n}.wav" for part in PART_FOLDERS for name in "ab" for n in range(3))
        return {"root": folder, "sample_rate": SAMPLE_RATE, "seconds": 0.5, "test_pattern": "^test/"}

    def list_recordings(self, tree: FileTree) -> Listing:
        """List the recordings with their parts and classes."""
        listing = list_any(tree, SUFFIXES, self.is_for_test, explicit=bool(self.test_pattern))
        if not self.label_pattern:
            return listing
        return build_listing(replace(item, label=self.match_label(item)) for item in listing.items)

    def read(
        self, tree: FileTree, names: list[str], classes: Int[np.ndarray, " N"], class_names: tuple[str, ...], part: str
    ) -> Samples:
        """Return the recordings of the given names, from the cache or decoded."""
        size = round(self.seconds * self.sample_rate)
        facts = {
            "edition": EDITION,
            "part": part,
            "sample_rate": self.sample_rate,
            "size": size,
            "decoder": describe_decoder(names),
            "files": tree.digest(names),
        }
        sounds = Sounds(len(names), self.sample_rate, size, classes, class_names)

        def read(number: int) -> bytes:
            return tree.read(names[number])

        def name(number: int) -> str:
            return printable_name(names[number])

        return cached_samples("audio-folder", facts, sounds, read, name)

    def is_for_test(self, name: str) -> bool:
        """Return whether a file belongs to the part `test`, where no folder says so."""
        if self.test_pattern:
            return re.search(self.test_pattern, name) is not None
        return is_tenth(hash_text(PurePosixPath(name).name, 2)[:1])

    def match_label(self, item: Item) -> str:
        """Return the class that a file's name holds."""
        found = re.search(self.label_pattern, PurePosixPath(item.name).name)
        if found is None or not found.groups():
            raise PretaskError(
                "audio-folder",
                f"a group of data.label_pattern={self.label_pattern} in every name",
                printable_name(item.name),
                "Put round brackets around the class in data.label_pattern.",
            )
        return printable_name(found.group(1) or "")

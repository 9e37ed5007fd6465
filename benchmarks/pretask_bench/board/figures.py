"""Figures: the PNG files that records come with, as text that a page can hold.

A figure is shown where its file lies beside the records and fits its name. Number and size are bounded, since anybody
may send one.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pretask.errors import PretaskError

from pretask_bench.board.entries import Entry
from pretask_bench.records.measured import Picture
from pretask_bench.records.store import read_picture

GALLERY_FIGURES = 2  # of an entry, that stand below the table
GALLERY_ENTRIES = 12  # of a table

Shown = tuple[str, str, str]  # encoder, caption, and the file's bytes in base64


@dataclass
class Album:
    """The figures that a page has room for.

    Args:
        folders: Where their files lie.
        max_bytes: Most bytes of one.
        total: Most bytes of all.
        per_entry: Most figures of one entry.
        pixels: Most of one figure, since a small file may hold a huge one.
        shown: Whether any is.
    """

    folders: Sequence[Path]
    max_bytes: int = 256 << 10
    total: int = 4 << 20
    per_entry: int = 6
    pixels: int = 4_000_000
    shown: bool = True
    used: int = 0
    left_out: int = 0
    cache: dict[str, bytes | None] = field(default_factory=dict)

    def figures(self, entry: Entry) -> list[Shown]:
        """Return encoder, caption and data of the figures of an entry's first seed, as many as there is room for."""
        if not self.shown:
            return []
        offered: list[tuple[str, Picture]] = [
            (row.encoder, picture) for row in entry.first.results for picture in row.pictures
        ]
        offered += [("pretext", picture) for picture in (entry.first.pretext.pictures if entry.first.pretext else ())]
        taken: list[Shown] = []
        for encoder, picture in offered:
            png = self.read(picture) if len(taken) < self.per_entry else None
            if png is None or self.used + len(png) > self.total:
                self.left_out += 1
                continue
            self.used += len(png)
            taken.append((encoder, picture.caption or picture.name, b64encode(png).decode()))
        return taken

    def read(self, picture: Picture) -> bytes | None:
        """Return the bytes of a figure; None where no folder has it or it exceeds a bound."""
        if picture.png not in self.cache:
            self.cache[picture.png] = next(
                (png for folder in self.folders if (png := self.read_bounded(folder, picture.png))), None
            )
        return self.cache[picture.png]

    def read_bounded(self, folder: Path, png: str) -> bytes | None:
        """Return the bytes of a file of this folder; None where it is missing or exceeds a bound."""
        path = folder / f"{png}.png"
        if not path.is_file() or path.stat().st_size > self.max_bytes:
            return None
        try:
            content = read_picture(folder, png)
        except PretaskError:
            return None
        wide, high = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
        return content if content[12:16] == b"IHDR" and 0 < wide * high <= self.pixels else None

"""Whole files: whether a video is as long as it says of itself; half a download decodes, and is another video.

What is looked at are the sizes that MP4 and MOV, Matroska and WebM, and AVI give for their outermost parts. Streams
(.ts, .mpg) have none.
Axes: none.
"""

import os
from io import BufferedIOBase
from pathlib import Path

MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx", b"uuid")
EBML, SEGMENT = 0x1A45DFA3, 0x18538067  # the two outermost elements of Matroska


def require_whole(path: Path) -> None:
    """Raise ValueError where a video file is shorter than it says."""
    there = os.stat(path).st_size
    with path.open("rb") as file:
        begin = file.read(12)
        file.seek(0)
        if begin[:4] == b"RIFF":
            end = 8 + int.from_bytes(begin[4:8], "little")
        elif begin[4:8] in MP4_BOXES:
            end = find_last_box(file, there)
        elif int.from_bytes(begin[:4]) == EBML:
            end = find_end_of_segment(file)
        else:
            return
    if end > there:
        raise ValueError(f"cut off: by what it says it has {end} bytes or more, and {there} are there")


def find_last_box(file: BufferedIOBase, there: int) -> int:
    """Return where the last box of an MP4 file ends, by the sizes that boxes say; cameras write other things behind."""
    place = 0
    while place + 8 <= there:
        file.seek(place)
        header = file.read(16)
        size = int.from_bytes(header[:4])
        if size == 1:  # a longer number follows
            size = int.from_bytes(header[8:16])
        if size < 8 or header[4:8] not in MP4_BOXES:  # 0 is for all that follows
            return place
        place += size
    return place


def find_end_of_segment(file: BufferedIOBase) -> int:
    """Return where the segment of a Matroska file ends; 0 where it does not say, as while it is recorded."""
    file.seek(4)
    header = read_size(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    name, size = int.from_bytes(file.read(4)), read_size(file)
    return 0 if name != SEGMENT or size is None else file.tell() + size


def read_size(file: BufferedIOBase) -> int | None:
    """Read the size of a Matroska element, as many bytes as the first has leading zeros and one; None if unknown."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first and first[0] else 0
    if not length:
        return None
    size = int.from_bytes(first + file.read(length - 1)) & ((1 << (7 * length)) - 1)
    return None if size == (1 << (7 * length)) - 1 else size

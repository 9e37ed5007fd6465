"""Files: brought to the disk before a rename makes them appear, so that a rename never outlives its content."""

import os
import uuid
from contextlib import suppress
from pathlib import Path


def sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Bring a folder and the files in it to the disk."""
    for path in [*folder.iterdir(), folder]:
        sync(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it, by one rename: a reader sees all of it or what was there before.

    A killed writer may leave a file whose name begins with a dot.

    Raises:
        OSError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()

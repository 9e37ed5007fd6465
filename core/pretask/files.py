"""Files: brought to the disk before a rename makes them appear, so that a rename never outlives its content.

What is not yet whole is held locked by its writer, so that what a killed one left behind can be told and swept.
"""

import errno
import os
import uuid
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from pretask.errors import PretaskError
from pretask.locks import is_in_place, try_flock

UNFINISHED = ".unfinished"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PROBE_BYTES = 4096


def require_writable(folder: Path, who: str) -> None:
    """Raise PretaskError where a folder, or the nearest one above it that exists, cannot be written; leave nothing."""
    try:
        place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        with TemporaryFile(dir=place, prefix=".", suffix=UNFINISHED) as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        raise PretaskError(
            who, f"a folder that it can write, {folder}", error.strerror or str(error), advise(error)
        ) from error


def advise(error: OSError) -> str:
    """Return what to do about a file that could not be written."""
    if error.errno in NO_ROOM:
        return "Free some space and run the same command again."
    return "Let this user write there, or name another folder."


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

    A killed writer leaves a file whose name begins with a dot; see `sweep`.

    Raises:
        OSError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = create_unfinished(path)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
            os.replace(temporary, path)  # while it is locked: nobody may sweep it
        sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def create_unfinished(path: Path) -> tuple[Path, int]:
    """Create a locked file beside another; return its path and handle."""
    while True:
        temporary = path.with_name(f".{path.name[:64]}.{uuid.uuid4().hex}{UNFINISHED}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks: nothing is swept there either
            try_flock(handle)
        if is_in_place(handle, temporary):  # not swept before it was locked
            return temporary, handle
        os.close(handle)


def sweep(folder: Path) -> int:
    """Remove what killed writers of `write_whole` left in a folder; return how many files these were."""
    swept = 0
    with suppress(FileNotFoundError):
        for path in folder.glob(f".*{UNFINISHED}"):
            with suppress(OSError):  # another's, or gone meanwhile
                swept += remove_unless_held(path)
    return swept


def remove_unless_held(path: Path) -> bool:
    """Remove a file that no process holds locked; return whether it was removed."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if not try_flock(handle):
            return False
        path.unlink()
        return True
    finally:
        os.close(handle)

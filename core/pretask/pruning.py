"""Pruning: keep the cache below a bound by removing what was not used for longest.

An entry is only removed by who holds its lock, so never while another process makes it; it leaves its place by one
rename, so that a reader sees all of it or nothing. Who has mapped it keeps what is mapped.
"""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pretask.errors import PretaskError
from pretask.locks import try_hold

BOUND = "PRETASK_CACHE_GB"
MIN_FREE = 0.05  # of the disk, or MIN_FREE_BYTES where that is less: what the cache leaves free where no bound is set
MIN_FREE_BYTES = 10 * 10**9
IN_USE_SECONDS = 3600.0  # for which an entry counts as in use where no bound is set
KEY = re.compile("[0-9a-f]{32}")
LOCK = re.compile(rf"\.{KEY.pattern}\.lock")
UNFINISHED = re.compile(rf"\.({KEY.pattern})\.unfinished")


@dataclass(frozen=True)
class CacheEntry:
    """An entry of the cache, or what a kill left of one.

    Args:
        folder: Its folder.
        size: Bytes of its files.
        used: When it was last used, in seconds since 1970.
    """

    folder: Path
    size: int
    used: float


def read_limit() -> int | None:
    """Return $PRETASK_CACHE_GB in bytes; None where it is not set. Raise PretaskError where it is no number."""
    limit = os.environ.get(BOUND)
    if not limit:
        return None
    try:
        return to_bytes(float(limit))
    except ValueError:
        raise PretaskError(BOUND, "a number of GB from 0", limit, f"Set {BOUND}=20, or unset it.") from None


def to_bytes(gigabytes: float) -> int:
    """Return the bytes of so many GB; raise ValueError for what is no number from 0."""
    if not 0 <= gigabytes < float("inf"):
        raise ValueError(f"{gigabytes} GB")
    return round(gigabytes * 1e9)


def list_entries(root: Path) -> list[CacheEntry]:
    """List the entries below a folder, the one that was not used for longest first."""
    found = (read_entry(folder) for folder in root.glob("*/*") if KEY.fullmatch(folder.name) and folder.is_dir())
    return sorted((entry for entry in found if entry is not None), key=lambda entry: (entry.used, entry.folder))


def read_entry(folder: Path) -> CacheEntry | None:
    """Read what a folder holds; None where it has just been removed, or is not for us to see."""
    try:
        size = sum(file.stat().st_size for file in folder.iterdir())
        document = folder / "entry.json"
        return CacheEntry(folder, size, (document if document.exists() else folder).stat().st_mtime)
    except OSError:
        return None


def relieve_disk(root: Path) -> None:
    """Where the disk is nearly full, remove entries that nobody has used for an hour."""
    lacking = missing_bytes(root)
    if lacking > 0:
        total = sum(entry.size for entry in list_entries(root))
        prune(root, total - lacking, used_before=time.time() - IN_USE_SECONDS)


def missing_bytes(root: Path) -> int:
    """Return how many bytes are missing for the disk not to be nearly full; negative where there is room."""
    disk = shutil.disk_usage(root)
    return min(round(MIN_FREE * disk.total), MIN_FREE_BYTES) - disk.free


def prune(
    root: Path, max_bytes: int, protected: Path | None = None, used_before: float = float("inf")
) -> list[CacheEntry]:
    """Remove what kills left behind, then entries until the others take at most `max_bytes`.

    Args:
        root: Of the cache.
        max_bytes: What all others may take together.
        protected: An entry that stays whatever its size.
        used_before: Entries that were used later stay, in seconds since 1970.

    Returns:
        What was removed. What another process makes, or what this one may not remove, is left alone.
    """
    leftovers = [read_entry(folder) for folder in root.glob("*/.*.unfinished") if UNFINISHED.fullmatch(folder.name)]
    removed = [
        entry for entry in leftovers if entry is not None and try_remove(entry.folder, finished_folder(entry.folder))
    ]
    sweep_locks(root)
    entries = list_entries(root)
    total = sum(entry.size for entry in entries)
    for entry in entries:
        if total <= max_bytes or entry.used >= used_before:
            break
        if entry.folder != protected and try_remove(entry.folder, entry.folder):
            removed.append(entry)
            total -= entry.size
    return removed


def sweep_locks(root: Path) -> None:
    """Remove the files of locks that killed processes held; one that is held, or waited for, stays."""
    for path in root.glob("*/.*.lock"):
        if LOCK.fullmatch(path.name):
            with try_hold(path):  # and what was held is removed
                pass


def lock_path(entry: Path) -> Path:
    """Return the file of an entry's lock."""
    return entry.with_name(f".{entry.name}.lock")


def finished_folder(leftover: Path) -> Path:
    """Return the place that an unfinished entry was to have."""
    return leftover.with_name(leftover.name.removeprefix(".").removesuffix(".unfinished"))


def try_remove(folder: Path, entry: Path) -> bool:
    """Remove a folder under its entry's lock; False where another process holds that or the folder cannot go."""
    with try_hold(lock_path(entry)) as acquired:
        if not acquired:
            return False
        leaving = entry.with_name(f".{entry.name}.unfinished")
        try:
            if folder != leaving:
                shutil.rmtree(leaving, ignore_errors=True)
                folder.rename(leaving)
            shutil.rmtree(leaving)
        except FileNotFoundError:  # by another process, meanwhile
            return True
        except OSError:
            return False
        return True

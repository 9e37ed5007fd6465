"""Digests: the content of files as one hash, for the cache: equal names, sizes and times do not make equal files.

Every byte is read once. The hashes are kept in the cache under device, inode, size and both times of every file, so
that a large folder is not read again each time: nobody can set a file's time of change (ctime) as `touch` or `cp -p`
set its time of writing. Files that changed in the last two seconds are always read, since a second change within one
tick of the clock would leave no trace (git has the same rule for its index).
Axes: N files.
"""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pretask.cache import cached

Stamp = tuple[int, ...]
CHUNK = 1 << 20  # bytes that are read at once
THREADS = 4  # hashing leaves Python's lock alone
DIGEST_BYTES = 16
FRESH_NS = 2_000_000_000  # files that changed so short a time ago are read again
UNREADABLE = bytes(DIGEST_BYTES)  # whoever decodes the file says why


def digest_files(paths: Sequence[Path | str], known: Mapping[str, Stamp] | None = None) -> list[str]:
    """Return a hash of the content of every file, from the cache where it is known and the file did not change.

    Args:
        paths: Of the files.
        known: Stamps that were read a moment ago; others are read here.
    """
    stamps = [(known or {}).get(os.fspath(path)) or read_stamp(path) for path in paths]
    newest = max((max(stamp[-2:]) for stamp in stamps if stamp), default=0)
    if not paths or newest > time.time_ns() - FRESH_NS:
        return [digest.tobytes().hex() for digest in read_digests(paths)]

    def make(folder: Path) -> Mapping[str, Any]:
        np.save(folder / "digests.npy", read_digests(paths))
        return {"files": len(paths)}

    text = "\n".join(f"{path}\0{stamp}" for path, stamp in zip(paths, stamps, strict=True))
    stamped = blake2b(os.fsencode(text), digest_size=DIGEST_BYTES).hexdigest()
    arrays, _ = cached("digests", {"first": paths[0], "files": len(paths), "stamps": stamped}, make)
    return [digest.tobytes().hex() for digest in arrays["digests"]]


def read_stamp(path: Path | str) -> Stamp:
    """Return the stamp of a file; nothing where it is not there."""
    try:
        return make_stamp(os.stat(path))
    except OSError:
        return ()


def make_stamp(about: os.stat_result) -> Stamp:
    """Return device, inode, size and times of a file."""
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def read_digests(paths: Sequence[Path | str]) -> UInt8[np.ndarray, "N 16"]:
    """Read every file and hash its bytes."""
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(digest_file, paths))
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(paths), DIGEST_BYTES)


def digest_file(path: Path | str) -> bytes:
    """Hash the bytes of a file."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    try:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return UNREADABLE
    return digest.digest()

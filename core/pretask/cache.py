"""Cache: arrays that are made once, kept in files, checked when opened, and mapped into memory.

An entry is a folder that appears by one rename, so that a reader sees all of it or nothing: two writers or a kill in the
middle leave at most a stray temporary folder, which no reader trusts.
"""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pretask.errors import PretaskError

CHECKED = 1 << 31  # bytes up to which an entry's checksum is recomputed when it is opened; of larger ones only the size
CHUNK = 1 << 24


def cache_folder() -> Path:
    """$PRETASK_CACHE, else `pretask` in the user's cache folder."""
    named = os.environ.get("PRETASK_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pretask"


def key_of(facts: Mapping[str, Any]) -> str:
    """The name of an entry: a hash of what determines it, whatever the order of the facts."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def checksum(path: Path) -> str:
    """Hash of a file's bytes."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def cached(
    group: str, facts: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]], *, folder: Path | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Open an entry, made first if it does not exist or is damaged.

    Args:
        group: Folder of the cache, such as "images".
        facts: What determines the content.
        make: Writes `NAME.npy` files into the folder that it is given, and returns notes that JSON can hold.
        folder: Root of the cache; see `cache_folder`.

    Returns:
        The arrays by name, mapped read-only, and the notes.

    Raises:
        PretaskError: The disk is full, or the folder cannot be written.
    """
    home = (folder or cache_folder()) / group
    entry = home / key_of(facts)
    opened = open_entry(entry)
    if opened is None:
        if entry.exists():
            shutil.rmtree(entry, ignore_errors=True)  # damaged: made again
        write_entry(entry, facts, make)
        opened = open_entry(entry)
    if opened is None:
        raise PretaskError(
            "the cache", "an entry that reads back as written", f"another content in {entry}", "Check the disk."
        )
    return opened


def open_entry(entry: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Arrays and notes of an entry, or None where it is missing or does not match its checksums."""
    try:
        about = json.loads((entry / "entry.json").read_text())
        for name, file in about["files"].items():
            path = entry / name
            if path.stat().st_size != file["bytes"]:
                return None
            if file["bytes"] <= CHECKED and checksum(path) != file["checksum"]:
                return None
        arrays = {Path(name).stem: np.load(entry / name, mmap_mode="r") for name in about["files"]}
        os.utime(entry / "entry.json")  # the time of last use, for pruning
        return arrays, about["notes"]
    except (OSError, ValueError, KeyError):
        return None


def write_entry(entry: Path, facts: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]) -> None:
    """Make an entry in a temporary folder and rename it; what another writer finished first is left as it is."""
    temporary = entry.with_name(f".{entry.name}.{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
        notes = make(temporary)
        files = {
            path.name: {"bytes": path.stat().st_size, "checksum": checksum(path)}
            for path in sorted(temporary.glob("*.npy"))
        }
        about = {"facts": dict(facts), "files": files, "notes": dict(notes)}
        (temporary / "entry.json").write_text(json.dumps(about, default=str))
        sync(temporary)
        temporary.rename(entry)
    except OSError as error:
        if not entry.exists():
            raise PretaskError(
                "the cache", f"to write {entry}", str(error), "Free some space, or point PRETASK_CACHE elsewhere."
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(folder: Path) -> None:
    """Bring a folder's files to the disk, so that a rename never outlives its content."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

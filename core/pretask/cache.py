"""Cache: arrays that are made once, kept in files, checked when opened, and mapped into memory.

An entry is a folder that appears by one rename, so that a reader sees all of it or nothing. A writer holds the entry's
lock, which ends with its process: a second writer waits and then reads what the first one made, and what a kill left
behind is cleared by whoever comes next. Every file is held against its checksum when the entry is opened.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pretask import files
from pretask.errors import PretaskError
from pretask.files import sync_folder
from pretask.locks import hold
from pretask.pruning import lock_path, prune, read_limit, relieve_disk
from pretask.room import require_disk

Entry = tuple[dict[str, np.ndarray], dict[str, Any]]

MAX_CHECKED_BYTES = 1 << 31  # of a file whose checksum is recomputed when it is opened; of larger ones only the size
CHUNK = 1 << 24
MAKE_ROOM = "Free some space, or point PRETASK_CACHE elsewhere."
NO_ROOM = (None, *files.NO_ROOM)  # numpy's own "n requested and m written" has no number


def cache_folder() -> Path:
    """Return $PRETASK_CACHE, else `pretask` in the user's cache folder."""
    named = os.environ.get("PRETASK_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pretask"


def cache_key(description: Mapping[str, Any]) -> str:
    """Return the name of an entry: a hash of what determines it, whatever the order of the facts.

    >>> cache_key({"size": 8, "part": "train"}) == cache_key({"part": "train", "size": 8})
    True
    """
    text = json.dumps(description, sort_keys=True, ensure_ascii=False, default=os.fspath)
    return blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def checksum(path: Path) -> str:
    """Hash of a file's bytes."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(*arrays: np.ndarray, names: Iterable[str] = (), dtype: str | None = None) -> str:
    """Hash of the content of arrays, their shapes and their types, and of some names.

    Args:
        arrays: What is hashed.
        names: What is hashed beside it.
        dtype: The type as which all arrays are hashed, such as int64 for tokens, whatever they are kept as.

    >>> fingerprint(np.zeros((2, 3))) == fingerprint(np.zeros((3, 2)))
    False
    """
    kinds = [array.dtype if dtype is None else np.dtype(dtype) for array in arrays]
    shapes: list[Any] = [[kind.str, array.shape] for kind, array in zip(kinds, arrays, strict=True)]
    digest = blake2b(json.dumps([*shapes, list(names)]).encode(), digest_size=16)
    for kind, array in zip(kinds, arrays, strict=True):
        rows = max(1, CHUNK // max(kind.itemsize * math.prod(array.shape[1:]), 1))
        for start in range(0, len(array) if array.size else 0, rows):
            digest.update(np.ascontiguousarray(array[start : start + rows], kind).data)
    return digest.hexdigest()


def all_wanted(name: str) -> bool:
    """Say that any array is wanted."""
    return True


def cached(
    group: str,
    description: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any]],
    *,
    folder: Path | None = None,
    is_wanted: Callable[[str], bool] = all_wanted,
) -> Entry:
    """Open an entry, made first if it does not exist or is damaged.

    Where $PRETASK_CACHE_GB is set, what was not used for longest makes room for what was written; where not, what was
    not used for an hour makes room on a disk that is nearly full.

    Args:
        group: Folder of the cache, such as "images".
        description: What determines the content; text, numbers, paths, lists and mappings of these.
        make: Writes `NAME.npy` files (numbers; see `write_rows`) into the folder that it is given, and returns notes
            that JSON can hold.
        folder: Root of the cache; see `cache_folder`.
        is_wanted: Which arrays are opened, by name; the others are neither read nor checked.

    Returns:
        The arrays by name, and the notes. The arrays are mapped: what is written to them stays in this process and
        never reaches the file.

    Raises:
        PretaskError: The disk is full, or the folder cannot be read, written or locked.
    """
    root, max_bytes = folder or cache_folder(), read_limit()
    entry = root / group / cache_key(description)
    opened = open_entry(entry, is_wanted)
    if opened is not None:
        return opened
    with lock_entry(entry):
        opened = open_entry(entry, is_wanted)  # what another writer made while this one waited
        if opened is None:
            if max_bytes is None:
                relieve_disk(root)
            write_entry(entry, description, make)
            opened = open_entry(entry, is_wanted)
    if max_bytes is not None:
        prune(root, max_bytes, entry)
    if opened is None:
        raise PretaskError(
            "the cache", "an entry that reads back as written", f"another content in {entry}", "Check the disk."
        )
    return opened


def open_entry(entry: Path, is_wanted: Callable[[str], bool] = all_wanted) -> Entry | None:
    """Read the arrays and notes of an entry, or None where it is missing or does not match its checksums."""
    try:
        document = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        about = document["about"]
        if cache_key(about) != document["checksum"]:
            return None
        files = {Path(name).stem: (entry / name, file) for name, file in about["files"].items()}
        arrays = {name: map_checked_file(*file) for name, file in files.items() if is_wanted(name)}
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    except OSError as error:
        raise PretaskError(
            "the cache", f"to read {entry}", str(error), "Delete that folder, or point PRETASK_CACHE elsewhere."
        ) from error
    with suppress(OSError):  # somebody else's cache may be readable only
        os.utime(entry / "entry.json")  # the time of last use, for pruning
    return arrays, about["notes"]


def find_damage(entry: Path) -> str:
    """Name what is wrong with an entry, every byte of it read; nothing where it is what was written."""
    try:
        document = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        about = document["about"]
        if cache_key(about) != document["checksum"]:
            return "entry.json was changed"
        if cache_key(about["facts"]) != entry.name:
            return "it has the name of another entry"
        changed = [name for name, file in about["files"].items() if checksum(entry / name) != file["checksum"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return f"{', '.join(changed)} changed" if changed else ""


def map_checked_file(path: Path, file: Mapping[str, Any]) -> np.ndarray:
    """Map one file of an entry; raises ValueError where it is not what was written."""
    size = path.stat().st_size
    if size != file["bytes"] or (size <= MAX_CHECKED_BYTES and checksum(path) != file["checksum"]):
        raise ValueError(f"{path} was changed")
    from pretask.mapped import map_file  # which imports torch, and a cache is asked for its folder without

    return map_file(path)


def write_rows(path: Path, shape: tuple[int, ...], dtype: str, pieces: Iterable[np.ndarray]) -> None:
    """Write a .npy file piece by piece along its first axis, without ever holding all of it.

    A mapped file would end the process by SIGBUS where the disk is full; written bytes raise OSError.

    Args:
        path: File to write.
        shape: Of the whole array.
        dtype: Such as "uint8".
        pieces: Rows, in order.
    """
    with create_rows_file(path, shape, dtype) as append:
        for piece in pieces:
            append(piece)


@contextmanager
def create_rows_file(path: Path, shape: tuple[int, ...], dtype: str) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a .npy file of such a shape that rows are appended to; raise ValueError where they do not make it up."""
    rows = 0

    def append(piece: np.ndarray) -> None:
        nonlocal rows
        if piece.shape[1:] != shape[1:] or piece.dtype != dtype:
            raise ValueError(f"rows of {shape[1:]} {dtype} expected, {piece.shape[1:]} {piece.dtype} came")
        file.write(np.ascontiguousarray(piece).data)
        rows += len(piece)

    require_disk("the cache", path.name, math.prod(shape) * np.dtype(dtype).itemsize, MAKE_ROOM, path.parent)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield append
    if rows != shape[0]:
        raise ValueError(f"{shape[0]} rows expected, {rows} came")


def lock_entry(entry: Path) -> AbstractContextManager[None]:
    """Hold the entry's lock inside; wait where another process is making or removing the entry."""
    return hold(lock_path(entry), f"making {entry}", who="the cache", do="Point PRETASK_CACHE to another folder.")


def write_entry(entry: Path, description: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]) -> None:
    """Make an entry beside its place and rename it into it. Whoever calls holds the entry's lock."""
    temporary = entry.with_name(f".{entry.name}.unfinished")
    try:
        for unusable in (temporary, entry):  # by a kill; damaged
            if unusable.exists():
                shutil.rmtree(unusable)
        temporary.mkdir()
        notes = make(temporary)
        write_description(temporary, description, notes)
        temporary.rename(entry)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise PretaskError("the cache", f"room for {entry}", str(error), MAKE_ROOM) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_description(folder: Path, description: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
    """Write down what the folder's files must be, and bring all of it to the disk before it is renamed."""
    files = {
        path.name: {"bytes": path.stat().st_size, "checksum": checksum(path)} for path in sorted(folder.glob("*.npy"))
    }
    text = json.dumps({"facts": dict(description), "files": files, "notes": dict(notes)}, default=os.fspath)
    about = json.loads(text)  # as it will be read: lists for tuples, text for paths
    (folder / "entry.json").write_text(json.dumps({"about": about, "checksum": cache_key(about)}), encoding="utf-8")
    sync_folder(folder)

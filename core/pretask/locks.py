"""Locks: files that one process at a time holds, and that the system lets go of when it ends, however it ends.

A lock's file says who holds it. Works on one machine, and between machines where the file system carries flock (NFS
since Linux 2.6.12).
"""

import fcntl
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pretask.errors import PretaskError


@contextmanager
def hold(path: Path, purpose: str, *, who: str = "a run", do: str = "Name another with --out.") -> Iterator[None]:
    """Hold a lock inside, after waiting for whoever holds it, which is said on stderr.

    Args:
        path: The lock's file, there only while somebody holds it or waits; folders above it are made if need be.
        purpose: What it is held for, for the message.
        who: For the error, who needs it.
        do: For the error, what can be done.

    Raises:
        PretaskError: Its folder cannot be written, or does not carry locks.
    """
    told = False

    def wait(handle: int) -> bool:
        nonlocal told
        if not try_flock(handle):
            if not told:
                print(f"Waiting for {read_holder(path)}, which is {purpose}", file=sys.stderr, flush=True)
                told = True
            fcntl.flock(handle, fcntl.LOCK_EX)
        return True

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = take(path, wait)
    except OSError as error:
        needed = f"a folder that it can write and lock files in, {path.parent}"
        raise PretaskError(who, needed, str(error.strerror or error), do) from error
    assert handle is not None  # whoever waits gets it
    with release_afterwards(path, handle):
        yield


@contextmanager
def try_hold(path: Path) -> Iterator[bool]:
    """Hold a lock inside, and say so; not where another process holds it, or its folder does not carry locks."""
    handle = None
    with suppress(OSError):
        handle = take(path, try_flock)
    if handle is None:
        yield False
        return
    with release_afterwards(path, handle):
        yield True


@contextmanager
def release_afterwards(path: Path, handle: int) -> Iterator[None]:
    """Write into a lock who holds it, and let go of it after what is done inside."""
    try:
        with suppress(OSError):  # on a full disk nobody is named
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        with suppress(OSError):
            if is_in_place(handle, path):  # another's, where somebody took this one away
                path.unlink()  # while it is held: who waits sees that the file is no longer the one in its place
        os.close(handle)


def take(path: Path, lock: Callable[[int], bool]) -> int | None:
    """Open and lock the file that is in this place once it is locked.

    Args:
        path: The lock's file.
        lock: Locks an open file, or returns False.

    Returns:
        Its handle; None where it was not locked.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            locked = lock(handle)
            if locked and is_in_place(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if not locked:
            return None


def try_flock(handle: int) -> bool:
    """Lock an open file at once; False where another process holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_in_place(handle: int, path: Path) -> bool:
    """Return whether an open file is still what its path names."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def read_holder(path: Path) -> str:
    """Return who holds a lock, as its file says."""
    with suppress(OSError):
        return path.read_text(errors="replace")[:200] or "another process"
    return "another process"

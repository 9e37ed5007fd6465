"""Tar files: the files in one, listed with their places, and read from several threads without unpacking.

A compressed one is unpacked into a temporary file when something is read of it, since one cannot jump about in it.
Axes: none.
"""

import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from threading import Lock
from typing import IO, Any

from pretask import PretaskError

from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.names import has_junk, printable_name
from pretask_plugins.shared.listing.walking import LOST, STRANGE

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ASTRAY = "names with .. in them"
BLOCK = bytes(512)  # of zeros, with which a whole tar file ends
BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class Member:
    """A file in a tar file: its name without ./, where its bytes begin, and how many there are."""

    name: str
    offset: int
    size: int
    sparse: bool = False


@dataclass(frozen=True)
class TarFile:
    """A tar file that is read by the names in it, from several threads at once, too.

    Args:
        who: The data set, for errors.
        path: Of the tar file.
        files: What should be in it, for errors.
    """

    who: str
    path: Path
    files: str = "files"
    lock: Any = field(default_factory=Lock, compare=False, repr=False)  # held while something is read or closed

    def list_members(self, leftovers: Leftovers) -> list[Member]:
        """List the files, the last one of each name; links to files in it are no files of their own.

        Raises:
            PretaskError: It is no tar file, or not whole.
        """
        found: dict[str, Member] = {}
        for about in self.iterate():
            name = PurePosixPath(about.name).as_posix().lstrip("/")
            if ".." in PurePosixPath(name).parts:
                leftovers.add(ASTRAY, name)
                continue
            if has_junk(name) or about.isdir() or about.islnk():  # a hard link is the file of an earlier name
                continue
            if about.isreg():
                found[name] = Member(name, about.offset_data, about.size, bool(about.sparse))
            else:
                leftovers.add(LOST if about.issym() else STRANGE, name)
        return [*found.values()]

    def iterate(self) -> Iterator[tarfile.TarInfo]:
        """Yield what the tar file says of every file; raise PretaskError where it cannot be read to its end."""
        with self.raise_for_broken(), tarfile.open(self.path) as archive:
            file: Any = archive.fileobj
            yield from archive
            file.seek(archive.offset)
            if file.read(len(BLOCK)) != BLOCK:
                raise EOFError("it ends before its end mark")  # tarfile does not mind a cut between two files

    @contextmanager
    def raise_for_broken(self) -> Iterator[None]:
        """Raise PretaskError where the tar file cannot be read."""
        try:
            yield
        except BROKEN as error:
            why = str(error).partition(":\n")[0]  # of tries with every compression
            raise PretaskError(
                self.who,
                f"a folder, or a whole tar file of {self.files}",
                f"{printable_name(str(self.path))} ({why})",
                "Copy it again, or name another with data.root.",
            ) from error

    @cached_property
    def plain(self) -> IO[bytes]:
        """The tar file open, unpacked into a temporary file where it is compressed."""
        with self.raise_for_broken():
            if is_plain(self.path):
                return self.path.open("rb")
            with tarfile.open(self.path) as archive:
                packed: Any = archive.fileobj
                unpacked = tempfile.TemporaryFile()  # noqa: SIM115
                packed.seek(0)
                copyfileobj(packed, unpacked)
                unpacked.flush()
                return unpacked

    def read(self, member: Member) -> bytes:
        """Read the bytes of a file."""
        with self.lock:  # it may be closed by another thread
            return self.read_sparse(member) if member.sparse else self.pread(member)

    def pread(self, member: Member) -> bytes:
        """Read the bytes at a file's place."""
        pieces, place, end = [], member.offset, member.offset + member.size
        while place < end and (piece := os.pread(self.plain.fileno(), end - place, place)):  # two gigabytes at most
            pieces.append(piece)
            place += len(piece)
        return b"".join(pieces)

    def open(self, member: Member) -> io.BufferedIOBase:
        """Open a file, which is read piece by piece however large it is."""
        if member.sparse:
            return io.BytesIO(self.read(member))
        return io.BufferedReader(OpenMember(self, member))

    def read_sparse(self, member: Member) -> bytes:
        """Read a file that was stored without its runs of zeros."""
        with tarfile.open(self.path) as archive:
            names = [about for about in archive if about.isreg() and about.offset_data == member.offset]
            file = archive.extractfile(names[0])
            return file.read() if file is not None else b""

    def close(self) -> None:
        """Close what was opened; reading opens it again."""
        with self.lock:
            if "plain" in vars(self):
                vars(self).pop("plain").close()


class OpenMember(io.RawIOBase):
    """A file in a tar file, open to be read from its beginning to its end.

    Args:
        tar: That it lies in.
        member: Which one it is.
    """

    def __init__(self, tar: TarFile, member: Member) -> None:
        self.tar, self.place, self.end = tar, member.offset, member.offset + member.size

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what follows into a buffer; return how many bytes that is."""
        piece = self.tar.read(Member("", self.place, min(len(buffer), self.end - self.place)))
        buffer[: len(piece)] = piece
        self.place += len(piece)
        return len(piece)


def is_plain(path: Path) -> bool:
    """Return whether a tar file is not compressed."""
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False

"""File tree: the files below a folder, or in a tar file, by name."""

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from pretask import PretaskError


@dataclass(frozen=True)
class FileTree:
    """Files that are read by name, from several threads at once, too; closed at the end of a `with`.

    Args:
        who: The data set, for errors.
        root: A folder or a tar file.

    Raises:
        PretaskError: There is no such folder, or the tar file is not whole.
    """

    who: str
    root: Path

    def __enter__(self) -> "FileTree":
        return self

    def __exit__(self, *error: object) -> None:
        if "archive" in vars(self):
            self.archive.close()

    @cached_property
    def stamps(self) -> dict[str, tuple[int, int]]:
        """Bytes and time of change of every file by its name, in the order of the names."""
        found = self.in_folder() if self.root.is_dir() else self.in_tar()
        return dict(sorted(found))

    def in_folder(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """List the files below a folder."""
        for path in self.root.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                about = path.stat()
                yield path.relative_to(self.root).as_posix(), (about.st_size, about.st_mtime_ns)

    def in_tar(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """List the files in a tar file."""
        with self.raise_for_broken_tar():
            for member in self.archive:
                if member.isfile() and not Path(member.name).name.startswith("."):
                    yield member.name, (member.size, int(member.mtime))

    @cached_property
    def archive(self) -> tarfile.TarFile:
        """The tar file, open."""
        if not self.root.exists():
            raise PretaskError(self.who, "a folder or tar file", f"{self.root}", "Name one with --set data.root=…")
        with self.raise_for_broken_tar():
            return tarfile.open(self.root)

    @cached_property
    def lock(self) -> Any:
        """Held while the tar file is read."""
        return Lock()

    @contextmanager
    def raise_for_broken_tar(self) -> Iterator[None]:
        """Raise PretaskError where the tar file cannot be read to its end."""
        try:
            yield
        except (tarfile.TarError, OSError, EOFError) as error:
            raise PretaskError(
                self.who, "a whole tar file", f"{self.root} ({error})", "Copy it again, or name a folder."
            ) from error

    def read(self, name: str) -> bytes:
        """Read the bytes of a file."""
        if self.root.is_dir():
            return (self.root / name).read_bytes()
        with self.lock:
            file = self.archive.extractfile(name)
            return file.read() if file is not None else b""

    @contextmanager
    def path(self, name: str) -> Iterator[Path]:
        """Give a file a path inside: its own, or that of a copy out of the tar file."""
        if self.root.is_dir():
            yield self.root / name
            return
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as copy:
            copy.write(self.read(name))
            copy.flush()
            yield Path(copy.name)

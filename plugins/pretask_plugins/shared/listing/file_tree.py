"""File tree: the files below a folder, in a tar file, or in a tar file for each part, by name.

Axes: none.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path
from threading import Lock
from typing import Any

from pretask import PretaskError
from pretask.cache import cache_key

from pretask_plugins.shared.listing.digests import digest_files, make_stamp
from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.names import natural_key, printable_name, unify_name
from pretask_plugins.shared.listing.tar_files import ENDINGS, Member, TarFile
from pretask_plugins.shared.listing.walking import Place, Walk
from pretask_plugins.shared.parts import part_of_word

Source = str | tuple[TarFile, Member]  # a path, or a place in a tar file
WORDS = re.compile("[a-zA-Z]+")
MAX_OPEN_TARS = 8


@dataclass(frozen=True)
class FileTree:
    """Files that are read by name, from several threads at once, too; closed at the end of a `with`.

    Of a folder, every real file is listed once, hidden ones and those that programs leave behind not at all, in natural
    order. Tar files at its top that are named for a part (train.tar, test.tar.gz …) count as folders, and so do
    numbered ones (train-000012.tar), from which files are read one shard after the other.

    Args:
        who: The data set, for errors.
        root: A folder or a tar file.
        files: What should be in it, for errors.

    Raises:
        PretaskError: There is no such folder, or a tar file is not whole.
    """

    who: str
    root: Path
    files: str = "files"
    leftovers: Leftovers = field(default_factory=Leftovers)
    lock: Any = field(default_factory=Lock, compare=False, repr=False)  # held while the list of open tar files changes

    def __enter__(self) -> "FileTree":
        return self

    def __exit__(self, *error: object) -> None:
        for tar in vars(self).get("tars", {}).values():
            tar.close()

    @cached_property
    def place(self) -> Path:
        """The root, without ~; raise PretaskError where it is not there."""
        place = self.root.expanduser()
        if not place.exists():
            needs, advice = "a folder or tar file", "Name one with --set data.root=…"
            raise PretaskError(self.who, needs, f"no {printable_name(str(place))}", advice)
        return place

    @cached_property
    def walked(self) -> list[Place]:
        """The files below the folder; none where the root is a tar file."""
        return Walk(self.place, self.leftovers).list_files() if self.place.is_dir() else []

    @cached_property
    def tars(self) -> dict[str, TarFile]:
        """Tar files by the folders that they stand for; the empty one is the root."""
        if not self.place.is_dir():
            return {"": TarFile(self.who, self.place, self.files)}
        mounts = {find_mount(file.name): file for file in self.walked}
        found = {mount: file for mount, file in mounts.items() if mount is not None}
        return {mount: TarFile(self.who, Path(file.path), self.files) for mount, file in found.items()}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Where every file is by its name, in natural order."""
        plain = [file for file in self.walked if find_mount(file.name) is None]
        found: dict[str, Source] = {file.name: file.path for file in plain}
        for mount, tar in self.tars.items():
            for member in tar.list_members(self.leftovers):
                inner = member.name.removeprefix(f"{mount}/")
                found[f"{mount}/{inner}" if mount else inner] = (tar, member)
        return {name: found[name] for name in sorted(found, key=natural_key)} if self.tars else found

    @property
    def shards(self) -> frozenset[str]:
        """Folders that stand for one of many tar files, and are neither part nor class."""
        return frozenset(mount for mount in self.tars if mount and part_of_word(mount) is None)

    @property
    def names(self) -> list[str]:
        """The names of all files, in natural order."""
        return [*self.sources]

    def find(self, name: str) -> str | None:
        """Return the name of a file that somebody else wrote down, whatever its Unicode form; None where it is none."""
        return name if name in self.sources else self.unified.get(unify_name(name))

    @cached_property
    def unified(self) -> dict[str, str]:
        """Names of files by their one Unicode form."""
        return {unify_name(name): name for name in self.sources}

    def digest(self, names: Sequence[str]) -> str:
        """Return a hash of where the tree is, the names, and the content of these files or of the tar files."""
        files = list(zip(names, self.digest_each(names), strict=True))
        return cache_key({"root": self.place.resolve(), "files": files})

    def digest_each(self, names: Sequence[str]) -> list[str]:
        """Return a hash of the content of every file, or of the tar file that it lies in."""
        sources = [self.sources[name] for name in names]
        paths = [source if isinstance(source, str) else str(source[0].path) for source in sources]
        different = [*dict.fromkeys(paths)]
        seen = {file.name: make_stamp(file.about) for file in self.walked}
        stamps = {path: seen[name] for path, name in zip(paths, names, strict=True) if name in seen}
        digests = dict(zip(different, digest_files(different, stamps), strict=True))
        return [digests[path] for path in paths]

    def read(self, name: str) -> bytes:
        """Read the bytes of a file."""
        source = self.sources[name]
        if isinstance(source, str):
            return Path(source).read_bytes()
        tar, member = source
        content = tar.read(member)
        self.close_oldest(tar)
        return content

    def open(self, name: str) -> BufferedIOBase:
        """Open a file to be read once, piece by piece."""
        source = self.sources[name]
        if isinstance(source, str):
            return Path(source).open("rb")
        tar, member = source
        self.close_oldest(tar)
        return tar.open(member)

    def locate(self, name: str) -> str:
        """Return where a file is, for people."""
        source = self.sources[name]
        return printable_name(source if isinstance(source, str) else f"{source[0].path}: {source[1].name}")

    def close_oldest(self, tar: TarFile) -> None:
        """Close the tar file that was not read for longest where many are open; it opens again when it is read."""
        with self.lock:
            self.recent[tar.path] = self.recent.pop(tar.path, tar)
            oldest = self.recent.pop(next(iter(self.recent))) if len(self.recent) > MAX_OPEN_TARS else None
        if oldest is not None:
            oldest.close()

    @cached_property
    def recent(self) -> dict[Path, TarFile]:
        """Tar files that may be open, the one that was not read for longest first."""
        return {}

    @contextmanager
    def path(self, name: str) -> Iterator[Path]:
        """Give a file a path inside: its own, or that of a copy out of the tar file."""
        source = self.sources[name]
        if isinstance(source, str):
            yield Path(source)
            return
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as copy:
            copy.write(self.read(name))
            copy.flush()
            yield Path(copy.name)

    def tell_leftovers(self, *more: Leftovers) -> None:
        """Say in one line what was not read: of the tree itself, and what a loader found."""
        every = Leftovers({reason: [*names] for reason, names in self.leftovers.names.items()})
        for leftovers in more:
            for reason, names in leftovers.names.items():
                every.add(reason, *names)
        every.tell(self.who, self.place)


def find_mount(name: str) -> str | None:
    """Return the folder that a tar file stands for: of a part, or one of many that are numbered; None for other files.

    >>> find_mount("train.tar.gz"), find_mount("my-train-000012.tar"), find_mount("val/7.tar"), find_mount("cats.tar")
    ('train', 'train/my-train-000012', 'val/7', None)
    """
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    if ending is None:
        return None
    stem = name[: -len(ending)]
    if "/" not in stem and part_of_word(stem):
        return stem
    if not stem[-1:].isdigit():
        return None
    words = [word for word in WORDS.findall(stem) if word != "of"]  # train-0001-of-0010
    return f"{words[-1]}/{stem}" if "/" not in stem and words and part_of_word(words[-1]) else stem

"""Walking: every real file below a folder once, whatever links lead to it, and a word about what was left out.

Real folders are walked before linked ones, so that a file keeps the name of the place where it really is. A folder is
entered once, by its device and inode; a link to a folder that contains it is a loop and is not followed. What nobody
means (see names.py) is passed over in silence, all else that is not read has a reason.
Axes: none.
"""

import os
import stat
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.names import Key, is_junk, split_numbers

CLOSED = "folders that cannot be opened"
LOST = "links that lead nowhere"
AGAIN = "links to what was read already"
LOOPS = "links to folders that they lie in"
STRANGE = "neither files nor folders"

Identity = tuple[int, int] | str


@dataclass(frozen=True)
class Place:
    """A file below a folder.

    Args:
        name: Below the root, with slashes.
        path: Where it is.
        about: Its size, times and inode.
        key: By which it is sorted.
    """

    name: str
    path: str
    about: os.stat_result
    key: Key


@dataclass(frozen=True)
class Corner:
    """A folder that is to be entered: its name below the root, its path, and the first half of its key."""

    name: str
    path: str
    key: tuple[Any, ...] = ()

    def below(self, entry: "os.DirEntry[str]") -> "Corner":
        """Return a file or folder in this one."""
        name = f"{self.name}/{entry.name}" if self.name else entry.name
        return Corner(name, entry.path, (*self.key, split_numbers(entry.name)))


@dataclass
class Walk:
    """A walk below a root folder.

    Args:
        root: Where it begins.
        leftovers: Reasons, with the names of what was not read for each.
    """

    root: Path
    leftovers: Leftovers = field(default_factory=Leftovers)
    entered: set[Identity] = field(default_factory=set)
    real: list[Place] = field(default_factory=list)
    linked: list[Place] = field(default_factory=list)
    folder_links: deque[Corner] = field(default_factory=deque)

    def list_files(self) -> list[Place]:
        """List every real file once, in natural order; what lies behind links has the name of the link."""
        self.enter(Corner("", os.fspath(self.root)), self.real)
        while self.folder_links:
            self.follow(self.folder_links.popleft())
        seen: set[Identity] = set()
        found = []
        for place in [*in_order(self.real), *in_order(self.linked)]:
            identity = identify(place.path, place.about)
            if identity in seen:
                self.leftovers.add(AGAIN, place.name)
            else:
                seen.add(identity)
                found.append(place)
        return in_order(found)

    def follow(self, link: Corner) -> None:
        """Walk below a linked folder, unless the link lies in it or it was entered before."""
        target, here = Path(link.path).resolve(), Path(link.path).parent.resolve()
        if target in (here, *here.parents) or target in self.root.resolve().parents:
            self.leftovers.add(LOOPS, link.name)
        else:
            self.enter(link, self.linked)

    def enter(self, corner: Corner, found: list[Place]) -> None:
        """List a folder and all real folders in it; links to folders wait until then."""
        waiting = deque([corner])
        while waiting:
            corner = waiting.popleft()
            try:
                about = os.stat(corner.path)
                if identify(corner.path, about) in self.entered:
                    self.leftovers.add(AGAIN, corner.name)
                    continue
                self.entered.add(identify(corner.path, about))
                entries = sorted(os.scandir(corner.path), key=lambda entry: entry.name)
            except OSError:
                self.leftovers.add(CLOSED, corner.name or ".")
                continue
            for entry in entries:
                if not is_junk(entry.name):
                    self.sort_entry(entry, corner.below(entry), waiting, found)

    def sort_entry(self, entry: "os.DirEntry[str]", corner: Corner, waiting: deque[Corner], found: list[Place]) -> None:
        """Put an entry of a folder where it belongs: folders wait, links to folders wait longer, files are found."""
        try:
            about = entry.stat()
        except OSError:
            self.leftovers.add(LOST if entry.is_symlink() else STRANGE, corner.name)
            return
        if stat.S_ISDIR(about.st_mode):
            (self.folder_links if entry.is_symlink() else waiting).append(corner)
        elif stat.S_ISREG(about.st_mode):
            place = Place(corner.name, corner.path, about, (corner.key, corner.name))
            (self.linked if entry.is_symlink() else found).append(place)
        else:
            self.leftovers.add(STRANGE, corner.name)


def in_order(places: Iterable[Place]) -> list[Place]:
    """Sort files naturally by name."""
    return sorted(places, key=lambda place: place.key)


def identify(path: str, about: os.stat_result) -> Identity:
    """Return what two paths have in common that lead to the same file; some network file systems number no files."""
    return (about.st_dev, about.st_ino) if about.st_ino else os.path.realpath(path)

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

from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.names import is_junk, natural_key

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
    """

    name: str
    path: Path
    about: os.stat_result


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
    folder_links: deque[tuple[str, Path]] = field(default_factory=deque)

    def list_files(self) -> list[Place]:
        """List every real file once, in natural order; what lies behind links has the name of the link."""
        self.enter("", self.root, self.real)
        while self.folder_links:
            name, path = self.folder_links.popleft()
            self.follow(name, path)
        seen: set[Identity] = set()
        found = []
        for place in [*in_order(self.real), *in_order(self.linked)]:
            identity = identify(place.path, place.about)
            if identity in seen:
                self.leftovers.add(AGAIN, place.name)
            else:
                seen.add(identity)
                found.append(place)
        return list(in_order(found))

    def follow(self, name: str, path: Path) -> None:
        """Walk below a linked folder, unless the link lies in it or it was entered before."""
        target = path.resolve()
        if target in path.parent.resolve().joinpath("inside").parents or target in self.root.resolve().parents:
            self.leftovers.add(LOOPS, name)
        elif identify(target, target.stat()) in self.entered:
            self.leftovers.add(AGAIN, name)
        else:
            self.enter(name, path, self.linked)

    def enter(self, name: str, path: Path, found: list[Place]) -> None:
        """List a folder and all real folders in it; links to folders wait until then."""
        waiting = deque([(name, path)])
        while waiting:
            name, path = waiting.popleft()
            try:
                about = path.stat()
                if identify(path, about) in self.entered:
                    self.leftovers.add(AGAIN, name)
                    continue
                self.entered.add(identify(path, about))
                entries = sorted(os.scandir(path), key=lambda entry: natural_key(entry.name))
            except OSError:
                self.leftovers.add(CLOSED, name or ".")
                continue
            for entry in entries:
                if not is_junk(entry.name):
                    self.sort_entry(entry, f"{name}/{entry.name}" if name else entry.name, waiting, found)

    def sort_entry(
        self, entry: "os.DirEntry[str]", name: str, waiting: deque[tuple[str, Path]], found: list[Place]
    ) -> None:
        """Put an entry of a folder where it belongs: folders wait, links to folders wait longer, files are found."""
        path = Path(entry.path)
        try:
            about = entry.stat()
        except OSError:
            self.leftovers.add(LOST if entry.is_symlink() else STRANGE, name)
            return
        if stat.S_ISDIR(about.st_mode):
            (self.folder_links if entry.is_symlink() else waiting).append((name, path))
        elif stat.S_ISREG(about.st_mode):
            (self.linked if entry.is_symlink() else found).append(Place(name, path, about))
        else:
            self.leftovers.add(STRANGE, name)


def in_order(places: Iterable[Place]) -> list[Place]:
    """Sort files naturally by name."""
    return sorted(places, key=lambda place: natural_key(place.name))


def identify(path: Path, about: os.stat_result) -> Identity:
    """Return what two paths have in common that lead to the same file; some network file systems number no files."""
    return (about.st_dev, about.st_ino) if about.st_ino else os.path.realpath(path)

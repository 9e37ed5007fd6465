"""Text files: the files of a corpus with the parts that folders or whole names give them.

A file named train.txt, and one in a folder train/, are of that part. Words inside names decide nothing, unless all
files come in families that differ in that word alone (en-train.conllu, en-dev.conllu, en-test.conllu), which is said.
Files in tar shards (train-000012.tar) are of the part of their shard.
Axes: none.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pretask_plugins.shared.listing import FileTree, Item, Leftovers, label_by_sidecars, sort_into_parts
from pretask_plugins.shared.listing.file_tree import Source
from pretask_plugins.shared.listing.leftovers import tell_once
from pretask_plugins.shared.listing.listing import find_sidecars
from pretask_plugins.shared.listing.tar_files import ENDINGS as TAR_ENDINGS
from pretask_plugins.shared.listing.tar_files import TarFile
from pretask_plugins.shared.parts import PART_FOLDERS, part_of_word

PIECES = re.compile("([A-Za-z]+)")
PART_WORDS = [word for words in PART_FOLDERS.values() for word in words]


class TextFile(NamedTuple):
    """A file: its name below the root, its part and its class; empty where nothing says one."""

    name: str
    part: str
    label: str


@dataclass(frozen=True)
class OneFile(FileTree):
    """A tree of a single file, which is its root."""

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Where the file is."""
        return {self.root.name: str(self.place)}

    @cached_property
    def tars(self) -> dict[str, TarFile]:
        """None."""
        return {}


def open_texts(root: Path, is_text: Callable[[str], bool]) -> FileTree | None:
    """Open a file of text, a folder or a tar file; None where the root is nothing of these."""
    place = root.expanduser()
    if place.is_file() and is_text(place.name):
        return OneFile("text", place)
    is_tar = place.is_file() and place.name.lower().endswith(TAR_ENDINGS)
    return FileTree("text", place, "texts") if place.is_dir() or is_tar else None


def list_texts(tree: FileTree, is_text: Callable[[str], bool], labeled: Sequence[str]) -> list[TextFile]:
    """List the files of text of a tree, and tell what was left out.

    Args:
        tree: See `open_texts`.
        is_text: Says of a name whether it is that of a text.
        labeled: Endings of those whose class a sidecar may say.
    """
    left, texts = Leftovers(), [name for name in tree.names if is_text(name)]
    read = {*texts, *find_sidecars(tree, labeled).values()}
    left.add_endings(name for name in tree.names if name not in read)
    parts = find_parts(texts, left, tree.shards)
    tree.tell_leftovers(left)
    items = [Item(name, "", parts.get(name, "")) for name in texts if not parts or name in parts]
    return [TextFile(item.name, item.part, item.label) for item in label_by_sidecars(tree, items, labeled)]


def find_parts(names: Sequence[str], leftovers: Leftovers, shards: Collection[str] = ()) -> dict[str, str]:
    """Return the part of every file that has one; empty where no folder and no name says any.

    Args:
        names: Below the root.
        leftovers: Takes those that no part takes, where others have one.
        shards: Folders that stand for tar files.
    """
    placed = {name: place_by_stem(name) for name in names}
    if not any(part_of_word(folder) for name in placed.values() for folder in PurePosixPath(name).parts[:-1]):
        placed = place_by_family(names)
    if not placed:
        return {}
    named = {place: name for name, place in placed.items()}
    lost = Leftovers()
    items = sort_into_parts([*named], lambda _: False, lost, shards=shards)
    for reason, places in lost.names.items():
        leftovers.add(reason, *(named[place] for place in places))
    return {named[item.name]: item.part for item in items}


def place_by_stem(name: str) -> str:
    """Return a name below a folder of its part, where the file itself is called train, test … and no more.

    >>> place_by_stem("en/train.tsv.gz"), place_by_stem("night-train.txt")
    ('en/train/train.tsv.gz', 'night-train.txt')
    """
    path = PurePosixPath(name)
    stem = path.name.partition(".")[0]
    return (path.parent / stem / path.name).as_posix() if part_of_word(stem) else name


def place_by_family(names: Sequence[str]) -> dict[str, str]:
    """Return every name below a folder of its part, where all come in families that differ in that word alone.

    >>> place_by_family(["en-train.txt", "en-test.txt"])
    {'en-train.txt': 'train/en-train.txt', 'en-test.txt': 'test/en-test.txt'}
    >>> place_by_family(["en-train.txt", "walden.txt"])
    {}
    """
    words = {name: find_family_word(name, names) for name in names}
    if not names or not all(words.values()):
        return {}
    found = ", ".join(f"{name} ({part_of_word(word)})" for name, word in list(words.items())[:3])
    tell_once(f"text: parts by what tells the names of files apart: {found}{', …' if len(names) > 3 else ''}")
    return {name: f"{word}/{name}" for name, word in words.items()}


def find_family_word(name: str, names: Sequence[str]) -> str:
    """Return the word of a part in a file's name that others replace by that of another part; empty where none does."""
    known = set(names)
    folder, slash, file = name.rpartition("/")
    pieces = PIECES.split(file)
    for place, piece in enumerate(pieces):
        part = part_of_word(piece)
        others = (word for word in PART_WORDS if part_of_word(word) != part)
        if part and any(
            folder + slash + "".join([*pieces[:place], word, *pieces[place + 1 :]]) in known for word in others
        ):
            return piece
    return ""

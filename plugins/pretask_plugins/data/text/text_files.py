"""Text files: the files of a corpus with the parts that folders or whole names give them.

A file named train.txt, and one in a folder train/, are of that part. Words inside names decide nothing, unless all
files come in families that differ in that word alone (en-train.conllu, en-dev.conllu, en-test.conllu), which is said.
Axes: none.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pretask_plugins.shared.listing import FileTree, Leftovers, sort_into_parts
from pretask_plugins.shared.listing.leftovers import tell_once
from pretask_plugins.shared.parts import PART_FOLDERS, part_of_word

PIECES = re.compile("([A-Za-z]+)")
PART_WORDS = [word for words in PART_FOLDERS.values() for word in words]


class TextFile(NamedTuple):
    """A file: where it is, what it is called below the root, and its part; empty where nothing says one."""

    path: Path
    name: str
    part: str


def list_texts(root: Path, is_text: Callable[[str], bool]) -> list[TextFile]:
    """List the files of text of a folder, or the one that is the root, and tell what was left out.

    Args:
        root: A file or a folder; nothing where it is neither.
        is_text: Says of a name whether it is that of a text.
    """
    if root.is_file():
        return [TextFile(root, root.name, "")] if is_text(root.name) else []
    if not root.is_dir():
        return []
    tree, left = FileTree("text", root), Leftovers()
    paths = {name: Path(path) for name, path in tree.sources.items() if isinstance(path, str)}
    texts = [name for name in paths if is_text(name)]
    left.add_endings(name for name in tree.names if name not in paths or not is_text(name))
    parts = find_parts(texts, left)
    tree.tell_leftovers(left)
    return [TextFile(paths[name], name, parts.get(name, "")) for name in texts if not parts or name in parts]


def find_parts(names: Sequence[str], leftovers: Leftovers) -> dict[str, str]:
    """Return the part of every file that has one; empty where no folder and no name says any.

    Args:
        names: Below the root.
        leftovers: Takes those that no part takes, where others have one.
    """
    placed = {name: place_by_stem(name) for name in names}
    if not any(part_of_word(folder) for name in placed.values() for folder in PurePosixPath(name).parts[:-1]):
        placed = place_by_family(names)
    if not placed:
        return {}
    named = {place: name for name, place in placed.items()}
    lost = Leftovers()
    items = sort_into_parts([*named], lambda _: False, lost)
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

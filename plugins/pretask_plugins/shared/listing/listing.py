"""Listing: which part and which class every file belongs to, by the folders that it lies in.

The rules, for images, recordings, videos and texts alike:

- The outermost folder that is named for a part (train, test, val … in any case) decides: `train/train/a.png` is of the
  part train and the class train. Of several names for one part the first one counts that is there, so that a folder val
  is left alone where there is a folder test.
- The class is the folder in that of the part; where that is none, the outermost folder that not all files lie in.
- A file straight in a part's folder, or straight in the root, has no class. A part is never a class.
- Without folders for parts a tenth is for testing, by a hash of the names, of few files at least one. Words inside
  names decide nothing.
- Both parts have the same classes with the same numbers.
- Where files have sidecars of the same name (`a.jpg` and `a.cls` or `a.json`, as WebDataset writes them), these say the
  class.

Axes: N files.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
from jaxtyping import Int
from pretask import PretaskError

from pretask_plugins.shared.listing.file_tree import FileTree
from pretask_plugins.shared.listing.leftovers import Leftovers, tell_once
from pretask_plugins.shared.listing.names import printable_name
from pretask_plugins.shared.parts import PART_FOLDERS, hash_text, list_some, part_of_word

NO_CLASS = -1
OUTSIDE = "files outside of the folders of the parts"
SPARE = "files of a further part"
SIDECARS = (".cls", ".json")
WHOLE_NUMBER = re.compile("-?[0-9]{1,18}")
LIKE_PARTS = re.compile("([A-Za-z]+)[^A-Za-z]")  # train2017, test_images
LABEL_KEYS = ("label", "cls", "class")  # of a sidecar in JSON


@dataclass(frozen=True)
class Item:
    """One sample to be: a file, or a folder of frames.

    Args:
        name: Below the root.
        label: Its class; empty where it has none.
        part: `train` or `test`.
    """

    name: str
    label: str
    part: str


@dataclass(frozen=True)
class Listing:
    """What both parts hold.

    Args:
        items: Of both parts, in natural order of their names.
        classes: Those of both parts, in order.
    """

    items: tuple[Item, ...]
    classes: tuple[str, ...]

    def select(self, part: str) -> list[Item]:
        """Return the items of one part."""
        return [item for item in self.items if item.part == part]

    def number(self, items: Iterable[Item]) -> Int[np.ndarray, " N"]:
        """Return the class numbers of items, NO_CLASS where they have none."""
        numbers = {name: number for number, name in enumerate(self.classes)} | {"": NO_CLASS}
        return np.array([numbers[item.label] for item in items], np.int64)


def build_listing(items: Iterable[Item]) -> Listing:
    """Make a listing of items, with one numbering of their classes."""
    every = tuple(items)
    return Listing(every, sort_classes({item.label for item in every} - {""}))


def sort_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort classes by name; those that are numbers by their value.

    >>> sort_classes(["10", "9"]), sort_classes(["b", "10", "9"]), sort_classes(["1", "01"])
    (('9', '10'), ('10', '9', 'b'), ('01', '1'))
    """
    names = sorted(labels)  # 01 and 1 are two classes of one value, and come in this order in every process
    numbers = all(WHOLE_NUMBER.fullmatch(name) for name in names)
    return tuple(sorted(names, key=int) if numbers else names)


def list_files(
    tree: FileTree, endings: Sequence[str], is_for_test: Callable[[str], bool], explicit: bool = False
) -> Listing:
    """List the files of a tree that have one of the endings, with parts and classes, and tell what was left out.

    Args:
        tree: A folder or tar file.
        endings: Of the files that the loader reads, such as ".png".
        is_for_test: Says of a name whether it is for testing, where no folder does.
        explicit: Whether `is_for_test` decides even where folders are named for parts.
    """
    left, found, wanted = Leftovers(), [], tuple(endings)
    sidecars = {*find_sidecars(tree, endings).values()}
    for name in tree.names:
        if name.lower().endswith(wanted):
            found.append(name)
        elif name not in sidecars:
            left.add_endings([name])
    items = sort_into_parts(found, is_for_test, left, explicit=explicit, shards=tree.shards)
    tree.tell_leftovers(left)
    return build_listing(label_by_sidecars(tree, items, endings))


def label_by_sidecars(tree: FileTree, items: Sequence[Item], endings: Sequence[str]) -> list[Item]:
    """Return the items with the class that their sidecars say, where they have any that says one."""
    sidecars = find_sidecars(tree, endings)
    if not sidecars:
        return [*items]
    said = {item.name: read_sidecar(tree, sidecars[item.name]) for item in items if item.name in sidecars}
    return [replace(item, label=said.get(item.name) or item.label) for item in items]


def sort_into_parts(
    names: Sequence[str],
    is_for_test: Callable[[str], bool],
    leftovers: Leftovers,
    *,
    explicit: bool = False,
    shards: Iterable[str] = (),
) -> list[Item]:
    """Give every name its part and class by the folders in it.

    Args:
        names: Below the root, with slashes; items come in this order.
        is_for_test: Says of a name whether it is for testing, where no folder does.
        leftovers: Takes those that no part takes.
        explicit: Whether `is_for_test` decides even where folders are named for parts.
        shards: Folders that stand for tar files, and are neither part nor class.
    """
    passed = frozenset(shards)
    folders = {name: list_folders(name, passed) for name in names}
    at = {name: find_part_folder(path) for name, path in folders.items()}
    labels = find_labels(folders, at)
    words = {folders[name][place].lower() for name, place in at.items() if place is not None}
    if explicit or not words:
        tell_like_parts({*labels.values()})
        shared_out = [Item(name, labels[name], "test" if is_for_test(name) else "train") for name in folders]
        return shared_out if explicit else fill_parts(shared_out)
    chosen = {next((word for word in PART_FOLDERS[part] if word in words), None): part for part in PART_FOLDERS}
    items = []
    for name, place in at.items():
        word = None if place is None else folders[name][place].lower()
        if word is not None and word in chosen:
            items.append(Item(name, labels[name], chosen[word]))
        else:
            leftovers.add(OUTSIDE if word is None else SPARE, name)
    return items


def tell_like_parts(labels: Iterable[str]) -> None:
    """Say so where classes are called as parts are, with more behind: train2017 and val2017 are classes here."""
    parts: dict[str, str] = {}
    for label in sorted(labels):
        word = LIKE_PARTS.match(label)
        part = part_of_word(word[1]) if word else None
        if part is not None:
            parts.setdefault(part, label)
    if len(parts) > 1:
        some = " and ".join(parts[part] for part in PART_FOLDERS)
        tell_once(f"The folders {some} are taken for classes; where they are parts, call them train and test.")


def fill_parts(items: Sequence[Item]) -> list[Item]:
    """Move one item to a part that the hash of few names leaves empty: of the largest class, the first by its hash."""
    parts = Counter(item.part for item in items)
    if len(items) < 2 or len(parts) == 2:
        return [*items]
    sizes = Counter(item.label for item in items)
    moved = min(items, key=lambda item: (-sizes[item.label], hash_text(item.name, 8)))
    return [replace(item, part="test" if (item is moved) == ("train" in parts) else "train") for item in items]


def list_folders(name: str, shards: frozenset[str]) -> tuple[str, ...]:
    """Return the folders that a file lies in, without those that stand for tar files."""
    path = tuple(name.split("/")[:-1])
    if not shards:
        return path
    return tuple(folder for place, folder in enumerate(path) if "/".join(path[: place + 1]) not in shards)


def find_part_folder(folders: Sequence[str]) -> int | None:
    """Return where the outermost folder that is named for a part stands; None where there is none."""
    return next((place for place, folder in enumerate(folders) if part_of_word(folder)), None)


def find_labels(folders: Mapping[str, tuple[str, ...]], at: Mapping[str, int | None]) -> dict[str, str]:
    """Return the class of every name, empty where it has none.

    Args:
        folders: That every name lies in.
        at: Where the folder of its part is among them.
    """
    inside = {name: path if at[name] is None else path[: at[name]] for name, path in folders.items()}
    outer = find_outer_labels(inside, with_parts=any(place is not None for place in at.values()))
    labels = {}
    for name, path in folders.items():
        place = at[name]
        inner = () if place is None else path[place + 1 :]
        labels[name] = printable_name(inner[0]) if inner else outer[name]
    return labels


def find_outer_labels(folders: Mapping[str, tuple[str, ...]], with_parts: bool) -> dict[str, str]:
    """Return the outermost folder that not all files lie in, for every name; empty where a file lies in none.

    Where all lie in one folder, and some deeper in a single folder in it, there is one class, the outer folder.

    Args:
        folders: That every name lies in, above its part.
        with_parts: Whether files lie in folders of parts; a folder around all of these is no class.
    """
    deep = [path for path in folders.values() if path]
    shared = count_shared(deep)
    below = {path[shared] for path in deep if len(path) > shared}
    if not with_parts and shared and (not below or (len(below) == 1 and any(len(path) == shared for path in deep))):
        shared -= 1
    return {name: printable_name(path[shared]) if len(path) > shared else "" for name, path in folders.items()}


def count_shared(paths: Sequence[tuple[str, ...]]) -> int:
    """Return how many of the outermost folders all paths share.

    >>> count_shared([("a", "b"), ("a", "c", "d")]), count_shared([])
    (1, 0)
    """
    ends = zip(min(paths, default=()), max(paths, default=()), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], ends)))


def find_sidecars(tree: FileTree, endings: Sequence[str]) -> dict[str, str]:
    """Find the file that says the class of another, by the name of the other one; a .cls goes before a .json."""
    said = {name: name for name in tree.names if name.lower().endswith(SIDECARS)}
    if not said:
        return {}
    by_key: dict[str, str] = {}
    for name in sorted(said, key=lambda name: name.lower().endswith(".json")):
        by_key.setdefault(sample_key(name), name)
    readable = (name for name in tree.names if name.lower().endswith(tuple(endings)))
    return {name: by_key[sample_key(name)] for name in readable if sample_key(name) in by_key}


def sample_key(name: str) -> str:
    """Return what the files of one sample share: the path up to the first dot of the file's name.

    >>> sample_key("train/0.5/a.seg.png")
    'train/0.5/a'
    """
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def read_sidecar(tree: FileTree, name: str) -> str:
    """Read the class that a sidecar says, as text; empty where one in JSON says none."""
    return parse_sidecar(name, tree.read(name))


def parse_sidecar(name: str, written: bytes) -> str:
    """Return the class that the content of a sidecar says, as text; empty where one in JSON says none."""
    text = written.decode(errors="replace").strip()
    if not name.lower().endswith(".json"):
        return text
    try:
        content = json.loads(text)
    except ValueError:
        return ""
    found = [content[key] for key in LABEL_KEYS if key in content] if isinstance(content, dict) else []
    return str(found[0]) if found and isinstance(found[0], str | int) else ""


def check_classes(who: str, listing: Listing, files: str) -> None:
    """Raise PretaskError where there is a class to test on and not to train on."""
    learned = {item.label for item in listing.select("train")}
    strange = sorted({item.label for item in listing.select("test")} - learned - {""})
    if strange:
        raise PretaskError(
            who,
            "every class of the part test among those of the part train",
            f"{list_some(strange)} without {files} to train on",
            "Put every one into the folder of its class.",
        )


def check_counts(who: str, items: Iterable[Item], files: str) -> None:
    """Raise PretaskError where a class has a single item: nothing could be learned of it and chosen on it."""
    counts = Counter(item.label for item in items if item.label)
    lonely = sorted(label for label, count in counts.items() if count == 1)
    if lonely:
        raise PretaskError(
            who,
            f"at least two {files} of every class to train on",
            f"one of {list_some(lonely)}",
            f"Add {files}, or take the folder away.",
        )

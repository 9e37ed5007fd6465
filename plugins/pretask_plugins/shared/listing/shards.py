"""Shards: tar files in the layout of WebDataset, listed once, one after the other, and read in place from then on.

What is kept of a sample is where its bytes lie and its class, 32 bytes in an entry of the cache, which is mapped: names
are needed while a shard is listed, and no longer. A part's fingerprint is the hash of its samples' bytes and classes in
order, however they are packed. Parts and classes follow the rules of listing.py as far as one shard
can tell: the part is that in the shard's name (train-000012.tar, val/7.tar), or by the hash of a sample's name where no
shard names one; the class is what a sidecar says (a.jpg with a.cls or a.json), else the outermost folder in the shard.

Axes: N samples.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from pretask import PretaskError
from pretask.cache import cached, write_rows

from pretask_plugins.shared.listing.digests import digest_files
from pretask_plugins.shared.listing.file_tree import find_mount
from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.listing import NO_CLASS, SIDECARS, parse_sidecar, sample_key, sort_classes
from pretask_plugins.shared.listing.names import natural_key, printable_name
from pretask_plugins.shared.listing.tar_files import Member, TarFile, is_plain
from pretask_plugins.shared.listing.walking import Walk
from pretask_plugins.shared.parts import PART_FOLDERS, hash_text, is_tenth, list_some, part_of_word

EDITION = 1  # of what is listed; raised when that changes
COLUMNS = ("shard", "offset", "bytes", "class")
PIECE = 1 << 16  # rows that are copied at once
SPARSE = "files that are stored without their runs of zeros"


class Shard(NamedTuple):
    """A tar file: its path, what its name stands for (see `find_mount`), and its part; empty where none is named."""

    path: Path
    mount: str
    part: str


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The samples of one part, where they lie.

    Args:
        shards: Every tar file of both parts.
        rows: For each sample the number of its shard, where its bytes begin, how many there are, and its class.
        classes: Of both parts.
        content: Hash of what the samples are.
    """

    shards: tuple[Shard, ...]
    rows: Int[np.ndarray, "N 4"]
    classes: tuple[str, ...]
    content: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Int[np.ndarray, " N"]:
        """The class numbers, NO_CLASS where a sample has none."""
        return np.ascontiguousarray(self.rows[:, COLUMNS.index("class")])

    def read(self, number: int) -> bytes:
        """Read the bytes of a sample."""
        shard, offset, size, _ = self.rows[number].tolist()
        with self.shards[shard].path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)

    def locate(self, number: int) -> str:
        """Return where a sample is, for people; its shard is listed for its name."""
        shard, offset, _, _ = self.rows[number].tolist()
        path = self.shards[shard].path
        members = TarFile("", path).list_members(Leftovers())
        name = next((member.name for member in members if member.offset == offset), f"byte {offset}")
        return printable_name(f"{path}: {name}")


def index_shards(who: str, root: Path, endings: Sequence[str]) -> dict[str, ShardIndex]:
    """Return the samples of both parts, listed where the cache has no such list.

    Args:
        who: The data set, for errors.
        root: A folder with tar files, also in folders of parts.
        endings: Of the files that are samples.

    Raises:
        PretaskError: There is no shard, one is compressed or broken, or a part has no sample.
    """
    leftovers = Leftovers()
    shards = find_shards(who, root.expanduser(), leftovers)
    digests = digest_files([shard.path for shard in shards])
    named = [(shard.mount, shard.part, digest) for shard, digest in zip(shards, digests, strict=True)]
    facts = {"edition": EDITION, "endings": [*endings], "shards": named, "columns": COLUMNS}

    def make(folder: Path) -> Mapping[str, Any]:
        notes = write_index(folder, who, shards, tuple(endings), leftovers)
        leftovers.tell(who, root)
        return notes

    arrays, notes = cached("shards", facts, make)
    classes, content = tuple(notes["classes"]), notes["content"]
    index = {part: ShardIndex(shards, arrays[part], classes, content[part]) for part in PART_FOLDERS}
    check_index(who, root, index)
    return index


def find_shards(who: str, root: Path, leftovers: Leftovers) -> tuple[Shard, ...]:
    """Find the tar files below a folder in natural order, each with the part that it belongs to."""
    found = {file.name: find_mount(file.name) for file in Walk(root, leftovers).list_files()} if root.is_dir() else {}
    mounts = {name: mount for name, mount in found.items() if mount is not None}
    if not mounts:
        raise PretaskError(
            who,
            "a folder of tar files that are numbered or named for a part, such as train-000000.tar",
            f"none in {printable_name(str(root))}",
            "Name their folder with data.root; the data folder reads all other layouts.",
        )
    words = {name: mount.split("/")[0].lower() for name, mount in mounts.items()}
    chosen = {next((word for word in PART_FOLDERS[part] if word in words.values()), ""): part for part in PART_FOLDERS}
    named = any(part_of_word(word) for word in words.values())
    shards = []
    for name in sorted(mounts, key=natural_key):
        if named and words[name] not in chosen:
            leftovers.add("shards of a further part, or of none", name)
        else:
            shards.append(Shard(root / name, mounts[name], chosen[words[name]] if named else ""))
    packed = [shard.path.name for shard in shards if not is_plain(shard.path)]
    if packed:
        raise PretaskError(
            who,
            "tar files that are not compressed, in which it can jump about",
            list_some(packed),
            "Unpack them with gunzip or the like, or read them with the data folder.",
        )
    return tuple(shards)


def write_index(
    folder: Path, who: str, shards: Sequence[Shard], endings: tuple[str, ...], leftovers: Leftovers
) -> Mapping[str, Any]:
    """Write where the samples of each part lie; return the classes, and the hash of each part's content.

    Classes are numbered as they come, and by their order once all are known. Memory holds one shard's names.
    """
    seen: dict[str, int] = {}
    counts = dict.fromkeys(PART_FOLDERS, 0)
    hashes = {part: blake2b(digest_size=16) for part in PART_FOLDERS}
    with ExitStack() as stack:
        files = {part: stack.enter_context((folder / f"{part}.spilled").open("wb")) for part in PART_FOLDERS}
        for number, shard in enumerate(shards):
            tar = TarFile(who, shard.path, "samples")
            stack.callback(tar.close)
            for part, member, label in list_samples(tar, shard, endings, leftovers):
                kind = seen.setdefault(label, len(seen)) if label else NO_CLASS
                files[part].write(np.array([number, member.offset, member.size, kind], np.int64).data)
                counts[part] += 1
                hashes[part].update(f"{member.size} {label}\0".encode(errors="surrogateescape") + tar.read(member))
            tar.close()
    classes = sort_classes(seen)
    places = {label: place for place, label in enumerate(classes)}
    numbers = np.array([*(places[label] for label in seen), NO_CLASS], np.int64)  # the last one is found by NO_CLASS
    for part, count in counts.items():
        path = folder / f"{part}.spilled"
        write_rows(folder / f"{part}.npy", (count, len(COLUMNS)), "int64", renumber(path, numbers))
        path.unlink()
    return {"classes": classes, "content": {part: digest.hexdigest() for part, digest in hashes.items()}}


def renumber(path: Path, numbers: Int[np.ndarray, " K"]) -> Iterator[Int[np.ndarray, "_ 4"]]:
    """Read rows, some at a time, and give every class its number."""
    with path.open("rb") as file:
        while content := file.read(PIECE * len(COLUMNS) * np.dtype(np.int64).itemsize):
            rows = np.frombuffer(content, np.int64).reshape(-1, len(COLUMNS)).copy()
            rows[:, -1] = numbers[rows[:, -1]]
            yield rows


def list_samples(
    tar: TarFile, shard: Shard, endings: tuple[str, ...], leftovers: Leftovers
) -> Iterator[tuple[str, Member, str]]:
    """Yield the part, the place and the class of the samples in a shard, in its order."""
    members = tar.list_members(leftovers)
    said = read_labels(tar, members)
    for member in members:
        ending = PurePosixPath(member.name).suffix.lower()
        if not member.name.lower().endswith(endings):
            if ending not in SIDECARS:
                leftovers.add_endings([sys.intern(f"file{ending}")])  # there may be a million of them
        elif member.sparse:
            leftovers.add(SPARSE, member.name)
        else:
            inner = member.name.removeprefix(f"{shard.mount}/")
            part = shard.part or ("test" if is_tenth(hash_text(f"{shard.mount}/{inner}")) else "train")
            yield part, member, said.get(sample_key(member.name)) or find_folder(inner, shard.part)


def read_labels(tar: TarFile, members: Sequence[Member]) -> dict[str, str]:
    """Read the classes that sidecars say, by what the files of a sample share; a .cls goes before a .json."""
    said: dict[str, str] = {}
    for ending in reversed(SIDECARS):
        for member in members:
            if member.name.lower().endswith(ending):
                label = parse_sidecar(member.name, tar.read(member))
                said |= {sample_key(member.name): label} if label else {}
    return said


def find_folder(name: str, part: str) -> str:
    """Return the outermost folder that a file lies in, below one that is named for its part; empty where it is in none.

    >>> find_folder("cats/a/1.jpg", "train"), find_folder("train/cats/1.jpg", "train"), find_folder("1.jpg", "")
    ('cats', 'cats', '')
    """
    folders = PurePosixPath(name).parts[:-1]
    inner = folders[1:] if part and folders and part_of_word(folders[0]) == part else folders
    return printable_name(inner[0]) if inner else ""


def check_index(who: str, root: Path, index: Mapping[str, ShardIndex]) -> None:
    """Raise PretaskError where a part has no sample, or a class of the part test none to train on."""
    for part, found in index.items():
        if not len(found):
            raise PretaskError(
                who,
                f"samples of the part {part}",
                f"none in the shards of {printable_name(str(root))}",
                f"Add {part}-000000.tar, or name no part, where a tenth of the samples is for testing.",
            )
    learned, tested = (set(list_numbers(index[part].labels)) for part in ("train", "test"))
    strange = sorted(index["test"].classes[number] for number in tested - learned)
    if strange:
        raise PretaskError(
            who,
            "every class of the part test among those of the part train",
            f"{list_some(strange)} without samples to train on",
            "Add some to the shards of the part train.",
        )


def list_numbers(labels: Int[np.ndarray, " N"]) -> Iterable[int]:
    """List the class numbers that there are."""
    found: list[int] = np.unique(labels[labels >= 0]).tolist()
    return found

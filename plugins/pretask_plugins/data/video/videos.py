"""Videos: which files of a folder are videos, their parts and classes, and a reader for each.

Axes: none.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pretask import PretaskError

from pretask_plugins.data.video.folds import read_fold
from pretask_plugins.data.video.readers import Decoder, Images, Reader, describe_decoder, describe_images, open_video
from pretask_plugins.shared.listing import (
    FileTree,
    Leftovers,
    Listing,
    TableTree,
    build_listing,
    is_table,
    label_by_sidecars,
    list_any,
    natural_key,
    sort_into_parts,
)
from pretask_plugins.shared.listing.listing import SIDECARS
from pretask_plugins.shared.listing.names import unify_name
from pretask_plugins.shared.listing.tables import read_rows, sort_rows
from pretask_plugins.shared.parts import hash_text, is_tenth

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".gif", ".ts", ".mts", ".m2ts")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
BESIDE = "pictures beside videos"
UNLISTED = "videos that the table does not list"


@dataclass(frozen=True)
class Video:
    """One video: its name, and its file or its frames."""

    name: str
    files: tuple[str, ...]


@contextmanager
def open_reader(tree: FileTree, video: Video, decoder: Decoder) -> Iterator[Reader]:
    """Open a reader of a video, whether it is a file or a folder of images."""
    if not video.files[0].lower().endswith(VIDEOS):
        yield Images(video.files, tree.read)
        return
    with tree.path(video.files[0]) as path, open_video(path, decoder) as reader:
        yield reader


def describe_decoders(decoder: Decoder, files: Sequence[str]) -> list[str]:
    """Return what decodes videos of which these are the first files, with versions."""
    are_videos = {name.lower().endswith(VIDEOS) for name in files}
    return [describe_decoder(decoder) if are_video else describe_images() for are_video in sorted(are_videos)]


def list_videos(tree: FileTree, labels_file: str, fold: int = 0) -> tuple[Listing, Mapping[str, tuple[str, ...]]]:
    """List all videos with their parts and classes, and the files of each; those of a fold, unless that is 0."""
    if isinstance(tree, TableTree):
        listing = list_any(tree, VIDEOS, is_for_test)
        return listing, {item.name: (item.name,) for item in listing.items}
    left = Leftovers()
    found = find_videos(tree, left)
    table = find_table(tree, labels_file)
    if fold:
        listing = read_fold(tree, fold, found)
    elif table is None:
        items = sort_into_parts([*found], is_for_test, left, shards=tree.shards)
        listing = build_listing(label_by_sidecars(tree, items, VIDEOS))
    else:
        listing = read_table(tree, table, found)
        left.add(UNLISTED, *sorted({*found} - {item.name for item in listing.items}, key=natural_key))
    tree.tell_leftovers(left)
    return listing, found


def has_table(tree: FileTree, labels_file: str) -> bool:
    """Return whether a table says which videos there are."""
    return isinstance(tree, TableTree) or find_table(tree, labels_file) is not None


def find_table(tree: FileTree, labels_file: str) -> str | None:
    """Find the table that lists the videos of a folder, the named one or labels.csv; None where there is none."""
    if not labels_file:
        return next((name for name in tree.names if PurePosixPath(name).name == "labels.csv"), None)
    found = tree.find(labels_file)
    if found is None:
        needs = f"the file data.labels_file={labels_file}"
        raise PretaskError("video-folder", needs, "none", "Name one below data.root.")
    return found


def read_table(tree: FileTree, table: str, found: Mapping[str, tuple[str, ...]]) -> Listing:
    """Read which videos a table in the tree lists; their files lie beside it."""
    beside = PurePosixPath(table).parent
    known = {unify_name(name): name for name in found}

    def find(file: str) -> str | None:
        return known.get(unify_name((beside / file).as_posix()))

    rows = read_rows("video-folder", table, tree.read(table))
    return build_listing(sort_rows("video-folder", table, rows, find, is_for_test))


def find_videos(tree: FileTree, leftovers: Leftovers) -> dict[str, tuple[str, ...]]:
    """Find videos by name: files, and folders of images that are not beside, above or below videos.

    Args:
        tree: Of which all files are looked at.
        leftovers: Takes pictures beside videos, and files of other kinds.
    """
    films = [name for name in tree.names if name.lower().endswith(VIDEOS)]
    folders: dict[str, tuple[str, ...]] = {}
    for name in tree.names:
        if name.lower().endswith(IMAGES):
            folder = PurePosixPath(name).parent.as_posix()
            folders[folder] = (*folders.get(folder, ()), name)
        elif not name.lower().endswith((*VIDEOS, *SIDECARS)) and not is_table(Path(name)):
            leftovers.add_endings([name])
    beside = find_beside({folder: len(names) for folder, names in folders.items()}, films)
    leftovers.add(BESIDE, *(name for folder in beside for name in folders[folder]))
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in films}
    found |= {folder: names for folder, names in folders.items() if folder not in beside}
    return {name: found[name] for name in sorted(found, key=natural_key)}


def find_beside(folders: Mapping[str, int], films: Sequence[str]) -> list[str]:
    """Find the folders of images that are no videos.

    Those are the root; folders that lie beside, above or below files of videos; and of two folders of images, one in
    the other, that with fewer images: a cover in the folder of a class, or previews in that of a video.

    Args:
        folders: How many images lie in each.
        films: Files of videos.

    >>> find_beside({"cat": 1, "cat/a": 9, "cat/b": 9, "cat/b/small": 3}, [])
    ['cat', 'cat/b/small']
    """
    homes = {PurePosixPath(name).parent.as_posix() for name in films}
    above = {upper for name in films for upper in list_upper(name)}
    no_videos = {"."} | above | {folder for folder in folders if {folder, *list_upper(folder)} & homes}
    for folder, count in folders.items():
        for upper in list_upper(folder):
            if upper in folders:
                no_videos.add(upper if folders[upper] <= count else folder)
    return [folder for folder in folders if folder in no_videos]


def list_upper(name: str) -> list[str]:
    """List the folders around a file or folder, the root as a dot."""
    return [folder.as_posix() for folder in PurePosixPath(name).parents]


def is_for_test(name: str) -> bool:
    """Return whether a video is for testing that neither a folder nor a table assigns to a part."""
    return is_tenth(hash_text(name))

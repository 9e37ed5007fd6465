"""Folds: which videos of UCF101 and HMDB51 are for training and testing, by the lists that come with them.

UCF101: trainlist01.txt and testlist01.txt name CLASS/NAME.avi, one a line, and a number. HMDB51: CLASS_test_split1.txt
names NAME.avi of that class, with 1 for training, 2 for testing, and 0 for neither. The lists may lie anywhere below
the root.

Source: Soomro, Zamir and Shah 2012 (UCF101); Kuehne et al., ICCV 2011 (HMDB51).
Axes: none.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pretask import PretaskError

from pretask_plugins.shared.listing import FileTree, Item, Listing, build_listing, printable_name
from pretask_plugins.shared.listing.names import unify_name
from pretask_plugins.shared.parts import list_some

WHO = "video-folder"
UCF = re.compile(r"(train|test)list0*(\d+)\.txt$")
HMDB = re.compile(r"(.+)_test_split(\d+)\.txt$")
HMDB_PARTS = {"1": "train", "2": "test"}


def read_fold(tree: FileTree, fold: int, found: Mapping[str, object]) -> Listing:
    """Return the videos of a fold, counted from 1, with parts and classes.

    Args:
        tree: In which the lists lie.
        fold: Its number.
        found: Videos by name.

    Raises:
        PretaskError: There are no such lists, or they name videos that are not there.
    """
    listed = dict(read_lists(tree, fold))
    if not listed:
        raise PretaskError(
            WHO,
            f"lists of fold {fold}: trainlist{fold:02d}.txt and testlist{fold:02d}.txt, or CLASS_test_split{fold}.txt",
            f"none below {printable_name(str(tree.root))}",
            "Put the lists that come with UCF101 or HMDB51 beside the videos, or leave data.fold out.",
        )
    names = {key_of(name): name for name in found}
    lacking = [printable_name(key) for key in listed if key not in names]
    if lacking:
        raise PretaskError(
            WHO,
            f"all videos that the lists of fold {fold} name",
            f"{len(lacking)} of {len(listed)} that are not there: {list_some(lacking)}",
            "Unpack all videos, as CLASS/NAME, below data.root.",
        )
    items = {names[key]: Item(names[key], printable_name(key.partition("/")[0]), part) for key, part in listed.items()}
    return build_listing(items[name] for name in found if name in items)


def read_lists(tree: FileTree, fold: int) -> Iterator[tuple[str, str]]:
    """Yield CLASS/NAME and the part of every video that the lists of a fold name."""
    for name in tree.names:
        file = PurePosixPath(name).name
        ucf, hmdb = UCF.match(file), HMDB.match(file)
        if ucf and int(ucf.group(2)) == fold:
            for words in read_words(tree, name):
                yield key_of(words[0]), ucf.group(1)
        elif hmdb and int(hmdb.group(2)) == fold:
            for words in read_words(tree, name):
                if words[-1] in HMDB_PARTS:
                    yield key_of(f"{hmdb.group(1)}/{words[0]}"), HMDB_PARTS[words[-1]]


def read_words(tree: FileTree, name: str) -> Iterator[list[str]]:
    """Yield the words of every line of a list that has some."""
    for line in tree.read(name).decode(errors="replace").splitlines():
        if line.strip():
            yield line.split()


def key_of(name: str) -> str:
    """Return the class and the name of a video, whatever folders are around them.

    >>> key_of("UCF-101/Archery/v_Archery_g01_c01.avi")
    'Archery/v_Archery_g01_c01.avi'
    """
    return unify_name("/".join(PurePosixPath(name).parts[-2:]))

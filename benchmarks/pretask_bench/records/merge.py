"""Merge: records of some folders brought into a store, each verified by itself first, with the pictures beside it.

What the store has already stays as it is, so that merging again changes nothing. Records that contradict each other are
merged: which of them counts is for boards to show, and not for a copy to decide.
"""

from dataclasses import dataclass, field
from pathlib import Path

from pretask.errors import PretaskError

from pretask_bench.records.cells import OptionChecker
from pretask_bench.records.record import Record
from pretask_bench.records.store import list_files, name_of, read, read_picture, write, write_picture
from pretask_bench.records.verify import pictures_of, record_faults


@dataclass
class Merged:
    """What became of the records of one folder.

    Args:
        folder: The folder, or a file.
        added: How many the store did not have.
        known: How many it had.
        refused: Files that are no sound record, with what is wrong.
    """

    folder: Path
    added: int = 0
    known: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)


def merge_folder(folder: Path, store: Path, option_checker: OptionChecker) -> Merged:
    """Add the sound records of a folder, or of the folders below it, to a store.

    Raises:
        PretaskError: The store cannot be written.
    """
    merged = Merged(folder)
    for path in list_files([folder]):
        try:
            record = read(path)
            pictures = read_pictures(path, record)
        except PretaskError as error:
            merged.refused.append((path, str(error)))
            continue
        if faults := record_faults(record, option_checker):
            merged.refused.append((path, "; ".join(faults)))
            continue
        is_known = (store / f"{name_of(path, record)}.json").is_file()
        for png in pictures:
            write_picture(store, png)
        write(store, record)
        merged.known += is_known
        merged.added += not is_known
    return merged


def read_pictures(path: Path, record: Record) -> list[bytes]:
    """Return the pictures that lie beside a record; raises PretaskError where one is not what its name says."""
    names = {picture.png for picture in pictures_of(record)}
    return [read_picture(path.parent, name) for name in sorted(names) if (path.parent / f"{name}.png").is_file()]

"""Hub: data sets of the datasets library, by their names on the Hugging Face hub or from a folder on this machine.

The library is imported when a data set is opened. Files are decoded here as those of folders are, so that sizes, turns,
depths and broken files are the same.
Axes: N rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from pretask import PretaskError

from pretask_plugins.data.decoding import first_line
from pretask_plugins.shared.listing.digests import digest_files
from pretask_plugins.shared.listing.listing import NO_CLASS, sort_classes
from pretask_plugins.shared.parts import PART_FOLDERS, check_part, hash_text, is_tenth

SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in a folder
INSTALL = "pip install 'pretask[datasets]'."
LABELS = ("label", "labels", "class", "target", "fine_label")  # columns that are looked for, in this order


@dataclass(frozen=True)
class Choice:
    """Which data set is meant, and which of its splits and columns.

    Args:
        who: The component, for errors.
        kind: Of the column that holds the samples: Image, Audio or string.
        name: On the hub, or a folder.
        subset: Of data sets that have several.
        revision: A tag or commit; the newest one when empty.
        splits: Of training and test; found when empty.
        column: That holds the samples; the first of its kind when empty.
        label: Column of the class; found when empty.
    """

    who: str
    kind: str
    name: str
    subset: str = ""
    revision: str = ""
    splits: tuple[str, str] = ("", "")
    column: str = ""
    label: str = ""

    def open(self) -> "HubData":
        """Open the data set; raise PretaskError where it or a split of it cannot be had."""
        found = load(self)
        splits = found if isinstance(found, dict) else {"train": found}
        chosen = {part: self.choose_split(part, list(splits)) for part in ("train", "test")}
        return HubData(self, {part: splits[split] for part, split in chosen.items()}, chosen)

    def choose_split(self, part: str, splits: Sequence[str]) -> str:
        """Choose the split of a part; that of training stands for a test split that is not there."""
        wanted = self.splits[part == "test"]
        if wanted and wanted not in splits:
            needs, got = f"the split data.{part}_split={wanted} of {self.name}", f"the splits {', '.join(splits)}"
            raise PretaskError(self.who, needs, got, "Name one of these.")
        found = wanted or next((word for word in PART_FOLDERS[part] if word in splits), "")
        if not found and part == "train":
            needs, got = f"a split to train on in {self.name}", f"the splits {', '.join(splits)}"
            raise PretaskError(self.who, needs, got, "Name one with data.train_split.")
        return found or self.choose_split("train", splits)


def load(choice: Choice) -> Any:
    """Load a data set with the library; raise PretaskError where that fails."""
    try:
        import datasets
    except ImportError as error:
        raise PretaskError(choice.who, "the package datasets", "no such package", INSTALL) from error
    place = Path(choice.name).expanduser()
    try:
        if any((place / name).exists() for name in SAVED):
            return datasets.load_from_disk(str(place))
        source = str(place) if place.exists() else choice.name
        return datasets.load_dataset(source, choice.subset or None, revision=choice.revision or None)
    except Exception as error:  # the library raises nearly everything
        raise PretaskError(
            choice.who,
            f"the data set {choice.name}{f' ({choice.subset})' * bool(choice.subset)}",
            first_line(error),
            "Check data.name and data.subset, or name a folder that save_to_disk wrote.",
        ) from error


@dataclass(frozen=True)
class HubData:
    """An open data set.

    Args:
        choice: What was wanted.
        rows: The library's tables, by part; one for both where there is no split to test on.
        splits: Their names.
    """

    choice: Choice
    rows: Mapping[str, Any]
    splits: Mapping[str, str]

    @cached_property
    def column(self) -> str:
        """The column that holds the samples."""
        features = self.rows["train"].features
        fitting = [name for name, feature in features.items() if describe_feature(feature) == self.choice.kind]
        chosen = self.choice.column or next(iter(fitting), "")
        if chosen not in fitting:
            columns = ", ".join(f"{name} ({describe_feature(feature)})" for name, feature in features.items())
            raise PretaskError(
                self.choice.who,
                f"a column of {self.choice.kind} in {self.choice.name}",
                f"the columns {columns}",
                "Name one with data.column, or use the hf component of its modality.",
            )
        return chosen

    @cached_property
    def label(self) -> str:
        """The column of the class; empty where there is none."""
        features = self.rows["train"].features
        if self.choice.label and self.choice.label not in features:
            needs, got = f"the column data.label={self.choice.label}", f"the columns {', '.join(features)}"
            raise PretaskError(self.choice.who, needs, got, "Name one of these.")
        by_kind = [name for name, feature in features.items() if describe_feature(feature) == "ClassLabel"]
        known = [name for name in (*LABELS, *by_kind) if name in features and name != self.column]
        return self.choice.label or next(iter(known), "")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes of both parts, in their order."""
        if not self.label:
            return ()
        feature = self.rows["train"].features[self.label]
        if describe_feature(feature) == "ClassLabel":
            return tuple(feature.names)
        return sort_classes(
            {self.name_class(value) for rows in self.rows.values() for value in rows[self.label]} - {""}
        )

    def name_class(self, value: Any) -> str:
        """Return the name of a class as a column without names writes it; empty for none."""
        if value is None or isinstance(value, str | int):
            return "" if value is None else str(value)
        raise PretaskError(
            self.choice.who,
            f"one class for every row in the column {self.label}",
            f"{type(value).__name__} such as {str(value)[:40]}",
            "Name another column with data.label.",
        )

    def index(self, part: str) -> Int[np.ndarray, " N"]:
        """Return the numbers of the rows of a part; of one split for both a tenth, by their numbers, is for testing."""
        check_part(self.choice.who, part)
        count = len(self.rows[part])
        if self.splits["train"] != self.splits["test"]:
            return np.arange(count)
        held_out = [number for number in range(count) if is_tenth(hash_text(str(number)))] or [*range(count)][-1:]
        return np.array(held_out if part == "test" else sorted({*range(count)} - {*held_out}), np.int64)

    def classes(self, part: str) -> Int[np.ndarray, " N"]:
        """Return the class numbers of a part, NO_CLASS where a row has none."""
        index = self.index(part)
        if not self.label:
            return np.full(len(index), NO_CLASS, np.int64)
        column = self.rows[part][self.label][:]
        values = [column[number] for number in index]
        if describe_feature(self.rows[part].features[self.label]) == "ClassLabel":
            return np.array([NO_CLASS if value is None else value for value in values], np.int64)
        numbers = {name: number for number, name in enumerate(self.names)} | {"": NO_CLASS}
        return np.array([numbers[self.name_class(value)] for value in values], np.int64)

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the samples of a part, their bytes included."""
        import datasets

        rows = self.rows[part]
        files = [Path(file["filename"]) for file in rows.cache_files]
        return {
            "data": self.choice.who,
            "datasets": datasets.__version__,
            "name": self.choice.name,
            "split": self.splits[part],
            "part": part,
            "fingerprint": rows._fingerprint,
            "files": digest_files(files),
            "outside": digest_files(self.list_outside(part)),
            "column": self.column,
            "label": self.label,
        }

    def list_outside(self, part: str) -> list[Path]:
        """List the files that rows only name; nothing where their bytes are in the table."""
        if self.choice.kind == "string" or not len(self.rows[part]) or self.undecoded(part)[0]["bytes"] is not None:
            return []
        return [Path(row["path"]) for row in self.undecoded(part)]

    def undecoded(self, part: str) -> Any:
        """Return the samples of a part, of images and recordings their bytes or paths."""
        import datasets

        rows = self.rows[part].select_columns([self.column])
        if self.choice.kind == "string":
            return rows[self.column]
        bare = {"Image": datasets.Image, "Audio": datasets.Audio}[self.choice.kind](decode=False)
        return rows.cast_column(self.column, bare)[self.column]

    def content(self, part: str) -> "Content":
        """Return the bytes of the samples of a part."""
        return Content(self.undecoded(part), self.index(part))

    def texts(self, part: str) -> Iterator[str]:
        """Yield the texts of a part; None is an empty one."""
        wanted = {*self.index(part).tolist()}
        return (text or "" for number, text in enumerate(self.undecoded(part)) if number in wanted)


@dataclass(frozen=True)
class Content:
    """Bytes of files by their number.

    Args:
        column: Of the library: bytes, or paths.
        index: Rows that are wanted.
    """

    column: Any
    index: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.index)

    def read(self, number: int) -> bytes:
        """Read the bytes of a sample; raise ValueError where its row has none."""
        row = self.column[int(self.index[number])]
        if row is None or (row["bytes"] is None and not row["path"]):
            raise ValueError("an empty row")
        return row["bytes"] if row["bytes"] is not None else Path(row["path"]).read_bytes()

    def name(self, number: int) -> str:
        """Return what to call a sample."""
        return f"row {self.index[number]}"


def describe_feature(feature: Any) -> str:
    """Return what a column holds: Image, Audio, ClassLabel, or the type of its values; long strings are strings."""
    kind = type(feature).__name__
    return {"large_string": "string"}.get(feature.dtype, feature.dtype) if kind == "Value" else kind

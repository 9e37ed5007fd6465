"""GLUE: its nine tasks, from its own folders or from the datasets library.

    root/CoLA/train.tsv, dev.tsv    root/SST-2/…    MRPC    STS-B    QQP    MNLI    QNLI    RTE    WNLI

The labels of the test parts were never published, so the test part here is `dev` (of MNLI the matched one, or the
other). A line of a table with fewer columns than its first one is left out, as GLUE's own readers do, and said. A name
on the Hugging Face hub as root, such as nyu-mll/glue, is read by the datasets library.

Source: Wang et al., ICLR 2019, and the readers released with it.
Axes: N rows, L tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pretask import PretaskError, Samples

from pretask_plugins.data import hub
from pretask_plugins.data.text.rows import Extent
from pretask_plugins.data.text.supervised import (
    Example,
    SupervisedText,
    digest,
    find_columns,
    read_table,
    rewrite_score,
    supervised_samples,
)
from pretask_plugins.shared.listing.leftovers import tell_once
from pretask_plugins.shared.parts import check_part

WHO = "glue"
TaskName = Literal["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]


class Layout(NamedTuple):
    """Where a task's files are, and what their columns are called.

    Args:
        folder: Below the root.
        texts: Columns of the texts.
        label: Column of the label.
        library: The columns of the texts in the datasets library.
        columns: Numbers of the same columns, of files that do not name them.
    """

    folder: str
    texts: tuple[str, ...]
    label: str
    library: tuple[str, ...]
    columns: tuple[int, ...] = ()


PAIR = ("sentence1", "sentence2")
LAYOUTS: Mapping[str, Layout] = {
    "cola": Layout("CoLA", ("sentence",), "label", ("sentence",), (3, 1)),
    "sst2": Layout("SST-2", ("sentence",), "label", ("sentence",)),
    "mrpc": Layout("MRPC", ("#1 String", "#2 String"), "Quality", PAIR),
    "stsb": Layout("STS-B", PAIR, "score", PAIR),
    "qqp": Layout("QQP", ("question1", "question2"), "is_duplicate", ("question1", "question2")),
    "mnli": Layout("MNLI", PAIR, "gold_label", ("premise", "hypothesis")),
    "qnli": Layout("QNLI", ("question", "sentence"), "label", ("question", "sentence")),
    "rte": Layout("RTE", PAIR, "label", PAIR),
    "wnli": Layout("WNLI", PAIR, "label", PAIR),
}


@dataclass(frozen=True, kw_only=True)
class Glue(SupervisedText):
    """Rows (L,) of one text or two with a separator between them, and the class or score of each.

    Args:
        root: The folder of GLUE's own folders, a task's folder, or a name on the Hugging Face hub.
        task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte or wnli.
        mismatched: Whether MNLI is tested on the genres that its training part has not.
    """

    task: TaskName = "rte"
    mismatched: bool = False

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write the tables of RTE."""
        (folder / "RTE").mkdir()
        for part, whens in (("train", range(1900, 1924)), ("dev", range(2000, 2012))):
            lines = ["index\tsentence1\tsentence2\tlabel"]
            for number, when in enumerate(whens):
                lines.append(f"{2 * number}\tIt rained in {when}.\tIt was wet in {when}.\tentailment")
                lines.append(f"{2 * number + 1}\tIt rained in {when}.\tIt was dry in {when}.\tnot_entailment")
            (folder / "RTE" / f"{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": folder, "task": "rte", "length": 32, "vocab_size": 300}

    @property
    def layout(self) -> Layout:
        """Where the files of the task are, and what their columns are called."""
        return LAYOUTS[self.task]

    @property
    def is_score(self) -> bool:
        """Whether the label is a number."""
        return self.task == "stsb"

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part(WHO, part)
        return supervised_samples(
            WHO, self.facts(part), self.tokenization, self.length, lambda: self.examples(part), self.names
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes of the training part in order, or the scores of both parts."""
        parts = ("train", "test") if self.is_score else ("train",)
        labels = {example.label for part in parts for example in self.examples(part)} - {""}
        return tuple(sorted(labels, key=float)) if self.is_score else tuple(sorted(labels))

    def texts(self) -> Iterator[str]:
        """Yield the texts to learn from."""
        return (text for example in self.examples("train") for text in example.texts)

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the examples of a part."""
        about = {"task": self.task, "part": part, "encoding": self.encoding}
        if self.folder is not None:
            return {**about, "file": digest(self.find_file(part))}
        table = self.library[self.split_name(part)]
        return {**about, "library": str(table._fingerprint)}

    def examples(self, part: str) -> list[Example]:
        """Return the examples of a part."""
        if self.folder is not None:
            found = list(read_task(self.find_file(part), self.encoding, self.layout))
        else:
            found = list(self.read_library(part))
        return [rewrite_score(WHO, example) for example in found] if self.is_score else found

    @cached_property
    def folder(self) -> Path | None:
        """The folder of the task; None where the root is none on this machine that has one."""
        root = self.root.expanduser()
        places = (root / self.layout.folder, root)
        return next((place for place in places if (place / "train.tsv").is_file()), None)

    def split_name(self, part: str) -> str:
        """Return what files and the library call a part, but for what they call the one for testing."""
        if part == "train":
            return "train"
        return {False: "matched", True: "mismatched"}[self.mismatched] if self.task == "mnli" else ""

    def find_file(self, part: str) -> Path:
        """Return the file of a part; raise PretaskError where it is missing."""
        assert self.folder is not None, "whoever calls has seen that there is one"
        suffix = self.split_name(part)
        path = self.folder / ("train.tsv" if part == "train" else f"dev{'_' * bool(suffix)}{suffix}.tsv")
        if not path.is_file():
            found = ", ".join(sorted(file.name for file in self.folder.glob("*.tsv")))
            raise PretaskError(WHO, f"the file {path.name} of {self.layout.folder}", found, "Copy GLUE's folder again.")
        return path

    @cached_property
    def library(self) -> Mapping[str, Any]:
        """The tables of the datasets library by what `split_name` says; raise PretaskError where there are none."""
        if self.root.expanduser().is_dir() and not any((self.root / name).exists() for name in hub.SAVED):
            needs, got = f"{self.layout.folder}/train.tsv below data.root", f"{self.root} without"
            raise PretaskError(WHO, needs, got, "Name the folder of GLUE's folders, or a name on the hub.")
        found = hub.load(hub.Choice(WHO, "string", self.root.as_posix(), self.task))
        tested = self.split_name("test")
        wanted = {"train": "train", tested: f"validation{'_' * bool(tested)}{tested}"}
        if missing := sorted({*wanted.values()} - {*found}):
            needs, got = f"the split {missing[0]} of {self.root}", f"the splits {', '.join(found)}"
            raise PretaskError(WHO, needs, got, "Name a data set in the layout of nyu-mll/glue.")
        return {name: found[split] for name, split in wanted.items()}

    def read_library(self, part: str) -> Iterator[Example]:
        """Yield the examples of a part of the library's tables."""
        table = self.library[self.split_name(part)]
        place = f"the columns of {self.root}"
        find_columns(WHO, [*table.features], [*self.layout.library, "label"], place)
        names = getattr(table.features["label"], "names", None)
        columns = [table[name] for name in (*self.layout.library, "label")]
        for number, (*texts, label) in enumerate(zip(*columns, strict=True)):
            known = "" if label is None or (names and label < 0) else names[label] if names else str(label)
            yield Example(tuple(text or "" for text in texts), known, f"row {number} of {self.root}")


def read_task(path: Path, encoding: str, layout: Layout) -> Iterator[Example]:
    """Yield the examples of a table; lines that are too short are left out with a line on stderr."""
    columns, width, short = layout.columns, 0, 0
    for number, (cells, place) in enumerate(read_table(path, encoding)):
        if number == 0:
            width = len(cells)
            if not layout.columns:
                columns = tuple(find_columns(WHO, cells, [*layout.texts, layout.label], place))
                continue
        if len(cells) < width or len(cells) <= max(columns):
            short += 1
            continue
        *texts, label = (cells[column] for column in columns)
        yield Example(tuple(texts), label, place)
    if short:
        tell_once(f"glue: left out of {path}, lines with fewer columns than its first line: {short}")

"""Choices: endings of a beginning of which one is right, from tables with commas in the layout of SWAG.

The first line names the columns: `sent1`, `sent2`, `ending0`, `ending1`, … and `label`, the number of the right ending.
A row is `sent1, separator, sent2 ending, end`, one for every ending, those of a question one after the other. Without
files for both parts, a tenth of the questions, by their hash, is for testing.

Source: Zellers, Bisk, Schwartz and Choi, EMNLP 2018 (the layout); Devlin et al., NAACL 2019, section 4.4 (the rows).
Axes: N rows, L tokens, K endings.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pretask import PretaskError, Samples

from pretask_plugins.data.text.rows import Extent
from pretask_plugins.data.text.supervised import (
    Example,
    SupervisedText,
    digest,
    find_columns,
    find_files,
    read_text,
    supervised_samples,
)
from pretask_plugins.shared.parts import check_part, hash_text, is_tenth

WHO = "choices"
NAMES = ("wrong", "right")
ENDING = re.compile(r"ending\d+")
PREFER = ("val", "valid", "dev")  # whose labels are known


@dataclass(frozen=True, kw_only=True)
class Choices(SupervisedText):
    """Rows (L,) of a beginning and one of its endings, and whether that is the right one."""

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a table of questions for each part."""
        words = ("goes out", "sings, loudly", "falls", "eats a pear, then sleeps", "waits for rain")
        for part, years in (("train", range(1900, 1924)), ("val", range(2000, 2016))):
            lines = ["sent1,sent2,ending0,ending1,label"]
            for number, year in enumerate(years):
                ending = [words[number % len(words)], f"{words[number % 3]} and so on, all of {year}"]
                first, second = ending if number % 2 == 0 else ending[::-1]
                lines.append(f'"{year}, in May",He,"{first}","{second}",{number % 2}')
            (folder / f"{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": folder, "length": 32, "vocab_size": 300}

    @cached_property
    def choices(self) -> int:
        """How many endings every question has."""
        return len(self.questions("train")[0]) if self.questions("train") else 0

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part(WHO, part)

        def examples() -> list[Example]:
            found = [example for question in self.questions(part) for example in question]
            if len(found) != self.choices * len(self.questions(part)):
                needs, got = f"{self.choices} endings of every question, as in training", "others in the test part"
                raise PretaskError(WHO, needs, got, "Use files of one kind.")
            return found

        return supervised_samples(WHO, self.facts(part), self.tokenization, self.length, examples, NAMES)

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the questions of a part."""
        path, divided = find_files(WHO, self.root, part, (".csv",), PREFER)
        return {"file": digest(path), "encoding": self.encoding, "part": part, "divided": divided}

    def texts(self) -> Iterator[str]:
        """Yield the texts to learn from."""
        return (text for question in self.questions("train") for example in question for text in example.texts)

    def questions(self, part: str) -> list[list[Example]]:
        """Return the questions of a part, an example for every ending."""
        path, divided = find_files(WHO, self.root, part, (".csv",), PREFER)
        return list(read_questions(path, self.encoding, part if divided else ""))


def read_questions(path: Path, encoding: str, part: str) -> Iterator[list[Example]]:
    """Yield the questions of a table; of one part, where it is named."""
    lines = csv.reader(io.StringIO("".join(read_text(path, encoding))))
    header = [cell.strip() for cell in next(lines, [])]
    endings = [name for name in header if ENDING.fullmatch(name)] or ["ending0"]
    columns = find_columns(WHO, header, ["sent1", "sent2", "label", *endings], f"the first line of {path}")
    for cells in lines:
        place = f"line {lines.line_num} of {path}"
        if not cells:
            continue
        if len(cells) <= max(columns):
            needs, got = f"{len(header)} columns in every line", f"{len(cells)} in {place}"
            raise PretaskError(WHO, needs, got, "Put text with commas into quotation marks.")
        first, second, label, *texts = (cells[column].strip() for column in columns)
        if label not in map(str, range(len(texts))):
            needs, got = f"a label from 0 to {len(texts) - 1}", f"'{label}' in {place}"
            raise PretaskError(WHO, needs, got, "Write the number of the right ending there.")
        if part and is_tenth(hash_text("\t".join(cells), 8)) != (part == "test"):
            continue
        yield [
            Example((first, f"{second} {text}".strip()), NAMES[number == int(label)], place)
            for number, text in enumerate(texts)
        ]

"""Pages of the documentation as a reader takes them: from the top, in an empty folder, block by block.

Python of a page runs in one process; commands run as `pretask` does, each in its own. What is between `$` and the next
one in a block `console` must be what the command says, with … for anything. Budgets are cut, and nothing is downloaded.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import start_python

HOUSE = Path(__file__).parents[1]
FENCED = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^(?: {4}[^\n]*|)\n)+", re.MULTILINE)
RUNNABLE = ("python", "sh", "console")
VERBATIM = ("json", "toml", "text", "bibtex", "csv")  # what is shown and not done
COMMANDS = ("pretask", "pip", "make")
SAMPLES = 64  # that a command may see, where the page names no budget
SMALLER = ["--set", "data.size=256", "--set", "data.test_size=64"]  # of data that is made
# What needs files of another host, with what is said where there are none.
REFUSED = {"--init timm": "--init timm needs pretrained weights of resnet18; got none here"}


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Args:
        language: As the fence says; `sh` of indented lines that begin with a command.
        title: Of the file that it is to be written to, or nothing.
        text: What stands in it.
    """

    language: str
    title: str
    text: str


def read_blocks(text: str) -> list[Block]:
    """The blocks of a page, in its order."""
    fenced = [
        (found.start(), Block(found[1], "".join(re.findall(r'title="([^"]+)"', found[2])), found[3]))
        for found in FENCED.finditer(text)
    ]
    prose = FENCED.sub(lambda found: re.sub(r"[^\n]", "`", found[0]), text)
    indented = [
        (found.start(), Block("sh", "", re.sub(r"^ {4}", "", found[0], flags=re.MULTILINE).strip("\n") + "\n"))
        for found in INDENTED.finditer(prose)
        if found[0].strip() and found[0].split()[0] in COMMANDS
    ]
    return [block for _, block in sorted([*fenced, *indented], key=lambda pair: pair[0])]


def iterate_commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Every command of a block with the lines that it must say, none where nothing is shown."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "sh":
        yield from ((line, []) for line in lines if shlex.split(line, comments=True))
        return
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start].removeprefix("$ "), lines[start + 1 : end]


@dataclass
class Reader:
    """Somebody who follows a page.

    Args:
        folder: Where commands run and files are written.
        names: Of the Python of the page.
    """

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def follow(self, text: str) -> None:
        """Do all that a page says, in its order."""
        for block in read_blocks(text):
            self.do(block)

    def do(self, block: Block) -> None:
        """Write the file that a block is, run it, or pass over what is only shown."""
        if block.title:
            (self.folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, "page", "exec"), self.names)
        elif block.language in RUNNABLE:
            for command, shown in iterate_commands(block):
                self.run(command, shown)
        else:
            assert block.language in VERBATIM, f"nobody knows how to run {block.language}"

    def run(self, command: str, shown: Sequence[str] = ()) -> None:
        """Run a command; it must succeed, or say what the page shows."""
        words = shlex.split(command, comments=True)
        if words[0] in ("make", "pip", "."):
            check_installable(words)
            return
        assert words[0] == "pretask", f"nobody knows how to run {command}"
        words, _, place = [*map(str, self.expand(words[1:]))], "", ""
        if ">" in words:
            words, place = words[: words.index(">")], words[-1]
        process = start_python("-m", "pretask_bench", *cut_budget(words), folder=self.folder)
        code = process.wait()
        if place:
            (self.folder / place).write_text(process.out, encoding="utf-8")
        said = process.out + process.err
        refusal = next((refusal for word, refusal in REFUSED.items() if word in command), None)
        assert (code == 0) is (refusal is None) or shown, f"{command}\n{code}\n{said}"
        assert refusal is None or refusal in said, f"{command}\n{said}"
        assert says(said, shown), f"{command}\nshould say\n{shown}\nand says\n{said}"

    def expand(self, words: list[str]) -> Iterator[str]:
        """Words with patterns as a shell expands them, and the newest folder for one that ends with …"""
        for word in words:
            if "…" in word:
                found = sorted(self.folder.glob(word.replace("…", "*")), key=lambda path: path.stat().st_mtime)
                assert found, f"nothing is called {word}"
                yield str(found[-1].relative_to(self.folder))
            elif "*" in word:
                found = sorted(self.folder.glob(word))
                assert found, f"nothing is called {word}"
                yield from (str(path.relative_to(self.folder)) for path in found)
            else:
                yield word


def cut_budget(words: list[str]) -> list[str]:
    """The command with a budget of seconds: few samples where the page names none, and of a whole suite its plan."""
    words = ["2" if before == "--seeds" else word for before, word in zip(["", *words], words, strict=False)]
    if words[0] == "run" and "--samples" not in words:
        smaller = SMALLER if {"masked-lm", "causal-lm"} & {*words} and "--data" not in words else []
        return [*words, *smaller, "--samples", str(SAMPLES), "--threads", "1"]
    if words[0] == "bench" and "--tasks" not in words:
        return [*words, "--plan"]
    return words


def check_installable(words: list[str]) -> None:
    """Hold that a target of make, or an extra of ours, exists; of the rest there is nothing to hold."""
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (HOUSE / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), words
        return
    extras = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in re.findall(r"pretask\[([\w,-]+)\]", " ".join(words)):
        assert set(extra.split(",")) <= set(extras), words


def says(said: str, shown: Sequence[str]) -> bool:
    """Whether lines come one after another in what was said, however they are wrapped; … is for anything."""
    pattern = ".*".join(re.escape(flatten(line)).replace("…", ".*") for line in shown)
    return re.search(pattern, flatten(said), re.DOTALL) is not None


def flatten(text: str) -> str:
    """Text with single spaces, without the frames of tables."""
    return " ".join(re.sub(r"[─│]+", " ", text).split())

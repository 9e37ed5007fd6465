"""docs/publish.md: every command in it is run, by a stranger who has the wheel and an empty folder."""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from clean_room import HOUSE, Room
from pages import Block, iterate_commands, read_blocks
from pretask_bench.cli.main import cli

TEXT = (HOUSE / "docs" / "publish.md").read_text()
DOCUMENTS = [HOUSE / "CONTRIBUTING.md", HOUSE / "README.md", *(HOUSE / "docs").glob("*.md")]
PRETASK = {
    line
    for path in DOCUMENTS
    for block in read_blocks(path.read_text())
    if block.language in ("sh", "console")
    for line, _ in iterate_commands(block)
    if line.startswith("pretask ")
}
BLOCKS = read_blocks(TEXT)


def replaced(source: str, new: str) -> str:
    """A file with those of its functions replaced that the new text defines."""
    lines = source.splitlines(keepends=True)
    old = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    for node in ast.parse(new).body:
        assert isinstance(node, ast.FunctionDef)
        here = old[node.name]
        lines[here.lineno - 1 : here.end_lineno] = [ast.get_source_segment(new, node) or "", "\n"]
    return "".join(lines)


def write(block: Block, folder: Path) -> None:
    """Do what a reader does with a block of Python: write the file, or replace the functions in it."""
    path = folder / block.title
    path.write_text(replaced(path.read_text(), block.text) if path.exists() else block.text)


def best(records: list[dict[str, Any]], split: str, metric: str) -> float:
    """The highest held-out score of a split among records; a suite's budget may be shorter than a preset's."""
    return max(record["pretext"]["metrics"][metric] for record in records if record["cell"]["split"]["id"] == split)


@pytest.mark.exhaustive
def test_every_command_works_from_an_empty_folder_to_the_board(clean_room: Room) -> None:
    folder = clean_room.work / "stranger"
    folder.mkdir()
    said = {}
    for block in BLOCKS:
        if block.language == "python":
            write(block, folder)
            continue
        for command in block.text.strip().splitlines():
            said[command] = clean_room.shell(command, folder=folder)
    clean_room.shell("pip uninstall -q -y pretask-mirror")
    assert re.search(r"[1-9]\d* of \d+ ran", said["pretask check mirror"])
    records = [json.loads(path.read_text()) for path in (folder / "runs" / "records").glob("*.json")]
    assert {record["cell"]["task"] for record in records} == {"mirror/mirror@1", None}
    assert best(records, "mirror/mirror@1", "turn.accuracy") > 0.8
    assert best(records, "local/halves@1", "half.accuracy") > 0.8
    assert "mirror" in (folder / "site" / "board.md").read_text()
    assert (folder / "pretask-halves" / "src" / "pretask_halves" / "halves.py").exists()


@pytest.mark.parametrize("line", sorted(PRETASK))
def test_every_command_of_the_documents_is_one_that_pretask_takes(line: str) -> None:
    _, verb, *words = shlex.split(line.partition(" > ")[0], comments=True)
    context = click.Context(cli, info_name="pretask")
    command = cli.get_command(context, verb)
    assert command is not None
    command.make_parser(click.Context(command, info_name=verb)).parse_args(words)


def test_the_function_to_edit_is_at_most_thirty_lines() -> None:
    edits = [block for block in BLOCKS if block.title.startswith("pretask-mirror/")]
    assert len(edits) == 1
    assert len(edits[0].text.strip().splitlines()) <= 30


def test_the_document_can_be_read_in_a_few_minutes() -> None:
    assert len(TEXT.splitlines()) <= 120

"""README and docs/*.md: every block of code is run, page by page, in its order, from an empty folder.

docs/publish.md has a test of its own, since it installs packages.
"""

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import HOUSE, Reader, read_blocks
from PIL import Image
from pretask_plugins.shared.tiny_files import write_clips, write_recordings

DOCS = HOUSE / "docs"
OWN_TEST = ("publish.md",)
PAGES = [HOUSE / "README.md", *(page for page in sorted(DOCS.glob("*.md")) if page.name not in OWN_TEST)]


def write_photos(folder: Path) -> None:
    """Ten photographs, or what may pass for some, in two folders."""
    generator = np.random.default_rng(0)
    for number in range(10):
        path = folder / "photos" / ("beach", "forest")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 255, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((240, 180), Image.Resampling.BICUBIC).save(path)


def write_texts(folder: Path) -> None:
    """Books, and questions with their kind."""
    (folder / "books").mkdir()
    words = (DOCS / "guides.md").read_text(encoding="utf-8").split()
    for number in range(3):
        (folder / "books" / f"{number}.txt").write_text(" ".join(words[number * 900 : (number + 1) * 900]))
    lines = [f"{('who', 'where')[n % 2]}\t{('who', 'where')[n % 2]} is {words[n]} {words[n + 1]}?" for n in range(80)]
    (folder / "questions.tsv").write_text("\n".join(lines) + "\n")


def write_halves(folder: Path) -> None:
    """The file of docs/publish.md, under the name by which README knows it."""
    blocks = read_blocks((DOCS / "publish.md").read_text(encoding="utf-8"))
    (block,) = (block for block in blocks if block.title == "halves.py")
    (folder / "my.py").write_text(block.text.replace('"halves"', '"my-split"'))


GIVEN: dict[str, Callable[[Path], None]] = {  # what a page takes for granted
    "tutorial.md": write_photos,
    "faq.md": lambda folder: (write_photos(folder), (folder / "empty").mkdir())[0],
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    GIVEN.get(page.name, lambda _: None)(tmp_path)
    reader = Reader(tmp_path)
    reader.follow(page.read_text(encoding="utf-8"))
    if page.name == "encoders.md":
        assert reader.names["vectors"].shape == (2, reader.names["encoder"].width)
        assert float(capsys.readouterr().out.split()[-1]) > 0.75  # of ten classes
        assert reader.names["again"].observed.shape == (1, 8, 8)

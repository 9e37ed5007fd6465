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

DOCS = HOUSE / "docs"
OWN_TEST = ("publish.md",)
PAGES = [HOUSE / "README.md", *(page for page in sorted(DOCS.glob("*.md")) if page.name not in OWN_TEST)]


def write_photos(folder: Path, name: str = "photos") -> None:
    """Ten photographs, or what may pass for some, in two folders."""
    generator = np.random.default_rng(len(name))
    for number in range(10):
        path = folder / name / ("beach", "forest")[number % 2] / f"{number}.jpg"
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
    pairs = [f"{('no', 'yes')[n % 2]}\t{words[n]} {words[n + 1]}\t{words[n + n % 2]} {words[n + 2]}" for n in range(80)]
    (folder / "pairs.tsv").write_text("\n".join(pairs) + "\n")


def write_halves(folder: Path) -> None:
    """The file of docs/publish.md, under the name by which README knows it."""
    blocks = read_blocks((DOCS / "publish.md").read_text(encoding="utf-8"))
    (block,) = (block for block in blocks if block.title == "halves.py")
    (folder / "my.py").write_text(block.text.replace('"halves"', '"my-split"'))


def write_language_model(reader: Reader) -> None:
    """A run of a language model, and beginnings for it to go on from."""
    reader.run("pretask run causal-lm --preset small --evaluate lm")
    (reader.folder / "beginnings.txt").write_text("the old clerk\na tree\n")


def prepare_readme(reader: Reader) -> None:
    """What README takes for granted: files of one's own, and what somebody else measured."""
    write_photos(reader.folder)
    write_texts(reader.folder)
    write_halves(reader.folder)
    write_language_model(reader)
    reader.run('pretask run vae --data digits --preset small --set "model.hidden=(64,)" --out ada')
    (reader.folder / "ada" / "records").rename(reader.folder / "from-ada")


def prepare_encoders(reader: Reader) -> None:
    """Runs of other tasks than the one that the page trains, and weights of somewhere."""
    for name in ("photos", "pets", "plants"):
        write_photos(reader.folder, name)
    reader.run("pretask run exemplar --data folder --set data.root=photos")
    reader.run("pretask run masked-lm --preset small --evaluate knn")
    write_language_model(reader)
    (run,) = (reader.folder / "runs").glob("exemplar-*")
    shutil.copy(run / "weights.safetensors", reader.folder)


def prepare_faq(reader: Reader) -> None:
    """Photographs, and a folder without any."""
    write_photos(reader.folder)
    (reader.folder / "empty").mkdir()


GIVEN: dict[str, Callable[[Reader], None]] = {
    "README.md": prepare_readme,
    "encoders.md": prepare_encoders,
    "faq.md": prepare_faq,
    "tutorial.md": lambda reader: write_photos(reader.folder),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = Reader(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if page.name in GIVEN:
        GIVEN[page.name](reader)
    reader.follow(page.read_text(encoding="utf-8"))
    if page.name == "encoders.md":
        assert reader.names["vectors"].shape == (2, reader.names["encoder"].width)
        assert float(capsys.readouterr().out.split()[-1]) > 0.75  # of ten classes
        assert reader.names["again"].observed.shape == (1, 8, 8)


def test_a_scikit_learn_pipeline_takes_ten_lines() -> None:
    blocks = read_blocks((DOCS / "encoders.md").read_text(encoding="utf-8"))
    (block,) = (block for block in blocks if "make_pipeline(" in block.text)
    assert len(block.text.strip().splitlines()) <= 12  # two of them empty


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    page = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    required, extras = page.split("| extra |")
    rows = {row[0]: row for row in re.findall(r"^\| ([\w-]+) \| ([^|]+) \| ([^|]+) \|$", extras, re.MULTILINE)}
    assert set(re.findall(r"^\| ([\w-]+) \|", required, re.MULTILINE)) - {"package"} == names(project["dependencies"])
    optional = {extra: names(wanted) for extra, wanted in project["optional-dependencies"].items() if extra != "all"}
    assert {extra: set(row[1].split(", ")) for extra, row in rows.items()} == optional


def names(requirements: list[str]) -> set[str]:
    """The names of distributions."""
    return {re.split(r"[\[<>=; ]", requirement)[0] for requirement in requirements}

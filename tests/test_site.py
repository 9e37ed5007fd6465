"""The documentation site: it builds without a warning, and has what is registered and what was measured."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from statistics import mean

import click
import pytest
from clean_room import HOUSE
from pretask_bench.cli.run import command as run_command
from pretask_registry import Registry, read_component_options

pytestmark = pytest.mark.exhaustive
RESULTS = HOUSE / "benchmarks" / "results"
KINDS = {"split": "splits", "objective": "objectives", "model": "models", "data": "data", "evaluator": "evaluators"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def read_text(page: Path) -> str:
    """What a page says, without its markup, in single spaces."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def own(kind: str) -> Iterator[str]:
    """The names of what pretask itself offers."""
    found = Registry.load().components(kind)
    return (registered.name for registered in found if registered.plugin.distribution == "pretask")


def test_every_task_has_a_page_with_its_paper_its_differences_and_its_bibtex(site: Path) -> None:
    pages = {page.stem: read_text(page) for page in (site / "methods").glob("*.html")}
    assert pages.keys() == {"index", *own("task")}
    for name, text in pages.items():
        if name != "index":
            assert all(
                word in text for word in ("Paper :", "What differs from it :", "Measured", "@", f"pretask run {name}")
            )
            assert name in pages["index"]


def test_commands_on_the_pages_of_methods_name_what_there_is(site: Path) -> None:
    registry = Registry.load()
    for page in (site / "methods").glob("*.html"):
        for line in re.findall(
            r"pretask run [^\n]+", unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
        ):
            context = click.Context(run_command, info_name="run")
            named, _, _ = run_command.make_parser(context).parse_args(shlex.split(line)[2:])
            task = registry.find("task", named["task"])
            presets = task.component.traits["presets"]
            assert named.get("preset") in (None, *presets)
            data = named.get("data_name") or presets[named["preset"]]["data"]
            options = read_component_options(registry.find("data", data))
            for setting in named.get("settings", ()):
                assert setting.partition("=")[0] in {f"data.{name}" for name in options}


def test_every_component_has_a_section_with_its_options(site: Path) -> None:
    for kind, page in KINDS.items():
        html = (site / "components" / f"{page}.html").read_text(encoding="utf-8")
        assert set(own(kind)) <= set(re.findall(r'<h2 id="([\w-]+)"', html))
    assert "split.jitter" in read_text(site / "components" / "splits.html")


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    import pretask

    html = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    documented = set(re.findall(r'id="pretask\.\w+\.(\w+)"', html))
    assert set(pretask.__all__) - documented == {"Interval"}  # of annotated-types


@pytest.mark.parametrize(
    ("task", "folder", "evaluator"),
    [("relative-position", "lecture", "knn"), ("masked-lm", "quick-2", "few-label")],
)
def test_numbers_are_those_of_the_records(site: Path, task: str, folder: str, evaluator: str) -> None:
    records = [json.loads(path.read_text()) for path in (RESULTS / folder).glob("*.json")]
    rows = [
        row
        for record in records
        if record["cell"]["task"] == f"pretask/{task}@1"
        for row in record["results"]
        if row["evaluator"] == f"pretask/{evaluator}@1"
    ]
    text = read_text(site / "methods" / f"{task}.html")
    (line,) = re.findall(rf" {folder} [\w-]+ [\d,]+, \d seeds? {evaluator} (.{{,90}})", text)
    for encoder in ("trained", "random-init"):
        values = [
            row["metrics"].get("accuracy", row["metrics"].get("5.accuracy"))
            for row in rows
            if row["encoder"] == encoder
        ]
        assert f"{100 * mean(values):.1f} %" in line


def test_pictures_that_were_kept_are_shown_and_links_lead_to_files(site: Path) -> None:
    for page in site.rglob("*.html"):
        for place in re.findall(r'<img[^>]+src="([^"]+)"', page.read_text(encoding="utf-8")):
            assert place.startswith("data:") or (page.parent / place).is_file(), f"{page.name}: {place[:80]}"
    assert "<img" in (site / "methods" / "colorization.html").read_text(encoding="utf-8")


def test_a_record_has_every_field_with_its_meaning(site: Path) -> None:
    html = (site / "record.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>\s*<td>([^<]*)</td>\s*<td>(.*?)</td>", html, re.DOTALL)
    assert {"cell", "probed", "begun_with", "bits", "peak_memory"} <= {name for name, _, _ in rows}
    assert [name for name, kind, meaning in rows if not (kind.strip() and meaning.strip())] == []


def test_nothing_is_asked_of_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        asked = re.findall(r'<(?:script|img|iframe|source)[^>]+src="(https?:[^"]+)"', page.read_text(encoding="utf-8"))
        styles = re.findall(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]*href="(https?:[^"]+)"', page.read_text())
        assert asked + styles == []


def test_readme_has_the_table_of_tasks_that_is_written() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from generated.methods import write_overview; print(write_overview(links=False))"],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HOUSE / "docs"), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() in (HOUSE / "README.md").read_text(encoding="utf-8"), "python -m generated.methods"


def test_the_board_in_the_repository_is_what_its_records_give(tmp_path: Path) -> None:
    write_page("lecture", RESULTS / "lecture", tmp_path)
    for name in ("index.html", "board.json", "board.csv", "board.md"):
        assert (tmp_path / name).read_bytes() == (HOUSE / "docs" / "board" / name).read_bytes(), "make board"


@pytest.mark.parametrize("name", ["task-network", "few-labels", "mask-ratio"])
def test_the_page_of_an_ablation_is_what_its_records_give(name: str, tmp_path: Path) -> None:
    write_page(f"benchmarks/ablations/{name}.toml", RESULTS / "ablations", tmp_path)
    kept = sorted((HOUSE / "docs" / "ablations" / name).iterdir())
    assert [path.name for path in kept] == sorted(path.name for path in tmp_path.iterdir())
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in kept), "make board"


def write_page(what: str, records: Path, out: Path) -> None:
    """Write the page of a suite or a sweep."""
    words = ("--plugin", "benchmarks/ablations/rotation.py", "board", what, str(records), "--out", str(out))
    subprocess.run([sys.executable, "-m", "pretask_bench", *words], cwd=HOUSE, check=True, capture_output=True)

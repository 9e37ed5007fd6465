"""docs/architecture.md names every folder of the sources, and none that is not there."""

import re
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PACKAGES = (
    "core/pretask",
    "registry/pretask_registry",
    "plugins/pretask_plugins",
    "benchmarks/pretask_bench",
)
PAGE = (HOUSE / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_folder_of_modules_has_one_line_and_every_line_a_folder() -> None:
    modules = [file for package in PACKAGES for file in (HOUSE / package).rglob("*.py")]
    folders = {f"{file.parent.relative_to(HOUSE).as_posix()}/" for file in modules}
    named = re.findall(r"^    ([a-z_/0-9]+/)  +\S", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(folders)


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:benchmarks|registry|plugins|core)/[a-z_/]+\.py)`", PAGE))
    assert named
    assert [file for file in named if not (HOUSE / file).is_file()] == []

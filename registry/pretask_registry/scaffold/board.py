"""Board: the repository of a community leaderboard: a suite, a folder of records, and CI that rebuilds its page."""

from collections.abc import Collection
from pathlib import Path

from pretask_registry.scaffold.kinds import MODALITIES, example
from pretask_registry.scaffold.package import (
    Written,
    check_choice,
    check_names,
    collect_words,
    render,
    render_common,
    write,
)

BOARD = "board"


def new_board(name: str, modality: str = "image", folder: Path | None = None, taken: Collection[str] = ()) -> Written:
    """Write the repository of a leaderboard, with a suite of one division that works.

    Args:
        name: Of the suite and its namespace, lower-case words with hyphens.
        modality: One of MODALITIES.
        folder: Where it goes, and must not be yet; `pretask-NAME` here if left out.
        taken: Namespaces that are in use.

    Raises:
        Unknown: The name or modality is none.
        PretaskError: The folder exists, or cannot be written.
    """
    names = check_names(name, taken)
    check_choice("modality", modality, MODALITIES)
    found = example("suite", modality)
    run = f"pretask {found.run.format(name=names.name)}"
    words = {
        **found.template_words,
        **collect_words(names, found.summary, run),
        "source": found.source,
        "modality": modality,
    }
    contents = {
        **render_common(words),
        "README.md": render("board/README.md", words),
        ".github/workflows/board.yml": render("board/board.yml", words),
        "records/README.md": render("board/records.md", words),
        f"src/{names.package}/__init__.py": render("declare/suite.py", words),
        f"src/{names.package}/suite.toml": render("suite/toml", words),
    }
    written = write(folder or Path(names.distribution), contents)
    return Written(written, names, run, f"pretask board {names.name} runs/records --out site")

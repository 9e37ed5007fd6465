"""Causes: what was raised and where, in one line, whatever a library's own text is like."""

import re
import sys
import sysconfig
import traceback
from pathlib import Path

LONGEST = 160  # characters of an error's own text
TRACED = re.compile(r'File "([^"]+)", line (\d+)')  # how torch.compile names the line that it could not trace
STDLIB = Path(sysconfig.get_path("stdlib"))
PASSED_THROUGH = ("torch", "pretask", "pretask_registry", "jaxtyping", "beartype")  # packages that only pass errors on


def describe_cause(error: BaseException) -> str:
    """Return type, first line and place of an error: `KeyError: 'blue' (split.py, line 34)`.

    The place is the last line of the component's own, as far as the error came through one: of an error that torch
    raises, the call of torch.
    """
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rsplit(' ', 1)[0]} ..."
    place = find_place(error)
    where = f" ({name_file(place[0])}, line {place[1]})" if place else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


def find_place(error: BaseException) -> tuple[Path, int] | None:
    """Return file and line where a component raised, or called what raised; None where it had no part in it."""
    lines = [(Path(frame.filename), frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    lines += [(Path(file), int(line)) for file, line in TRACED.findall(str(error))]
    own = [(file, line) for file, line in lines if not is_passed_through(file)]
    return own[-1] if own else None


def name_file(file: Path) -> str:
    """Return the name of a file, with its folder where many have that name."""
    return f"{file.parent.name}/{file.name}" if file.stem == "__init__" else file.name


def is_passed_through(file: Path) -> bool:
    """Return whether a file is of Python, of a library, or of what runs components, and so is no place of a fault."""
    if not file.is_file():  # `<string>`
        return True
    return any(file.is_relative_to(folder) for folder in find_folders()) or (
        file.is_relative_to(STDLIB) and "site-packages" not in file.parts
    )


def find_folders() -> list[Path]:
    """Return the folders of the packages that only pass errors on, as far as they are imported."""
    files = [getattr(sys.modules.get(name), "__file__", None) for name in PASSED_THROUGH]
    return [Path(file).parent for file in files if file]

"""Package: the files of a new plugin, written into a folder that did not exist."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from pretask import PretaskError, Unknown

from pretask_registry.names import WORDS, hint
from pretask_registry.scaffold.kinds import KINDS, MODALITIES, example, settings

PREFIX = "pretask-"
COMMON = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/check.yml": "check.yml",
    "tests/test_conformance.py": "test_conformance.py",
}


@dataclass(frozen=True)
class Names:
    """What a new plugin is called in all the places where it has a name.

    >>> Names("mirror-test").package
    'pretask_mirror_test'
    """

    name: str

    @property
    def distribution(self) -> str:
        """The name of the distribution that is installed."""
        return f"{PREFIX}{self.name}"

    @property
    def package(self) -> str:
        """The name of the package that is imported."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The name of the class that implements the component."""
        return "".join(word.capitalize() for word in self.name.split("-"))


@dataclass(frozen=True)
class Written:
    """A package that was written.

    Args:
        folder: Where.
        names: What it is called.
        run: A command that tries it.
        look: A command that shows what came of that.
    """

    folder: Path
    names: Names
    run: str
    look: str = "pretask results runs/records"

    @property
    def next(self) -> tuple[str, ...]:
        """The four commands to type next."""
        return (
            f"pip install -e {self.folder}",
            f"pretask check {self.names.name}",
            self.run,
            self.look,
        )


def new_package(
    name: str, kind: str, modality: str = "image", folder: Path | None = None, taken: Collection[str] = ()
) -> Written:
    """Write an installable package with one working component.

    Args:
        name: Of the component and its namespace, lower-case words with hyphens.
        kind: One of KINDS.
        modality: One of MODALITIES.
        folder: Where it goes, and must not be yet; `pretask-NAME` here if left out.
        taken: Namespaces that are in use.

    Raises:
        Unknown: The name, kind or modality is none.
        PretaskError: The folder exists, or cannot be written.
    """
    names = check_names(name, taken)
    check_choice("kind", kind, KINDS)
    check_choice("modality", modality, MODALITIES)
    found = example(kind, modality)
    run = f"pretask {'' if kind == 'suite' else 'run '}{found.run.format(name=names.name)}"
    words = {
        **found.template_words,
        **collect_words(names, found.summary, run),
        "source": found.source,
        "modality": modality,
        "settings": "\n".join(setting_line(setting) for setting in settings(found.template_words)),
    }
    file, template = (
        ("suite.toml", "suite/toml") if kind == "suite" else (f"{found.folder}.py", f"{found.folder}/{modality}.py")
    )
    contents = {
        **render_common(words),
        f"src/{names.package}/__init__.py": render(f"declare/{kind}.py", words),
        f"src/{names.package}/{file}": render(template, words),
    }
    return Written(write(folder or Path(names.distribution), contents), names, run)


def check_names(name: str, taken: Collection[str]) -> Names:
    """Check the names of a new plugin; raise Unknown where they are none or belong to somebody."""
    plain = name.removeprefix(PREFIX)
    if not WORDS.fullmatch(plain) or not plain[0].isalpha():
        near = re.sub(r"[^a-z0-9]+", "-", re.sub(r"([a-z])([A-Z])", r"\1-\2", plain).lower()).strip("-0123456789")
        suggestion = f" Did you mean {near!r}?" if WORDS.fullmatch(near) else ""
        raise Unknown(f"A plugin needs a name of lower-case words with hyphens; got {name!r}.{suggestion}")
    names = Names(plain)
    if plain in taken or find_spec(names.package) is not None:
        raise Unknown(f"The name {plain!r} is taken by something installed. Choose another: pretask plugins shows all.")
    return names


def check_choice(what: str, given: str, choices: Collection[str]) -> None:
    """Raise Unknown unless there is such a choice."""
    if given not in choices:
        raise Unknown(f"No {what} {given!r} to start from. {hint(given, choices, 'There are ' + ', '.join(choices))}")


def collect_words(names: Names, summary: str, run: str) -> dict[str, str]:
    """Return the words that every template may use."""
    return {
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "class_name": names.class_name,
        "title": names.name.replace("-", " ").capitalize(),
        "summary": summary,
        "lead": summary,
        "run": run,
        "year": str(datetime.now(UTC).year),
    }


def setting_line(setting: str) -> str:
    """Format a line of a preset: `model.width=16` as `"model.width": 16,`, indented."""
    option, _, value = setting.partition("=")
    return f'{" " * 16}"{option}": {value if value.isdigit() else repr(value).replace(chr(39), chr(34))},'


def render_common(words: Mapping[str, str]) -> dict[str, str]:
    """Return the files that every package has, whatever is in it."""
    return {path: render(template, words) for path, template in COMMON.items()}


def render(template: str, words: Mapping[str, str]) -> str:
    """Fill in the words of a template; one that is missing is an error here, and not in somebody's package."""
    text = (files(__package__) / "templates" / f"{template}.template").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def write(folder: Path, contents: Mapping[str, str]) -> Path:
    """Write the files of a new folder; raises PretaskError where it exists or cannot be made."""
    if folder.exists():
        raise PretaskError("pretask new", "a folder that does not exist", str(folder), "Name another with --out.")
    try:
        for path, text in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PretaskError("pretask new", f"to write {folder}", str(error), "Name another folder with --out.") from None
    return folder

"""Build wheels of pure Python packages as hatchling does, as far as our own pyproject files ask for it.

Source: PEP 427 (wheels), 517 and 660 (what pip calls), 566 (metadata).
Differs: knows only `project` and `tool.hatch.build.targets.wheel.packages`.
"""

import tomllib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

WHEEL = "Wheel-Version: 1.0\nGenerator: pretask tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
Options = Mapping[str, Any] | None


def build_wheel(wheel_directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """A wheel with the packages inside."""
    about = read()
    inside = {name: path.read_bytes() for folder in packages(about) for name, path in files(folder)}
    return write(about, wheel_directory, inside)


def build_editable(wheel_directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """A wheel with a .pth file, which names where the packages lie."""
    about = read()
    roots = "\n".join(sorted({str(folder.resolve().parent) for folder in packages(about)}))
    return write(about, wheel_directory, {f"_editable_{stem(about)}.pth": roots.encode()})


def read() -> dict[str, Any]:
    """The pyproject file of the folder that is built."""
    return tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))


def packages(about: Mapping[str, Any]) -> list[Path]:
    """The folders that become importable packages."""
    return [Path(each) for each in about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """What is in a package, by the name that it has in a wheel."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield (Path(folder.name) / path.relative_to(folder)).as_posix(), path


def stem(about: Mapping[str, Any]) -> str:
    """The distribution's name as file names have it."""
    return str(about["project"]["name"]).replace("-", "_")


def write(about: Mapping[str, Any], folder: str, inside: Mapping[str, bytes]) -> str:
    """Write the wheel and return its name."""
    release = f"{stem(about)}-{about['project']['version']}"
    told = {"METADATA": metadata(about["project"]), "WHEEL": WHEEL, "entry_points.txt": entry_points(about["project"])}
    whole = {**inside, **{f"{release}.dist-info/{name}": text.encode() for name, text in told.items()}}
    record = "".join(f"{name},{checksum(content)},{len(content)}\n" for name, content in whole.items())
    whole[f"{release}.dist-info/RECORD"] = f"{record}{release}.dist-info/RECORD,,\n".encode()
    name = f"{release}-py3-none-any.whl"
    with ZipFile(Path(folder) / name, "w", ZIP_STORED) as wheel:
        for path, content in whole.items():
            wheel.writestr(path, content)
    return name


def checksum(content: bytes) -> str:
    """A hash as RECORD has it."""
    return "sha256=" + urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def metadata(project: Mapping[str, Any]) -> str:
    """METADATA: name, version, dependencies and extras."""
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Requires-Python: {project['requires-python']}"]
    lines += [f"Requires-Dist: {each}" for each in project.get("dependencies", [])]
    for extra, needs in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {conditional(each, extra)}" for each in needs]
    return "\n".join(lines) + "\n"


def conditional(requirement: str, extra: str) -> str:
    """A requirement that holds for an extra only."""
    need, _, marker = requirement.partition(";")
    return f"{need.strip()}; " + (f"({marker.strip()}) and " if marker else "") + f'extra == "{extra}"'


def entry_points(project: Mapping[str, Any]) -> str:
    """entry_points.txt: commands and plugins."""
    groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    return "\n".join(lines)

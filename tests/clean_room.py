"""A clean room: a virtual environment that has pretask as a wheel and nothing else of ours, made without a network.

What pretask depends on is seen through a path to the environment that runs the tests; that path is no site folder, so
the checkout, which is installed there in place, is not seen through it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pretask_registry import Registry

HOUSE = Path(__file__).parents[1]
PIP = "#!{python}\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"


@dataclass(frozen=True)
class Room:
    """One environment and a folder to work in.

    Args:
        home: Of the environment.
        work: Where commands run.
    """

    home: Path
    work: Path

    def shell(self, command: str, *, folder: Path | None = None, code: int | None = 0) -> str:
        """What a command says on stdout, run as it would be with the environment activated.

        Raises:
            AssertionError: It ended otherwise than expected; with all that it said.
        """
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder or self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert code in (None, done.returncode), f"{command}\n{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """The variables of an activated environment without a network; wheels are built by what is installed."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "PRETASK_CACHE": str(self.work / "cache"),
            "OMP_NUM_THREADS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this option the other way round: 0 is without isolation
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
            "PIP_CONFIG_FILE": os.devnull,
        }


def make_room(folder: Path) -> Room:
    """An environment with the wheel of pretask in it."""
    room = Room(folder / "venv", folder / "work")
    room.work.mkdir()
    venv.create(room.home, symlinks=True)
    python = room.home / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(room.home), "platbase": str(room.home)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = room.home / "bin" / "pip"
    pip.write_text(PIP.format(python=python))
    pip.chmod(0o755)
    # pip sees the checkout through the path, too, and would say that pretask is installed already.
    room.shell(f"pip install -q --no-deps --force-reinstall {wheel_of(HOUSE, folder / 'wheels', room)}")
    return room


def wheel_of(project: Path, folder: Path, room: Room) -> Path:
    """The wheel of a project, built as a maintainer would."""
    room.shell(f"pip wheel -q --no-deps -w {folder} {project}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(project: Path, site: Path) -> None:
    """Put a project where an installer would, as its pyproject file says."""
    about = tomllib.loads((project / "pyproject.toml").read_text())
    (package,) = about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    shutil.copytree(project / package, site / Path(package).name)
    name, version = about["project"]["name"], about["project"]["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    entries = about["project"]["entry-points"]["pretask.plugins.v1"]
    lines = [f"{key} = {value}" for key, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pretask.plugins.v1]", *lines, ""]))


@contextmanager
def install_all(projects: Iterable[Path], site: Path) -> Iterator[Registry]:
    """Install projects into a folder, and load the registry that sees them; no module of theirs stays behind."""
    for project in projects:
        install(project, site)
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield Registry.load()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]

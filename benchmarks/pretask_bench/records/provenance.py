"""Provenance: how a result came about, without telling who made it or where.

Versions, commit, hardware, times and cost are collected. Host and user names are never read; of a path only its last
component is kept, so that a record can be published as it is.
"""

import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

DISTRIBUTIONS = (
    "pretask",
    "torch",
    "torchvision",
    "torchaudio",
    "timm",
    "transformers",
    "tokenizers",
    "accelerate",
    "numpy",
    "scipy",
    "scikit-learn",
    "pydantic",
)
POSIX = re.compile(r"/|~[\w.-]*/|\.{1,2}/")
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\[\w.-]+\\")
IN_PROSE = re.compile(
    r"""(?P<quote>['"`])(?P<quoted>(?:/|~[\w.-]*/|[A-Za-z]:[\\/])[^'"`\n]*)(?P=quote)"""
    r"""|(?P<address>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'"`]*)"""
    r"""|(?<![\w.~/-])(?P<bare>(?:~[\w.-]*)?(?:/[^\s/'"`:;,()\[\]{}<>|]+)+/?|[A-Za-z]:[\\/][^\s'"`:;,()\[\]{}<>|]+)"""
)
CREDENTIALS = re.compile(r"(?<=://)[^/@\s'\"]+@")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Control characters, those that turn the direction of text and those that nobody sees: they could rewrite what a
# terminal or a page shows, or make two names look like one. The joiners U+200C and U+200D belong to many scripts.
UNSEEN = (
    r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c"
    r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
)
MAX_ERROR_CHARACTERS = 8000  # characters


def collect(
    *,
    started: datetime,
    ended: datetime,
    device: Any = "cpu",
    devices: int = 1,
    samples: int = 0,
    parameters: int = 0,
    flops: float | None = None,
    stages: Mapping[str, float] | None = None,
    distributions: Iterable[str] = (),
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Collect the provenance of a run, as a record holds it.

    Args:
        started: With its time zone.
        ended: With its time zone.
        device: A torch device, or its name.
        devices: How many of it took part.
        samples: Samples seen in training.
        parameters: Trained parameters of the model.
        flops: Floating-point operations of training, where they were counted.
        stages: Seconds by stage, such as {"pretrain": 61.2}.
        distributions: Further distributions whose version matters: those of the plugins in use.
        command: Arguments of the command; those of this process when left out.
    """
    commit, modified = find_commit(Path(__file__).parent)
    return {
        "versions": versions([*DISTRIBUTIONS, *distributions]),
        "commit": commit,
        "modified": modified,
        "hardware": hardware(str(device), devices),
        "threads": threads(),
        "started": timestamp(started),
        "ended": timestamp(ended),
        "seconds": max((ended - started).total_seconds(), 0.0),
        "stages": dict(stages or {}),
        "samples": samples,
        "parameters": parameters,
        "flops": flops,
        "peak_memory": peak_memory(str(device)),
        "command": [printable(without_paths(shorten_argument(argument))) for argument in (command or sys.argv)],
    }


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of every distribution that is installed."""
    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def find_commit(folder: Path) -> tuple[str | None, bool | None]:
    """Return the git commit of the checkout that tracks a folder, and whether the checkout differs from it.

    A folder that merely lies inside somebody's repository, as an installed package may, has no commit of its own.
    """
    if git(folder, "ls-files", "--error-unmatch", "--", ".") in (None, ""):
        return None, None
    commit, changes = git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers in a folder; None where there is no git, no repository, or no answer."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=surroundings)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def hardware(device: str, devices: int = 1) -> dict[str, Any]:
    """Return the device's name, how many of it, processor cores that this process may use, and the platform."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "device": device_name(device),
        "devices": devices,
        "cores": cores,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def device_name(device: str) -> str:
    """Return the maker's name of the device."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return processor_name() if device == "cpu" else device


def processor_name() -> str:
    """Return the processor's model, or its architecture where the system does not name the model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name") and ":" in line]
    return (models or [platform.processor()])[0] or platform.machine()


def threads() -> int:
    """Return the threads that torch computes with; 1 where torch was never used."""
    return int(sys.modules["torch"].get_num_threads()) if "torch" in sys.modules else 1


def peak_memory(device: str) -> int | None:
    """Return the most bytes held at once so far, on the GPU or by this process; None where nobody counts."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC, as ISO 8601 with whole seconds.

    >>> timestamp(datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC))
    '2026-03-01T12:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def last_component(text: str) -> str:
    """Return the last component of a text that is a path of this machine; any other text as it is.

    >>> last_component("/home/jane/photos/"), last_component("../photos"), last_component("timm/resnet18")
    ('photos', 'photos', 'timm/resnet18')
    """
    if POSIX.match(text):
        own = PurePosixPath(text) == PurePosixPath(os.path.expanduser("~"))
        return "~" if own else PurePosixPath(text).name or text
    if WINDOWS.match(text):
        return PureWindowsPath(text).name or text[:2]
    return text


def shorten_argument(argument: str) -> str:
    """Return a command's argument with its value, after the first `=`, reduced to the last component.

    >>> shorten_argument("data.root=/mnt/my photos")
    'data.root=my photos'
    """
    key, equals, value = argument.partition("=")
    return f"{key}={last_component(value)}" if equals and "/" not in key else last_component(argument)


def without_paths(text: str) -> str:
    """Return prose with every path of this machine reduced to its last component, and no passwords in addresses.

    >>> without_paths("cannot read '/home/jane/a b.png' (see /tmp/log.txt, https://jane:secret@example.org/x)")
    "cannot read 'a b.png' (see log.txt, https://example.org/x)"
    """
    while (shorter := IN_PROSE.sub(shorten_path, CREDENTIALS.sub("", re.sub(r"\bfile:/+", "/", text)))) != text:
        text = shorter  # what is left may look like a path in its turn
    return text


def shorten_path(found: re.Match[str]) -> str:
    """Return what replaces a path in prose."""
    if found["address"]:
        return found["address"]
    if found["bare"]:
        return last_component(found["bare"])
    return f"{found['quote']}{last_component(found['quoted'])}{found['quote']}"


def error_text(error: BaseException | str) -> str:
    """Return an error fit for a record: no path, host name or control character, at most MAX_ERROR_CHARACTERS long."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    text = without_host(without_paths(printable(text))).strip() or "no message"
    half = MAX_ERROR_CHARACTERS // 2 - 10
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"{text[:half]}\n[...]\n{text[-half:]}"


def printable(text: str) -> str:
    """Return the text without colours, control characters and bytes that are no UTF-8."""
    text = COLOURS.sub("", text.encode("utf-8", "replace").decode()).replace("\r", "\n")
    return re.sub(f"[{UNSEEN}]", "", text)


def without_host(text: str) -> str:
    """Return prose with `host` in place of this machine's name."""
    name = socket.gethostname()
    if len(name) < 4 or name == "localhost":
        return text
    return re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "host", text)

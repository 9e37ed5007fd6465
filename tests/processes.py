"""Python in a process of its own, which may be killed or crash, without the seconds that torch takes to be imported.

Each is forked from one server for each worker of the tests, which has imported torch and the harness (preloaded.py).
What is run is what `python` would run: a script, `-m` and a module, or `-c` and a program.
"""

import multiprocessing
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["preloaded"])
SECONDS = 300  # that any process may take


@dataclass(frozen=True)
class Python:
    """A process that was started.

    Args:
        process: To wait for.
        folder: Where what it prints is kept, in `out` and `err`.
    """

    process: BaseProcess
    folder: Path

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        """The same of its second stream."""
        return (self.folder / "err").read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, to this process alone."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self, seconds: float = SECONDS) -> int:
        """Return its exit code, that of a signal as a negative number."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running after {seconds} s\n{self.out}\n{self.err}"
        return self.process.exitcode


@cache
def start_server() -> None:
    """Start what processes are forked from; it looks for modules where this process does."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def start_python(*words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Python:
    """Start Python.

    Args:
        words: As `python` takes them.
        folder: Where it works; the current one when left out.
        environment: Variables beside those of this process.
    """
    start_server()
    output = Path(mkdtemp(prefix="pretask-process-"))
    for name in ("out", "err"):
        (output / name).touch()
    surroundings = {**os.environ, **(environment or {})}
    process = SERVER.Process(target=run_words, args=(words, str(folder or Path.cwd()), surroundings, str(output)))
    process.start()
    return Python(process, output)


def run_python(*words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Python:
    """Run Python to its end.

    Raises:
        AssertionError: Its exit code is not 0; with all that it printed.
    """
    ran = start_python(*words, folder=folder, environment=environment)
    code = ran.wait()
    assert code == 0, f"{words}\n{code}\n{ran.out}\n{ran.err}"
    return ran


def run_ranks(count: int, *words: str, folder: Path | None = None) -> list[Python]:
    """Run the same on several ranks at once, as a launcher of distributed training does; return them by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        start_python(*words, folder=folder, environment={**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    codes = [rank.wait() for rank in ranks]
    assert not any(codes), f"{words}\n{codes}\n{[rank.err for rank in ranks]}"
    return ranks


def run_words(words: Sequence[str], folder: str, environment: Mapping[str, str], output: str) -> None:
    """Be `python` with these words, inside the forked process."""
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(Path(output, name), os.O_WRONLY | os.O_APPEND)
        os.dup2(file, stream)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with, such as nohup
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.modules["__main__"] = program = ModuleType("__main__")  # where the compiler looks for its globals
        exec(compile(words[1], "<string>", "exec"), vars(program))
    elif words[0] == "-m":
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")


def wait_until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It was not, for as long.
    """
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.02)

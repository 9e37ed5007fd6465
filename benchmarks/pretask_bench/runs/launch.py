"""Launch: one run on several devices of this machine, a process for each; what torchrun does, for a single command.

Every process gets the same command with its rank. The first one shows what is going on and measures; of the others the
last lines are shown where one fails. Where a process dies the others would wait for it for ever, so they are ended, and
a line says which one it was; running the same command again goes on from the last checkpoint.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pretask import PretaskError
from pretask.stopping import BY_SCHEDULER, Stopped, exit_code

from pretask_bench.runs.jobs import describe_end
from pretask_bench.runs.ranks import count_ranks

OPTION = "--devices"
LOOK_SECONDS = 0.1  # between two looks at the processes
END_SECONDS = 20.0  # for the others to end by themselves, once one has failed or all are told to stop
SHOWN_LINES = 5  # of a process that failed
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # or each process says that it looked for unused weights, and there were none


def launch(devices: int, words: Sequence[str]) -> int:
    """Run a command on several devices; return its exit code.

    Args:
        devices: How many.
        words: What was typed after `pretask`, with or without `--devices`.

    Raises:
        PretaskError: Another launcher started this process already, or a process died.
        Stopped: A signal came; everything is saved.
    """
    if count_ranks() > 1:
        raise PretaskError(OPTION, "one process", f"{count_ranks()} ranks", "Leave it out under torchrun.", exit_code=2)
    with TemporaryDirectory() as folder, start(devices, strip(words), Path(folder)) as processes:
        try:
            return watch(processes, Path(folder))
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
            tell(processes, number)
            wait_for(processes)
            raise


def strip(words: Sequence[str]) -> list[str]:
    """Return a command without the option that has brought it here.

    >>> strip(["run", "vae", "--devices", "2", "--seed", "1"]), strip(["run", "--devices=2"])
    (['run', 'vae', '--seed', '1'], ['run'])
    """
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if OPTION not in (before, word, word.partition("=")[0])]


@contextmanager
def start(devices: int, words: Sequence[str], folder: Path) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """Start a process for each device; afterwards none lives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"WORLD_SIZE": f"{devices}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(devices):
            environment = {**QUIET, **os.environ, **meeting, "RANK": f"{rank}", "LOCAL_RANK": f"{rank}"}
            with (folder / f"{rank}").open("wb") as quiet:
                kept = None if rank == 0 else quiet
                command = [sys.executable, "-m", "pretask_bench", *words]
                # A session of its own, so that Ctrl-C reaches this process alone, which passes it on once.
                processes.append(
                    subprocess.Popen(command, env=environment, stdout=kept, stderr=kept, start_new_session=True)
                )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def watch(processes: "Sequence[subprocess.Popen[bytes]]", folder: Path) -> int:
    """Return the exit code of the first process, once all have ended; raise PretaskError where one died."""
    while True:
        codes = [process.poll() for process in processes]
        dead = [rank for rank, code in enumerate(codes) if code is not None and code < 0]
        failed = [rank for rank, code in enumerate(codes) if code is not None and code > 0]
        if dead or failed:
            return end_all(processes, (dead or failed)[0], folder)
        if None not in codes:
            return 0
        time.sleep(LOOK_SECONDS)


def end_all(processes: "Sequence[subprocess.Popen[bytes]]", rank: int, folder: Path) -> int:
    """End the processes beside one that ended badly; return the code of the first where that was a refusal of its own.

    Raises:
        PretaskError: The process died, or failed where the first one did not.
    """
    code = processes[rank].returncode
    if code > 0:
        wait_for(processes)
    else:
        tell(processes, signal.SIGKILL)
    if rank == 0 and code > 0:
        return int(code)
    lines = (folder / f"{rank}").read_text(errors="replace").strip().splitlines()[-SHOWN_LINES:]
    for line in lines:
        print(f"rank {rank}: {line}", file=sys.stderr)
    first = processes[0].poll() or 0
    if first > 0:  # all refuse alike, and one of the others was seen to end before the first
        return first
    if code in (exit_code(number) for number in BY_SCHEDULER):
        return int(code)
    raise PretaskError(
        f"a run on {len(processes)} devices",
        "all of its processes",
        f"rank {rank}: {describe_end(code)}",
        "Run the same command again to go on from the last checkpoint.",
    )


def tell(processes: "Sequence[subprocess.Popen[bytes]]", number: int) -> None:
    """Send a signal to the processes that live."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def wait_for(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Wait for processes to end by themselves, as long as that may take."""
    last = time.monotonic() + END_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, last - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()

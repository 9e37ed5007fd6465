"""Worker: one of the processes among which jobs are divided; it carries out one after another, each run by run.

It is a process group of its own, so that Ctrl-C reaches the command alone, which passes it on once. Whatever it prints
goes to the command as well, which puts whole lines on the terminal. Where the command is killed, it saves and goes.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch
from pretask.events import StepTaken, TrainingEvent, Watcher
from pretask.stopping import BY_SCHEDULER, raise_when_stopped
from pretask_registry import Registry
from pretask_registry.quiet import has_threads_of_plugins

from pretask_bench.cli.streams import unfailing_streams
from pretask_bench.runs.bench import execute_plans
from pretask_bench.runs.context import Interrupted, RunContext

REPORT_SECONDS = 0.5  # between two reports of how training goes


@dataclass(frozen=True)
class Said:
    """A line of what is going on."""

    line: str


@dataclass(frozen=True)
class NeedsMemory:
    """So many bytes will be taken; the worker waits for an answer."""

    needed: int


def work(
    connection: Connection, output: Connection, files: tuple[Path, ...], context: RunContext, threads: int
) -> None:
    """Carry out the jobs that come over a connection until None comes; send how each goes and ends.

    Args:
        connection: Gives jobs, as the arguments of `make_plan` for each run; takes Said, StepTaken, NeedsMemory, and
            Ended of every run.
        output: Takes all that is printed.
        files: Python files that are plugins for this command.
        context: Where and how runs happen.
        threads: Of the processor.
    """
    os.setpgid(0, 0)
    listen()
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    threading.Thread(target=stop_with_command, daemon=True).start()
    torch.set_num_threads(threads)
    with unfailing_streams(), raise_when_stopped(), suppress(KeyboardInterrupt, EOFError):
        carry_out_all(connection, files, context)
    if has_threads_of_plugins():  # the interpreter would wait for them
        os._exit(0)


def listen() -> None:
    """Heed every signal that ends a command: only the command sends one here, and only where it heeds that itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in BY_SCHEDULER:
        signal.signal(number, signal.SIG_DFL)


def stop_with_command() -> None:
    """Wait for the end of the command, and stop this process then as a scheduler would."""
    command = parent_process()
    if command is not None:
        wait([command.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def carry_out_all(connection: Connection, files: tuple[Path, ...], context: RunContext) -> None:
    """Carry out one run after the other; stop where one was stopped, with its state saved."""
    registry = Registry.load(files=files)
    context = replace(
        context,
        say=lambda line: send(connection, Said(line)),
        watch=lambda title: report_steps(connection),
        take_memory=lambda needed: wait_for_memory(connection, needed),
    )
    while (planned := connection.recv()) is not None:
        try:
            for ended in execute_plans(registry, planned, context):
                send(connection, ended)
        except Interrupted as error:
            context.say(str(error))
            return


def send(connection: Connection, message: object) -> None:
    """Send a message; where the command is gone nobody needs it."""
    with suppress(OSError):
        connection.send(message)


def wait_for_memory(connection: Connection, needed: int) -> None:
    """Return when the runs beside this one leave so much memory."""
    send(connection, NeedsMemory(needed))
    connection.recv()


@contextmanager
def report_steps(connection: Connection) -> Iterator[Watcher]:
    """Give what sends the steps of a training, some of them and the last."""
    yield make_reporter(lambda step: send(connection, step))


def make_reporter(report: Callable[[StepTaken], None]) -> Watcher:
    """Return a watcher that reports a step every half second."""
    last = 0.0

    def watch(event: TrainingEvent) -> None:
        nonlocal last
        now = time.monotonic()
        if isinstance(event, StepTaken) and (now - last >= REPORT_SECONDS or event.step >= event.steps):
            last = now
            report(event)

    return watch

"""Worker: one of the processes among which the runs of a suite are divided; it carries out one run after another.

It is a process group of its own, so that Ctrl-C reaches the command alone, which passes it on once. Whatever it prints
goes to the command as well, which puts whole lines on the terminal. Where the command is killed, it saves and goes.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from pretask.events import StepTaken, TrainingEvent, Watcher
from pretask.stopping import BY_SCHEDULER, raise_when_stopped
from pretask_registry import Registry
from pretask_registry.quiet import has_threads_of_plugins

from pretask_bench.cli.streams import unfailing_streams
from pretask_bench.runs.bench import Ended, execute_plan
from pretask_bench.runs.context import Interrupted, RunContext
from pretask_bench.runs.plan import make_plan

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
    """Carry out the runs that come over a connection until None comes; send how each goes and ends.

    Args:
        connection: Gives the arguments of `make_plan`; takes Said, StepTaken, NeedsMemory and Ended.
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
    while (arguments := connection.recv()) is not None:
        try:
            send(connection, carry_out(registry, arguments, context))
        except Interrupted as error:
            context.say(str(error))
            return


def carry_out(registry: Registry, arguments: Mapping[str, Any], context: RunContext) -> Ended:
    """Carry out the run of a plan that is made anew here, since a plan holds parts that only this process has."""
    return execute_plan(registry, make_plan(registry, **arguments), context)


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

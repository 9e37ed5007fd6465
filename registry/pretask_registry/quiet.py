"""Quiet: what a plugin does while it is imported or called, kept from the process and from stdout.

Nothing in one process can be kept from a plugin that means harm (`os._exit` ends it at once). What happens by accident
can: printing, closing streams, changing the folder, the answers to signals or the path of modules, leaving threads.
"""

import io
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO
from weakref import WeakSet

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEFT_RUNNING: WeakSet[threading.Thread] = WeakSet()  # that plugins started while they were imported


class Shield(io.TextIOBase):
    """A stream that passes on what is written, and cannot be closed.

    Args:
        stream: What is behind it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def write(self, text: str, /) -> int:
        """Pass it on."""
        return self.stream.write(text) if self.stream is not None else len(text)

    def flush(self) -> None:
        """Pass it on."""
        if self.stream is not None:
            self.stream.flush()

    def close(self) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def redirect_stdout_to_stderr() -> Iterator[None]:
    """Send whatever is printed inside to stderr, also by other programs and by C: stdout is for data.

    Streams that are closed inside are open again afterwards.
    """
    before, shield = (sys.stdout, sys.stderr), Shield(sys.stderr)
    flush(*before)
    descriptors = {number: os.dup(number) for number in (1, 2) if is_open(number)}
    if descriptors.keys() == {1, 2}:
        os.dup2(2, 1)
    sys.stdout = sys.stderr = shield
    try:
        yield
    finally:
        flush(sys.stdout, sys.__stdout__, before[1])
        sys.stdout, sys.stderr = before
        for number, descriptor in descriptors.items():
            os.dup2(descriptor, number)
            os.close(descriptor)


def is_open(descriptor: int) -> bool:
    """Return whether a descriptor is open."""
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False


def flush(*streams: TextIO | Shield | None) -> None:
    """Write what is left in streams; of those that are closed or full nothing can be."""
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):
            if stream is not None:
                stream.flush()


@contextmanager
def keep_surroundings() -> Iterator[list[str]]:
    """Put back what is changed inside of the process around; give a list that names afterwards what that was."""
    changed: list[str] = []
    folder, path, filters = os.getcwd(), [*sys.path], [*warnings.filters]
    answers = {number: signal.getsignal(number) for number in SIGNALS}
    words, depth, threads = locale.setlocale(locale.LC_ALL), sys.getrecursionlimit(), {*threading.enumerate()}
    try:
        yield changed
    finally:
        if not is_current(folder):
            os.chdir(folder)
            changed.append("the current folder")
        if missing := [place for place in path if place not in sys.path]:
            changed.append("the path of modules")
        if missing or sys.path[: len(path)] != path:  # what was there comes first: nothing new hides it
            sys.path[:] = path + [place for place in sys.path if place not in path]
        if restore_signals(answers):
            changed.append("the answer to signals")
        if strict := [rule for rule in warnings.filters if rule[0] == "error" and rule not in filters]:
            warnings.filters[:] = [rule for rule in warnings.filters if rule not in strict]  # type: ignore[index]
            changed.append("the filter of warnings")
        if locale.setlocale(locale.LC_ALL) != words:
            locale.setlocale(locale.LC_ALL, words)
            changed.append("the locale")
        if sys.getrecursionlimit() != depth:
            sys.setrecursionlimit(depth)
            changed.append("the limit of recursion")
        if left := [thread for thread in {*threading.enumerate()} - threads if not thread.daemon]:
            LEFT_RUNNING.update(left)
            changed.append(f"a thread, which it left running ({left[0].name})")


def is_current(folder: str) -> bool:
    """Return whether a folder is the current one."""
    with suppress(OSError):
        return os.getcwd() == folder
    return False


def restore_signals(answers: dict[signal.Signals, Any]) -> bool:
    """Put back the answers to signals; return whether one had changed."""
    if threading.current_thread() is not threading.main_thread():
        return False
    changed = [number for number, answer in answers.items() if signal.getsignal(number) != answer]
    for number in changed:
        signal.signal(number, answers[number])
    return bool(changed)


def has_threads_of_plugins() -> bool:
    """Return whether a thread that a plugin left is still running, which would keep the process from its end."""
    return any(thread.is_alive() for thread in LEFT_RUNNING)

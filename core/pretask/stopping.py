"""Stopping: Ctrl-C, and the signals with which schedulers end a process, are answered by saving and going.

SIGTERM and SIGHUP leave with the code 75, which tells a scheduler to try again later; Ctrl-C leaves with 130.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

BY_SCHEDULER = (signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
TRY_AGAIN = os.EX_TEMPFAIL  # 75
SAME_SECONDS = 1.0  # in which a signal again is the same one: a scheduler sends it to all, and a parent passes it on

RAISED: list[int] = []  # numbers of the signals that were raised and not answered yet

Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """A signal came: whatever lets Ctrl-C through lets this through.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code(number: int | None) -> int:
    """Return the code with which a command ends that a signal stopped; None is Ctrl-C."""
    return TRY_AGAIN if number in BY_SCHEDULER else INTERRUPTED


def raise_stop(number: int, frame: FrameType | None = None) -> None:
    """Raise what a signal means."""
    RAISED.append(number)
    raise Stopped(number)


def raise_again(error: Exception) -> None:
    """Raise Stopped where a signal came, of which a library that was interrupted has made this error; else nothing."""
    if RAISED:
        raise Stopped(RAISED[-1]) from error


def is_users(error: BaseException) -> bool:
    """Return whether a KeyboardInterrupt is the user's: where signals raise Stopped, any other is somebody's own."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    return isinstance(error, Stopped) or signal.getsignal(signal.SIGINT) is not raise_stop


@contextmanager
def raise_when_stopped() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise Stopped inside, whatever libraries make of it on the way out."""
    RAISED.clear()
    try:
        with handle((signal.SIGINT, *BY_SCHEDULER), raise_stop):
            yield
    except Exception as error:
        raise_again(error)
        raise
    finally:
        RAISED.clear()


@contextmanager
def note_stop() -> Iterator[Callable[[], int | None]]:
    """Give inside what returns the signal that came, None while there was none; a second one raises at once."""
    came: list[tuple[int, float]] = []

    def note(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not came:
            came.append((number, now))
        elif number != came[0][0] or now - came[0][1] > SAME_SECONDS:
            raise_stop(number)

    with handle((signal.SIGINT, *BY_SCHEDULER), note):
        yield lambda: came[0][0] if came else None


@contextmanager
def handle(signals: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    """Answer signals by a handler inside, but those that are ignored (nohup); other threads cannot and need not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in signals}
    answered = [number for number, was in before.items() if was not in (signal.SIG_IGN, None)]
    for number in answered:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in answered:
            signal.signal(number, before[number])

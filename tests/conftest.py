"""What the tests of whole distributions share: one clean room for all of them."""

import gc
import signal

import pytest
import typecheck

SELDOM = 20_000  # objects made between two looks for garbage: Python's own 700 take a tenth of all time
NEVER = 10**9
typecheck.install()  # before anything of ours is imported
gc.set_threshold(NEVER)  # what is imported and collected stays
# What a script starts in the background ignores Ctrl-C, and so would what is pressed in tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from clean_room import Room, make_room  # noqa: E402

collect_ignore = ["third_party"]  # a distribution of its own


@pytest.fixture(scope="session")
def clean_room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return make_room(tmp_path_factory.mktemp("room"))


def pytest_collection_finish() -> None:
    """Leave what was imported alone from now on, and look for garbage seldom."""
    gc.freeze()
    gc.set_threshold(SELDOM, 10, 10)

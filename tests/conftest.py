"""What the tests of whole distributions share: one clean room for all of them."""

import gc

import pytest
import typecheck

typecheck.install()  # before anything of ours is imported

from clean_room import Room, make_room  # noqa: E402

collect_ignore = ["third_party"]  # a distribution of its own


@pytest.fixture(scope="session")
def clean_room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return make_room(tmp_path_factory.mktemp("room"))


def pytest_collection_finish() -> None:
    """Leave what was imported alone from now on: looking through it for garbage takes a twentieth of the time."""
    gc.freeze()

"""Decoders of videos: every test that takes one is run with each, and says where one cannot be loaded."""

import pytest
from pretask_plugins.data.video.readers import choice

FALLBACKS = [name for name in choice.MODULES if name != "pyav"]


@pytest.fixture(params=["pyav", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in FALLBACKS)])
def decoder(request: pytest.FixtureRequest) -> str:
    return require(request.param)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.exhaustive) for name in FALLBACKS])
def fallback(request: pytest.FixtureRequest) -> str:
    return require(request.param)


def require(name: str) -> str:
    obstacle = choice.find_obstacle(choice.MODULES[name])
    if obstacle is not None:
        pytest.skip(f"{name}: {obstacle}")
    return name


@pytest.fixture
def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where PyAV cannot be had."""
    known = choice.is_loadable
    monkeypatch.setattr(choice, "is_loadable", lambda module: module != "av" and known(module))

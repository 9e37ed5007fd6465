from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from pretask_bench.cli.main import load_registry
from small_runs import Finished, make_run


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Finished]]:
    """A small finished run of a modality, made when it is first asked for; its files of data are gone."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(folder / "cache"))

        @cache
        def make(modality: str) -> Finished:
            return make_run(load_registry(()), folder, modality)

        yield make


@pytest.fixture
def copied(finished: Callable[[str], Finished], tmp_path: Path) -> Path:
    """A copy of the folder of the run on images, to be damaged."""
    import shutil

    return Path(shutil.copytree(finished("image").run.folder, tmp_path / "copied"))

"""A place of records that does not exist is a typing error: exit code 2, and nothing is written."""

from pathlib import Path

import pytest
from pretask_bench.cli.main import invoke


@pytest.mark.parametrize("verb", ["results", "verify", "compare", "rerun", "board"])
def test_a_place_that_is_not_there_is_refused_and_no_page_is_written(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"board": ["board", "quick", "nowhere", "--out", "site"]}.get(verb, [verb, "nowhere"])
    assert invoke(words) == 2
    assert f"{verb} needs folders or files of records; got no 'nowhere'." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["results", "board"])
def test_the_usual_place_is_named_where_no_run_has_been(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke([verb, "quick"] if verb == "board" else [verb]) == 2
    assert "got no 'runs/records'" in capsys.readouterr().err

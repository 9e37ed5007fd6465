"""docs/encoders.md: every block of it is run, in its order, in an empty folder."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "encoders.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.exhaustive
def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, "encoders.md", "exec"), names)
    printed = capsys.readouterr().out
    assert names["vectors"].shape == (2, names["encoder"].width)
    assert float(printed.split()[-1]) > 0.75  # of ten classes
    assert names["again"].observed.shape == (1, 8, 8)


def test_a_scikit_learn_pipeline_takes_ten_lines() -> None:
    (block,) = (block for block in BLOCKS if "make_pipeline(" in block)
    assert len(block.strip().splitlines()) <= 12  # two of them empty

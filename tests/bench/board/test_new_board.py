"""A new board: a repository into which a record is submitted, and whose page is built of it."""

from pathlib import Path
from typing import Any

import pytest
from clean_room import install_all
from entrants import row
from pretask import Unknown
from pretask_bench.board.site import write_board
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import build_record
from pretask_bench.records.store import read_all, write
from pretask_bench.runs.suites import read_suite
from pretask_registry.scaffold import new_board


def test_a_new_board_takes_a_record_and_shows_it(tmp_path: Path, facts: dict[str, Any]) -> None:
    written = new_board("birdsong", "audio", tmp_path / "board")
    workflow = (written.folder / ".github/workflows/board.yml").read_text()
    assert "pretask verify records" in workflow
    assert "pretask board birdsong records --out site" in workflow
    assert "${{ github.base_ref }}" in workflow, "dollar signs of CI are no words of the template"
    with install_all([written.folder], tmp_path / "site") as registry:
        suite = read_suite(registry, "birdsong")
        (division,) = suite.file.division
        fixed = suite.fixed[division.name]
        encoders = ("trained", *suite.file.baselines)
        changes = {
            **{part: {"id": f"acme/{part}@1", "options": {}} for part in ("split", "objective", "model")},
            "task": "acme/calls@1",
            "data": {
                "id": fixed.data_id,
                "options": dict(fixed.data_options),
                "fingerprints": {"train": "a" * 32, "test": "b" * 32},
            },
            "evaluators": {name: dict(options) for name, options in fixed.evaluators.items()},
            "recipe": {"samples": division.samples, "batch": 100, "precision": "fp32"},
            "modality": "audio",
        }
        results = [
            row("pretask/linear@1", encoder, value)
            for encoder, value in zip(encoders, (0.6, 0.3, 0.2, 0.9), strict=True)
        ]
        provenance = {**facts["provenance"], "samples": division.samples}
        fields = {**facts, "cell": {**facts["cell"], **changes}, "results": results, "provenance": provenance}
        path = write(tmp_path / "runs/records", build_record({**fields, "author": "Ada Lovelace"}))
        records_folder = written.folder / "records"
        assert invoke(["merge", str(tmp_path / "runs"), "--into", str(records_folder)]) == 0
        assert invoke(["verify", str(records_folder)]) == 0
        records, refused = read_all([records_folder])
        assert refused == []
        page, *_ = write_board(suite, {path.stem: records[0]}, tmp_path / "page", registry=registry)
    text = page.read_text()
    assert "1 of 1 entries ranked" in text
    assert "Ada Lovelace" in text


def test_a_board_needs_a_name_and_a_modality_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="lower-case words"):
        new_board("Bird Song", "audio", tmp_path / "a")
    with pytest.raises(Unknown, match="No modality 'smell'"):
        new_board("birdsong", "smell", tmp_path / "a")
    assert invoke(["new", "birdsong", "--kind", "board", "--from", "vae", "--out", str(tmp_path / "a")]) == 2
    assert list(tmp_path.iterdir()) == []

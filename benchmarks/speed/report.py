"""Report: what the comparisons print, and write with versions and machine."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pretask_bench.records.provenance import collect


def report(measured: Mapping[str, Any], started: datetime, out: Path | None) -> None:
    """Print measurements by name; where `out` names a file, write them to it with their provenance."""
    measured = {**measured, "load": os.getloadavg()}
    print("\n".join(f"{name:46}{value}" for name, value in measured.items()))
    if out is not None:
        out.write_text(as_json(measured, started))


def write_report(name: str, measured: Mapping[str, Any], started: datetime, folder: Path | None) -> None:
    """Write what was measured to NAME.json in a folder, where one is given, with its provenance and the load."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(as_json({name: measured, "load": os.getloadavg()}, started))


def as_json(measured: Mapping[str, Any], started: datetime) -> str:
    """Return measurements as text, with the versions and the machine that they were made with."""
    provenance = collect(started=started, ended=datetime.now(UTC))
    return json.dumps({**measured, "provenance": provenance}, indent=1, default=str) + "\n"

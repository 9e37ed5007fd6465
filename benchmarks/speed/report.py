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
        provenance = collect(started=started, ended=datetime.now(UTC))
        out.write_text(json.dumps({**measured, "provenance": provenance}, indent=1, default=str) + "\n")

"""Ledger: what became of cells that have no record, and what each said; a folder of a sweep, one file for each.

Records are the truth; this only says why there is none. A cell is found by its evaluation key, so that changed code or
options begin anew.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pretask.files import sweep, write_whole

SWEEPS = "sweeps"  # folder of a folder of runs
ENDED, LOGS = "ended", "logs"


@dataclass(frozen=True)
class EndedCell:
    """How a cell without a record ended.

    Args:
        refused: Why it was refused; "" where it was not.
        failed: Why it failed last.
        attempts: How often it failed.
    """

    refused: str = ""
    failed: str = ""
    attempts: int = 0


@dataclass(frozen=True)
class Ledger:
    """The folder of a sweep.

    Args:
        folder: Where it is; made when something is written.
    """

    folder: Path

    def read(self, key: str) -> EndedCell | None:
        """Return how a cell ended; None where that is not known."""
        with suppress(OSError, ValueError, TypeError):
            return EndedCell(**json.loads(self.file(key).read_text()))
        return None

    def write(self, key: str, ended: EndedCell) -> None:
        """Keep how a cell ended."""
        write_whole(self.file(key), json.dumps(asdict(ended), indent=1).encode())

    def forget(self, key: str) -> None:
        """Forget how a cell ended, which has a record now."""
        self.file(key).unlink(missing_ok=True)

    def file(self, key: str) -> Path:
        """Return the file of a cell."""
        return self.folder / ENDED / f"{key}.json"

    def log(self, name: str) -> Path:
        """Return the file of what a cell said."""
        return self.folder / LOGS / f"{name}.log"

    def clear(self) -> None:
        """Take away what a kill left unfinished."""
        sweep(self.folder / ENDED)

"""Times: whether the moments that a record declares are possible.

Clocks go wrong, so a day is forgiven everywhere, and nothing that is declared about time decides between records. What
no clock explains is a fault: nine days of work that took a minute, or a record of the year 9999.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pretask_bench.records.record import Record

CLOCK_TOLERANCE = timedelta(days=1)  # of a clock that was wrong, or was set while a run went on


def check_times(record: Record) -> Iterator[str | None]:
    """Check the order of start and end, their distance against the declared seconds, and that none is in the future."""
    origin = record.provenance
    started, ended = datetime.fromisoformat(origin.started), datetime.fromisoformat(origin.ended)
    is_reversed = started - ended > CLOCK_TOLERANCE
    yield f"ended {origin.ended} before {origin.started}" if is_reversed else None
    elapsed = max((ended - started).total_seconds(), 0.0)
    agrees = abs(elapsed - origin.seconds) <= CLOCK_TOLERANCE.total_seconds()
    message = f"{origin.seconds:.6g} seconds are declared, {elapsed:.6g} lie between its start and its end"
    yield None if agrees or is_reversed else message
    in_future = ended.timestamp() - current_time() > CLOCK_TOLERANCE.total_seconds()
    yield f"ended {origin.ended}, which is not yet" if in_future else None


def current_time() -> float:
    """Return the time, in seconds since 1970; never before this file was written.

    A machine whose clock went back would else find that every record was made in the future.
    """
    return max(time.time(), Path(__file__).stat().st_mtime)

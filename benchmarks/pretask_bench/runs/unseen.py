"""Unseen: what is held out must not have been learned from by an encoder of elsewhere that a run takes."""

from pathlib import Path

from pretask import Data, PretaskError
from pretask.hold_out import HoldOut

from pretask_bench.artifacts.load import find_folder
from pretask_bench.artifacts.task_file import RECORD
from pretask_bench.records.record import parse_record
from pretask_bench.runs.initial import SUFFIX, TIMM


def require_unseen(option: str, place: Path | str | None, data: Data) -> None:
    """Raise PretaskError where a run learned from the very samples of which this one holds some out.

    Args:
        option: That names the run.
        place: Of the run; weights that are of no run are not known to have seen anything.
        data: That is learned from, as its plan builds it.
    """
    if not isinstance(data, HoldOut) or place is None or str(place) == TIMM or str(place).endswith(SUFFIX):
        return
    record = find_folder(Path(place)) / RECORD
    if not record.is_file():
        return
    if parse_record(record.read_bytes()).cell.data.fingerprints.get("train") == data.source("train").fingerprint:
        needs = "a run that has not learned from what is held out"
        got = f"{Path(place).name}, of the whole training part"
        raise PretaskError(option, needs, got, f"Train it with --hold-out {data.share:g}, too.", exit_code=2)

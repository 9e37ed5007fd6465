"""Measured: what the records of benchmarks/results say of a task, and the pictures that came with them."""

import json
import re
from functools import cache
from pathlib import Path

from pretask_bench.records.encoders import RANDOM, RAW
from pretask_bench.records.measured import Picture
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.results.groups import SummaryLine, group_records, summarize_group
from pretask_bench.results.report import format_estimate

from generated.text import as_prose, write_table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
MEASURED = "measured.md"
HEADS = ("records", "learned from", "samples, seeds", "what", "trained", "random init", "raw input")
PRETEXT_HEADS = ("records", "learned from", "samples, seeds", "pretext score, held-out", "chance", "best trivial guess")


@cache
def read_results() -> dict[str, list[Record]]:
    """Return the complete records of every folder, by its name."""
    folders = sorted(path for path in RESULTS.iterdir() if path.is_dir())
    return {folder.name: read_all([folder])[0] for folder in folders}


def write_measured_page() -> str:
    """Return the page about all results, which is the README of their folder."""
    return (RESULTS / "README.md").read_text(encoding="utf-8")


def write_numbers(task: str) -> str:
    """Return the tables of what was measured of a task, by its id without a version."""
    pretext, probes = [], []
    for folder, records in read_results().items():
        own = [record for record in records if (record.cell.task or "").rpartition("@")[0] == task]
        for group in group_records(own):
            lines = summarize_group(group)
            protocol = (folder, lines[0].data, describe_budget(group[0], len(group)))
            pretext.append((*protocol, *lines[0].pretext_cells))
            probes += [(*protocol, *probe_cells(line)) for line in lines if line.evaluator]
    if not pretext:
        return "Nothing was measured yet.\n"
    return "\n".join([write_table(PRETEXT_HEADS, pretext), write_table(HEADS, probes)])


def describe_budget(record: Record, seeds: int) -> str:
    """Return how long a run was trained, and how many seeds there are."""
    return f"{record.provenance.samples:,}, {seeds} seed{'s' if seeds > 1 else ''}"


def probe_cells(line: SummaryLine) -> tuple[str, ...]:
    """Return the evaluator and the values of the trained encoder, of random initialization and of raw input."""
    estimates = line.estimates
    numbers = (
        format_estimate(estimates[encoder], line.metric) if encoder in estimates else ""
        for encoder in ("trained", RANDOM, RAW)
    )
    return (line.probe_cell, *numbers)


def find_pictures(task: str) -> dict[str, str]:
    """Return the captions of a task's pictures that are kept here, by the name of the file."""
    found: dict[str, str] = {}
    for records in read_results().values():
        for record in records:
            if (record.cell.task or "").rpartition("@")[0] == task:
                found |= {picture.png: picture.caption for picture in pictures_of(record) if find_file(picture.png)}
    return found


def pictures_of(record: Record) -> list[Picture]:
    """Return the pictures of a record: of its pretext task, then of the trained encoder."""
    own = [*record.pretext.pictures] if record.pretext is not None else []
    return own + [picture for result in record.results if result.encoder == "trained" for picture in result.pictures]


@cache
def find_file(png: str) -> Path | None:
    """Return the file of a picture, if it is kept beside the records."""
    return next(iter(RESULTS.glob(f"*/{png}.png")), None)


def list_pictures() -> dict[str, Path]:
    """Return the files of all pictures, by where the site has them."""
    return {f"pictures/{path.name}": path for path in sorted(RESULTS.glob("*/*.png"))}


def show_pictures(task: str, root: str = "..") -> str:
    """Return a task's pictures, each below its caption."""
    return "\n\n".join(
        f"{as_prose(caption)}\n\n![{as_prose(caption)}]({root}/pictures/{png}.png)"
        for png, caption in find_pictures(task).items()
    )


def show_record(folder: str, task: str) -> str:
    """Return the record of a task in a folder, as JSON that can be read: long texts are cut."""
    (record,) = (record for record in read_results()[folder] if record.cell.task == task)
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return re.sub(r'"([A-Za-z0-9+/=]{65,})"', lambda found: f'"{found[1][:12]}…"', text)

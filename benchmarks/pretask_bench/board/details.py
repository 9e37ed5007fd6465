"""Details: all that the page shows of one entry: its parts, every number, figures and provenance."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pretask_bench.board.entries import Entry, Field, shorten
from pretask_bench.board.figures import Album
from pretask_bench.board.layers import own_layers
from pretask_bench.board.standings import Table
from pretask_bench.records.encoders import ENCODERS
from pretask_bench.records.record import Record
from pretask_bench.results.groups import short_name
from pretask_bench.results.report import (
    COLUMNS,
    PRETEXT_COLUMNS,
    evaluator_rows,
    format_number,
    pretext_rows,
    pretext_title,
)

MAX_DETAIL_ROWS, MAX_DETAIL_SEEDS, MAX_TEXT_CHARACTERS = 40, 20, 2000
Texts = Sequence[Sequence[str]]


def detail_of(table: Table, entry: Entry, anchor: str, album: Album) -> dict[str, Any]:
    """Return what the template shows of an entry."""
    first = entry.first
    return {
        "anchor": anchor,
        "title": entry.title,
        "distinction": entry.distinction,
        "division": table.field.division.name,
        "facts": facts_of(entry),
        "options": options_text(first),
        "layers": own_layers(table, entry),
        "numbers": numbers_of(entry),
        "measures": [measure.title for measure in table.field.division.measures],
        "seeds": seed_table(table.field, entry),
        "more_seeds": max(0, len(entry.records) - MAX_DETAIL_SEEDS),
        "figures": album.figures(entry),
        "command": shorten(" ".join(first.provenance.command), MAX_TEXT_CHARACTERS),
        "note": shorten(first.note or "", MAX_TEXT_CHARACTERS),
    }


def facts_of(entry: Entry) -> list[tuple[str, str]]:
    """Return full ids, how the first record came about, and everybody who says to have made one of these cells."""
    record = entry.first
    cell, origin = record.cell, record.provenance
    found = {
        "task": cell.task or "",
        "split": cell.split.id,
        "objective": cell.objective.id,
        "model": cell.model.id,
        "data": cell.data.id,
        "precision": cell.precision,
        "samples": f"{origin.samples:,}",
        "parameters": f"{origin.parameters:,}",
        "FLOPs": f"{origin.flops:.3g}" if origin.flops is not None else "",
        "hardware": f"{origin.hardware.devices} × {origin.hardware.device}, {origin.threads} threads",
        "versions": versions(origin.versions),
        "commit": commit(record),
        "ended": origin.ended,
        "authors": ", ".join(entry.authors),
        "confirmed by": ", ".join(entry.confirming),
        "code that differs between seeds": ", ".join(entry.differing_code),
        "licence": record.licence or "",
    }
    return [(name, shorten(value, 400)) for name, value in found.items() if value]


def versions(found: Mapping[str, str]) -> str:
    """Return distributions and their versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def commit(record: Record) -> str:
    """Return the commit of the checkout, and whether it was modified."""
    origin = record.provenance
    return (origin.commit or "") + (", modified" if origin.modified else "")


def options_text(record: Record) -> str:
    """Return the options and the recipe that an entry chose, as indented JSON."""
    cell = record.cell
    chosen = {
        "split": cell.split.options,
        "objective": cell.objective.options,
        "model": cell.model.options,
        "recipe": cell.recipe,
    }
    return shorten(json.dumps(chosen, indent=1, ensure_ascii=False, sort_keys=True), 2 * MAX_TEXT_CHARACTERS)


def numbers_of(entry: Entry) -> list[tuple[str, Sequence[str], Texts]]:
    """Return tables (title, columns, rows) of the pretext task and of every evaluator."""
    found: list[tuple[str, Sequence[str], Texts]] = []
    if entry.first.pretext is not None:
        rows: Texts = pretext_rows(entry.records)[:MAX_DETAIL_ROWS]
        found.append((pretext_title(entry.first), PRETEXT_COLUMNS, rows))
    for evaluator in dict.fromkeys(row.evaluator for row in entry.first.results):
        rows = evaluator_rows(entry.records, evaluator)[:MAX_DETAIL_ROWS]
        found.append((f"{evaluator}: what is the encoder worth?", (short_name(evaluator), *COLUMNS[1:]), rows))
    return found


def seed_table(field: Field, entry: Entry) -> list[tuple[str, list[str], str]]:
    """Return for every seed its number, the numbers of all measures, and the record's hash."""
    return [
        (str(record.cell.seed), seed_numbers(field, record), name)
        for record, name in list(zip(entry.records, entry.hashes, strict=True))[:MAX_DETAIL_SEEDS]
    ]


def seed_numbers(field: Field, record: Record) -> list[str]:
    """Return the numbers of one seed, in the order of a table's columns."""
    found: dict[tuple[str, str], Mapping[str, float | None]] = {
        (row.evaluator, row.encoder): row.metrics for row in record.results
    }
    return [
        format_number(
            found.get((field.evaluators[measure.evaluator], encoder), {}).get(measure.metric), field.metric(measure)
        )
        for measure, metric in zip(field.division.measures, map(field.metric, field.division.measures), strict=True)
        for encoder in ENCODERS
    ]

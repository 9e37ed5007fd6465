"""Details: all that the page shows of one entry: its parts, every number, figures and provenance."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pretask_registry import Registry

from pretask_bench.board.entries import Competition, Entry, shorten
from pretask_bench.board.figures import GALLERY_FIGURES, Shown
from pretask_bench.board.layers import draw_layers
from pretask_bench.board.probed import draw_probed
from pretask_bench.board.standings import Ranking
from pretask_bench.records.encoders import column_label, shown_encoders
from pretask_bench.records.ids import short_name
from pretask_bench.records.record import Record
from pretask_bench.results.citing import cite_cells, write_bibtex
from pretask_bench.results.report import (
    PRETEXT_COLUMNS,
    evaluator_rows,
    format_number,
    list_columns,
    pretext_rows,
    pretext_title,
)
from pretask_bench.runs.suites import Measure

MAX_DETAIL_ROWS, MAX_DETAIL_SEEDS, MAX_TEXT_CHARACTERS = 40, 20, 2000
Texts = Sequence[Sequence[str]]


def describe_entry(
    ranking: Ranking, entry: Entry, anchor: str, figures: Sequence[Shown], registry: Registry | None
) -> dict[str, Any]:
    """Return what the template shows of an entry; of its figures those that are not below its table."""
    first = entry.first
    return {
        "anchor": anchor,
        "title": entry.title,
        "distinction": entry.distinction,
        "division": ranking.competition.division.name,
        "properties": entry_properties(entry),
        "options": options_text(first),
        "layers": draw_layers(ranking, entry),
        "probed": draw_probed(entry),
        "cited": "" if registry is None else write_bibtex(cite_cells(registry, [first.cell])),
        "numbers": result_tables(entry),
        "encoders": [column_label(encoder) for encoder in shown_encoders(ranking.competition.shown)],
        "measures": [measure.title for measure in ranking.competition.division.measures],
        "seeds": seed_table(ranking.competition, entry),
        "more_seeds": max(0, len(entry.records) - MAX_DETAIL_SEEDS),
        "figures": figures[GALLERY_FIGURES:],
        "gallery": bool(figures),
        "command": shorten(" ".join(first.provenance.command), MAX_TEXT_CHARACTERS),
        "note": shorten(first.note or "", MAX_TEXT_CHARACTERS),
    }


def entry_properties(entry: Entry) -> list[tuple[str, str]]:
    """Return the full ids, the provenance of the first record, and the authors and confirmations of all."""
    record = entry.first
    cell, origin = record.cell, record.provenance
    properties = {
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
        "versions": versions_text(origin.versions),
        "commit": commit_text(record),
        "ended": origin.ended,
        "authors": ", ".join(entry.authors),
        "confirmed by": ", ".join(entry.confirming),
        "code that differs between seeds": ", ".join(entry.differing_code),
        "licence": record.licence or "",
    }
    return [(name, shorten(value, 400)) for name, value in properties.items() if value]


def versions_text(versions: Mapping[str, str]) -> str:
    """Return distributions and their versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def commit_text(record: Record) -> str:
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


def result_tables(entry: Entry) -> list[tuple[str, Sequence[str], Texts]]:
    """Return tables (title, columns, rows) of the pretext task and of every evaluator."""
    tables: list[tuple[str, Sequence[str], Texts]] = []
    if entry.first.pretext is not None:
        tables.append((pretext_title(entry.first), PRETEXT_COLUMNS, pretext_rows(entry.records)[:MAX_DETAIL_ROWS]))
    for evaluator in dict.fromkeys(result.evaluator for result in entry.first.results):
        columns = (short_name(evaluator), *list_columns(entry.records)[1:])
        rows = evaluator_rows(entry.records, evaluator)[:MAX_DETAIL_ROWS]
        tables.append((f"{evaluator}: what is the encoder worth?", columns, rows))
    return tables


def seed_table(competition: Competition, entry: Entry) -> list[tuple[str, list[str], str]]:
    """Return for every seed its number, the numbers of all measures, and the record's hash."""
    return [
        (str(record.cell.seed), seed_numbers(competition, record), name)
        for record, name in list(zip(entry.records, entry.hashes, strict=True))[:MAX_DETAIL_SEEDS]
    ]


def seed_numbers(competition: Competition, record: Record) -> list[str]:
    """Return the numbers of one seed, by measure and encoder."""
    return [
        seed_number(competition, record, measure, encoder)
        for measure in competition.division.measures
        for encoder in shown_encoders(competition.shown)
    ]


def seed_number(competition: Competition, record: Record, measure: Measure, encoder: str) -> str:
    """Return the number of one seed, measure and encoder; nothing where it was not measured."""
    result = record.find_result(competition.evaluators[measure.evaluator], encoder)
    return format_number(result.metrics.get(measure.metric), competition.metric(measure)) if result is not None else ""

"""Facts: a board as plain numbers and names, which board.json holds and board.md shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pretask import Metric

from pretask_bench.board.entries import Entry, Field, SortedRecords, measure_values
from pretask_bench.board.notices import markdown_notices, notice_facts
from pretask_bench.board.pictures import COSTS, cost_of
from pretask_bench.board.standings import Scale, Score, Standing, Table, estimate_of
from pretask_bench.records.encoders import ENCODERS, column_label
from pretask_bench.results.markdown import plain_text, row_text
from pretask_bench.results.pretext import PretextMetric, pretext_metrics
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import CONFIDENCE, Estimate
from pretask_bench.runs.suites import Measure, Suite

FORMAT_VERSION = 2
SCORE = (
    "The score is the part of the way that an entry came on the headline measure from 0, the better of chance and the "
    "same network at random initialization, to 1, the supervised reference; it decides no rank."
)
METHOD = {
    "confidence": CONFIDENCE,
    "score": SCORE,
    "interval": "Student over seeds and Agresti-Coull over items, squared half widths added",
    "ranks": "headline measure: pairs over seeds and items, moderated variances, closed test of all pairs at 5 %; "
    "after all others what is not above its random init and the raw input by the same test",
}
Facts = dict[str, Any]


def round_numbers(value: Any) -> Any:
    """Return the same value with six digits of every number, so that the rounding of a machine does not show.

    >>> round_numbers({"a": [1 / 3, 2, None]})
    {'a': [0.333333, 2, None]}
    """
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: round_numbers(part) for name, part in value.items()}
    return [round_numbers(part) for part in value] if isinstance(value, list | tuple) else value


def board_facts(suite: Suite, found: SortedRecords, tables: Sequence[Table]) -> Facts:
    """Return the content of board.json."""
    facts = {
        "board": FORMAT_VERSION,
        "suite": {"id": suite.id, **suite.file.model_dump(mode="json", include={"summary", "seeds", "baselines"})},
        "method": METHOD,
        "records": found.records,
        "failed": found.failed,
        "spare": found.spare,
        "outside": dict(found.outside),
        **notice_facts(found),
        "tables": [table_facts(table) for table in tables],
    }
    checked: Facts = round_numbers(facts)
    return checked


def table_facts(table: Table) -> Facts:
    """Return the facts of one table."""
    division = table.field.division
    return {
        "division": division.name,
        "modality": division.modality,
        "data": table.field.first.cell.data.id,
        "fingerprints": dict(table.field.fingerprints),
        "samples": division.samples,
        "headline": division.headline.title,
        "fault": table.fault,
        "scales": [scale_facts(scale) for scale in table.scales],
        "ranking": [
            {**standing_facts(standing), **entry_facts(table.field, standing.entry)} for standing in table.standings
        ],
        "unranked": [entry_facts(table.field, entry) for entry in unranked_entries(table)],
    }


def unranked_entries(table: Table) -> tuple[Entry, ...]:
    """Return entries that have no rank: incomplete ones, and all where the division ranks nothing."""
    return table.field.incomplete if table.standings else (*table.field.complete, *table.field.incomplete)


def scale_facts(scale: Scale) -> Facts:
    """Return what the numbers of a measure are held against."""
    facts = {
        "measure": scale.measure.title,
        "unit": scale.metric.unit,
        "higher_is_better": scale.metric.higher_is_better,
    }
    return {**facts, "chance": scale.chance, "reference": scale.reference}


def standing_facts(standing: Standing) -> Facts:
    """Return the rank and score of an entry."""
    return {
        "rank": list(standing.ranks),
        "not_above": list(standing.not_above),
        "score": score_facts(standing.score) if standing.score is not None else None,
        "interval_over": interval_over(standing.entry),
        "baseline_scores": dict(standing.score.references) if standing.score is not None else {},
    }


def score_facts(score: Score) -> Facts:
    """Return a score with its interval and both ends of its scale."""
    ends = {"zero": score.zero, "zero_of": score.zero_of, "reference": score.reference}
    return {"value": score.value, "low": score.low, "high": score.high, **ends}


def interval_over(entry: Entry) -> str:
    """Return what its interval covers besides test items: "seeds" or "one seed"."""
    return "seeds" if len(entry.records) > 1 else "one seed"


def entry_facts(field: Field, entry: Entry) -> Facts:
    """Return an entry's ids, records, numbers and costs."""
    cell = entry.first.cell
    return {
        "title": entry.title,
        "distinction": entry.distinction,
        "entry": entry.key,
        "ids": {"task": cell.task, "split": cell.split.id, "objective": cell.objective.id, "model": cell.model.id},
        "seeds": [record.cell.seed for record in entry.records],
        "records": list(entry.hashes),
        "confirming": list(entry.confirming),
        "authors": list(entry.authors),
        "differing_code": list(entry.differing_code),
        "missing": list(entry.missing),
        "measures": {measure.title: measure_facts(field, entry, measure) for measure in field.division.measures},
        "pretext": pretext_facts(entry),
        "cost": {name: cost for name in COSTS if (cost := cost_of(entry, name)) is not None},
    }


def measure_facts(field: Field, entry: Entry, measure: Measure) -> Facts:
    """Return the numbers of one measure, for the trained encoder and its references."""
    found = {}
    for encoder in ENCODERS:
        estimate = estimate_of(field, entry, measure, encoder)
        if estimate is not None:
            values = measure_values(field, entry, measure, encoder)
            found[encoder] = {"mean": estimate.value, "low": estimate.low, "high": estimate.high, "values": values}
    return found


def pretext_facts(entry: Entry) -> list[Facts]:
    """Return how well the pretext task was solved, with chance, the best trivial predictor and the shortcut probe."""
    pretext = entry.first.pretext
    shortcut = pretext.shortcut if pretext is not None else {}
    return [part_facts(part, shortcut.get(part.name)) for part in pretext_metrics(entry.records)]


def part_facts(part: PretextMetric, shortcut: float | None) -> Facts:
    """Return one part of the pretext score."""
    found, trivial = part.estimate, part.best_trivial
    return {
        "metric": part.name,
        "unit": part.metric.unit,
        "higher_is_better": part.metric.higher_is_better,
        "mean": found.value if found is not None else None,
        "low": found.low if found is not None else None,
        "high": found.high if found is not None else None,
        "count": found.count if found is not None else None,
        "hidden": part.hidden_reason,
        "chance": part.references.chance,
        "trivial": asdict(trivial) if trivial is not None else None,
        "shortcut": shortcut,
    }


def json_text(facts: Facts) -> str:
    """Return the text of board.json."""
    return json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n"


def markdown_text(facts: Facts) -> str:
    """Return the text of board.md."""
    suite = facts["suite"]
    lines = [f"# {plain_text(suite['id'])}", "", plain_text(suite["summary"]), ""]
    lines += [
        f"{facts['records']} records, {facts['failed']} of them failed, {sum(facts['outside'].values())} outside.",
        "",
        SCORE,
        "",
    ]
    for table in facts["tables"]:
        lines += markdown_table(table)
    lines += markdown_notices(facts)
    lines += [f"- {count} left out: {plain_text(reason)}" for reason, count in facts["outside"].items()]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(table: Facts) -> list[str]:
    """Return the lines of one table: ranked entries with their numbers, then the others."""
    print_of = ", ".join(f"{part} {value[:12]}" for part, value in sorted(table["fingerprints"].items()))
    lines = [f"## {table['division']}: {table['data']} ({plain_text(print_of)})", ""]
    measures = {scale["measure"]: Metric(scale["unit"], scale["higher_is_better"]) for scale in table["scales"]}
    if table["fault"]:
        lines += [f"{fault_text(table['fault'])}", ""]
    heads = [
        "rank",
        "entry",
        "score",
        "not above",
        *(f"{measure}, {encoder}" for measure in measures for encoder in ENCODERS),
        "seeds",
    ]
    if table["ranking"]:
        lines += [row_text(heads), row_text(["---"] * len(heads))]
        lines += [row_text(markdown_row(entry, measures)) for entry in table["ranking"]]
        lines.append("")
    lines += [
        f"- not ranked: {plain_text(entry_name(entry))}: {plain_text(missing_text(entry))}"
        for entry in table["unranked"]
    ]
    return [*lines, ""]


def markdown_row(entry: Facts, measures: Mapping[str, Metric]) -> list[str]:
    """Return the cells of one entry."""
    score = entry["score"]
    numbers = [
        cell_text(entry["measures"][name].get(encoder), metric)
        for name, metric in measures.items()
        for encoder in ENCODERS
    ]
    within = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" if score is not None else ""
    marks = not_above_text(entry["not_above"])
    return [rank_text(entry["rank"]), plain_text(entry_name(entry)), within, marks, *numbers, str(len(entry["seeds"]))]


def fault_text(fault: str) -> str:
    """Return a sentence of why a division ranks nothing.

    >>> fault_text("linear accuracy: nothing is there")
    'Ranks nothing: linear accuracy: nothing is there.'
    """
    return f"Ranks nothing: {fault}." if fault else ""


def not_above_text(encoders: Sequence[str]) -> str:
    """Return the references that an entry is not told to be above, as words.

    >>> not_above_text(["random-init", "raw-input"])
    'random init, raw input'
    """
    return ", ".join(map(column_label, encoders))


def missing_text(entry: Facts) -> str:
    """Return what an entry lacks."""
    return "; ".join(entry["missing"]) or "the division ranks nothing"


def entry_name(entry: Facts) -> str:
    """Return the title of an entry, with what distinguishes it from others of that title."""
    distinction = f" [{entry['distinction']}]" if entry["distinction"] else ""
    return f"{entry['title']}{distinction}"


def rank_text(ranks: Sequence[int]) -> str:
    """Return a rank as an interval.

    >>> rank_text([1, 3]), rank_text([2, 2])
    ('1–3', '2')
    """
    return f"{ranks[0]}" if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"


def cell_text(number: Facts | None, metric: Metric) -> str:
    """Return a mean with half the width of its interval."""
    if number is None:
        return ""
    text: str = format_number(number["mean"], metric)
    if number["low"] is None:
        return text
    return f"{text} ± {half_text(Estimate(number['mean'], number['low'], number['high'], 0), metric)}"


def half_text(estimate: Estimate, metric: Metric) -> str:
    """Return half the width of an interval, in the unit in which the number is written."""
    if estimate.low is None or estimate.high is None:
        return ""
    half = (estimate.high - estimate.low) / 2
    return f"{100 * half:.1f}" if metric.is_fraction else f"{half:.2g}"

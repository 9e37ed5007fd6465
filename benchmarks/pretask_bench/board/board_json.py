"""Board JSON: a board as plain numbers and names, which board.json holds and board.md shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pretask import Metric

from pretask_bench.board.entries import Competition, Entry, SortedRecords, measure_values
from pretask_bench.board.notices import markdown_notices, notices_json
from pretask_bench.board.pictures import COSTS, cost_of
from pretask_bench.board.standings import RankedEntry, Ranking, Scale, Score, estimate_measure
from pretask_bench.records.encoders import ENCODERS, column_label, shown_encoders
from pretask_bench.results.markdown import plain_text, row_text
from pretask_bench.results.pretext import PretextMetric
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import CONFIDENCE, Estimate
from pretask_bench.runs.suites import Measure, Suite

FORMAT_VERSION = 2
SCORE = (
    "The score is the part of the way that an entry came on the headline measure from 0, the better of chance and the "
    "same network at random initialization, to 1, the supervised reference or what the suite has in its place; it "
    "decides no rank."
)
METHOD = {
    "confidence": CONFIDENCE,
    "score": SCORE,
    "interval": "Student over seeds and Agresti-Coull over items, squared half widths added",
    "ranks": "headline measure: pairs over seeds and items, moderated variances, closed test of all pairs at 5 %; "
    "after all others what is not above its random init and the raw input by the same test",
}
Json = dict[str, Any]


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


def board_as_json(suite: Suite, records: SortedRecords, rankings: Sequence[Ranking]) -> Json:
    """Return the content of board.json."""
    content = {
        "board": FORMAT_VERSION,
        "suite": {"id": suite.id, **suite.file.model_dump(mode="json", include={"summary", "seeds", "baselines"})},
        "method": METHOD,
        "records": records.records,
        "failed": records.failed,
        "spare": records.spare,
        "outside": dict(records.outside),
        **notices_json(records),
        "tables": [ranking_json(ranking) for ranking in rankings],
    }
    rounded: Json = round_numbers(content)
    return rounded


def ranking_json(ranking: Ranking) -> Json:
    """Return the ranking of one competition."""
    division = ranking.competition.division
    return {
        "division": division.name,
        "modality": division.modality,
        "data": ranking.competition.first.cell.data.id,
        "fingerprints": dict(ranking.competition.fingerprints),
        "samples": division.samples,
        **({"budgets": dict(division.budgets)} if division.budgets else {}),
        "baselines": list(ranking.competition.baselines),
        **(
            {"shown": list(ranking.competition.shown)}
            if ranking.competition.shown != ranking.competition.baselines
            else {}
        ),
        "headline": division.headline.title,
        "fault": ranking.unranked_reason,
        "scales": [scale_json(scale) for scale in ranking.scales],
        "ranking": [
            {**ranked_json(ranked), **entry_json(ranking.competition, ranked.entry)}
            for ranked in ranking.ranked_entries
        ],
        "unranked": [entry_json(ranking.competition, entry) for entry in unranked_entries(ranking)],
    }


def unranked_entries(ranking: Ranking) -> tuple[Entry, ...]:
    """Return entries that have no rank: incomplete ones, and all where the division ranks nothing."""
    return (
        ranking.competition.incomplete
        if ranking.ranked_entries
        else (*ranking.competition.complete, *ranking.competition.incomplete)
    )


def scale_json(scale: Scale) -> Json:
    """Return a measure with its unit, direction, chance and reference."""
    return {
        "measure": scale.measure.title,
        "unit": scale.metric.unit,
        "higher_is_better": scale.metric.higher_is_better,
        "chance": scale.chance,
        "reference": scale.reference,
    }


def ranked_json(ranked: RankedEntry) -> Json:
    """Return the rank and score of an entry."""
    return {
        "rank": list(ranked.ranks),
        "not_above": list(ranked.not_above),
        "score": score_json(ranked.score) if ranked.score is not None else None,
        "interval_over": interval_over(ranked.entry),
        "baseline_scores": dict(ranked.score.references) if ranked.score is not None else {},
    }


def score_json(score: Score) -> Json:
    """Return a score with its interval and both ends of its scale."""
    return {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "zero": score.zero,
        "zero_of": score.zero_of,
        "reference": score.reference,
    }


def interval_over(entry: Entry) -> str:
    """Return what its interval covers besides test items: "seeds" or "one seed"."""
    return "seeds" if len(entry.records) > 1 else "one seed"


def entry_json(competition: Competition, entry: Entry) -> Json:
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
        "measures": {
            measure.title: measure_json(competition, entry, measure) for measure in competition.division.measures
        },
        "pretext": pretext_json(entry),
        "cost": {name: cost for name in COSTS if (cost := cost_of(entry, name)) is not None},
    }


def measure_json(competition: Competition, entry: Entry, measure: Measure) -> Json:
    """Return the numbers of one measure, for the trained encoder and its references."""
    by_encoder = {}
    for encoder in ENCODERS:
        estimate = estimate_measure(competition, entry, measure, encoder)
        if estimate is not None:
            values = measure_values(competition, entry, measure, encoder)
            by_encoder[encoder] = {"mean": estimate.value, "low": estimate.low, "high": estimate.high, "values": values}
    return by_encoder


def pretext_json(entry: Entry) -> list[Json]:
    """Return how well the pretext task was solved, with chance, the best trivial predictor and the shortcut probe."""
    pretext = entry.first.pretext
    shortcut = pretext.shortcut if pretext is not None else {}
    return [pretext_metric_json(metric, shortcut.get(metric.name)) for metric in entry.pretext_metrics]


def pretext_metric_json(pretext: PretextMetric, shortcut_accuracy: float | None) -> Json:
    """Return one metric of the pretext task with its references."""
    estimate, trivial = pretext.estimate, pretext.best_trivial
    return {
        "metric": pretext.name,
        "unit": pretext.metric.unit,
        "higher_is_better": pretext.metric.higher_is_better,
        "mean": estimate.value if estimate is not None else None,
        "low": estimate.low if estimate is not None else None,
        "high": estimate.high if estimate is not None else None,
        "count": estimate.count if estimate is not None else None,
        "hidden": pretext.hidden_reason,
        "chance": pretext.references.chance,
        "trivial": asdict(trivial) if trivial is not None else None,
        "shortcut": shortcut_accuracy,
    }


def json_text(board: Json) -> str:
    """Return the text of board.json."""
    return json.dumps(board, ensure_ascii=False, sort_keys=True) + "\n"


def markdown_text(board: Json) -> str:
    """Return the text of board.md."""
    suite = board["suite"]
    lines = [f"# {plain_text(suite['id'])}", "", plain_text(suite["summary"]), ""]
    lines += [
        f"{board['records']} records, {board['failed']} of them failed, {sum(board['outside'].values())} outside.",
        "",
        SCORE,
        "",
    ]
    for ranking in board["tables"]:
        lines += markdown_table(ranking, shown_encoders(ranking.get("shown", ranking["baselines"])))
    lines += markdown_notices(board)
    lines += [f"- {count} left out: {plain_text(reason)}" for reason, count in board["outside"].items()]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(ranking: Json, encoders: Sequence[str]) -> list[str]:
    """Return the lines of one table: ranked entries with their numbers, then the others."""
    fingerprints = ", ".join(f"{part} {value[:12]}" for part, value in sorted(ranking["fingerprints"].items()))
    lines = [f"## {ranking['division']}: {ranking['data']} ({plain_text(fingerprints)})", ""]
    measures = {scale["measure"]: Metric(scale["unit"], scale["higher_is_better"]) for scale in ranking["scales"]}
    if ranking["fault"]:
        lines += [f"{unranked_text(ranking['fault'])}", ""]
    heads = [
        "rank",
        "entry",
        "score",
        "not above",
        *(f"{measure}, {encoder}" for measure in measures for encoder in encoders),
        "seeds",
    ]
    if ranking["ranking"]:
        lines += [row_text(heads), row_text(["---"] * len(heads))]
        lines += [row_text(markdown_row(entry, measures, encoders)) for entry in ranking["ranking"]]
        lines.append("")
    lines += [
        f"- not ranked: {plain_text(entry_name(entry))}: {plain_text(missing_text(entry))}"
        for entry in ranking["unranked"]
    ]
    return [*lines, ""]


def markdown_row(entry: Json, measures: Mapping[str, Metric], encoders: Sequence[str]) -> list[str]:
    """Return the cells of one entry."""
    score = entry["score"]
    numbers = [
        cell_text(entry["measures"][name].get(encoder), metric)
        for name, metric in measures.items()
        for encoder in encoders
    ]
    interval = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" if score is not None else ""
    not_above = not_above_text(entry["not_above"])
    name, num_seeds = plain_text(entry_name(entry)), str(len(entry["seeds"]))
    return [rank_text(entry["rank"]), name, interval, not_above, *numbers, num_seeds]


def unranked_text(fault: str) -> str:
    """Return a sentence of why a division ranks nothing.

    >>> unranked_text("linear accuracy: nothing is there")
    'Ranks nothing: linear accuracy: nothing is there.'
    """
    return f"Ranks nothing: {fault}." if fault else ""


def not_above_text(encoders: Sequence[str]) -> str:
    """Return the references that an entry is not significantly above, as words.

    >>> not_above_text(["random-init", "raw-input"])
    'random init, raw input'
    """
    return ", ".join(map(column_label, encoders))


def missing_text(entry: Json) -> str:
    """Return what an entry lacks."""
    return "; ".join(entry["missing"]) or "the division ranks nothing"


def entry_name(entry: Json) -> str:
    """Return the title of an entry, with what distinguishes it from others of that title."""
    distinction = f" [{entry['distinction']}]" if entry["distinction"] else ""
    return f"{entry['title']}{distinction}"


def rank_text(ranks: Sequence[int]) -> str:
    """Return a rank as an interval.

    >>> rank_text([1, 3]), rank_text([2, 2])
    ('1–3', '2')
    """
    return f"{ranks[0]}" if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"


def cell_text(number: Json | None, metric: Metric) -> str:
    """Return a mean with half the width of its interval."""
    if number is None:
        return ""
    text: str = format_number(number["mean"], metric)
    if number["low"] is None:
        return text
    return f"{text} ± {half_width_text(Estimate(number['mean'], number['low'], number['high'], 0), metric)}"


def half_width_text(estimate: Estimate, metric: Metric) -> str:
    """Return half the width of an interval, in the unit in which the number is written."""
    if estimate.low is None or estimate.high is None:
        return ""
    half_width = (estimate.high - estimate.low) / 2
    return f"{100 * half_width:.1f}" if metric.is_fraction else f"{half_width:.2g}"

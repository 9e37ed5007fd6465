"""Report: what one or several records of the same run say, as a table: the trained encoder beside its references.

With several seeds every number is a mean with its 95 % interval (Student's t), and differences are paired by seed.
"""

import math
from collections.abc import Mapping, Sequence

from pretask import Metric

from pretask_bench.records.encoders import ENCODERS, RANDOM, RAW, SUPERVISED, TRAINED, label_of
from pretask_bench.records.metrics import declared_by, declared_by_objective, direction
from pretask_bench.records.record import Record
from pretask_bench.results.pretext import estimate_part, explain_too_few
from pretask_bench.results.references import references_of_pretext, values_by_metric
from pretask_bench.results.statistics import Estimate, mean_over_seeds, paired_difference
from pretask_bench.results.tables import draw_table

PRETEXT_COLUMNS = ("pretext, held-out", "score", "answers", "chance")
COLUMNS = ("", label_of(TRAINED), label_of(RANDOM), "difference", label_of(RAW), label_of(SUPERVISED))


def report(records: Sequence[Record]) -> None:
    """Print the pretext score against chance, then a table for each evaluator."""
    seeds = ", ".join(str(record.cell.seed) for record in records)
    name = records[0].cell.task or records[0].cell.split.id
    print(f"\n{name} on {records[0].cell.data.id}, seed{'s' if len(records) > 1 else ''} {seeds}")
    draw_table(PRETEXT_COLUMNS, pretext_rows(records), pretext_title(records[0]))
    for evaluator in dict.fromkeys(row.evaluator for row in records[0].results):
        draw_table(COLUMNS, evaluator_rows(records, evaluator), f"{evaluator}: what is the encoder worth?")


def pretext_title(record: Record) -> str:
    """Return the heading of the pretext table, with how many samples the answers rest on."""
    pretext, question = record.pretext, "How well is the pretext task solved?"
    if pretext is None or pretext.draws is None:
        return question
    drawn = f", split {pretext.draws} times" if pretext.draws > 1 else ""
    seen = f"; trivial predictors saw {pretext.seen:,} training samples, as it did" if pretext.seen is not None else ""
    return f"{question} {pretext.samples:,} samples{drawn}{seen}"


def pretext_rows(records: Sequence[Record]) -> list[tuple[str, str, str, str]]:
    """Return every part of the held-out loss: direction, score with interval, answers and chance level."""
    rows = []
    first, declared = records[0].pretext, declared_by_objective(records[0])
    for name in first.metrics if first is not None else ():
        estimate = estimate_part(records, name)
        metric = declared.part(name)
        score = format_estimate(estimate, metric) if estimate is not None else "no valid answer"
        count = first.count.get(name) if first is not None else None
        rows.append(
            (
                f"{name} {direction(metric)}".strip(),
                (explain_too_few(first, name) if first is not None else "") or score,
                f"{count:,}" if count is not None else "",
                format_number(references_of_pretext(records[0], name).chance, metric),
            )
        )
    return rows


def evaluator_rows(records: Sequence[Record], evaluator: str) -> list[tuple[str, ...]]:
    """Return every metric of one evaluator: trained, random init, their difference paired by seed, and others."""
    found = {encoder: values_by_metric(records, evaluator, encoder) for encoder in ENCODERS}
    declared = declared_by(records[0], evaluator)
    rows: list[tuple[str, ...]] = []
    for name, values in found[TRAINED].items():
        metric = declared.metric(name)
        mean = {encoder: format_mean(numbers.get(name, {}), metric) for encoder, numbers in found.items()}
        beside = found[RANDOM].get(name, {})
        judged = values.keys() & beside.keys() and metric.higher_is_better is not None
        gain = format_estimate(paired_difference(values, beside), metric, sign=True) if judged else ""
        rows.append(
            (f"{name} {direction(metric)}".strip(), mean[TRAINED], mean[RANDOM], gain, mean[RAW], mean[SUPERVISED])
        )
    return rows + chosen_rows(records, evaluator)


def chosen_rows(records: Sequence[Record], evaluator: str) -> list[tuple[str, ...]]:
    """Return what one evaluator chose for every encoder, such as layer and pooling; not choices within layers."""
    found = {encoder: collect_choices(records, evaluator, encoder) for encoder in (TRAINED, RANDOM, RAW, SUPERVISED)}
    names = [name for name in found[TRAINED] if "." not in name]
    texts = {encoder: {name: ", ".join(chosen.get(name, ())) for name in names} for encoder, chosen in found.items()}
    return [
        (f"chosen {name}", texts[TRAINED][name], texts[RANDOM][name], "", texts[RAW][name], texts[SUPERVISED][name])
        for name in names
    ]


def collect_choices(records: Sequence[Record], evaluator: str, encoder: str) -> Mapping[str, list[str]]:
    """Return what an evaluator chose for an encoder: every value once, in the order of the records."""
    found: dict[str, list[str]] = {}
    for record in records:
        for row in record.results:
            if (row.evaluator, row.encoder) == (evaluator, encoder):
                for name, value in row.chosen.items():
                    found.setdefault(name, []).append(value)
    return {name: [*dict.fromkeys(values)] for name, values in found.items()}


def format_mean(values: Mapping[int, float], metric: Metric) -> str:
    """Return the mean over seeds, or nothing where there is none."""
    return format_estimate(mean_over_seeds([*values.values()]), metric) if values else ""


def format_number(value: float | None, metric: Metric) -> str:
    """Return one number: fractions in per cent, others with four digits."""
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if metric.is_fraction else f"{value:.4g}"


def format_estimate(estimate: Estimate, metric: Metric, *, sign: bool = False) -> str:
    """Return a number with half the width of its interval, where it has one."""
    text = format_number(estimate.value, metric)
    if sign and estimate.value >= 0:
        text = "+" + text
    if estimate.low is None or estimate.high is None or estimate.count < 2:
        return text
    half = (estimate.high - estimate.low) / 2
    if not math.isfinite(half):
        return text
    return f"{text} ± {100 * half:.1f}" if metric.is_fraction else f"{text} ± {half:.2g}"

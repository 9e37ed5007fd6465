"""Report: what one or several records of the same run say, as a table: the trained encoder beside its references.

Of several seeds every number is a mean with its 95 % interval (Student's t), and differences are paired by seed; of one
seed a fraction of correct test items has its binomial interval (Wilson).
"""

import math
from collections.abc import Mapping, Sequence

from pretask import Metric

from pretask_bench.records.cell import DataPart, describe_held_out
from pretask_bench.records.encoders import RANDOM, RAW, SUPERVISED, TRAINED, column_label
from pretask_bench.records.measured import Pretext
from pretask_bench.records.metrics import declared_metrics, direction, objective_metrics
from pretask_bench.records.record import Record
from pretask_bench.results.pretext import estimate_pretext_metric, explain_too_few_predictions
from pretask_bench.results.references import (
    encoder_title,
    estimate_encoder,
    list_encoders,
    pretext_references,
    values_by_metric,
)
from pretask_bench.results.statistics import Estimate, paired_difference
from pretask_bench.results.tables import draw_table

PRETEXT_COLUMNS = ("pretext, held-out", "score", "predictions", "chance")
WIDTH = 140  # characters, where stdout is no terminal
SHOWN = (TRAINED, RANDOM, RAW, SUPERVISED)  # encoders that COLUMNS has
COLUMNS = ("", column_label(TRAINED), column_label(RANDOM), "difference", column_label(RAW), column_label(SUPERVISED))


def report_runs(records: Sequence[Record]) -> None:
    """Print the pretext score against chance, then for each transfer set the tables of `report_evaluators`."""
    by_transfer: dict[str, list[Record]] = {}
    for record in records:
        by_transfer.setdefault(repr(record.cell.evaluated_on), []).append(record)
    for number, of_one_set in enumerate(by_transfer.values()):
        cell = of_one_set[0].cell
        seeds = ", ".join(str(record.cell.seed) for record in of_one_set)
        measured = "" if cell.evaluated_on is None else f", measured on {describe_data(cell.evaluated_on)}"
        measured += describe_held_out(cell)
        print(f"\n{cell.task or cell.split.id} on {cell.data.id}{measured}, seed{'s' * (',' in seeds)} {seeds}")
        if number == 0:
            draw_table(PRETEXT_COLUMNS, pretext_rows(of_one_set), pretext_title(of_one_set[0]))
        report_evaluators(of_one_set)


def describe_data(data: DataPart) -> str:
    """Return the id of a data set, with the last name of the place of its files where it has one."""
    root = data.options.get("root")
    return f"{data.id} ({root})" if isinstance(root, str) and root else data.id


def report_evaluators(records: Sequence[Record]) -> None:
    """Print a table for each evaluator: the trained encoder beside its references."""
    for evaluator in dict.fromkeys(row.evaluator for row in records[0].results):
        columns, rows = list_columns(records), evaluator_rows(records, evaluator)
        draw_table(columns, rows, f"{evaluator}: what is the encoder worth?", width=WIDTH)


def pretext_title(record: Record) -> str:
    """Return the heading of the pretext table, with how many samples the predictions are of."""
    pretext, question = record.pretext, "How well is the pretext task solved?"
    if pretext is None or pretext.draws is None:
        return question
    drawn = f", split {pretext.draws} times" if pretext.draws > 1 else ""
    seen = f"; trivial predictors saw {pretext.seen:,} training samples, as it did" if pretext.seen is not None else ""
    return f"{question} {pretext.samples:,} samples{drawn}{seen}"


def pretext_rows(records: Sequence[Record]) -> list[tuple[str, str, str, str]]:
    """Return every metric of the pretext task: direction, value with interval, predictions and chance level."""
    pretext = records[0].pretext
    return [pretext_row(records, pretext, name) for name in pretext.metrics] if pretext is not None else []


def pretext_row(records: Sequence[Record], pretext: Pretext, name: str) -> tuple[str, str, str, str]:
    """Return the cells under PRETEXT_COLUMNS of one metric.

    Args:
        records: One for each seed.
        pretext: The pretext score of the first of them.
        name: Name of the metric.
    """
    metric = objective_metrics(records[0]).pretext_metric(name)
    estimate = estimate_pretext_metric(records, name)
    score = format_estimate(estimate, metric) if estimate is not None else "no valid prediction"
    count = pretext.count.get(name)
    return (
        f"{name} {direction(metric)}".strip(),
        explain_too_few_predictions(pretext, name) or score,
        f"{count:,}" if count is not None else "",
        format_number(pretext_references(records[0], name).chance, metric),
    )


def list_columns(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the headings of `evaluator_rows`: COLUMNS, and others of what else was measured."""
    return (*COLUMNS, *(encoder_title(records, encoder) for encoder in list_further(records)))


def list_further(records: Sequence[Record]) -> list[str]:
    """Return the encoders that were measured and that COLUMNS has not: initial weights, and those of elsewhere."""
    measured = {result.encoder for record in records for result in record.results}
    return [name for name in list_encoders(records) if name in measured and name not in SHOWN]


def evaluator_rows(records: Sequence[Record], evaluator: str) -> list[tuple[str, ...]]:
    """Return every metric of one evaluator: trained, random init, their difference paired by seed, and others."""
    further = list_further(records)
    by_encoder = {encoder: values_by_metric(records, evaluator, encoder) for encoder in (*SHOWN, *further)}
    declared = declared_metrics(records[0], evaluator)
    rows: list[tuple[str, ...]] = []
    for name, trained in by_encoder[TRAINED].items():
        metric = declared.metric(name)
        means = {encoder: format_encoder(records, evaluator, encoder, name, metric) for encoder in by_encoder}
        gain = format_gain(trained, by_encoder[RANDOM].get(name, {}), metric)
        label = f"{name} {direction(metric)}".strip()
        rows.append(make_row(label, means, gain, further))
    return rows + chosen_rows(records, evaluator)


def make_row(label: str, texts: Mapping[str, str], gain: str, further: Sequence[str]) -> tuple[str, ...]:
    """Return the cells under `list_columns`."""
    shown = (texts[TRAINED], texts[RANDOM], gain, texts[RAW], texts[SUPERVISED])
    return (label, *shown, *(texts[encoder] for encoder in further))


def format_gain(trained: Mapping[int, float], random: Mapping[int, float], metric: Metric) -> str:
    """Return the paired difference of values by seed; nothing where no seed has both, or neither way is better."""
    if metric.higher_is_better is None or not trained.keys() & random.keys():
        return ""
    return format_estimate(paired_difference(trained, random), metric, sign=True)


def chosen_rows(records: Sequence[Record], evaluator: str) -> list[tuple[str, ...]]:
    """Return what one evaluator chose for every encoder, such as layer and pooling; not choices within layers."""
    further = list_further(records)
    choices = {encoder: collect_choices(records, evaluator, encoder) for encoder in (*SHOWN, *further)}
    names = [name for name in choices[TRAINED] if "." not in name]
    return [
        make_row(
            f"chosen {name}",
            {encoder: ", ".join(chosen.get(name, ())) for encoder, chosen in choices.items()},
            "",
            further,
        )
        for name in names
    ]


def collect_choices(records: Sequence[Record], evaluator: str, encoder: str) -> Mapping[str, list[str]]:
    """Return what an evaluator chose for an encoder: every value once, in the order of the records."""
    choices: dict[str, list[str]] = {}
    for record in records:
        result = record.find_result(evaluator, encoder)
        for name, value in result.chosen.items() if result is not None else ():
            choices.setdefault(name, []).append(value)
    return {name: [*dict.fromkeys(values)] for name, values in choices.items()}


def format_encoder(records: Sequence[Record], evaluator: str, encoder: str, name: str, metric: Metric) -> str:
    """Return a number of an encoder with its interval, or nothing where it was not measured."""
    estimate = estimate_encoder(records, evaluator, encoder, name)
    return "" if estimate is None else format_estimate(estimate, metric)


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
    half_width = (estimate.high - estimate.low) / 2
    if not math.isfinite(half_width):
        return text
    return f"{text} ± {100 * half_width:.1f}" if metric.is_fraction else f"{text} ± {half_width:.2g}"


def format_difference(value: float, metric: Metric) -> str:
    """Return a difference with its sign, in points where the number is a fraction.

    >>> format_difference(0.0312, Metric("fraction")), format_difference(-0.5, Metric("nats"))
    ('+3.1', '-0.5')
    """
    return f"{100 * value:+.1f}" if metric.is_fraction else f"{value:+.4g}"


def format_difference_interval(estimate: Estimate, metric: Metric) -> str:
    """Return the interval of a difference; "" where it has none."""
    low, high = estimate.low, estimate.high
    if low is None or high is None or not math.isfinite(high - low):
        return ""
    return f"{format_difference(low, metric)} to {format_difference(high, metric)}"

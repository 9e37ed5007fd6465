"""Agreement: whether two records of one cell replicate each other, by the one rule that rerun and the board have.

`exact`: weights, numbers and items are the same to the last bit. `consistent`: they are not, as other machines and
versions bring about, but for every row's items the 99 % interval of the paired difference holds 0, and
every number without items (losses, the pretext score) is within 2 % of what it was, or 2 points where it is a share.
`divergent`: anything else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pretask import Metric

from pretask_bench.records.measured import EvaluationResult, Items
from pretask_bench.records.metrics import DeclaredMetrics, declared_metrics, objective_metrics
from pretask_bench.records.record import Record
from pretask_bench.records.verify import numbers_agree, result_label
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import difference_over_items

CONFIDENCE = 0.99
TOLERANCE = 0.02  # of a number without items, relative; of a share, absolute
EXACT, CONSISTENT, DIVERGENT = "exact", "consistent", "divergent"


@dataclass(frozen=True)
class Judgment:
    """One number of the record beside that of the rerun.

    Args:
        name: Name of the number and of its row.
        before: The recorded number, as text.
        now: The number of the rerun, as text.
        rule: The rule of agreement, in words.
        agrees: Whether they agree.
    """

    name: str
    before: str
    now: str
    rule: str
    agrees: bool


def judge(old: Record, new: Record) -> Iterator[Judgment]:
    """Compare the numbers that a verdict rests on: those of a record with those of its rerun."""
    results = {(result.encoder, result.evaluator): result for result in new.results}
    for result in old.results:
        other = results.get((result.encoder, result.evaluator))
        if other is None:
            yield Judgment(result_label(result), "there", "missing", "a row for a row", agrees=False)
        else:
            yield from judge_result(result, other, declared_metrics(old, result.evaluator))
    before, now = (record.pretext.metrics if record.pretext is not None else {} for record in (old, new))
    metrics = objective_metrics(old)
    for name in before:
        if ": " not in name:  # the others are of trivial predictors
            yield judge_number(f"pretext {name}", metrics.pretext_metric(name), before[name], now.get(name))


def judge_result(result: EvaluationResult, other: EvaluationResult, declared: DeclaredMetrics) -> Iterator[Judgment]:
    """Compare the items of a row, or where it has none its headline number."""
    for name, items in result.items.items():
        yield judge_items(result_label(result, name), items, other.items.get(name))
    finite = {name: value for name, value in result.metrics.items() if value is not None}
    if not result.items and finite:
        name = declared.choose_headline(finite) or next(iter(finite))
        yield judge_number(result_label(result, name), declared.metric(name), finite[name], other.metrics.get(name))


def judge_items(name: str, before: Items, now: Items | None) -> Judgment:
    """Judge whether the interval of the paired difference between two sets of answers holds 0."""
    accuracy = before.share
    if now == before:  # what most replicates are, and by far the fastest
        return Judgment(name, f"{100 * accuracy:.1f} %", f"{100 * accuracy:.1f} %", "the same answers", agrees=True)
    if now is None or (now.test, now.count) != (before.test, before.count):
        return Judgment(name, f"{before.count} items", "other items or none", "the same items", agrees=False)
    difference = difference_over_items(now.correct(), before.correct(), CONFIDENCE)
    low, high = difference.low or 0.0, difference.high or 0.0
    interval = f"99 % interval {100 * low:+.1f} to {100 * high:+.1f} holds 0"
    return Judgment(
        name=name,
        before=f"{100 * accuracy:.1f} %",
        now=f"{100 * (accuracy + difference.value):.1f} %",
        rule=interval,
        agrees=bool(low <= 0 <= high),
    )


def judge_number(name: str, metric: Metric, before: float | None, now: float | None) -> Judgment:
    """Judge whether a number that was not counted from items is within the tolerance."""
    recorded, repeated = (format_number(value, metric) if value is not None else "none" for value in (before, now))
    if before is None or now is None:
        return Judgment(name, recorded, repeated, "both or none", agrees=before is now)
    tolerance = TOLERANCE if metric.is_fraction else TOLERANCE * max(abs(before), abs(now))
    rule = "within 2 points" if metric.is_fraction else "within 2 %"
    return Judgment(name, recorded, repeated, rule, agrees=abs(now - before) <= tolerance)


def verdict(old: Record, new: Record, judged: Sequence[Judgment]) -> str:
    """Return exact, consistent or divergent."""
    results = [[(result.encoder, result.evaluator) for result in record.results] for record in (old, new)]
    if old.weights is not None and sorted(results[0]) == sorted(results[1]) and numbers_agree(old, new):
        return EXACT
    return CONSISTENT if all(judgment.agrees for judgment in judged) else DIVERGENT


def find_contradiction(first: Record, second: Record) -> Judgment | None:
    """Return the first number in which two records of one cell diverge; None where they are replicates.

    Only what both measured, with the same options, is judged: that one of them measured more contradicts nothing.
    """
    return next((judgment for judgment in judge(*restrict_to_common(first, second)) if not judgment.agrees), None)


def restrict_to_common(first: Record, second: Record) -> tuple[Record, Record]:
    """Return both records, with the rows, the items and the pretext scores that both have."""
    options, other_options = first.cell.evaluators, second.cell.evaluators
    same = {name for name in options.keys() & other_options.keys() if options[name] == other_options[name]}
    pairs = [
        restrict_to_common_items(result, other)
        for result in first.results
        if result.evaluator in same and (other := second.find_result(result.evaluator, result.encoder)) is not None
    ]
    without_pretext = {} if first.pretext is not None and second.pretext is not None else {"pretext": None}
    return (
        first.model_copy(update={"results": tuple(result for result, _ in pairs), **without_pretext}),
        second.model_copy(update={"results": tuple(result for _, result in pairs), **without_pretext}),
    )


def restrict_to_common_items(
    result: EvaluationResult, other: EvaluationResult
) -> tuple[EvaluationResult, EvaluationResult]:
    """Return two rows with the items that both have."""
    if result.items.keys() == other.items.keys():
        return result, other
    first, second = (
        side.model_copy(update={"items": {name: items for name, items in side.items.items() if name in kept}})
        for side, kept in ((result, other.items), (other, result.items))
    )
    return first, second

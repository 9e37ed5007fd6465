"""Tables of an ablation: main effects and interactions, for people, papers and programs."""

from collections.abc import Iterable, Sequence
from typing import Any

from pretask_bench.records.ids import short_name
from pretask_bench.records.metrics import direction
from pretask_bench.results.ablation import Ablation, Effect
from pretask_bench.results.query import Table
from pretask_bench.results.report import format_difference, format_difference_interval

COLUMNS = ("measure", "choice", "level", "against", "contexts", "difference", "95 % interval", "p", "p after Holm")
MAX_INTERACTIONS = 12  # of a measure, in a table for people: the largest
TIMES = " × "


def effects_table(ablations: Sequence[Ablation], whole: bool = False) -> Table:
    """Return the table of all effects; with every interaction where it is `whole`, else with the largest."""
    pairs = [
        (ablation, effect)
        for ablation in ablations
        for effect in (*ablation.main, *ablation.interactions[: None if whole else MAX_INTERACTIONS])
    ]
    cells = [effect_cells(ablation, effect) for ablation, effect in pairs]
    return Table(COLUMNS, cells, [effect_fields(ablation, effect) for ablation, effect in pairs])


def measure_title(ablation: Ablation) -> str:
    """Return what was measured, with the direction in which it is better."""
    arrow = direction(ablation.metric)
    return " ".join(filter(None, (short_name(ablation.evaluator), ablation.metric_name, arrow)))


def effect_cells(ablation: Ablation, effect: Effect) -> tuple[str, ...]:
    """Return the texts under COLUMNS of one effect; differences of fractions in points of per cent."""
    p_values = ("" if value is None else f"{value:.2g}" for value in (effect.p_value, effect.corrected))
    return (
        measure_title(ablation),
        *(TIMES.join(names) for names in (effect.factors, effect.levels, effect.against)),
        str(effect.contexts),
        format_difference(effect.estimate.value, ablation.metric),
        format_difference_interval(effect.estimate, ablation.metric),
        *p_values,
    )


def effect_fields(ablation: Ablation, effect: Effect) -> dict[str, Any]:
    """Return an effect as plain numbers, for programs."""
    from pretask_bench.results.compare import finite_or_none

    return {
        "evaluator": ablation.evaluator,
        "metric": ablation.metric_name,
        "kind": "main" if len(effect.factors) == 1 else "interaction",
        "choice": TIMES.join(effect.factors),
        "level": TIMES.join(effect.levels),
        "against": TIMES.join(effect.against),
        "contexts": effect.contexts,
        "seeds": effect.estimate.count,
        "difference": effect.estimate.value,
        "low": finite_or_none(effect.estimate.low),
        "high": finite_or_none(effect.estimate.high),
        "p": effect.p_value,
        "p after Holm": effect.corrected,
    }


def describe(ablations: Iterable[Ablation]) -> list[str]:
    """Return a line for every measure: of how many records, seeds and choices."""
    return [
        f"{measure_title(ablation)}: {ablation.runs} records, seeds {', '.join(map(str, ablation.seeds))}, "
        f"{len(ablation.main)} main effects, {len(ablation.interactions)} interactions"
        for ablation in ablations
    ]

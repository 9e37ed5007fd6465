"""Ablation: what each choice of a sweep changes, all else equal, and which choices change what another one does.

A factor is a part or an option that not all records have alike. The effect of a level is its difference from the most
frequent level, over the contexts in which both were run: all other factors equal, the same data and the same seed.
Levels that share no context with it, as splits of other data, are compared with the most frequent one among themselves.
An effect is averaged over contexts, so that every context counts once, and its interval is Student's over the seeds,
which are paired. An interaction is the difference of two such differences. Combinations that are missing, because their
parts do not fit or a run failed, are missing on both sides. The options of a part belong to it: where the part is the
factor, they are averaged over, since another part has others. So does the objective belong to the split where every
split was run with one only: the two are one choice then, which goes by the name of the split.

Source: Fisher 1935 (factorial experiments); Student 1908 (t interval); Holm 1979 (many tests).
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

from pretask import Metric

from pretask_bench.records.canonical import json_text
from pretask_bench.records.cell import Cell, Part
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.ids import short_name
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record
from pretask_bench.results.statistics import (
    Estimate,
    holm_correction,
    paired_difference,
    paired_t_test,
)

PARTS = ("split", "objective", "model")
RECIPE = "recipe"
MAX_LEVELS = 24  # of a factor: more are no levels but a search
ABSENT = "—"  # the level of an option that a part does not have

Levels = Mapping[str, str]  # of a run: the level of every factor
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class MeasuredRun:
    """A record's number with all that it was made of.

    Args:
        levels: Parts and options by name.
        block: What must be equal for numbers to compare: data, what is measured on, and the evaluator's options.
        seed: The seed.
        value: The headline metric of the trained encoder.
    """

    levels: Levels
    block: str
    seed: int
    value: float


@dataclass(frozen=True)
class Effect:
    """A difference that a choice makes.

    Args:
        factors: One factor, or two of an interaction.
        levels: Of each the level that is compared.
        against: Of each the level that it is compared with.
        contexts: In how many it could be compared.
        estimate: The difference, or the difference of differences, with its 95 % interval over seeds.
        p_value: Two-sided; None for a single seed.
        corrected: The same after Holm's correction over all effects of the analysis.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    against: tuple[str, ...]
    contexts: int
    estimate: Estimate
    p_value: float | None
    corrected: float | None = None


@dataclass(frozen=True)
class Ablation:
    """What the choices of a sweep change of one number.

    Args:
        evaluator: Id of what measured it.
        metric_name: The number.
        metric: Its unit and direction.
        runs: How many records.
        seeds: Which.
        factors: Levels by factor, the most frequent first.
        main: Main effects, in the order of factors.
        interactions: Of two factors each, the largest first.
    """

    evaluator: str
    metric_name: str
    metric: Metric
    runs: int
    seeds: tuple[int, ...]
    factors: Mapping[str, Sequence[str]]
    main: Sequence[Effect]
    interactions: Sequence[Effect]


def analyze(records: Iterable[Record]) -> list[Ablation]:
    """Return an analysis for every evaluator of some records, by its headline metric."""
    measured: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        for evaluator in record.cell.evaluators if record.status == "complete" else ():
            if (name := find_headline(record, evaluator)) is not None:
                measured.setdefault((evaluator, name), []).append(record)
    return [analyze_metric(found, *measure) for measure, found in sorted(measured.items())]


def find_headline(record: Record, evaluator: str) -> str | None:
    """Return the headline metric of an evaluator of a record; None where the trained encoder has none."""
    row = record.find_result(evaluator, TRAINED)
    known = [name for name, value in row.metrics.items() if value is not None] if row is not None else []
    return declared_metrics(record, evaluator).choose_headline(known) or None


def analyze_metric(records: Sequence[Record], evaluator: str, name: str) -> Ablation:
    """Return the analysis of one metric of one evaluator."""
    runs = [read_run(record, evaluator, name) for record in records]
    factors = find_factors(runs)
    by_factor = [effects for factor in factors if (effects := [*main_effects(runs, factors, factor)])]
    pairs = [effect for pair in combinations(by_factor, 2) for effect in interaction_effects(runs, factors, *pair)]
    main, pairs = correct([effect for effects in by_factor for effect in effects], pairs)
    return Ablation(
        evaluator,
        name,
        declared_metrics(records[0], evaluator).metric(name),
        len(runs),
        tuple(sorted({run.seed for run in runs})),
        factors,
        main,
        sorted(pairs, key=lambda effect: -abs(effect.estimate.value)),
    )


def read_run(record: Record, evaluator: str, name: str) -> MeasuredRun:
    """Return a record's number with all that it was made of."""
    row = record.find_result(evaluator, TRAINED)
    value = row.metrics[name] if row is not None else None
    assert value is not None  # the metric was found in it
    cell = record.cell
    block = json_text([cell.data.model_dump(), cell.evaluated_on and cell.evaluated_on.model_dump()])
    block += json_text([dict(cell.evaluators[evaluator]), cell.hold_out])
    return MeasuredRun(read_levels(cell), block, cell.seed, value)


def read_levels(cell: Cell) -> dict[str, str]:
    """Return the parts and options of a cell by names such as `split` and `split.patch`."""
    levels: dict[str, str] = {}
    for name in PARTS:
        part: Part = getattr(cell, name)
        levels[name] = short_name(part.id)
        levels |= {f"{name}.{option}": format_level(value) for option, value in part.options.items()}
    return levels | {f"{RECIPE}.{name}": format_level(value) for name, value in cell.recipe.items()}


def format_level(value: Any) -> str:
    """Return the value of an option as people read it.

    >>> format_level([64, 64]), format_level(0.1), format_level(None)
    ('64,64', '0.1', 'none')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(format_level, value)) or "()"
    return "none" if value is None else str(value)


def find_factors(runs: Sequence[MeasuredRun]) -> dict[str, list[str]]:
    """Return the levels of everything that varies, the most frequent first.

    What varies only with a part, as an option that only that part has, is none; nor is what has a level of its own in
    almost every run.
    """
    names = dict.fromkeys(name for run in runs for name in run.levels)
    found: dict[str, list[str]] = {}
    for name in names:
        within = [run for run in runs if name in run.levels]
        counts = Counter(run.levels[name] for run in within)
        if 1 < len(counts) <= MAX_LEVELS and not follows_part(within, name):
            found[name] = sorted(counts, key=lambda level: (-counts[level], order_of(level)))
    return found


def order_of(level: str) -> tuple[float, str]:
    """Return what levels that are as frequent are sorted by: numbers by size, before texts.

    >>> sorted(["10", "whole", "9"], key=order_of)
    ['9', '10', 'whole']
    """
    try:
        return float(level), ""
    except ValueError:
        return math.inf, level


def follows_part(runs: Sequence[MeasuredRun], name: str) -> bool:
    """Return whether something has one value for each part that it belongs to: then the part is the factor."""
    part = "split" if name == "objective" else name.partition(".")[0]
    if part in (name, RECIPE):
        return False
    values: dict[str, set[str]] = {}
    for run in runs:
        values.setdefault(run.levels[part], set()).add(run.levels[name])
    return all(len(found) == 1 for found in values.values())


def belongs_to(name: str, factors: Collection[str]) -> str:
    """Return the part that an option belongs to; an objective that is no factor belongs to its split.

    >>> belongs_to("objective.hidden", ["split", "model"]), belongs_to("objective.hidden", ["split", "objective"])
    ('split', 'objective')
    """
    part = name.partition(".")[0]
    return "split" if part == "objective" and "objective" not in factors else part


def context_of(run: MeasuredRun, factors: Collection[str], without: Sequence[str]) -> str:
    """Return what a run has in common with those that it is compared with: all but some factors and their options."""
    rest = [
        f"{name}={run.levels.get(name, ABSENT)}"
        for name in factors
        if name not in without and belongs_to(name, factors) not in without
    ]
    return "\n".join([run.block, *rest])


def average_by(
    runs: Iterable[MeasuredRun], factors: Iterable[str], chosen: Sequence[str]
) -> dict[tuple[str, ...], dict[str, dict[int, float]]]:
    """Return the numbers by levels of the chosen factors, context and seed; of several runs the mean."""
    names, found = [*factors], dict[tuple[str, ...], dict[str, dict[int, list[float]]]]()
    for run in runs:
        levels = tuple(run.levels.get(factor, ABSENT) for factor in chosen)
        context = context_of(run, names, chosen)
        found.setdefault(levels, {}).setdefault(context, {}).setdefault(run.seed, []).append(run.value)
    return {
        levels: {
            context: {seed: math.fsum(values) / len(values) for seed, values in seeds.items()}
            for context, seeds in contexts.items()
        }
        for levels, contexts in found.items()
    }


def main_effects(runs: Sequence[MeasuredRun], factors: Mapping[str, Sequence[str]], factor: str) -> Iterator[Effect]:
    """Yield the effect of every level of a factor against the first that it shares a context with."""
    averages = average_by(runs, factors, (factor,))
    waiting = [*factors[factor]]
    while len(waiting) > 1:
        first, *others = waiting
        waiting = []
        for level in others:
            sides = [averages[level,], averages[first,]]
            contexts, seeds = match_contexts(sides)
            if seeds:
                values, base = (mean_by_seed(side, contexts, seeds) for side in sides)
                yield make_effect((factor,), (level,), (first,), len(contexts), values, base)
            else:
                waiting.append(level)


def interaction_effects(
    runs: Sequence[MeasuredRun], factors: Mapping[str, Sequence[str]], one: Sequence[Effect], other: Sequence[Effect]
) -> Iterator[Effect]:
    """Yield how much a level of one factor changes the effect of a level of another, by the main effects of both."""
    names = (one[0].factors[0], other[0].factors[0])
    if belongs_to(names[0], factors) == names[1] or belongs_to(names[1], factors) == names[0]:
        return  # an option, and the part that it belongs to
    averages = average_by(runs, factors, names)
    for first, second in product(one, other):
        level, base = (first.levels[0], second.levels[0]), (first.against[0], second.against[0])
        corners = [level, base, (level[0], base[1]), (base[0], level[1])]
        sides = [averages.get(corner, {}) for corner in corners]
        contexts, seeds = match_contexts(sides)
        if seeds:
            means = [mean_by_seed(side, contexts, seeds) for side in sides]
            values, others = ({seed: a[seed] + b[seed] for seed in seeds} for a, b in (means[:2], means[2:]))
            yield make_effect(names, level, base, len(contexts), values, others)


def match_contexts(sides: Sequence[Mapping[str, BySeed]]) -> tuple[list[str], list[int]]:
    """Return the contexts that all sides have with the same seeds, and these: as many as most contexts have."""
    common = set(sides[0]).intersection(*sides[1:])
    seeds_of = {
        context: frozenset(sides[0][context]).intersection(*(side[context] for side in sides[1:])) for context in common
    }
    counts = Counter(seeds_of.values())
    if not counts:
        return [], []
    chosen = max(counts, key=lambda seeds: (len(seeds) * counts[seeds], sorted(seeds)))
    return sorted(context for context, seeds in seeds_of.items() if seeds >= chosen), sorted(chosen)


def mean_by_seed(side: Mapping[str, BySeed], contexts: Sequence[str], seeds: Sequence[int]) -> dict[int, float]:
    """Return the mean over contexts for every seed."""
    return {seed: math.fsum(side[context][seed] for context in contexts) / len(contexts) for seed in seeds}


def make_effect(
    factors: tuple[str, ...],
    levels: tuple[str, ...],
    against: tuple[str, ...],
    contexts: int,
    values: BySeed,
    base: BySeed,
) -> Effect:
    """Return the effect of numbers by seed over others."""
    return Effect(factors, levels, against, contexts, paired_difference(values, base), paired_t_test(values, base))


def correct(*groups: Sequence[Effect]) -> list[list[Effect]]:
    """Return effects with p-values after Holm's correction over all of them."""
    tested = [effect.p_value for group in groups for effect in group if effect.p_value is not None]
    corrected = iter(holm_correction(tested))
    return [
        [effect if effect.p_value is None else replace(effect, corrected=next(corrected)) for effect in group]
        for group in groups
    ]

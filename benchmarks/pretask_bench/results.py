"""Results: many records at a glance, one row for every encoder that was trained, seeds taken together.

A row says how well the pretext task was solved beside its chance level and the best trivial guess, and the first number
of each evaluator beside that of the same network at random initialisation and of raw input. It ranks nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from pretask_bench.records import Record, cell_key
from pretask_bench.report import RANDOM, RAW, TRAINED, by_metric, over_seeds, shown, written
from pretask_bench.statistics import mean_over_seeds

Group = Sequence[Record]
COLUMNS = ("what", "data", "seeds", "pretext", "chance", "best trivial", "probe", "trained", "random init", "raw input")
HEADLINES = ("accuracy", "J&F", "auc", "perplexity", "elbo")


def grouped(records: Sequence[Record]) -> list[Group]:
    """Complete records by cell, seeds left out; of a cell that was run again, the newest; by name and data."""

    def key(record: Record) -> tuple[str, str, str]:
        return title(record), record.cell.data.id, cell_key(record.cell, without={"seed", "artifact"})

    complete = [record for record in records if record.status == "complete"]
    newest = {(key(each), each.cell.seed): each for each in sorted(complete, key=lambda each: each.provenance.ended)}
    ordered = sorted(newest.values(), key=lambda each: (key(each), each.cell.seed))
    return [list(group) for _, group in groupby(ordered, key)]


def title(record: Record) -> str:
    """The task, or the parts of a free combination."""
    cell = record.cell
    task = short(cell.task) if cell.task is not None else ""
    parts = " + ".join(short(part.id) for part in (cell.split, cell.objective, cell.model))
    return f"{task} ({short(cell.model.id)})" if task else parts


def short(full: str) -> str:
    """The name in an id.

    >>> short("pretask/relative-position@1")
    'relative-position'
    """
    return full.split("/", 1)[-1].rsplit("@", 1)[0]


def summary_rows(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """The rows of the table that COLUMNS heads: one for each group and evaluator."""
    return [row for group in groups for row in rows_of(group)]


def rows_of(group: Group) -> list[tuple[str, ...]]:
    """The rows of one encoder."""
    first = group[0]
    on = first.cell.evaluated_on
    data = short(first.cell.data.id) + (f" → {short(on.id)}" if on is not None else "")
    start = (title(first), data, str(len(group)), *pretext_cells(group))
    measured = [probe_cells(group, evaluator) for evaluator in dict.fromkeys(row.evaluator for row in first.results)]
    return [(*start, *cells) for cells in measured or [("",) * 4]]


def pretext_cells(group: Group) -> tuple[str, str, str]:
    """The main number of the pretext task, its chance level, and what the best trivial guess reaches."""
    pretext = group[0].pretext
    name = main_pretext(group[0])
    if pretext is None or name is None:
        return ("", "", "")
    values = [each.pretext.metrics.get(name) for each in group if each.pretext is not None]
    score = shown(mean_over_seeds([value for value in values if value is not None]), name)
    best = best_guess(pretext.metrics, name)
    return (
        f"{name} {score}",
        written(pretext.chance.get(name), name),
        f"{best[0]} {written(best[1], name)}" if best else "",
    )


def main_pretext(record: Record) -> str | None:
    """The metric by which a pretext task is read at a glance: a share where there is one, else nats."""
    metrics = record.pretext.metrics if record.pretext is not None else {}
    own = [name for name, value in metrics.items() if ": " not in name and value is not None]
    for ending in (".accuracy", ".explained"):
        for name in own:
            if name.endswith(ending):
                return name
    return own[0] if own else None


def best_guess(metrics: Mapping[str, float | None], name: str) -> tuple[str, float] | None:
    """The trivial guess that does best by this metric."""
    guesses = [
        (each.removesuffix(f": {name}"), value)
        for each, value in metrics.items()
        if each.endswith(f": {name}") and value is not None
    ]
    better = max if name.endswith((".accuracy", ".explained")) else min
    return better(guesses, key=lambda guess: guess[1]) if guesses else None


def probe_cells(group: Group, evaluator: str) -> tuple[str, ...]:
    """The number that stands for an evaluator, for the trained encoder and for those that it is held against."""
    found = [by_metric(group, evaluator, encoder) for encoder in (TRAINED, RANDOM, RAW)]
    if not found[0]:
        return (short(evaluator), "", "", "")
    name = headline(evaluator, found[0])
    return (f"{short(evaluator)} {name}", *(over_seeds(each.get(name, {}), name) for each in found))


def headline(evaluator: str, found: Mapping[str, object]) -> str:
    """The number that stands for an evaluator: the first of HEADLINES that it gives, else its first."""
    return next((name for name in HEADLINES if name in found), next(iter(found)))

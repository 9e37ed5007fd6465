"""Results: many records at a glance, one line for every encoder that was trained and evaluator, seeds taken together.

A line says how well the pretext task was solved beside its chance level and the best trivial guess, and the first
number of each evaluator beside that of the same network at random initialisation and of raw input. It ranks nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pretask_bench.records import Record, cell_key
from pretask_bench.report import RANDOM, RAW, SUPERVISED, TRAINED, by_metric, choices, shown, written
from pretask_bench.statistics import Estimate, mean_over_seeds

Group = Sequence[Record]
COLUMNS = ("what", "data", "seeds", "pretext", "chance", "best trivial", "probe", "trained", "random init", "raw input")
HEADLINES = ("accuracy", "5.accuracy", "J&F", "auc", "perplexity", "elbo", "rankme")
ENCODERS = {"trained": TRAINED, "random init": RANDOM, "raw input": RAW, "supervised": SUPERVISED}


@dataclass(frozen=True)
class Line:
    """What one evaluator says of one encoder, beside what it is held against.

    Args:
        what: The task, or the parts of a free combination; `data` what it learned from, and was measured on.
        data: See there.
        seeds: How many records.
        failed: What went wrong, where that is what they say.
        pretext: The main number of the pretext task, by name.
        score: Over seeds.
        chance: Of it.
        trivial: The best trivial guess, and what it reaches.
        evaluator: Without its namespace.
        metric: The number that stands for it.
        found: That number by encoder.
        chosen: What the evaluator chose for the trained encoder, such as layer and pooling.
    """

    what: str
    data: str
    seeds: int
    failed: str = ""
    pretext: str = ""
    score: Estimate | None = None
    chance: float | None = None
    trivial: tuple[str, float] | None = None
    evaluator: str = ""
    metric: str = ""
    found: Mapping[str, Estimate] | None = None
    chosen: Mapping[str, Sequence[str]] | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts under COLUMNS."""
        found = self.found or {}
        probe = f"failed: {self.failed}" if self.failed else f"{self.evaluator} {self.metric}".strip()
        probe += f" ({self.choice})" if self.choice else ""
        values = [shown(found[each], self.metric) if each in found else "" for each in (TRAINED, RANDOM, RAW)]
        return (self.what, self.data, str(self.seeds), *self.pretext_cells, probe, *values)

    @property
    def choice(self) -> str:
        """What was chosen, but for what was chosen within single layers."""
        return ", ".join("/".join(values) for name, values in (self.chosen or {}).items() if "." not in name)

    @property
    def pretext_cells(self) -> tuple[str, str, str]:
        """The main number of the pretext task, its chance level, and what the best trivial guess reaches."""
        if self.score is None:
            return ("", "", "")
        name = self.pretext
        best = f"{self.trivial[0]} {written(self.trivial[1], name)}" if self.trivial is not None else ""
        return (f"{name} {shown(self.score, name)}", written(self.chance, name), best)

    @property
    def facts(self) -> dict[str, Any]:
        """The same as plain numbers, with the ends of 95 % intervals; for other programs."""
        name, value = self.trivial or (None, None)
        facts: dict[str, Any] = {"what": self.what, "data": self.data, "seeds": self.seeds, "failed": self.failed}
        facts |= {"pretext metric": self.pretext, **ends("pretext", self.score), "chance": self.chance}
        facts |= {"trivial guess": name, "best trivial": value, "evaluator": self.evaluator, "metric": self.metric}
        facts["chosen"] = {name: [*values] for name, values in (self.chosen or {}).items()}
        for label, encoder in ENCODERS.items():
            facts |= ends(label, (self.found or {}).get(encoder))
        return facts


def ends(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """A number and its interval under their names."""
    values = (estimate.value, estimate.low, estimate.high) if estimate is not None else (None, None, None)
    return dict(zip((name, f"{name} low", f"{name} high"), values, strict=True))


def grouped(records: Sequence[Record]) -> list[Group]:
    """Complete records by cell, seeds left out; of a cell that was run again, the newest; by name and data."""
    return together((seedless(record), record) for record in records if record.status == "complete")


def seedless(record: Record) -> str:
    """What records of other seeds have in common."""
    return cell_key(record.cell, without={"seed", "artifact"})


def together(keyed: Iterable[tuple[str, Record]]) -> list[Group]:
    """Records of one key, in the order of their seeds; by name, data and key."""
    newest = {(key, each.cell.seed): each for key, each in sorted(keyed, key=lambda pair: pair[1].provenance.ended)}
    groups: dict[str, list[Record]] = {}
    for key, seed in sorted(newest):
        groups.setdefault(key, []).append(newest[key, seed])
    ordered = sorted(groups, key=lambda key: (title(groups[key][0]), groups[key][0].cell.data.id, key))
    return [groups[key] for key in ordered]


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


def is_called(full: str, wanted: str) -> bool:
    """Whether a value may be called so.

    >>> is_called("pretask/vae@1", "vae"), is_called("pretask/vae@1", "pretask/vae"), is_called("pretask/vae@1", "va")
    (True, True, False)
    """
    return wanted in (full, full.rsplit("@", 1)[0], short(full))


def summary_rows(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """The rows of the table that COLUMNS heads: one for each group and evaluator."""
    return [line.cells for line in lines(groups)]


def lines(groups: Sequence[Group]) -> list[Line]:
    """What there is to say of each group and evaluator."""
    return [line for group in groups for line in lines_of(group)]


def lines_of(group: Group) -> list[Line]:
    """The lines of one encoder; one without an evaluator where none measured it."""
    first = group[0]
    on = first.cell.evaluated_on
    data = short(first.cell.data.id) + (f" → {short(on.id)}" if on is not None else "")
    start = {"what": title(first), "data": data, "seeds": len(group), **pretext_facts(group)}
    if first.status == "failed":
        return [Line(**start, failed=(first.error or "").strip().split("\n")[0])]
    evaluators = dict.fromkeys(row.evaluator for row in first.results)
    return [Line(**start, **probe_facts(group, each)) for each in evaluators] or [Line(**start)]


def pretext_facts(group: Group) -> dict[str, Any]:
    """The main number of the pretext task, its chance level, and what the best trivial guess reaches."""
    pretext, name = group[0].pretext, main_pretext(group[0])
    if pretext is None or name is None:
        return {}
    values = [each.pretext.metrics.get(name) for each in group if each.pretext is not None]
    score = mean_over_seeds([value for value in values if value is not None])
    trivial = best_guess(pretext.metrics, name)
    return {"pretext": name, "score": score, "chance": pretext.chance.get(name), "trivial": trivial}


def pretext_cells(group: Group) -> tuple[str, str, str]:
    """The same as texts."""
    return Line("", "", len(group), **pretext_facts(group)).pretext_cells


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


def probe_facts(group: Group, evaluator: str) -> dict[str, Any]:
    """The number that stands for an evaluator, for the trained encoder and for those that it is held against."""
    trained = by_metric(group, evaluator, TRAINED)
    if not trained:
        return {"evaluator": short(evaluator)}
    name = headline(evaluator, trained)
    values = {encoder: by_metric(group, evaluator, encoder).get(name, {}) for encoder in ENCODERS.values()}
    found = {encoder: mean_over_seeds([*each.values()]) for encoder, each in values.items() if each}
    chosen = choices(group, evaluator, TRAINED)
    return {"evaluator": short(evaluator), "metric": name, "found": found, "chosen": chosen}


def headline(evaluator: str, found: Mapping[str, object]) -> str:
    """The number that stands for an evaluator: the first of HEADLINES that it gives, else its first."""
    return next((name for name in HEADLINES if name in found), next(iter(found)))

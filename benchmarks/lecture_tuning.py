"""Trials of learning rates for the tasks of a suite, on a tenth that is held out of what they may learn from.

    python benchmarks/lecture_tuning.py WORK --set images.data.root=PHOTOS …      # what the suite leaves to its user

Every task is trained as the suite has it, with its rate and with half and twice of that, with a seed that no board
uses, and measured by the headline measure of its division. WORK takes runs and records; the trials are printed as rows
of a Markdown table. Running it again goes on where it stopped.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.record import Record
from pretask_bench.records.store import read
from pretask_bench.results.pretext import pretext_metrics
from pretask_bench.runs.bench import REFERENCES, PlannedRun, execute_plans, plan_suite
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.plan import parse_setting
from pretask_bench.runs.suites import Suite, read_suite
from pretask_registry import Registry

SEED, TENTH = 100, 0.1
FACTORS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Trial:
    """A task with one rate.

    Args:
        planned: As the suite has it.
        rate: The learning rate that is tried.
        is_present: Whether it is the suite's.
    """

    planned: PlannedRun
    rate: float
    is_present: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of its run."""
        given, headline = self.planned.arguments, self.planned.division.headline
        others = {*given["evaluators"]} - {headline.evaluator}
        of_parts = {name: value for name, value in given["settings"].items() if name.partition(".")[0] not in others}
        settings = {**of_parts, "recipe.lr": self.rate}
        held = {"settings": settings, "evaluators": (headline.evaluator,), "seed": SEED, "hold_out": TENTH}
        return {**given, **held, REFERENCES: ()}

    def row(self, record: Record) -> str:
        """Return a row of the table: division, task, rate, pretext score, headline measure."""
        headline = self.planned.division.headline
        result = next(result for result in record.results if result.encoder == TRAINED)
        pretext = "; ".join(
            f"{metric.name} {metric.estimate.value:.4g}"
            for metric in pretext_metrics([record])[:2]
            if metric.estimate is not None
        )
        rate = f"{self.rate:g}" + (" (the suite's)" if self.is_present else "")
        cells = (
            self.planned.division.name,
            self.planned.task.name,
            rate,
            pretext,
            f"{result.metrics[headline.metric]:.4f}",
        )
        return f"| {' | '.join(cells)} |"


def list_trials(registry: Registry, suite: Suite, options: argparse.Namespace) -> Iterator[Trial]:
    """Yield the trials of every task, in the first division that has it."""
    seen = set[str]()
    given = dict(map(parse_setting, options.settings))
    for planned in plan_suite(registry, suite, tasks=options.tasks, seeds=1, given=given):
        if planned.plan is None or planned.task.id in seen:
            continue
        seen.add(planned.task.id)
        for factor in FACTORS:
            yield Trial(planned, float(f"{planned.plan.recipe.lr * factor:.3g}"), factor == 1)


def main() -> None:
    """Run every trial and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--suite", default="lecture")
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PART.OPTION=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry = Registry.load()
    context = RunContext(options.work, torch.device("cpu"), pictures=False)
    for trial in list_trials(registry, read_suite(registry, options.suite), options):
        (ended,) = execute_plans(registry, [trial.arguments], context)
        print(trial.row(read(ended.path)) if ended.path else f"{trial.planned.task.name}: {ended}", flush=True)


if __name__ == "__main__":
    main()

"""Probing: what the encoder is worth while it is trained, by evaluators that are quick, on the held-out part.

What was found lies in the run's folder, so that a run that goes on after an interruption has all of it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from pretask import Budget, PretaskError, Task
from pretask.events import EncoderProbed
from pretask.files import write_whole
from pretask.training import Visits
from pretask_registry import Registered, build

from pretask_bench.runs.context import RunContext
from pretask_bench.runs.prepare import PreparedRun
from pretask_bench.runs.watching import Audience

PROBES = ("pretask/knn@1", "pretask/rank@1")
FILE = "probed.json"
INNER = "layer"  # begins the names of numbers of inner layers
MOST = 512  # steps that are kept


def make_visits(
    audience: Audience, prepared: PreparedRun, task: Task, context: RunContext, folder: Path
) -> Visits | None:
    """Return what measures the encoder every so many steps, tells and keeps what it finds; None where none shall.

    Args:
        audience: Is told.
        prepared: With the data to measure on.
        task: That is trained.
        context: How often.
        folder: Of the run.
    """
    if not context.probe_every:
        return None
    probes = [audience.registry.find("evaluator", name) for name in PROBES]

    def visit(step: int) -> None:
        metrics: dict[str, float] = {}
        for probe in list(probes):
            try:
                metrics.update(measure(probe, prepared, task))
            except PretaskError as error:
                probes.remove(probe)
                context.say(f"not measured in training: {error}")
        keep(folder, step, metrics)
        audience.tell(EncoderProbed(step, metrics))

    return Visits(context.probe_every, visit)


def measure(probe: Registered, prepared: PreparedRun, task: Task) -> Iterator[tuple[str, float]]:
    """Yield the numbers of the output of the encoder, by EVALUATOR.METRIC."""
    for name, value in build(probe, {})(task, prepared.evaluation_data, Budget(seed=prepared.plan.seed)):
        if isinstance(value, int | float) and not name.startswith(INNER):
            yield f"{probe.component.name}.{name}", float(value)


def keep(folder: Path, step: int, metrics: Mapping[str, float]) -> None:
    """Add what was found at a step to the run's folder, in place of what an interrupted sitting found from there on."""
    found = {number: earlier for number, earlier in read_probed(folder).items() if number < step}
    found[step] = {name: value for name, value in metrics.items() if math.isfinite(value)}
    while len(found) > MOST:
        found = dict([*found.items()][::-2][::-1])  # every other one, the newest among them
    write_whole(folder / FILE, json.dumps(found).encode())


def read_probed(folder: Path) -> dict[int, dict[str, float]]:
    """Return the numbers by step; none where nothing was measured."""
    try:
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {int(step): metrics for step, metrics in found.items()}

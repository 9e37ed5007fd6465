"""Probing: what the encoder is worth while it is trained, by evaluators that are quick, on the held-out part.

What was found lies in the run's folder, so that a run that goes on after an interruption has all of it: in probed.json,
and of other data in a file that names that data, since its numbers are of no other record.
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
    file = find_file(prepared, folder)
    probes = [audience.registry.find("evaluator", name) for name in PROBES]

    def visit(step: int) -> None:
        metrics: dict[str, float] = {}
        for probe in list(probes):
            try:
                metrics.update(measure(probe, prepared, task))
            except PretaskError as error:
                probes.remove(probe)
                context.say(f"not measured in training: {error}")
        keep(file, step, metrics)
        audience.tell(EncoderProbed(step, metrics))

    return Visits(context.probe_every, visit)


def measure(probe: Registered, prepared: PreparedRun, task: Task) -> Iterator[tuple[str, float]]:
    """Yield the numbers of the output of the encoder, by EVALUATOR.METRIC."""
    for name, value in build(probe, {})(task, prepared.evaluation_data, Budget(seed=prepared.plan.seed)):
        if isinstance(value, int | float) and not name.startswith(INNER):
            yield f"{probe.component.name}.{name}", float(value)


def find_file(prepared: PreparedRun, folder: Path) -> Path:
    """Return the file in a run's folder of what was measured on the data of its record."""
    other = prepared.cell.evaluated_on
    return folder / ("probed.json" if other is None else f"probed-{other.fingerprints['test'][:12]}.json")


def keep(file: Path, step: int, metrics: Mapping[str, float]) -> None:
    """Add what was found at a step to a file, in place of what an interrupted sitting found from there on."""
    found = {number: earlier for number, earlier in read_probed(file).items() if number < step}
    found[step] = {name: value for name, value in metrics.items() if math.isfinite(value)}
    while len(found) > MOST:
        found = dict([*found.items()][::-2][::-1])  # every other one, the newest among them
    write_whole(file, json.dumps(found).encode())


def take_probed(prepared: PreparedRun, source: Path, folder: Path, step: int) -> None:
    """Give a run what was measured, up to a step, in another one that trained the same so far."""
    measured = read_probed(find_file(prepared, source))
    found = {number: metrics for number, metrics in measured.items() if number <= step}
    if found:
        write_whole(find_file(prepared, folder), json.dumps(found).encode())


def read_probed(file: Path) -> dict[int, dict[str, float]]:
    """Return the numbers by step; none where nothing was measured, or the file is damaged."""
    try:
        found = json.loads(file.read_text())
        return {int(step): {**metrics} for step, metrics in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}

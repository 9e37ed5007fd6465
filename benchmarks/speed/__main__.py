"""Speed, as ratios measured side by side in one run: `python -m benchmarks.speed [NAME …]`, or `make speed`.

operations  kernels that a step starts beside those that its network needs, task by task; no load changes them
steps       the share of a step's time that is the network's, task by task
draws       what each kind of random number costs, beside torch's generator
compat      how long 216,000 combinations of parts are filtered

Each is written as JSON with machine and versions to benchmarks/results/speed/NAME.json. Two more have arguments of
their own, `probe` and `sgd-probe`: `python -m benchmarks.speed probe --help`.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.draw_costs import measure_draws
from benchmarks.speed.operations import measure_operations
from benchmarks.speed.report import write_report
from benchmarks.speed.steps import measure_steps
from benchmarks.speed.workloads import list_workloads

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "speed"
SCRIPTS = {"probe": "probe.py", "sgd-probe": "sgd_probe.py", "compat": "compat.py"}
MEASUREMENTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "operations": lambda options: measure_operations(chosen(options), torch.device(options.device)),
    "steps": lambda options: measure_steps(chosen(options), torch.device(options.device)),
    "draws": lambda options: measure_draws(torch.device(options.device)),
}


def chosen(options: argparse.Namespace) -> Any:
    """Return the workloads that were asked for."""
    return list_workloads(tuple(options.task), tuple(options.size))


def main() -> None:
    """Measure what is named, or everything that needs no arguments."""
    if sys.argv[1:2] and sys.argv[1] in SCRIPTS:
        raise SystemExit(subprocess.call([sys.executable, HERE / SCRIPTS[sys.argv[1]], *sys.argv[2:]]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MEASUREMENTS)}; all where none is named")
    parser.add_argument("--task", action="append", default=[], help="Only this task; may be given several times.")
    parser.add_argument("--size", action="append", choices=("quick", "larger"), help="Only networks of this size.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help=f"Folder of the JSON; {RESULTS.name} of the results where all is run.")
    options = parser.parse_args()
    options.size = options.size or ["quick", "larger"]
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join((*MEASUREMENTS, *SCRIPTS))}")
    complete = not options.task and set(options.size) == {"quick", "larger"} and options.device == "cpu"
    folder = options.out or (RESULTS if complete else None)
    torch.set_num_threads(1)  # CPU seconds of one thread: two at a time on busy cores measure each other
    for name in options.names or MEASUREMENTS:
        started = datetime.now(UTC)
        print(f"\n{name}")
        write_report(name, MEASUREMENTS[name](options), started, folder)
    if not options.names:
        subprocess.run([sys.executable, HERE / SCRIPTS["compat"]], check=True)


if __name__ == "__main__":
    main()

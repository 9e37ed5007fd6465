"""Speed, as ratios measured side by side in one run: `python -m benchmarks.speed [NAME …]`, or `make speed`.

operations   kernels that a step starts beside those that its network needs, task by task; no load changes them
steps        the share of a step's time that is the network's, task by task
draws        what each kind of random number costs, beside torch's generator
extraction   features of all layers, beside the bare forward pass
data         photographs decoded once, beside decoding in every epoch
propagation  masks carried on in blocks, beside all affinities
startup      whole commands, beside Python alone
growth       probe, results, board and sweep --plan by the size of what they are given
compat       how long 216,000 combinations of parts are filtered

Those are measured where nothing is named. What needs somebody else's library is named, in an environment of its own
(pip install -e '.[all]' lightly==1.6.0), and so is what takes long:

peers        splits, beside the code that people use, one sample after the other
end-to-end   training, beside lightly and the Trainer of transformers

large-data   steps and memory with a thousand to a million samples, mapped or in tar shards (4 GB of disk)

ranks        samples that two processes train on in the time of one

families     24 networks of timm: whether they fit, learn with every weight, and what share of a step is theirs

convolutions  gradients that a processor has wrong, and whether training is kept from them

gpu          what only a GPU can show, in under ten minutes; `--dry` tries it on a processor with tiny networks
probe        45 regularizers, beside scikit-learn; has arguments of its own (`probe --help`)
sgd-probe    the same, beside 90 epochs of SGD; likewise

Each is written as JSON with machine and versions to benchmarks/results/speed/NAME.json, or to --out.
"""

import argparse
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pretask import PretaskError

from benchmarks.speed.report import write_report
from benchmarks.speed.workloads import list_workloads

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "speed"
SCRIPTS = {"probe": "probe.py", "sgd-probe": "sgd_probe.py", "compat": "compat.py"}


def measure(module: str, function: str, *arguments: Any) -> dict[str, Any]:
    """Call a measurement by name: only what is measured is imported."""
    measured: dict[str, Any] = getattr(importlib.import_module(f"benchmarks.speed.{module}"), function)(*arguments)
    return measured


Measurement = Callable[[argparse.Namespace], dict[str, Any]]
SOUND: Mapping[str, Measurement] = {
    "operations": lambda options: measure("operations", "measure_operations", chosen(options), options.device),
    "steps": lambda options: measure("steps", "measure_steps", chosen(options), options.device),
    "draws": lambda options: measure("draw_costs", "measure_draws", options.device),
    "extraction": lambda options: measure("extraction", "measure_extraction", options.device, tuple(options.task)),
    "data": lambda options: measure("data_path", "measure_data"),
    "propagation": lambda options: measure("propagation", "measure_propagation", options.device),
    "startup": lambda options: measure("startup", "measure_startup"),
    "growth": lambda options: measure("growth", "measure_growth"),
}
NAMED: Mapping[str, Measurement] = {
    "peers": lambda options: measure("peers", "measure_peers", tuple(options.task)),
    "end-to-end": lambda options: measure("end_to_end", "measure_end_to_end", options.device),
    "large-data": lambda options: measure("large_data", "measure_large_data"),
    "ranks": lambda options: measure("ranks", "measure_ranks", tuple(options.task)),
    "families": lambda options: measure("families", "measure_families", options.device, tuple(options.task)),
    "convolutions": lambda options: measure("convolutions", "measure_convolutions"),
    "gpu": lambda options: measure("gpu", "measure_gpu", options.dry),
}
MEASUREMENTS = {**SOUND, **NAMED}


def chosen(options: argparse.Namespace) -> Any:
    """Return the workloads that were asked for."""
    return list_workloads(tuple(options.task), tuple(options.size), options.books)


def parse_arguments() -> argparse.Namespace:
    """Return what is to be measured, and where it is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*MEASUREMENTS, *SCRIPTS)))
    parser.add_argument("--task", action="append", default=[], help="Only this task; may be given several times.")
    parser.add_argument("--size", action="append", choices=("quick", "larger"), help="Only networks of this size.")
    parser.add_argument("--books", default="", metavar="FOLDER", help="Only tables of vectors, on these texts.")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--dry", action="store_true", help="Of gpu: tiny, on a processor.")
    parser.add_argument("--out", type=Path, help=f"Folder of the JSON; {RESULTS.name} of the results where all is run.")
    options = parser.parse_args()
    options.size = options.size or ["quick", "larger"]
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join((*MEASUREMENTS, *SCRIPTS))}")
    is_complete = not (options.task or options.dry or options.books) and len(options.size) == 2
    if options.out is None and is_complete and (options.device.type == "cpu" or "gpu" in options.names):
        options.out = RESULTS
    return options


def main() -> None:
    """Measure what is named, or everything that needs no arguments."""
    if sys.argv[1:2] and sys.argv[1] in SCRIPTS:
        raise SystemExit(subprocess.call([sys.executable, HERE / SCRIPTS[sys.argv[1]], *sys.argv[2:]]))
    options = parse_arguments()
    torch.set_num_threads(1)  # CPU seconds of one thread: two at a time on busy cores measure each other
    failed = run_each(options.names or SOUND, options)
    if not options.names and subprocess.call([sys.executable, HERE / SCRIPTS["compat"]]):
        failed["compat"] = "see above"
    if failed:
        raise SystemExit("\n".join(f"{name} failed: {reason}" for name, reason in failed.items()))


def run_each(names: Iterable[str], options: argparse.Namespace) -> dict[str, str]:
    """Measure and write one after the other; return why some could not be, which keep no other from its turn."""
    failed: dict[str, str] = {}
    for name in names:
        started = datetime.now(UTC)
        print(f"\n{name}", flush=True)
        try:
            write_report(name, MEASUREMENTS[name](options), started, options.out)
        except Exception as error:
            failed[name] = str(error) if isinstance(error, PretaskError) else f"{type(error).__name__}: {error}"
            print(failed[name], flush=True)
    return failed


if __name__ == "__main__":
    main()

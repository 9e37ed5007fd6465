"""What a suite asks of a GPU: operations of every training, counted, and the time they take at a stated speed.

    python benchmarks/gpu_budget.py lecture-gpu --tera 40 --set images.data.root=PHOTOS …

One small step of every task is run on a CPU, and its operations are those of a few samples, times the budget. Recurrent
networks are left out, whose products are not counted. What measuring takes is not in it.
"""

import argparse
import sys

import torch
from pretask_bench.runs.bench import plan_suite
from pretask_bench.runs.cost import training_flops
from pretask_bench.runs.plan import parse_setting
from pretask_bench.runs.prepare import prepare_run
from pretask_bench.runs.suites import read_suite
from pretask_registry import Registry

TERA, MINUTE = 1e12, 60
CPU = torch.device("cpu")


def main() -> None:
    """Print a row for every task, and the sum over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument(
        "--tera", type=float, default=40, help="operations a second that the GPU is taken to reach, e12"
    )
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PART.OPTION=VALUE")
    options = parser.parse_args()
    registry = Registry.load()
    suite = read_suite(registry, options.suite)
    total = 0.0
    for planned in plan_suite(registry, suite, seeds=1, given=dict(map(parse_setting, options.settings))):
        name = f"{planned.division.name}\t{planned.task.name}"
        if planned.plan is None:
            print(f"{name}\t{planned.refusal}", file=sys.stderr)
            continue
        prepared = prepare_run(planned.plan, CPU)
        flops = training_flops(prepared.compose(CPU), prepared.train, 0)
        minutes = None if flops is None else flops / options.tera / TERA / MINUTE
        print(name, "not counted" if minutes is None else f"{flops:.2g}\t{minutes:.2f} min", sep="\t", flush=True)
        total += minutes or 0.0
    print(f"all, {suite.file.seeds} seeds\t{suite.file.seeds * total:.0f} min at {options.tera:g}e12 a second")


if __name__ == "__main__":
    main()

"""What a suite asks of a GPU: operations of every training, counted, and the time they take at a stated speed.

    python benchmarks/gpu_budget.py lecture-gpu --tera 40 --set images.data.root=PHOTOS …

One small step of every task is run on a CPU, and its operations are those of a few samples, times the budget; what two
divisions train alike is counted once. `supervised` is the reference, trained as long on whole samples; `fine-tune` is
what that evaluator trains, of every encoder that it is shown. Recurrent networks are left out, whose products are not
counted, and so is what measuring takes that trains nothing but a probe or a detector's head.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

import torch
from pretask_bench.records.encoders import SUPERVISED
from pretask_bench.runs.bench import REFERENCES, plan_suite
from pretask_bench.runs.cost import training_flops
from pretask_bench.runs.plan import Plan, parse_setting, trains_the_same
from pretask_bench.runs.prepare import PreparedRun, prepare_run
from pretask_bench.runs.stages import prepare_supervised
from pretask_bench.runs.suites import Division, Suite, read_suite
from pretask_registry import Registry, build

TERA, MINUTE = 1e12, 60
CPU = torch.device("cpu")
FINE_TUNE = "fine-tune"


def main() -> None:
    """Print a row for every training, and the sum over seeds."""
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
    for division, name, flops in count_trainings(registry, suite, dict(map(parse_setting, options.settings))):
        minutes = None if flops is None else flops / options.tera / TERA / MINUTE
        shown = ("not counted",) if minutes is None else (f"{flops:.2g}", f"{minutes:.2f} min")
        print(division.name, name, *shown, sep="\t", flush=True)
        total += suite.seeds_of(division) * (minutes or 0.0)
    print(f"all seeds\t{total:.0f} min at {options.tera:g}e12 a second")


def count_trainings(
    registry: Registry, suite: Suite, given: dict[str, str]
) -> Iterator[tuple[Division, str, float | None]]:
    """Yield every training of one seed: division, name, and operations; None where they are not counted."""
    seen: list[Plan] = []
    for planned in plan_suite(registry, suite, seeds=1, given=given):
        division, name = planned.division, planned.task.name
        if planned.plan is None:
            print(f"{division.name}\t{name}\t{planned.refusal}", file=sys.stderr)
            continue
        prepared, references = prepare_run(planned.plan, CPU), planned.arguments[REFERENCES]
        if not any(trains_the_same(planned.plan, other) for other in seen):
            yield division, name, count_flops(prepared)
            if SUPERVISED in references:
                yield division, f"{name}, {SUPERVISED}", count_flops(prepare_supervised(registry, prepared))
        seen.append(planned.plan)
        if any(evaluator.name == FINE_TUNE for evaluator in planned.plan.evaluators):
            tuned = prepare_fine_tuning(registry, prepared, encoders=1 + len(references))
            yield division, f"{name}, {FINE_TUNE}", count_flops(tuned)


def prepare_fine_tuning(registry: Registry, prepared: PreparedRun, encoders: int) -> PreparedRun:
    """Return a supervised run of as many samples as `fine-tune` is trained on, of all encoders together."""
    supervised = prepare_supervised(registry, prepared)
    evaluator = registry.find("evaluator", FINE_TUNE)
    tune = build(evaluator, prepared.plan.options_of(FINE_TUNE))
    trainings = len(tune.rates) + 1  # the best one is trained again on all samples
    samples = len(prepared.train) * max(tune.epochs) * trainings * encoders
    return replace(supervised, plan=replace(supervised.plan, recipe=replace(supervised.plan.recipe, samples=samples)))


def count_flops(prepared: PreparedRun) -> float | None:
    """Return the operations of a training."""
    return training_flops(prepared.compose(CPU), prepared.train, 0)


if __name__ == "__main__":
    main()

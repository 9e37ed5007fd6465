"""Session: what `pretask run` and `pretask.run` do alike: plans for every seed, the context, and the runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretask_registry import Registry

from pretask_bench.runs.plan import Plan, make_plan

if TYPE_CHECKING:
    from pretask_bench.runs.context import RunContext
    from pretask_bench.runs.run import StoredRecord


def make_plans(
    registry: Registry,
    task: str | None,
    *,
    parts: Mapping[str, str | None],
    settings: Mapping[str, Any],
    samples: int | None,
    seeds: Iterable[int],
    evaluators: Iterable[str],
    preset: str | None,
    fit_with: Path | None,
    init: str | None = None,
) -> list[Plan]:
    """Return the plan of every seed.

    Args:
        registry: Where names are looked up.
        task: The starting point; without one, all four parts must be named.
        parts: Names of parts; None where the task's own is meant.
        settings: Options, such as {"split.patch": "24"}.
        samples: The budget; None leaves the recipe's.
        seeds: Of weights, order and draws.
        evaluators: Names of evaluators.
        preset: One of the task's presets.
        fit_with: A run with whose encoder the split is fitted.
        init: A run, a file or timm, with whose weights the model begins.
    """
    named = {part: name for part, name in parts.items() if name is not None}
    options = dict(settings) if samples is None else {**settings, "recipe.samples": samples}
    return [
        make_plan(
            registry,
            task,
            preset=preset,
            parts=named,
            settings=options,
            evaluators=evaluators,
            seed=seed,
            fit_with=fit_with,
            init=init,
        )
        for seed in seeds
    ]


def make_context(
    out: Path,
    device: str,
    threads: int | None,
    baselines: str,
    *,
    checkpoint_seconds: float,
    **further: Any,
) -> "RunContext":
    """Return where and how runs happen.

    Args:
        out: Folder of runs and records.
        device: Name of a device, or auto.
        threads: Of the processor; None leaves them as they are.
        baselines: Names of reference encoders, with commas between them.
        checkpoint_seconds: Between two checkpoints.
        further: What else RunContext has: again, pictures, probe_every, profile, trackers, attribution.
    """
    from pretask_bench.runs.context import RunContext
    from pretask_bench.runs.devices import find_device
    from pretask_bench.runs.reference_encoders import parse_references

    references = parse_references(baselines)
    where = find_device(device, threads)
    return RunContext(out, where, checkpoint_seconds, references=references, **further)


def run_plans(registry: Registry, plans: "list[Plan]", context: "RunContext") -> "list[StoredRecord]":
    """Run plans one after the other, or the only one on all ranks that were started; nothing but on the first rank."""
    from pretask_bench.runs.ranks import count_ranks
    from pretask_bench.runs.run import run, run_on_ranks

    if count_ranks() == 1 or len(plans) > 1:
        return [run(registry, plan, context) for plan in plans]
    stored = run_on_ranks(registry, plans[0], context)
    return [] if stored is None else [stored]

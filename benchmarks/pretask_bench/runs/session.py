"""Session: what `pretask run` and `pretask.run` have in common: plans for every seed, the context, and the runs.

Several transfer sets are several plans that differ in what is measured alone: each has a cell and a record of its own,
as if it had been named by itself, and they find the same trained weights. A cell stays one place on one board, its
references are measured on the same data as itself, and records with one transfer set stay what they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretask import Unknown
from pretask_registry import Registry

from pretask_bench.runs.plan import EVALUATION_DATA, Plan, make_plan

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
    fit_with: PathLike[str] | str | None,
    init: PathLike[str] | str | None = None,
    hold_out: float = 0.0,
    on: Sequence[str] = (),
) -> list[Plan]:
    """Return the plan of every seed and transfer set.

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
        hold_out: Share of the training part to measure on in the place of the test part; 0 for none.
        on: Names of other data to measure on, each for itself; none for what is learned from.

    Raises:
        Unknown: A name or option does not exist, or a part is missing.
    """
    named = {part: name for part, name in parts.items() if name is not None}
    options = dict(settings) if samples is None else {**settings, "recipe.samples": samples}
    transfers = list_transfers(on, options)
    return [
        make_plan(
            registry,
            task,
            preset=preset,
            parts=named | parts_of_set,
            settings=options_of_set,
            evaluators=evaluators,
            seed=seed,
            fit_with=None if fit_with is None else Path(fit_with),
            init=None if init is None else str(init),
            hold_out=hold_out,
        )
        for seed in seeds
        for parts_of_set, options_of_set in transfers
    ]


def list_transfers(on: Sequence[str], settings: Mapping[str, Any]) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Return the part `on` and the settings for every transfer set; `on.2.root` is of the second, `on.root` of all.

    >>> [settings for _, settings in list_transfers(["folder", "stl10"], {"on.1.root": "pets", "on.size": 32})]
    [{'on.size': 32, 'on.root': 'pets'}, {'on.size': 32}]

    Raises:
        Unknown: An option is of a transfer set that is not there.
    """
    numbered = {name: number for name in settings if (number := find_number(name)) is not None}
    for name, number in numbered.items():
        if not 1 <= number <= len(on):
            raise Unknown(f"{name} is of transfer set {number}; there are {len(on)}. Name as many: --on, on=[…].")
    common = {name: value for name, value in settings.items() if name not in numbered}
    transfers: list[tuple[dict[str, str], dict[str, Any]]] = []
    for place, name in enumerate(on, start=1):
        start = f"{EVALUATION_DATA}.{place}."
        own = {
            f"{EVALUATION_DATA}.{option.removeprefix(start)}": value
            for option, value in settings.items()
            if option.startswith(start)
        }
        transfer = ({EVALUATION_DATA: name}, common | own)
        if transfer not in transfers:
            transfers.append(transfer)
    return transfers or [({}, common)]


def find_number(name: str) -> int | None:
    """Return the number of the transfer set that an option is of; None for one of all, or of another part.

    >>> find_number("on.2.root"), find_number("on.root"), find_number("split.2.patch")
    (2, None, None)
    """
    part, _, rest = name.partition(".")
    number, dot, _ = rest.partition(".")
    return int(number) if part == EVALUATION_DATA and dot and number.isdecimal() and number.isascii() else None


def make_context(
    out: Path,
    device: str,
    threads: int | None,
    baselines: str,
    *,
    checkpoint_seconds: float,
    begun: bool = False,
    given: Iterable[PathLike[str] | str] = (),
    **further: Any,
) -> "RunContext":
    """Return where and how runs happen.

    Args:
        out: Folder of runs and records.
        device: Name of a device, or auto.
        threads: Of the processor; None leaves them as they are.
        baselines: Names of reference encoders, with commas between them.
        checkpoint_seconds: Between two checkpoints.
        begun: Whether the runs begin with given weights, which are then measured beside the trained ones.
        given: Places of encoders of elsewhere, to be measured as well.
        further: What else RunContext has: again, pictures, probe_every, profile, trackers, attribution.
    """
    from pretask_bench.runs.context import RunContext
    from pretask_bench.runs.devices import find_device
    from pretask_bench.runs.reference_encoders import parse_references

    references = parse_references(baselines, begun)
    where = find_device(device, threads)
    places = tuple(map(str, given))
    return RunContext(out, where, checkpoint_seconds, references=references, given=places, **further)


def run_plans(registry: Registry, plans: "list[Plan]", context: "RunContext") -> "list[StoredRecord]":
    """Run plans one after the other, or the only one on all ranks that were started; nothing but on the first rank."""
    from pretask_bench.runs.ranks import count_ranks
    from pretask_bench.runs.run import run_all, run_on_ranks

    say_left_out(plans[0], context)
    if count_ranks() == 1 or len(plans) > 1:
        return run_all(registry, plans, context)
    stored = run_on_ranks(registry, plans[0], context)
    return [] if stored is None else [stored]


def say_left_out(plan: Plan, context: "RunContext") -> None:
    """Say which settings went with a part that was replaced, though the part in its place has them as well."""
    for name, value in plan.left_out.items():
        part = plan.parts[name.partition(".")[0]].name
        context.say(f"{name}={value} was made for what {part} replaces, and is left out: --set {name}={value} keeps it")

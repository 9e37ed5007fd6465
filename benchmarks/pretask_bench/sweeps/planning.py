"""Planning: what becomes of every cell of a grid, before anything is trained: refused, dropped, done or to run; why."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pretask import Incompatible, PretaskError
from pretask_registry import Registry

from pretask_bench.records.code import changed_modules, list_changes
from pretask_bench.records.ids import short_name
from pretask_bench.records.store import read
from pretask_bench.runs.plan import KINDS, Plan, PlanSettings, make_plan
from pretask_bench.runs.reference_encoders import required_references
from pretask_bench.sweeps.grid import EVALUATE, HOLD_OUT, PRESET, SEED, TASK, Choices, Combination, GridFile, expand
from pretask_bench.sweeps.keys import DescribedCell, Describer, find_once
from pretask_bench.sweeps.ledger import Ledger
from pretask_bench.sweeps.past import PastRecords, Recorded, find_recorded

State = Literal["refused", "dropped", "done", "to run"]
STATES: Sequence[State] = ("done", "to run", "dropped", "refused")


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a grid.

    Args:
        number: Its place in the grid, from 1.
        choices: A value for each choice, the seed included.
        arguments: Those of `make_plan`.
        state: What becomes of it.
        why: For what reason; of one that is done its record.
        plan: What it is made of; None where that is refused.
        described: What it will be recorded as; None where that is not known.
        record: Its file; None where it is not done.
        attempts: How often it failed so far.
    """

    number: int
    choices: Choices
    arguments: Mapping[str, Any]
    state: State
    why: str = ""
    plan: Plan | None = None
    described: DescribedCell | None = field(default=None, repr=False)
    record: Path | None = None
    attempts: int = 0

    @property
    def name(self) -> str:
        """The name of its files: the number, and the beginning of its key."""
        key = self.described.keys.evaluate if self.described is not None else "unknown"
        return f"{self.number:05d}-{key[:12]}"

    @property
    def pretrain(self) -> str:
        """What cells with the same training have in common."""
        return self.described.keys.pretrain if self.described is not None else self.name


class Found(NamedTuple):
    """What becomes of a cell, and why."""

    state: State
    why: str
    record: Path | None = None
    attempts: int = 0


def list_evaluators(choices: Choices) -> tuple[str, ...]:
    """Return the evaluators of a cell."""
    found: tuple[str, ...] = choices.get(EVALUATE, ("linear",))
    return found


def plan_arguments(choices: Choices, evaluators: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments of `make_plan` for the choices of a cell.

    Args:
        choices: By name.
        evaluators: Names of all evaluators of the sweep; options of those that this cell does not have are left out.

    >>> cell = {"task": "vae", "recipe.lr": 0.1, "ridge.val_fraction": 0.2, "evaluate": ("knn",), "seed": 2}
    >>> plan_arguments(cell, {"knn", "ridge"})["settings"]
    {'recipe.lr': 0.1}
    """
    further = {"fit_with": Path, "init": str, HOLD_OUT: float}
    others = {*evaluators} - {*map(short_name, list_evaluators(choices))}
    settings = {name: value for name, value in choices.items() if "." in name and name.partition(".")[0] not in others}
    return {
        "task": choices.get(TASK),
        "preset": choices.get(PRESET) or None,
        "parts": {name: choices[name] for name in KINDS if choices.get(name)},
        "settings": settings,
        "evaluators": list_evaluators(choices),
        "seed": choices[SEED],
        **{name: kind(choices[name]) for name, kind in further.items() if choices.get(name)},
    }


@dataclass
class Planner:
    """Plans the cells of a grid.

    Args:
        registry: Where names are looked up, each once.
        file: The grid.
        store: Folder of records.
        ledger: What became of cells that have no record.
        again: Whether cells are tried again that were refused when they ran.
        reads: Whether data are read, without which a plan finds no records.
        misfits: Why parts do not fit, by what names them.
        first: The first cell with an evaluation key.
        evaluators: Names of all of the sweep.
    """

    registry: Registry
    file: GridFile
    store: Path
    ledger: Ledger
    again: bool = False
    reads: bool = True
    misfits: dict[tuple[Any, ...], str] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    evaluators: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.registry = find_once(self.registry)
        self.describer = Describer(self.file.baselines, self.reads)
        self.recorded = find_recorded(self.store)
        self.past = PastRecords(self.store, [row for rows in self.recorded.values() for row in rows])

    def plan(self) -> list[PlannedCell]:
        """Return all cells, in the order of the grid.

        Raises:
            Unknown: A name of the grid is that of nothing.
        """
        combinations = [*expand(self.registry, self.file)]
        together = {list_evaluators(combination.choices) for combination in combinations}
        self.evaluators = frozenset(short_name(evaluator) for evaluators in together for evaluator in evaluators)
        return self.explain([self.plan_cell(number, found) for number, found in enumerate(combinations, 1)])

    def plan_cell(self, number: int, combination: Combination) -> PlannedCell:
        """Return one cell."""
        choices, arguments = combination.choices, plan_arguments(combination.choices, self.evaluators)
        if combination.dropped:
            return PlannedCell(number, choices, arguments, "dropped", combination.dropped)
        try:
            plan = self.make_plan(arguments)
            described = self.describer.describe(plan)
        except PretaskError as error:
            return PlannedCell(number, choices, arguments, "refused", str(error))
        found = self.find(number, plan, described)
        return PlannedCell(
            number, choices, arguments, found.state, found.why, plan, described, found.record, found.attempts
        )

    def make_plan(self, arguments: Mapping[str, Any]) -> Plan:
        """Return the plan of a cell: of those that differ in seed and evaluators alone what they share is made once."""
        evaluators = tuple(self.registry.find("evaluator", name) for name in arguments["evaluators"])
        measuring = {evaluator.name for evaluator in evaluators}
        own, shared = dict[str, Any](), dict[str, Any]()
        for name, value in arguments["settings"].items():
            (own if name.partition(".")[0] in measuring else shared)[name] = value
        plan = self.make_shared_plan({**arguments, "settings": shared, "evaluators": (), "seed": 0})
        settings = PlanSettings(options={name: dict(options) for name, options in plan.settings.items()})
        settings.add(own)
        return replace(plan, evaluators=evaluators, settings=settings.options, seed=arguments["seed"])

    def make_shared_plan(self, arguments: Mapping[str, Any]) -> Plan:
        """Return the plan of cells that have these arguments in common."""
        structure = (arguments["task"], arguments["preset"], *sorted(arguments["parts"].items()))

        def make() -> Plan:
            if structure in self.misfits:
                raise Incompatible(self.misfits[structure])
            try:
                return make_plan(self.registry, **arguments)
            except Incompatible as error:
                self.misfits[structure] = str(error)
                raise

        plan: Plan = self.describer.once(("plan", repr(arguments)), make)
        return plan

    def find(self, number: int, plan: Plan, described: DescribedCell | None) -> Found:
        """Return what becomes of a cell whose plan stands."""
        if described is None:
            return Found("to run", "whether it is recorded is known when its weights are read")
        key = described.keys.evaluate
        if (other := self.first.setdefault(key, number)) != number:
            return Found("dropped", f"the same cell as {other}")
        rows = self.recorded.get((described.key, plan.seed), [])
        complete = [row for row in rows if row.is_complete]
        needed = required_references(plan, self.file.baselines)
        sufficient = [row for row in complete if row.encoders >= needed]
        for row in sufficient:
            if row.code == described.code_key:
                return Found("done", row.name, self.store / f"{row.name}.json")
        ended = self.ledger.read(key)
        if ended is not None and ended.refused and not self.again:
            return Found("refused", ended.refused)
        if sufficient:
            return Found("to run", self.explain_code(sufficient[0], described))
        if complete:
            return Found("to run", f"recorded without all of {', '.join(self.file.baselines)}")
        if ended is not None:
            return Found("to run", f"failed before: {ended.failed}", attempts=ended.attempts)
        return Found("to run", "")

    def explain_code(self, row: Recorded, described: DescribedCell) -> str:
        """Return which modules changed since a record."""

        def compare() -> str:
            earlier = read(self.store / f"{row.name}.json").code
            return list_changes(changed_modules(earlier, described.code))

        changes = self.describer.once(("changes", row.code, described.code_key), compare)
        return f"recorded with other code: {changes}"

    def explain(self, cells: list[PlannedCell]) -> list[PlannedCell]:
        """Return the cells, each that is to run with a reason."""
        trained = {cell.pretrain for cell in cells if cell.state == "done"}
        return [*explain_each(cells, trained, self.past)]


def explain_each(cells: Iterable[PlannedCell], trained: set[str], past: PastRecords) -> Iterator[PlannedCell]:
    """Yield cells; those that are to run with a reason: that they are trained, or how they differ from others."""
    for cell in cells:
        if cell.state != "to run" or cell.why:
            yield cell
        elif cell.pretrain in trained:
            yield replace(cell, why="not measured; its training is recorded")
        else:
            yield replace(cell, why=past.explain_difference(cell.described) or "not recorded")

"""Suites: what a leaderboard holds fixed, so that its entries can be compared; a versioned TOML file of a plugin.

A suite has divisions, such as images and text. A division fixes the data, how many samples may be seen, and the
evaluators with all of their options; who enters chooses the rest. Its measures are the numbers that rank.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Annotated, Any, Literal

from pretask import PretaskError
from pretask_registry import Registered, Registry, read_component_options, resolve_options
from pretask_registry.discovery import describe_error
from pretask_registry.options import REQUIRED
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pretask_bench.records.canonical import as_plain
from pretask_bench.records.cell import Cell, Part
from pretask_bench.records.encoders import REFERENCE_ENCODERS, ReferenceEncoder
from pretask_bench.records.ids import short_name
from pretask_bench.records.record import Record

MAX_FILE_BYTES, MAX_DOTS = 1 << 18, 200  # of a file; of a line: each may nest a table, which takes quadratic time
Settings = Mapping[str, Any]


class SuiteModel(BaseModel):
    """A model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Measure(SuiteModel):
    """A number that entries are measured by, and what it is compared with.

    Args:
        evaluator: Name of the evaluator.
        metric: Name of its metric; which way is better the evaluator declares.
        chance: Chance level: a number, or the name of a metric of the same row that holds it.
        reference: What the score calls 1: a number, or `supervised`, the number of that encoder of the same entry.
    """

    evaluator: str
    metric: str
    chance: float | str
    reference: float | Literal["supervised"] = "supervised"

    @property
    def title(self) -> str:
        """The heading of a column."""
        return f"{self.evaluator} {self.metric}"


class Division(SuiteModel):
    """What is fixed for entries that compete.

    Args:
        name: Name in lower-case words.
        modality: Modality of the data; tasks of other modalities do not enter.
        data: Name of the data to learn from, and to be measured on.
        on: Name of the data to be measured on, where it is other data.
        given: Options of the data that whoever runs the suite sets, such as `root`; of the other data `on.root`.
        given_as: Another division, of which they are taken where this one is not given its own.
        samples: How many samples are seen in training.
        budgets: How many are seen by tasks whose samples are larger or smaller things, such as {"glove": 230000}, whose
            samples are counts of two words.
        preset: The settings of a task that are taken, where it has them.
        settings: Options of data and evaluators, such as {"data.image_size": 32}.
        tasks: Further settings by task, such as {"relative-position": {"preset": "demo"}}, with evaluators that are run
            for this task beside the others as `also`, and reference encoders that are measured for it beside the others
            as `beside`: a supervised one that stands for all tasks with its network. Other tasks enter as well.
        run: Tasks that are run where nobody names others; all whose modality fits where it is empty.
        without: Tasks that are not run, although their modality fits; a record of one may still enter.
        measures: What is shown, first the headline measure, which ranks; their evaluators are run.
        also: Evaluators that are run and shown, and do not rank.
        baselines: Reference encoders whose rows an entry of this division needs, where not all of the suite's can be
            measured.
        seeds: How many an entry of this division needs to be ranked, where it is not as many as the suite says.
        weight: In the mean over divisions that a table of systems ends with.
    """

    name: str
    modality: str
    data: str
    on: str = ""
    given: tuple[str, ...] = ()
    given_as: str = ""
    samples: Annotated[int, Field(ge=1)]
    budgets: Mapping[str, Annotated[int, Field(ge=1)]] = {}
    preset: str = ""
    settings: Settings = {}
    tasks: Mapping[str, Settings] = {}
    run: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    measures: Annotated[tuple[Measure, ...], Field(min_length=1)]
    also: tuple[str, ...] = ()
    baselines: tuple[ReferenceEncoder, ...] | None = None
    seeds: Annotated[int, Field(ge=1)] | None = None
    weight: Annotated[float, Field(ge=0, le=1)] = 1.0

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Names of all evaluators that are run."""
        return tuple(dict.fromkeys([*(measure.evaluator for measure in self.measures), *self.also]))

    @property
    def headline(self) -> Measure:
        """The measure by which entries are ranked."""
        return self.measures[0]

    @property
    def given_settings(self) -> tuple[str, ...]:
        """The settings that whoever runs the suite gives, such as `data.root`."""
        return tuple(name if "." in name else f"data.{name}" for name in self.given)

    def given_of(self, part: str) -> tuple[str, ...]:
        """Return the options of one of the data, `data` or `on`, that whoever runs the suite gives."""
        pairs = (name.split(".", 1) for name in self.given_settings)
        return tuple(option for owner, option in pairs if owner == part)

    def samples_of(self, task: str | None) -> int:
        """Return how many samples a task sees, by its id; None is a free combination."""
        return self.budgets.get(short_name(task), self.samples) if task is not None else self.samples

    def options_of(self, part: str) -> dict[str, Any]:
        """Return the options that are set of the data or of an evaluator."""
        return {name.partition(".")[2]: value for name, value in self.settings.items() if name.startswith(f"{part}.")}


class SuiteFile(SuiteModel):
    """The content of a suite's file.

    Args:
        summary: One sentence.
        seeds: How many an entry needs to be ranked.
        baselines: Reference encoders whose rows every entry needs to be ranked.
        tasks: Settings by task in all divisions, each of which may have further ones.
        division: One or several.
    """

    summary: str
    seeds: Annotated[int, Field(ge=1)]
    baselines: tuple[ReferenceEncoder, ...] = REFERENCE_ENCODERS
    tasks: Mapping[str, Settings] = {}
    division: Annotated[tuple[Division, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_known(self) -> "SuiteFile":
        for division in self.division:
            if division.given_as and division.given_as not in [other.name for other in self.division]:
                raise ValueError(f"{division.name}: given_as names no division: {division.given_as[:60]}")
        for settings in (*self.tasks.values(), *(own for one in self.division for own in one.tasks.values())):
            beside = settings.get("beside", [])
            if not isinstance(beside, list | tuple) or not {*map(str, beside)} <= {*REFERENCE_ENCODERS}:
                raise ValueError(f"beside lists some of {', '.join(REFERENCE_ENCODERS)}; got {str(beside)[:60]}")
        return self


@dataclass(frozen=True)
class FixedOptions:
    """What the cell of an entry must have, as a record holds it.

    Args:
        data_id: Id of the data.
        data_options: All of its options.
        evaluators: All options of every evaluator, by its id.
        on_id: Id of the other data that is measured on; empty where there is none.
        on_options: All of its options.
        defaults: Of all of these, by id: an option that came later under the same version has, where a record lacks
            it, the value that leaves everything as it was.
    """

    data_id: str
    data_options: Mapping[str, Any]
    evaluators: Mapping[str, Mapping[str, Any]]
    on_id: str = ""
    on_options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def options_by_id(self) -> Mapping[str, Mapping[str, Any]]:
        """All options of the data and of the evaluators, by id."""
        other = {self.on_id: self.on_options} if self.on_id else {}
        return {self.data_id: self.data_options, **other, **self.evaluators}

    def complete(self, part: Part) -> Mapping[str, Any]:
        """Return the options of a part of a record, with the defaults of those that came later."""
        return self.complete_options(part.id, part.options)

    def complete_options(self, id_: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the same of what has an id."""
        defaults = self.defaults.get(id_, {})
        return options if options.keys() >= defaults.keys() else {**defaults, **options}


@dataclass(frozen=True)
class Suite:
    """A suite that is installed.

    Args:
        id: Such as `pretask/quick@1`.
        file: Content of its file.
        fixed: What each division holds fixed, by its name.
    """

    id: str
    file: SuiteFile
    fixed: Mapping[str, FixedOptions] = field(repr=False)

    def baselines_of(self, division: Division) -> tuple[ReferenceEncoder, ...]:
        """Return the reference encoders whose rows an entry of a division needs."""
        return self.file.baselines if division.baselines is None else division.baselines

    def beside(self, division: Division, task: str) -> tuple[ReferenceEncoder, ...]:
        """Return the reference encoders that are measured for one task of a division and needed of none."""
        named = {**self.file.tasks.get(task, {}), **division.tasks.get(task, {})}.get("beside", ())
        needed = self.baselines_of(division)
        return tuple(name for name in REFERENCE_ENCODERS if name in named and name not in needed)

    def shown_of(self, division: Division) -> tuple[ReferenceEncoder, ...]:
        """Return the reference encoders that a table shows: those that are needed, and those of some tasks."""
        further = {name for task in (*self.file.tasks, *division.tasks) for name in self.beside(division, task)}
        return (*self.baselines_of(division), *(name for name in REFERENCE_ENCODERS if name in further))

    def seeds_of(self, division: Division) -> int:
        """Return how many seeds an entry of a division needs to be ranked."""
        return self.file.seeds if division.seeds is None else division.seeds

    def explain_exclusion(self, division: Division, record: Record) -> str | None:
        """Return why a record is no entry of a division; None if it is one."""
        return find_difference(division, self.fixed[division.name], record.cell)


def find_difference(division: Division, fixed: FixedOptions, cell: Cell) -> str | None:
    """Return the first thing in which a cell differs from what is fixed, as a sentence; None where nothing does."""
    data, options = fixed.data_id, fixed.data_options
    if cell.data.id != data:
        return f"it learned from {cell.data.id}, not from {data}"
    if wrong := find_differing_option(options, fixed.complete(cell.data), division.given_of("data")):
        return describe_setting(f"its data {data}", wrong, options, cell.data.options)
    if difference := find_other_data(division, fixed, cell):
        return difference
    if cell.hold_out is not None:
        return f"it was measured on {cell.hold_out:g} of its training part, held out, and not on the test part"
    if cell.fitted_with is not None:
        return "its split was fitted with an encoder of another run, whose samples are not counted"
    if cell.begun_with is not None:
        return "its model began with weights of elsewhere, whose samples are not counted"
    if cell.recipe.get("samples") != (samples := division.samples_of(cell.task)):
        return f"it saw {cell.recipe.get('samples')} samples, not {samples}"
    for evaluator, wanted in fixed.evaluators.items():
        if evaluator not in cell.evaluators:
            return f"{evaluator} did not measure it"
        if wrong := find_differing_option(wanted, fixed.complete_options(evaluator, cell.evaluators[evaluator])):
            return describe_setting(evaluator, wrong, wanted, cell.evaluators[evaluator])
    return None


def find_other_data(division: Division, fixed: FixedOptions, cell: Cell) -> str | None:
    """Return in what the data that a cell was measured on differs from what is fixed; None where it does not."""
    on = cell.evaluated_on
    if not fixed.on_id:
        return "it was measured on other data" if on is not None else None
    if on is None or on.id != fixed.on_id:
        return f"it was measured on {on.id if on is not None else 'what it learned from'}, not on {fixed.on_id}"
    wrong = find_differing_option(fixed.on_options, fixed.complete(on), division.given_of("on"))
    return describe_setting(f"its data {on.id}", wrong, fixed.on_options, on.options) if wrong else None


def describe_setting(who: str, option: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return a sentence on an option that was not set as the suite fixes it.

    >>> describe_setting("its data pretask/digits@1", "size", {"size": 2048}, {"size": 512})
    "its data pretask/digits@1 was set to size=512, and the suite's is size=2048"
    """
    texts = [f"{option}={options[option]}" if option in options else f"no {option}" for options in (found, wanted)]
    return f"{who} was set to {texts[0]}, and the suite's is {texts[1]}"


def find_differing_option(
    wanted: Mapping[str, Any], found: Mapping[str, Any], free: tuple[str, ...] = ()
) -> str | None:
    """Return the first option that differs, other than the free ones."""
    if wanted == found:
        return None
    names = sorted({*wanted, *found} - {*free})
    return next((name for name in names if wanted.get(name) != found.get(name)), None)


def read_suite(registry: Registry, name: str) -> Suite:
    """Read the suite of that name.

    Raises:
        Unknown: There is none, or it names a part that is not installed.
        PretaskError: Its file is missing or is no suite.
    """
    suite = registry.find("suite", name)
    module, _, path = suite.component.implementation.partition(":")
    try:
        file = parse_suite_file(files(module).joinpath(path).read_bytes())
    except (OSError, ModuleNotFoundError, ValueError) as error:
        raise PretaskError(suite.id, f"a suite in {path}", describe_error(error), "Correct that file.") from error
    return Suite(suite.id, file, {division.name: fix_options(registry, division) for division in file.division})


def parse_suite_file(content: bytes) -> SuiteFile:
    """Return what a suite's file says; raises ValueError, with one line, where it is none."""
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{len(content)} bytes, more than {MAX_FILE_BYTES}")
    if any(line.count(b".") > MAX_DOTS for line in content.splitlines()):
        raise ValueError(f"a line of more than {MAX_DOTS} dots, which may be tables that are nested too deep")
    try:
        return SuiteFile.model_validate(tomllib.loads(content.decode()))
    except RecursionError:
        raise ValueError("lists or tables that are nested too deep") from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        shown = [
            f"{'.'.join(ascii(part)[:60].strip(chr(39)) for part in fault['loc'])}: {fault['msg']}" for fault in faults
        ]
        raise ValueError("; ".join(shown[:3])) from None


def fix_options(registry: Registry, division: Division) -> FixedOptions:
    """Return ids and all options of what a division holds fixed."""
    evaluators, defaults = dict[str, Any](), dict[str, Any]()
    for name in division.evaluators:
        evaluator = registry.find("evaluator", name)
        evaluators[evaluator.id] = as_plain(resolve_options(evaluator, division.options_of(name)))
        defaults[evaluator.id] = find_defaults(evaluator)
    found = dict[str, tuple[str, Mapping[str, Any]]]()
    for part, name in {"data": division.data, "on": division.on}.items():
        if name:
            data, placeholders = registry.find("data", name), dict.fromkeys(division.given_of(part), "given")
            found[part] = (data.id, as_plain(resolve_options(data, placeholders | division.options_of(part))))
            defaults[data.id] = find_defaults(data)
    (data_id, data_options), (on_id, on_options) = found["data"], found.get("on", ("", {}))
    return FixedOptions(data_id, data_options, evaluators, on_id, on_options, defaults)


def find_defaults(registered: Registered) -> Mapping[str, Any]:
    """Return the defaults of all options that have one."""
    options = {name: option.default for name, option in read_component_options(registered).items()}
    found: Mapping[str, Any] = as_plain({name: value for name, value in options.items() if value is not REQUIRED})
    return found

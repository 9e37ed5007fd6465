"""Verbs: what `pretask.load` and `pretask.run` of core's front door are looked up as."""

import io
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from click import BadParameter, ParamType
from pretask import Figure, Observed, PretaskError, Unknown
from pretask.encoder import Encoder
from pretask.own_data import OwnData, as_data
from pretask_registry import Registry, build
from pretask_registry.identity import identify
from pretask_registry.own_objects import add_object

from pretask_bench.artifacts.load import Place, find_beside, load, load_registry
from pretask_bench.artifacts.save import name_pictures
from pretask_bench.cli.numbers import COUNT, SECONDS, SEED, THREADS
from pretask_bench.records.attribution import attribute
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_picture
from pretask_bench.runs.plan import EVALUATION_DATA, split_names
from pretask_bench.runs.run import StoredRecord
from pretask_bench.runs.session import make_context, make_plans, run_plans
from pretask_bench.runs.trackers import load_trackers

__all__ = ["Run", "load", "run"]

OBJECTS = ("split", "objective", "model")  # parts beside data that may be a user's own


@dataclass(frozen=True)
class Run:
    """A finished run: its records, its encoder and its pictures, all of which lie in one folder.

    Args:
        stored: The record of every transfer set with its file, in their order; one where there is none.
        folder: Of the run; None where the record was there already, and its run's folder was removed.
        objects: The user's own split and model, without which the encoder cannot be built.
        plugin: Python files that declare components.
    """

    stored: tuple[StoredRecord, ...]
    folder: Path | None
    objects: Mapping[str, Any] = field(default_factory=dict, repr=False)
    plugin: tuple[Path, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        cell = self.record.cell
        return f"Run({cell.task or cell.split.id} on {cell.data.id}, seed {cell.seed}, {self.folder})"

    @property
    def record(self) -> Record:
        """All numbers, and how they came about; those on the first transfer set where there are several."""
        return self.stored[0].record

    @property
    def path(self) -> Path:
        """The record's file in the store."""
        return self.stored[0].path

    @property
    def records(self) -> tuple[Record, ...]:
        """A record for every transfer set, in the order in which they were named."""
        return tuple(stored.record for stored in self.stored)

    @cached_property
    def encoder(self) -> Encoder:
        """The trained encoder, on the CPU; `pretask.load(run.folder, device=…)` puts another elsewhere."""
        if self.folder is None:
            raise PretaskError("run.encoder", "the folder of the run", "its record alone", "Run it again: again=True.")
        return load(self.folder, plugin=self.plugin, **self.objects)

    def table(self) -> str:
        """Return what `pretask run` prints: the pretext score, and every evaluator beside its baselines."""
        from pretask_bench.results.report import report_runs  # imports SciPy, which loading need not wait for

        with redirect_stdout(io.StringIO()) as printed:
            report_runs(self.records)
        return printed.getvalue()

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The pictures of the task and of the evaluators, PNG with a caption, by name."""
        return {
            name: Figure(read_picture(path.parent, picture.png), picture.caption)
            for record, path in self.stored
            for name, picture in name_pictures(record, len(self.stored) > 1).items()
        }

    @property
    def probe_choice(self) -> dict[str, str]:
        """The layer and the pooling that the first probe chose: `run.encoder(images, **run.probe_choice)`.

        Raises:
            PretaskError: No evaluator of the run chooses.
        """
        for result in self.record.results:
            if result.encoder == TRAINED and {"layer", "pooling"} <= result.chosen.keys():
                return {name: result.chosen[name] for name in ("layer", "pooling")}
        raise PretaskError("run.probe_choice", "a probe that chooses", "none in this run", "Evaluate linear or knn.")


def run(
    task: str | None,
    parts: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    plugin: Place | Iterable[Place],
    planned: Mapping[str, Any],
    seed: int,
    out: Place,
    evaluate: str | Iterable[str],
    baselines: str | Iterable[str],
    track: str | Iterable[str],
    signed: tuple[str | None, str | None, str | None],
    context: Mapping[str, Any],
) -> Run | None:
    """Do what `pretask run` does; see `pretask.run`, which has these by name.

    Args:
        task: The starting point.
        parts: Names or the user's own objects; `on` may be a list of them.
        settings: Options by dotted names.
        plugin: Python files that declare components.
        planned: What else `make_plans` takes.
        seed: Of weights, order and draws.
        out: Folder of runs and records.
        evaluate: Names of evaluators.
        baselines: Names of reference encoders.
        track: Names of trackers.
        signed: Author, license and note.
        context: What else `make_context` takes.
    """
    check_settings(settings)
    check_numbers(seed, context)
    files = tuple(map(Path, [plugin] if isinstance(plugin, str | PathLike) else plugin))
    given = {**parts, "on": list_transfer_sets(parts["on"])}
    preset = planned["preset"]
    registry, names, on = name_objects(load_registry(files), task, preset, given, settings)
    plans = make_plans(
        registry,
        task,
        parts=names,
        settings=settings,
        seeds=[seed],
        evaluators=list_names(evaluate),
        on=on,
        **planned,
    )
    run_context = make_context(
        Path(out),
        baselines=",".join(list_names(baselines)),
        trackers=load_trackers(registry, list_names(track), Path(out)),
        attribution=attribute(*signed),
        **context,
    )
    done = run_plans(registry, plans, run_context)
    if not done:  # on any rank but the first
        return None
    own = {part: given[part] for part in ("split", "model") if is_object(given[part])}
    return Run(tuple(done), find_beside(done[0].path), own, files)


def list_transfer_sets(on: Any) -> list[Any]:
    """Return what is to be measured on: a list is several, all else one."""
    if isinstance(on, list):
        return on
    return [] if on is None else [on]


def list_names(given: str | Iterable[str]) -> list[str]:
    """Return names, be they one text with commas or several."""
    return split_names(given if isinstance(given, str) else ",".join(given))


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise Unknown for an option without a part before its dot."""
    for name in settings:
        if "." not in name:
            raise Unknown(f"pretask.run has no option {name!r}. Options of parts are dotted: **{{'data.{name}': …}}.")


def check_numbers(seed: int, context: Mapping[str, Any]) -> None:
    """Raise Unknown for a number out of the range that the command has for it."""
    ranges: list[tuple[str, Any, ParamType[Any]]] = [
        ("seed", seed, SEED),
        ("threads", context["threads"], THREADS),
        ("checkpoint_seconds", context["checkpoint_seconds"], SECONDS),
        ("probe_every", context["probe_every"] or None, COUNT),
    ]
    for name, value, kind in ranges:
        try:
            kind.convert(1 if value is None else value, None, None)
        except BadParameter as error:
            raise Unknown(f"pretask.run cannot take this {name}: {error.message}") from error


def check_object(part: str, thing: Any) -> None:
    """Raise PretaskError for a user's own part that cannot be one."""
    if not callable(thing) or (part == "split" and not hasattr(thing, "spec")):
        needs = "a name, or an object with spec, whole and a call" if part == "split" else "a name, or what builds one"
        do = "docs/encoders.md shows parts of your own."
        raise PretaskError(f"{part} of pretask.run", needs, type(thing).__name__, do, exit_code=2)


def is_object(thing: Any) -> bool:
    """Return whether a part is the user's own object and not a name."""
    return thing is not None and not isinstance(thing, str)


def name_objects(
    registry: Registry, task: str | None, preset: str | None, given: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Registry, dict[str, str | None], list[str]]:
    """Return the registry with the user's own objects, the name of every part, and those of the transfer sets."""
    parts: dict[str, str | None] = {
        part: None if is_object(thing) else thing for part, thing in given.items() if part != EVALUATION_DATA
    }
    observed = None
    if is_object(given["data"]):
        registry, parts["data"], observed = add_data(registry, given["data"])
    on: list[str] = []
    for thing in given[EVALUATION_DATA]:
        if is_object(thing):
            registry, name, _ = add_data(registry, thing)
        on.append(name if is_object(thing) else thing)
    for part in OBJECTS:
        if is_object(given[part]):
            check_object(part, given[part])
            observed = observed or look_at_data(registry, task, preset, parts, settings)
            registry, parts[part] = add_object(registry, part, given[part], identify(given[part]), observed)
    return registry, parts, on


def add_data(registry: Registry, given: Any) -> tuple[Registry, str, Observed]:
    """Return the registry with a user's own data, its name, and what it yields."""
    data = as_data(given)
    observed = data("train").observed
    content = identify(data.content if isinstance(data, OwnData) else data)
    return (*add_object(registry, "data", data, content, observed), observed)


def look_at_data(
    registry: Registry,
    task: str | None,
    preset: str | None,
    parts: Mapping[str, str | None],
    settings: Mapping[str, Any],
) -> Any:
    """Return what the named data yields, of which the user's split, objective or model must make something."""
    name = parts.get("data")
    preset_settings: Mapping[str, Any] = {}
    if task is not None and preset is not None:
        preset_settings = registry.find("task", task).component.traits["presets"].get(preset, {})
        name = name or preset_settings.get("data")
    if name is None:
        raise Unknown("A run needs data; got none. Name some, data='shapes', or give your own.")
    options = {
        option.partition(".")[2]: value
        for option, value in {**preset_settings, **settings}.items()
        if option.startswith("data.")
    }
    return build(registry.find("data", name), options)("train").observed

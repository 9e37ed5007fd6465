"""Verbs: what `pretask.load` and `pretask.run` of core's front door are looked up as."""

import io
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from pretask import Figure, PretaskError, Unknown
from pretask.encoder import Encoder
from pretask.own_data import OwnData, as_data
from pretask_registry import Registry, build
from pretask_registry.identity import identify
from pretask_registry.own_objects import add_object

from pretask_bench.artifacts.load import Place, find_beside, load, load_registry
from pretask_bench.artifacts.save import name_pictures
from pretask_bench.records.attribution import attribute
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_picture
from pretask_bench.runs.plan import KINDS, split_names
from pretask_bench.runs.session import make_context, make_plans, run_plans
from pretask_bench.runs.trackers import load_trackers

__all__ = ["Run", "load", "run"]

OBJECTS = ("data", "on", "split", "objective", "model")  # data first, of which a split says what it makes


@dataclass(frozen=True)
class Run:
    """A finished run: its record, its encoder and its pictures, all of which lie in one folder.

    Args:
        record: All numbers, and how they came about.
        path: The record in the store.
        folder: Of the run; None where the record was there already, and its run's folder was removed.
        objects: The user's own split and model, without which the encoder cannot be built.
    """

    record: Record
    path: Path
    folder: Path | None
    objects: Mapping[str, Any] = field(default_factory=dict, repr=False)
    plugin: tuple[Path, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        cell = self.record.cell
        return f"Run({cell.task or cell.split.id} on {cell.data.id}, seed {cell.seed}, {self.folder})"

    @cached_property
    def encoder(self) -> Encoder:
        """The trained encoder, on the CPU; `pretask.load(run.folder, device=…)` puts another elsewhere."""
        if self.folder is None:
            raise PretaskError("run.encoder", "the folder of the run", "its record alone", "Run it again: again=True.")
        return load(self.folder, plugin=self.plugin, **self.objects)

    def table(self) -> str:
        """Return what `pretask run` prints: the pretext score, and every evaluator beside its baselines."""
        from pretask_bench.results.report import report  # imports SciPy, which loading an encoder need not wait for

        with redirect_stdout(io.StringIO()) as printed:
            report([self.record])
        return printed.getvalue()

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The pictures of the task and of the evaluators, PNG with a caption, by name."""
        record = self.record
        pictures = [*(record.pretext.pictures if record.pretext is not None else ())]
        pictures += [picture for result in record.results for picture in result.pictures]
        captions = {picture.png: picture.caption for picture in pictures}
        return {
            name: Figure(read_picture(self.path.parent, png), captions[png])
            for name, png in name_pictures(record).items()
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
    task: str | None = None,
    *,
    data: Any = None,
    split: Any = None,
    objective: Any = None,
    model: Any = None,
    on: Any = None,
    preset: str | None = None,
    evaluate: str | Iterable[str] = ("linear",),
    baselines: str | Iterable[str] = ("random-init", "raw-input"),
    samples: int | None = None,
    seed: int = 0,
    out: Place = "runs",
    device: str = "auto",
    threads: int | None = None,
    fit_with: Place | None = None,
    init: Place | None = None,
    plugin: Place | Iterable[Place] = (),
    checkpoint_seconds: float = 60.0,
    again: bool = False,
    pictures: bool = True,
    track: str | Iterable[str] = (),
    probe_every: int = 0,
    author: str | None = None,
    licence: str | None = None,
    note: str | None = None,
    root: Place | None = None,
    options: Mapping[str, Any] | None = None,
) -> Run | None:
    """Do what `pretask run` does; see `pretask.run`."""
    settings = dict(options or {}) | ({} if root is None else {"data.root": root})
    check_settings(settings)
    files = tuple(map(Path, [plugin] if isinstance(plugin, str | PathLike) else plugin))
    given = {"data": data, "on": on, "split": split, "objective": objective, "model": model}
    registry, parts = name_objects(load_registry(files), task, preset, given, settings)
    plans = make_plans(
        registry,
        task,
        parts=parts,
        settings=settings,
        samples=samples,
        seeds=[seed],
        evaluators=list_names(evaluate),
        preset=preset,
        fit_with=None if fit_with is None else Path(fit_with),
        init=None if init is None else str(init),
    )
    context = make_context(
        Path(out),
        device,
        threads,
        ",".join(list_names(baselines)),
        checkpoint_seconds=checkpoint_seconds,
        again=again,
        pictures=pictures,
        probe_every=probe_every,
        trackers=load_trackers(registry, list_names(track), Path(out)),
        attribution=attribute(author, licence, note),
    )
    done = run_plans(registry, plans, context)
    if not done:  # on any rank but the first
        return None
    record, path = done[0]
    own = {part: given[part] for part in ("split", "model") if is_object(given[part])}
    return Run(record, path, find_beside(path), own, files)


def list_names(given: str | Iterable[str]) -> list[str]:
    """Return names, be they one text with commas or several."""
    return split_names(given if isinstance(given, str) else ",".join(given))


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise Unknown for an option without a part before its dot."""
    for name in settings:
        if "." not in name:
            raise Unknown(f"pretask.run has no option {name!r}. Options of parts are dotted: **{{'data.{name}': …}}.")


def is_object(thing: Any) -> bool:
    """Return whether a part is the user's own object and not a name."""
    return thing is not None and not isinstance(thing, str)


def name_objects(
    registry: Registry, task: str | None, preset: str | None, given: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Registry, dict[str, str | None]]:
    """Return the registry with the user's own objects, and the name of every part that was given."""
    parts: dict[str, str | None] = {part: thing for part, thing in given.items() if not is_object(thing)}
    own = {part: thing for part, thing in given.items() if is_object(thing)}
    if not own:
        return registry, parts
    observed = None
    for part in OBJECTS:
        if part not in own:
            continue
        thing = as_data(own[part]) if KINDS[part] == "data" else own[part]
        if part in ("data", "on"):
            found = thing("train").observed
            observed = observed or found
        else:
            observed = observed or look_at_data(registry, task, preset, parts, settings)
            found = observed
        content = identify(thing.content) if isinstance(thing, OwnData) else identify(thing)
        registry, parts[part] = add_object(registry, KINDS[part], thing, content, found)
    return registry, parts


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

"""Declarations: what a plugin says it offers, as data, without importing what implements it.

A plugin's entry point names a light module whose `pretask_components` hook yields these. `implementation` is a
"module:attribute" string that is imported on first use; in a single file, which is not light, it may be the class
itself. `small` are options under which the component fits a tiny canned batch: the compatibility matrix and the
conformance kit use them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pluggy

from pretask.metrics import Metric

hookimpl = pluggy.HookimplMarker("pretask")

KINDS = ("data", "split", "model", "objective", "evaluator", "task", "suite")
NOTHING: Mapping[str, Any] = MappingProxyType({})
Implementation = str | Callable[..., Any]


@dataclass(frozen=True)
class Component:
    """One declared part.

    Args:
        kind: One of KINDS.
        name: Lower-case words with hyphens.
        implementation: "module:attribute", or "" for a task or suite, which are data.
        summary: One line for `pretask list`.
        source: Where the idea was published.
        version: Raised when the output changes; part of the full id.
        cites: What `pretask cite` prints: keys of entries in `references.bib`, which lies in the plugin's top-level
            package, or whole BibTeX entries.
        traits: What static fitting looks at.
        small: Options under which it fits a tiny canned batch.
    """

    kind: str
    name: str
    implementation: str = ""
    summary: str = ""
    source: str = ""
    version: int = 1
    traits: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] = field(default_factory=dict)
    cites: tuple[str, ...] = ()


def names(words: str | Collection[str]) -> frozenset[str]:
    """Return a set of names, from one name or several."""
    return frozenset({words} if isinstance(words, str) else words)


def in_order(words: str | Collection[str]) -> tuple[str, ...]:
    """Return several words in their order, from one word or several."""
    return (words,) if isinstance(words, str) else tuple(words)


def place(implementation: Implementation) -> str:
    """Return where a class or function is defined, as "module:attribute"; text says so itself.

    >>> place(Component)
    'pretask.declare:Component'
    """
    if isinstance(implementation, str):
        return implementation
    return f"{implementation.__module__}:{implementation.__qualname__}"


def split(
    name: str,
    implementation: Implementation,
    *,
    modality: str | Collection[str],
    targets: Collection[str] | Mapping[str, Collection[str]],
    gives: str | None = None,
    views: int | None = 1,
    sees: str | Collection[str] = "all",
    hidden: bool = True,
    summary: str = "",
    source: str = "",
    cites: str | Collection[str] = (),
    version: int = 1,
    small: Mapping[str, Any] = NOTHING,
) -> Component:
    """Declare a split.

    Args:
        name: Lower-case words with hyphens.
        implementation: "module:attribute" of a class whose options are its keyword arguments, or the class.
        modality: What it can split.
        targets: The kinds of its targets; by modality where they differ.
        gives: The modality of x, where it differs from that of t (log-mel images of a waveform).
        views: Views of x; None where the data decides.
        sees: The sights that its targets allow.
        hidden: False where x still shows the answer.
        summary: One line, best a question that the task asks.
        source: Authors and year.
        cites: Keys of entries in `references.bib` of the plugin's package, or whole BibTeX entries.
        version: Raised when the output changes.
        small: Options that fit 3 x 32 x 32 images, 8 frames of them, 16 tokens or 4,000 samples.
    """
    by_modality = targets if isinstance(targets, Mapping) else dict.fromkeys(names(modality), targets)
    traits = {
        "modality": names(modality),
        "targets": {modality: names(kinds) for modality, kinds in by_modality.items()},
        "gives": gives,
        "views": views,
        "sees": names(sees),
        "hidden": hidden,
    }
    return Component("split", name, place(implementation), summary, source, version, traits, small, in_order(cites))


def model(
    name: str,
    implementation: Implementation,
    *,
    modality: str | Collection[str],
    streams: str | Collection[str] = "all",
    summary: str = "",
    source: str = "",
    cites: str | Collection[str] = (),
    version: int = 1,
    small: Mapping[str, Any] = NOTHING,
) -> Component:
    """Declare a model: the modalities that it reads and the streams that it offers."""
    traits = {"modality": names(modality), "streams": names(streams)}
    return Component("model", name, place(implementation), summary, source, version, traits, small, in_order(cites))


def objective(
    name: str,
    implementation: Implementation,
    *,
    targets: str | Collection[str],
    bottleneck: bool = False,
    streams: str | Collection[str] = (),
    depends_on_batch: bool = False,
    state: str | Collection[str] = (),
    metrics: Mapping[str, Metric] = NOTHING,
    summary: str = "",
    source: str = "",
    cites: str | Collection[str] = (),
    version: int = 1,
    small: Mapping[str, Any] = NOTHING,
) -> Component:
    """Declare an objective: the kinds of target that it scores, whether it has a bottleneck, and its numbers.

    Args:
        name: Lower-case words with hyphens.
        implementation: "module:attribute" of a class whose options are its keyword arguments, or the class.
        targets: The kinds of target that it scores.
        bottleneck: Whether it limits what passes, so that a target which x shows is no giveaway.
        streams: Sights that it reads side by side, such as the present and the past, so that a model must offer all.
        depends_on_batch: Whether a sample's loss changes with the others of its batch: batch normalization in a head,
            or statistics of the batch as in VICReg.
        state: Names of buffers that each step leaves for the next, such as a queue or a center, and `teacher`.
        metrics: Of the parts of its loss: `loss` is the part TARGET, METRIC each part TARGET.METRIC.
        summary: One line for `pretask list`.
        source: Authors and year.
        cites: Keys of entries in `references.bib` of the plugin's package, or whole BibTeX entries.
        version: Raised when the output changes.
        small: Options that fit tiny features.
    """
    traits = {
        "targets": names(targets),
        "bottleneck": bottleneck,
        "streams": names(streams),
        "depends_on_batch": depends_on_batch,
        "state": names(state),
        "metrics": dict(metrics),
    }
    return Component("objective", name, place(implementation), summary, source, version, traits, small, in_order(cites))


def evaluator(
    name: str,
    implementation: Implementation,
    *,
    needs: str = "encoder",
    modality: str | Collection[str] = (),
    metrics: Mapping[str, Metric] = NOTHING,
    headline: str = "",
    summary: str = "",
    source: str = "",
    cites: str | Collection[str] = (),
    version: int = 1,
    small: Mapping[str, Any] = NOTHING,
) -> Component:
    """Declare an evaluator: what it needs, and what is known of its numbers.

    Args:
        name: Lower-case words with hyphens.
        implementation: "module:attribute" of a class whose options are its keyword arguments, or the class.
        needs: Whether it measures the `encoder`, or the whole task with its `objective`.
        modality: What it can measure; none means any.
        metrics: By name, or by the metric in names such as `layer2.accuracy`.
        headline: The name of the number that stands for it in tables.
        summary: One line for `pretask list`.
        source: Authors and year.
        cites: Keys of entries in `references.bib` of the plugin's package, or whole BibTeX entries.
        version: Raised when the output changes.
        small: Options that fit tiny data.
    """
    traits = {"needs": needs, "modality": names(modality), "metrics": dict(metrics), "headline": headline}
    return Component("evaluator", name, place(implementation), summary, source, version, traits, small, in_order(cites))


def data(
    name: str,
    implementation: Implementation,
    *,
    modality: str,
    summary: str = "",
    source: str = "",
    cites: str | Collection[str] = (),
    version: int = 1,
    small: Mapping[str, Any] = NOTHING,
) -> Component:
    """Declare data: the modality of what it yields."""
    traits = {"modality": modality}
    return Component("data", name, place(implementation), summary, source, version, traits, small, in_order(cites))


def task(
    name: str,
    *,
    split: str,
    objective: str,
    model: str,
    recipe: Mapping[str, Any] = NOTHING,
    options: Mapping[str, Any] = NOTHING,
    presets: Mapping[str, Mapping[str, Any]] = NOTHING,
    summary: str = "",
    source: str = "",
    cites: str | Collection[str] = (),
    version: int = 1,
) -> Component:
    """Declare a task: a split, an objective and a model that a paper put together, with the paper's recipe.

    Args:
        name: Lower-case words with hyphens.
        split: Name or id of the split.
        objective: Name or id of the objective.
        model: Name or id of the model.
        recipe: Fields of `Recipe`, as the paper has them.
        options: Settings of the parts, such as {"split.patch": 96}.
        presets: By name, settings that replace the paper's, parts included: {"small": {"model": "convnet"}}.
        summary: One line for `pretask list`.
        source: Authors, venue and year.
        cites: Keys of entries in `references.bib` of the plugin's package, or whole BibTeX entries.
        version: Raised when the recipe changes.
    """
    traits = {
        "parts": {"split": split, "objective": objective, "model": model},
        "recipe": dict(recipe),
        "options": dict(options),
        "presets": {preset: dict(settings) for preset, settings in presets.items()},
    }
    return Component("task", name, "", summary, source, version, traits, cites=in_order(cites))


def suite(name: str, path: str, *, summary: str = "", version: int = 1) -> Component:
    """Declare a suite: `path` is "module:file.toml", a file that lies beside the module."""
    return Component("suite", name, path, summary, "", version)

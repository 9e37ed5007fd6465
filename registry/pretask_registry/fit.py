"""Fit: whether a split, an objective and a model go together, why not, and what would.

Three tiers. The static one reads declarations only. What it looks at lies between two parts, a split and a model or a
split and an objective, never among all three: so 60 of each are 7,200 questions and not 216,000, and parts with equal
traits share an answer. The exact one hands specs along, with models that have shapes but no memory. The third
trains a step (trial.py).
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pretask import Component, Incompatible, Observed, PretaskError
from pretask.specs import SEES_AT_MOST

from pretask_registry.registry import Registered, Registry

if TYPE_CHECKING:
    from pretask import SplitFn
    from pretask.composition import ModelFactory, ObjectiveFactory

PARTS = ("split", "objective", "model")


class Row(NamedTuple):
    """One line of the compatibility matrix; `reason` is empty where the three fit."""

    modality: str
    split: Registered
    objective: Registered
    model: Registered
    reason: str

    @property
    def fits(self) -> bool:
        """Whether the three fit, as far as declarations tell."""
        return not self.reason


def static_fit(
    split: Registered, objective: Registered, model: Registered, data_modality: str | None = None
) -> str | None:
    """Return why three parts do not fit, from their declarations; None where they may.

    Args:
        split: Makes x and y.
        objective: Scores y.
        model: Reads x.
        data_modality: Of t; without it, any that the split can split.
    """
    splits = split.component.traits["modality"]
    if data_modality is not None and data_modality not in splits:
        return f"{split.name} does not fit {data_modality} data: it splits only {join_names(splits)}."
    reasons = [
        model_misfit(modality, split.component, model.component)
        or objective_misfit(modality, split.component, objective.component)
        or streams_misfit(objective.component, model.component)
        for modality in ([data_modality] if data_modality else sorted(splits))
    ]
    return None if "" in reasons else reasons[0]


def model_misfit(modality: str, split: Component, model: Component) -> str:
    """Return why a model cannot read what a split makes of t; empty where it can."""
    asks, offers = split.traits, model.traits
    reason = explain_unread(asks["gives"] or modality, asks["sees"], offers["modality"], offers["streams"])
    return f"{split.name} + {model.name} do not fit: {reason}" if reason else ""


@lru_cache(maxsize=4096)  # many parts have equal traits
def explain_unread(shown: str, sees: frozenset[str], reads: frozenset[str], offers: frozenset[str]) -> str:
    """Return why such x cannot be read for targets that allow such sights; empty where it can."""
    if shown not in reads:
        return f"x is {shown}, the model reads only {join_names(reads)}."
    for sight in sorted(sees):
        if offers.isdisjoint(SEES_AT_MOST[sight]):  # type: ignore[index]
            return f"a target may see at most '{sight}', the model offers only {quote_names(offers)}."
    return ""


def objective_misfit(modality: str, split: Component, objective: Component) -> str:
    """Return why an objective cannot score the targets of a split; empty where it can."""
    asks, offers = split.traits, objective.traits
    reason = explain_unscored(asks["targets"][modality], asks["hidden"], offers["targets"], offers["bottleneck"])
    return f"{split.name} + {objective.name} do not fit: {reason}" if reason else ""


@lru_cache(maxsize=4096)
def explain_unscored(trial: frozenset[str], hidden: bool, scored: frozenset[str], bottleneck: bool) -> str:
    """Return why such targets cannot be scored; empty where they can."""
    if not trial <= scored:
        return f"the targets are {' and '.join(sorted(trial))}, the objective scores only {join_names(scored)}."
    if not hidden and not bottleneck:
        return "x shows the answer, the objective has no bottleneck."
    return ""


def streams_misfit(objective: Component, model: Component) -> str:
    """Return why a model does not offer what an objective reads side by side; empty where it does.

    Of an objective that reads one stream for each target, this says nothing: what a target may see, its split decides.
    """
    wanted, offers = objective.traits.get("streams", frozenset()), model.traits["streams"]
    if wanted <= offers:
        return ""
    needs = f"the objective reads {quote_names(wanted)} side by side, the model offers only {quote_names(offers)}."
    return f"{objective.name} + {model.name} do not fit: {needs}"


def join_names(names: frozenset[str]) -> str:
    """Format names as prose, in alphabetical order."""
    return " or ".join(sorted(names)) or "nothing"


def quote_names(names: frozenset[str]) -> str:
    """Format names as prose, in quotes."""
    return " and ".join(f"'{name}'" for name in sorted(names)) or "none"


def find_closest(
    registry: Registry,
    split: Registered,
    objective: Registered,
    model: Registered,
    data_modality: str | None = None,
) -> list[tuple[str, Registered]]:
    """Find the substitutions of one part that make the three fit: the nearest for each part, nearest first.

    An objective that a task combines with the split or the model is nearer than any that none does.
    """
    now = {"split": split, "objective": objective, "model": model}
    found = []
    for part in PARTS:
        others = [registered for registered in registry.current(part) if registered.id != now[part].id]
        fitting = [
            registered
            for registered in others
            if static_fit(**{**now, part: registered}, data_modality=data_modality) is None
        ]
        if fitting:
            companions = find_companions(registry, now, part) if part == "objective" else frozenset()
            near = [registered for registered in fitting if registered.id in companions] or fitting
            similar = max(near, key=lambda registered: rate_similarity(registered, now[part]))
            found.append((rate_similarity(similar, now[part]), part, similar))
    return [(part, similar) for _, part, similar in sorted(found, key=lambda ranked: ranked[0], reverse=True)]


def find_companions(registry: Registry, now: Mapping[str, Registered], part: str) -> frozenset[str]:
    """Return the ids of a kind that tasks combine with one of the other parts: of objectives for a split, say."""
    found = set()
    for task in registry.current("task"):
        ids = {kind: identify_part(registry, kind, task.component.traits["parts"].get(kind)) for kind in PARTS}
        if any(ids[kind] == now[kind].id for kind in PARTS if kind != part) and (companion := ids[part]):
            found.add(companion)
    return frozenset(found)


def identify_part(registry: Registry, kind: str, name: str | None) -> str | None:
    """Return the id of a part that a task names; None where it is not installed."""
    try:
        return registry.find(kind, name).id if name is not None else None
    except PretaskError:
        return None


def rate_similarity(one: Registered, other: Registered) -> tuple[float, float, float]:
    """Return how similar two components of a kind are: in traits, then in what their sights include, then in names."""
    from difflib import SequenceMatcher  # only needed where something does not fit

    names = SequenceMatcher(None, one.name, other.name).ratio()
    traits = overlap(collect_traits(one.component), collect_traits(other.component))
    return traits, overlap(expand_sights(one.component), expand_sights(other.component)), names


def overlap(ours: set[Any], theirs: set[Any]) -> float:
    """Return how much of what two sets hold is in both: intersection over union."""
    return len(ours & theirs) / max(len(ours | theirs), 1)


def collect_traits(component: Component) -> set[Any]:
    """Return traits as a set of facts: ("modality", "text"), ("targets", ("text", "categories")), ("hidden", True).

    What is declared of numbers says nothing of what fits.
    """
    facts: set[Any] = set()
    for name, value in component.traits.items():
        if name in ("metrics", "headline"):
            continue
        if isinstance(value, Mapping):
            facts |= {(name, (key, member)) for key, inside in value.items() for member in inside}
        else:
            facts |= {(name, member) for member in value} if isinstance(value, frozenset) else {(name, value)}
    return facts


def expand_sights(component: Component) -> set[Any]:
    """Return everything that lies within the sights of a split or a model: the past includes the present."""
    sights = component.traits.get("streams", component.traits.get("sees", ()))
    return {within for sight in sights for within in SEES_AT_MOST[sight]}


def explain_misfit(
    registry: Registry,
    split: Registered,
    objective: Registered,
    model: Registered,
    data_modality: str | None = None,
) -> str | None:
    """Return the reason why three parts do not fit, with the options to type instead; None where they may fit."""
    reason = static_fit(split, objective, model, data_modality)
    if reason is None:
        return None
    similar = find_closest(registry, split, objective, model, data_modality)
    options = " | ".join(f"--{part} {registry.shortest_name(registered)}" for part, registered in similar)
    return f"{reason} {'Closest that fit: ' + options if similar else 'No change of one part alone makes them fit.'}"


class Block(NamedTuple):
    """All triples of one split of data of one modality: what scores it, and what reads it, each with its reason.

    Whether a triple fits is settled by its pairs, so that the block is the product of two short lists, but for the few
    objectives that read several streams side by side.
    """

    modality: str
    split: Registered
    objectives: list[tuple[Registered, str]]
    models: list[tuple[Registered, str]]

    @property
    def fitting(self) -> int:
        """How many triples fit, as far as declarations tell."""
        read = [model for model, reason in self.models if not reason]
        stream_objectives = [
            part.component for part, reason in self.objectives if not reason and has_streams(part.component)
        ]
        scored = sum(not reason for _, reason in self.objectives) - len(stream_objectives)
        return scored * len(read) + sum(
            not streams_misfit(objective, model.component) for objective in stream_objectives for model in read
        )

    def rows(self, fitting: bool = False) -> Iterator[Row]:
        """Yield its triples, or those that fit."""
        scored, read = self.objectives, self.models
        if fitting:
            scored, read = ([pair for pair in pairs if not pair[1]] for pairs in (scored, read))
        for objective, no_score in scored:
            stream_objectives = has_streams(objective.component)
            for model, no_reading in read:
                reason = no_reading or no_score
                if stream_objectives and not reason:
                    reason = streams_misfit(objective.component, model.component)
                if not (fitting and reason):
                    yield Row(self.modality, self.split, objective, model, reason)


def has_streams(objective: Component) -> bool:
    """Return whether an objective declares streams that it reads side by side."""
    return bool(objective.traits.get("streams"))


def iterate_blocks(
    registry: Registry, split: str | None = None, objective: str | None = None, model: str | None = None
) -> Iterator[Block]:
    """Yield the compatibility matrix by modality and split, by static fit: 60 of each part take milliseconds.

    Args:
        registry: Where the parts are.
        split: Only this one.
        objective: Only this one.
        model: Only this one.
    """
    splits, objectives, models = (
        registry.current(part) if name is None else [registry.find(part, name)]
        for part, name in zip(PARTS, (split, objective, model), strict=True)
    )
    for registered in splits:
        for modality in sorted(registered.component.traits["modality"]):
            yield Block(
                modality,
                registered,
                [(other, objective_misfit(modality, registered.component, other.component)) for other in objectives],
                [(other, model_misfit(modality, registered.component, other.component)) for other in models],
            )


def build_matrix(
    registry: Registry,
    split: str | None = None,
    objective: str | None = None,
    model: str | None = None,
    *,
    fitting: bool = False,
) -> Iterator[Row]:
    """Yield every modality, split, objective and model together, by static fit.

    Args:
        registry: Where the parts are.
        split: Only this one.
        objective: Only this one.
        model: Only this one.
        fitting: Leave out what does not fit.
    """
    for block in iterate_blocks(registry, split, objective, model):
        yield from block.rows(fitting)


def exact_fit(split: "SplitFn", objective: "ObjectiveFactory", model: "ModelFactory", observed: Observed) -> str | None:
    """Return why three built parts do not fit such data, by handing specs along; None where they do.

    Args:
        split: Built, and fitted where it needs fitting.
        objective: Called with the specs of features and targets.
        model: Called with the specs of x and of the whole sample.
        observed: What the data yields.
    """
    from pretask.composition import check  # needs torch

    try:
        check(observed, split, model, objective)
    except Incompatible as error:
        return str(error)
    return None

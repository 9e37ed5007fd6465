"""Reference encoders: those that a trained one is held against, measured by the same evaluators.

`random-init` is the same network with the weights that training began with. `raw-input` is no network: what the encoder
is shown, pooled to a thousand numbers at most, or how often each token occurs (at a position: which token it is).
`supervised` is the same network, recipe and budget, trained on the labels that are measured where the data that it
learned from has them, else on its first.

Axes: B batch, V views, L tokens, W vocabulary, D numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Int
from pretask import (
    Batch,
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Samples,
    Target,
    Targets,
    TargetSpecs,
    Task,
)
from pretask.protocols import averages_views
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_bench.records.encoders import INITIAL, RAW, REFERENCE_ENCODERS
from pretask_bench.runs.plan import Plan, split_names

MAX_NUMBERS = 1024  # of a raw input, at most, over all views
MAX_ONE_HOT_VOCABULARY = 4096  # of a vocabulary, at most, for single positions: each is as wide as that


class RawInput(nn.Module):
    """A model without weights, whose features are its input.

    Args:
        spec: Spec of the undivided sample.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return one vector per view; of tokens also one per position."""
        if spec.vocabulary is None:
            return FeatureSpec(prod(pooled_shape(spec.shape, spec.views)), (), spec.views)
        return FeatureSpec(spec.vocabulary.size, spec.shape if self.has_positions else (), spec.views)

    @property
    def has_positions(self) -> bool:
        """Whether positions have features of their own, and not only the whole sample."""
        return self.spec.vocabulary is not None and self.spec.vocabulary.size <= MAX_ONE_HOT_VOCABULARY

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return the input as features, and as the only layer."""
        data = inputs.data
        if self.spec.vocabulary is not None:
            vector = bag_of_tokens(data, inputs.present, self.spec.vocabulary.size)
        else:
            vector = pool_views(data).flatten(2)
        if self.has_positions:
            tokens = F.one_hot(data, vector.shape[2]).float()
            features = Features({"all": tokens}, {"all": vector}, tuple(data.shape[2:]), own_pooled=True)
        else:
            features = Features({"all": vector[:, :, None]}, {"all": vector})
        return replace(features, layers=(features,)) if layers else features

    def extra_repr(self) -> str:
        """Return the spec, which distinguishes this model in the key of cached features."""
        return str(self.spec)


def bag_of_tokens(tokens: Int[Tensor, "B V L"], present: Tensor | None, size: int) -> Float[Tensor, "B V W"]:
    """Return how often every token occurs.

    >>> bag_of_tokens(torch.tensor([[[2, 0, 2]]]), None, 3).tolist()
    [[[1.0, 0.0, 2.0]]]
    """
    count = torch.ones(tokens.shape, device=tokens.device) if present is None else present.float()
    return torch.zeros(*tokens.shape[:2], size, device=tokens.device).scatter_add_(2, tokens, count)


def pooled_shape(shape: tuple[int, ...], views: int) -> tuple[int, ...]:
    """Return the shape of one view after its last one or two axes were averaged down to fit MAX_NUMBERS.

    >>> pooled_shape((3, 64, 64), 1)
    (3, 18, 18)
    >>> pooled_shape((8000,), 1)
    (1024,)
    """
    axes = min(2, len(shape))
    lead = prod(shape[:-axes]) * views
    sides = list(shape[-axes:])
    while lead * prod(sides) > MAX_NUMBERS and max(sides) > 1:
        longest = sides.index(max(sides))
        rest = lead * prod(sides) // sides[longest]
        fits = max(1, MAX_NUMBERS // rest) if axes == 1 else sides[longest] - 1
        sides[longest] = min(fits, sides[longest] - 1)
    return (*shape[:-axes], *sides)


def pool_views(data: Float[Tensor, "B V ..."]) -> Float[Tensor, "B V ..."]:
    """Return views averaged over areas of pixels, or of samples of sound."""
    shape = tuple(data.shape[2:])
    target = pooled_shape(shape, data.shape[1])
    axes = min(2, len(shape))
    flat = data.float().reshape(-1, 1, *shape[-axes:])
    pool: Callable[..., Tensor] = F.adaptive_avg_pool2d if axes == 2 else F.adaptive_avg_pool1d
    return pool(flat, target[-axes:]).reshape(*data.shape[:2], *target)


def raw_input(task: Task) -> Task:
    """Return the task with a model that has no weights."""
    return replace(task, model=RawInput(task.split.whole_spec(task.observed)))


@dataclass(frozen=True, eq=False)
class SupervisedSplit:
    """The split of supervised training: undivided samples, and their classes as targets.

    Args:
        original_split: The split whose `whole` shows the sample.
        labels: (N,) classes; -1 where there is none, which gives the target no weight.
        classes: How many classes.
    """

    original_split: Any
    labels: Int[Tensor, " N"]
    classes: int

    @property
    def shows_versions(self) -> bool:
        """Whether the original split shows several versions of a sample."""
        return averages_views(self.original_split)

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the specs of the whole sample and of its class."""
        return self.original_split.whole_spec(observed), {"label": Categories(self.classes)}

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """Return the spec of the whole sample."""
        spec: InputSpec = self.original_split.whole_spec(observed)
        return spec

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return whole samples and their classes."""
        label = self.labels_on(batch.device)[batch.index]
        return self.whole(batch), {"label": Target(label.clamp(min=0), (label >= 0).float())}

    def labels_on(self, device: torch.device) -> Int[Tensor, " N"]:
        """Return all labels where they are looked up; copied once, not in every step."""
        if device not in self.copies:
            self.copies[device] = self.labels.to(device)
        return self.copies[device]

    @cached_property
    def copies(self) -> dict[torch.device, Tensor]:
        """What `labels_on` has copied."""
        return {}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the whole samples, which the encoder sees."""
        inputs: Inputs = self.original_split.whole(batch)
        return inputs


def supervised_split(split: Any, samples: Samples, label: str) -> SupervisedSplit:
    """Return the supervised split of labelled samples.

    Args:
        split: The split whose `whole` gives the sample.
        samples: Samples with labels.
        label: Name of the labels to predict.
    """
    labels = samples.labels[label]
    return SupervisedSplit(split, labels.value, len(labels.names))


def choose_label(samples: Samples, wanted: Iterable[str]) -> str:
    """Return the label to train on: the first wanted one that is one class per sample, else the first such one.

    Raises:
        PretaskError: There are none.
    """
    known = [name for name, label in samples.labels.items() if label.value.ndim == 1]
    if not known:
        raise PretaskError(
            "the reference supervised",
            "labels, one class per sample",
            ", ".join(samples.labels) or "none",
            "Leave supervised out of --baselines, or use data with classes.",
        )
    return next((name for name in wanted if name in known), known[0])


def required_references(plan: Plan, references: Iterable[str]) -> set[str]:
    """Return which of these encoders a record must have: raw input may have been left out, an objective has none.

    Args:
        plan: Of the run.
        references: Encoders that are asked for.
    """
    if all(evaluator.component.traits["needs"] == "objective" for evaluator in plan.evaluators):
        return set()
    begins_and_learns = plan.init is not None and plan.recipe.steps > 0
    return {*references} - {RAW} - (set() if begins_and_learns else {INITIAL})


def parse_references(text: str, begun: bool = False) -> tuple[str, ...]:
    """Return the reference encoders that a user names.

    Args:
        text: Names with commas between them.
        begun: Whether a run begins with given weights; these are then measured too, beside whatever else is.

    Raises:
        PretaskError: One does not exist.
    """
    names = tuple(split_names(text))
    known = (*REFERENCE_ENCODERS, *([INITIAL] if begun else []))
    for name in names:
        if name not in known:
            raise PretaskError("--baselines", f"some of {', '.join(known)}", name, f"Leave {name} out.", exit_code=2)
    return (*names, INITIAL) if begun and names and INITIAL not in names else names

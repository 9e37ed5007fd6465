"""The four protocols that plugins fill, and what is around them: data, budgets, and what evaluators yield.

Parameters are positional-only, so that a plugin can say `images` or `tokens` where the protocol says `batch`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from pretask.draws import Draws
from pretask.specs import FeatureSpec, InputSpec, Observed, TargetSpecs
from pretask.values import Batch, Features, Inputs, Loss, Targets

if TYPE_CHECKING:
    from pretask.composition import Task
    from pretask.samples import Samples


@runtime_checkable
class SplitFn(Protocol):
    """Hides part of what was observed: `(x, y) = split(t)`. A batched tensor function on the batch's device.

    A split that needs to see data first also has `fit(observed, batches) -> SplitFn`; one that needs other samples
    says `partners = n`; one whose task has trivial answers has `baselines(batches) -> name -> guesser` (held_out.py),
    fitted on these batches alone, which hold the training samples that the model was shown; one whose answers exist for
    training samples only says `held_out = "train"`, and is scored on new draws of these.
    It never looks along the batch axis.
    """

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """What x and y will be; raises Incompatible where this data cannot be split so."""
        ...

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """What `whole` will give."""
        ...

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """x and y of every sample."""
        ...

    def whole(self, batch: Batch, /) -> Inputs:
        """What the encoder is shown of an undivided t, at evaluation."""
        ...


@runtime_checkable
class Fitted(Protocol):
    """A split that must see data before it can split it: vocabularies, colour priors, cluster centres."""

    def fit(self, observed: Observed, batches: Iterable[Batch], /) -> SplitFn:
        """A split that holds what was learned of the data."""
        ...


@runtime_checkable
class Model(Protocol):
    """Encodes x. Built from the specs of x and of the whole t, and must read both. In practice an nn.Module."""

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """What comes of such inputs; raises Incompatible where they cannot be read."""
        ...

    def __call__(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Features of every view; with `layers`, of every layer, in one pass."""
        ...


@runtime_checkable
class Objective(Protocol):
    """Scores the guess of y and owns what is thrown away afterwards. Built from a FeatureSpec and target specs.

    It may have `attach(model)`, called once before the optimizer is made, `after_step(model, progress)`, called after
    every optimizer step with progress in (0, 1], `chance`, a mapping from a part's name to its value for a blind guess,
    and `score(guess, targets) -> Loss`, which scores a guess in the form of `predict`, so that trivial guesses can be
    held against the model's (`SplitFn.baselines`). Parts are named TARGET for nats and TARGET.METRIC for what is not;
    the first is what is lowered, and stands for the pretext task in tables.

    Means by a target's weights go through `weighted_mean(value, target.weight, target.denominator)`, so that an
    optimizer step may be computed in parts and on several ranks. What depends on the batch as a whole (contrastive
    negatives, batch normalization) or on ambient randomness (dropout) changes with the parts all the same.
    """

    def __call__(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """The score, lower is better."""
        ...

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """The guess of every target: log-probabilities (..., classes), or values (..., channels)."""
        ...


@runtime_checkable
class WeighsTargets(Protocol):
    """An objective whose mean of a target is not over all of the target's weights."""

    def scored_weights(self, targets: Targets, /) -> Mapping[str, Tensor]:
        """By target, the weights that are summed in its mean; a target that is left out has its own."""
        ...


@dataclass(frozen=True)
class Items:
    """What an evaluator says of every single test item, kept in the record so that two results can be paired for ever.

    Args:
        correct: (N,) bool, in the order of the test data.
    """

    correct: Tensor


@dataclass(frozen=True)
class Choice:
    """What an evaluator chose by itself, on held-out data; kept in the record by name, as `layer3` under `layer`.

    Args:
        value: The name of what was chosen.
    """

    value: str


@dataclass(frozen=True)
class Figure:
    """A picture that an evaluator offers, as the bytes of a PNG file, and one sentence of what it shows."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Budget:
    """What an evaluator may use.

    Args:
        seed: Of whatever it draws.
        batch: Samples in one forward pass.
        cache: Folder of the feature cache; None keeps nothing.
    """

    seed: int = 0
    batch: int = 256
    cache: str | None = None


@runtime_checkable
class Evaluator(Protocol):
    """Says what the encoder is worth: yields (name, value), higher is better unless the name says otherwise."""

    def __call__(
        self, task: "Task", data: "Data", budget: Budget, /
    ) -> Iterator[tuple[str, float | Items | Figure | Choice]]:
        """Measure a trained task on data with labels. Test items are scored once and never used to choose."""
        ...


@runtime_checkable
class Data(Protocol):
    """A data set with the parts `train` and `test`."""

    def __call__(self, part: str, /) -> "Samples":
        """One part, decoded once and cached."""
        ...

"""The four protocols that plugins fill, and what is around them: data, budgets, and what evaluators yield.

Parameters are positional-only, so that a plugin can say `images` or `tokens` where the protocol says `batch`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from pretask.draws import Draws
from pretask.specs import FeatureSpec, InputSpec, Observed, TargetSpecs
from pretask.values import Batch, Features, Inputs, Loss, Targets

if TYPE_CHECKING:
    from torch import nn

    from pretask.composition import Task
    from pretask.samples import Samples
    from pretask.teacher import Encoders, Momentum


@runtime_checkable
class SplitFn(Protocol):
    """Hides part of what was observed: `(x, y) = split(t)`. A batched tensor function on the batch's device.

    It never looks along the batch axis. What it may have beside: Fittable, FitsWithEncoder, HasPartners,
    HasTrivialPredictors, OffersFigures, ScoredOn, ShowsVersions.
    """

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the specs of x and y; raise Incompatible where this data cannot be split so."""
        ...

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """Return the spec of what `whole` returns."""
        ...

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Split every sample into x and y."""
        ...

    def whole(self, batch: Batch, /) -> Inputs:
        """Return what the encoder is shown of an undivided t, at evaluation."""
        ...


@runtime_checkable
class Fittable(Protocol):
    """A split that must see data before it can split it: vocabularies, color priors, cluster centers."""

    def fit(self, observed: Observed, batches: Iterable[Batch], /) -> SplitFn:
        """Return a split that holds what was learned of the data."""
        ...


Encoder = Callable[[Batch], Features]  # features of undivided samples, with all layers


@runtime_checkable
class FitsWithEncoder(Protocol):
    """A split that is fitted with a trained encoder: targets that are clusters of its features, in a second round.

    With `fit` beside it, the split can do without: the first round.
    """

    def fit_with(self, observed: Observed, batches: Iterable[Batch], encoder: Encoder, /) -> SplitFn:
        """Return a split that holds what was learned of the data and of their features."""
        ...


@runtime_checkable
class HasPartners(Protocol):
    """A split that needs other samples of the same data beside each one, in `Batch.partners`."""

    @property
    def partners(self) -> int:
        """The number of partners of every sample."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Predicts the targets of a split without understanding anything: a frequency, a bigram, a mean."""

    def __call__(self, batch: Batch, draws: Draws, /) -> Mapping[str, Tensor]:
        """Return a prediction of every target, as `Objective.predict` does; the draws are the split's."""
        ...


@runtime_checkable
class HasTrivialPredictors(Protocol):
    """A split whose task has trivial answers, which the model is held against (pretext_score.py)."""

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return predictors by name, fitted on these batches: the training samples that the model was shown."""
        ...


@runtime_checkable
class ScoredOn(Protocol):
    """A split whose targets exist for the samples of one part only, on new draws of which it is scored."""

    @property
    def scored_on(self) -> str:
        """`train` or `test`."""
        ...


@runtime_checkable
class ShowsVersions(Protocol):
    """A split whose `whole` may show one sample in several versions, a view each, whose features are averaged.

    For splits that leave something out of every x: what the encoder is shown at evaluation is then like what it was
    trained on, and all of the sample counts.
    """

    @property
    def shows_versions(self) -> bool:
        """Whether it does, as its options are."""
        ...


def averages_views(split: object) -> bool:
    """Return whether the features of the views that a split's `whole` shows are averaged."""
    return split.shows_versions if isinstance(split, ShowsVersions) else False


def count_partners(split: object) -> int:
    """Return how many other samples a split needs beside each one."""
    return split.partners if isinstance(split, HasPartners) else 0


def scored_part(split: object) -> str:
    """Return the part of a data set on which a split's task is scored."""
    return split.scored_on if isinstance(split, ScoredOn) else "test"


@runtime_checkable
class Model(Protocol):
    """Encodes x. Built from the specs of x and of the whole t, and must read both. In practice an nn.Module."""

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of the features of such inputs; raise Incompatible where they cannot be read."""
        ...

    def __call__(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Compute the features of every view; with `layers`, of every layer, in one pass."""
        ...


@runtime_checkable
class Objective(Protocol):
    """Scores the prediction of y, and owns what is thrown away afterwards. Built from a FeatureSpec and target specs.

    Parts of its loss are named TARGET for what is lowered and TARGET.METRIC for other numbers; `pretask.objective`
    declares their units. What it may have beside: HasChance, ScoresPredictions, WeighsTargets, EncodesViews, Rewrites,
    Attaches, AfterStep, OffersFigures.

    Means by a target's weights go through `weighted_mean(value, target.weight, target.denominator)`, so that an
    optimizer step may be computed in parts and on several ranks. What depends on the batch as a whole (contrastive
    negatives, batch normalization) or on ambient randomness (dropout) changes with the parts all the same.
    """

    def __call__(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Compute the loss; lower is better."""
        ...

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Predict every target: log-probabilities (..., classes), or values (..., channels)."""
        ...


@runtime_checkable
class WeighsTargets(Protocol):
    """An objective whose mean of a target is not over all of the target's weights."""

    def scored_weights(self, targets: Targets, /) -> Mapping[str, Tensor]:
        """Return, by target, the weights that are summed in its mean; a target that is left out has its own."""
        ...


@runtime_checkable
class HasChance(Protocol):
    """An objective that knows what a prediction which has seen nothing reaches.

    Of a target of categories, accuracy and cross-entropy are counted on the data instead (constant_prediction.py).
    """

    @property
    def chance(self) -> Mapping[str, float]:
        """By the name of a part of the loss."""
        ...


@runtime_checkable
class ScoresPredictions(Protocol):
    """An objective that scores predictions wherever they come from, such as those of trivial predictors."""

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the parts of the loss for predictions in the form of `predict`."""
        ...


@runtime_checkable
class Attaches(Protocol):
    """An objective that holds a relative of the model, such as a teacher."""

    def attach(self, model: "nn.Module", /) -> None:
        """Take what is needed of the model; called once, before the optimizer is made."""
        ...


@runtime_checkable
class AfterStep(Protocol):
    """An objective that changes between optimizer steps: a moving average, a schedule."""

    def after_step(self, model: "nn.Module", progress: float, /) -> None:
        """Go on by one step; `progress` through the budget is in (0, 1]."""
        ...


@runtime_checkable
class EncodesViews(Protocol):
    """An objective that has more encoded than x: it is called with `encode` as well, and says what its teacher is.

    `encode.model(inputs)` is the live model, `encode.teacher(inputs)` the slow copy that core keeps of it, and
    `encode.inputs` is x. A split gives further views as targets of the kind Representation, in `Target.inputs`.
    """

    @property
    def teacher_momentum(self) -> "Momentum | None":
        """How the teacher follows; None where only the live model is needed."""
        ...

    def __call__(self, features: Features, targets: Targets, draws: Draws, encode: "Encoders", /) -> Loss:
        """Return the score, lower is better."""
        ...


@runtime_checkable
class Rewrites(Protocol):
    """An objective that has something learn to make x: a generator whose proposals the model is shown.

    It is called after the split and before the model, under its own Draws, and a gradient may flow through it. The new
    x keeps the InputSpec and all that is visible, and depends on x and draws alone; y may be any that follows, with
    weights that may follow from x, such as 0 at padding. Where a step is computed in parts it is called twice for each:
    the first time for the weights alone.
    """

    def rewritten_targets(self, inputs: InputSpec, targets: TargetSpecs, /) -> TargetSpecs:
        """Return the specs of the targets that are scored; raise Incompatible where it cannot rewrite such x and y."""
        ...

    def rewrite(self, inputs: Inputs, targets: Targets, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return x as it is encoded, and y as it is scored."""
        ...


@runtime_checkable
class HasSampleParameters(Protocol):
    """A model with parameters for every training sample, which it finds by `Inputs.index`."""

    @property
    def unseen(self) -> Literal["encoded", "refused"]:
        """What becomes of samples without a number, as all are that were not trained on: features, or a PretaskError.

        A model that refuses them can be trained; nothing that is scored or measured on held-out samples takes it.
        """
        ...

    def allocate(self, samples: int, /) -> None:
        """Make the parameters of so many samples, before the optimizer is made."""
        ...


def chance_of(objective: object) -> Mapping[str, float]:
    """Return what a prediction which has seen nothing reaches, by part; empty where an objective does not know."""
    return objective.chance if isinstance(objective, HasChance) else {}


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
    """A picture that an evaluator, a split or an objective offers: the bytes of a PNG file, and a sentence on it."""

    png: bytes
    caption: str


@runtime_checkable
class OffersFigures(Protocol):
    """A split or an objective that shows what its task does, for those who would rather look than read."""

    def figures(self, task: "Task", batch: Batch, /) -> Iterator[Figure]:
        """Yield pictures of a few held-out samples: what was shown of them, what was hidden, what is predicted."""
        ...


@dataclass(frozen=True)
class Budget:
    """Limits on what an evaluator may use.

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
    """Says what the encoder is worth: yields (name, value); `pretask.evaluator` declares units and directions.

    What it may have beside: ChecksBefore.
    """

    def __call__(
        self, task: "Task", data: "Data", budget: Budget, /
    ) -> Iterator[tuple[str, float | Items | Figure | Choice]]:
        """Measure a trained task on data with labels. Test items are scored once and never used to choose."""
        ...


@runtime_checkable
class ChecksBefore(Protocol):
    """An evaluator that can tell before a task is trained that it will not measure it, so that no training is lost."""

    def check(self, task: "Task", data: "Data", /) -> None:
        """Raise PretaskError where such a task, or such data, cannot be measured; the task has its first weights."""
        ...


@runtime_checkable
class Data(Protocol):
    """A data set with the parts `train` and `test`. It may have WritesExample beside, and text what is below."""

    def __call__(self, part: str, /) -> "Samples":
        """Return one part, decoded once and cached."""
        ...


@runtime_checkable
class WritesExample(Protocol):
    """Data read from files of their user's, which can write a few such files, so that they can be tried without any."""

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write tiny files of both parts into an empty folder; return the options that read them, such as the root."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """Data of text whose tokens can be read."""

    def decode(self, ids: Sequence[int], /) -> str:
        """Return the text of a row of tokens."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Data of text that takes a text of your own."""

    def encode(self, text: str, /) -> list[int]:
        """Return the tokens of a text."""
        ...


@runtime_checkable
class NamesTokenizer(Protocol):
    """Data of text that says what its tokens are: a perplexity means nothing without."""

    @property
    def tokenizer_name(self) -> str:
        """A few words, such as "bpe of 2048 tokens of books"."""
        ...


@runtime_checkable
class SharesTokenizer(Protocol):
    """Data of text whose tokenizer can be written down, so that an encoder takes texts when the data is gone."""

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer as the tokenizers library reads it."""


@runtime_checkable
class KnowsEntropy(Protocol):
    """Data of text made from a known distribution."""

    def entropy(self) -> float:
        """Return nats per token of the best prediction from all tokens before: what no loss can be below."""


@runtime_checkable
class MeasuresText(Protocol):
    """Data of text that knows how long its text is: what bits per byte are computed from."""

    def extent(self, part: str, /) -> tuple[int, int]:
        """Return the tokens of a part, and the bytes of the text that they stand for."""

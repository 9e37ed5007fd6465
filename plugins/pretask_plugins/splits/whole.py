"""The identity split: x and y are both t, so that only an objective with a bottleneck can learn from it.

Source: Kingma and Welling, ICLR 2014, section 2. Differs: "nothing".
Axes: B batch, V views, C channels, H W image, N positions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pretask import Batch, Draws, Incompatible, Inputs, InputSpec, Observed, Target, Targets, TargetSpecs, Vocabulary

from pretask_plugins.splits.patches import (
    TARGET,
    as_views,
    batch_target_name,
    cut,
    describe_target,
    describe_views,
    present_views,
)
from pretask_plugins.splits.trivial_predictors import Predictor, guess_mean, token_predictors


@dataclass(frozen=True)
class Whole:
    """Show everything and ask for everything, pixel by pixel, token by token.

    Args:
        binarise: Draw every pixel anew as black or white with its grey value as the probability, so that a Bernoulli
            likelihood is the likelihood of data ("dynamic" binarisation). Evaluators are shown grey values.
        frame: Samples of a waveform that stand at one position.
        vocabulary: Of text, filled in by `fit`.
    """

    binarise: bool = False
    frame: int = 160
    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """The same thing twice."""
        if self.binarise and observed.modality != "image":
            raise Incompatible(
                "whole with split.binarise", "images", observed.modality, "Leave split.binarise at false."
            )
        spec = self.whole_spec(observed)
        return spec, {TARGET[observed.modality]: replace(describe_target(spec, 1), hidden=False)}

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """All of t."""
        return describe_views("whole", observed, self.frame)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """t, and t."""
        inputs = self.whole(batch)
        if self.binarise:
            inputs = Inputs(draws.bernoulli("pixel", inputs.data, *inputs.data.shape[1:]).float())
        pieces = cut(inputs.data, 1)
        weight = None if inputs.present is None else inputs.present[:, 0].float()
        return inputs, {batch_target_name(batch): Target(pieces if batch.data.ndim == 5 else pieces[:, 0], weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """All of t; grey values also where x is binarised."""
        return Inputs(as_views(batch.data, self.frame), present_views(batch, self.frame))

    def fit(self, observed: Observed, batches: Iterable[Batch], /) -> "Whole":
        """The same split with the vocabulary of its data."""
        return replace(self, vocabulary=observed.vocabulary)

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """The training mean at every place, or how often each token occurs."""
        if self.vocabulary is None:
            return {"mean": guess_mean(self, batches)}
        return token_predictors(batches, self.vocabulary.size, None)

"""The identity split: x and y are both t, so that only an objective with a bottleneck can learn from it.

Source: Kingma and Welling, ICLR 2014, section 2. Differs: nothing.
Axes: B batch, V views, C channels, H W image, N positions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pretask import (
    Batch,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
    Vocabulary,
)
from pretask.options import Size

from pretask_plugins.splits.patches import (
    TARGET,
    as_views,
    batch_target_name,
    describe_target,
    describe_views,
    patchify,
    present_views,
)
from pretask_plugins.splits.trivial_predictors import mean_predictor, token_predictors


@dataclass(frozen=True)
class Whole:
    """Show everything and predict everything, pixel by pixel, token by token.

    Args:
        binarize: Draw every pixel anew as black or white with its gray value as the probability, so that a Bernoulli
            likelihood is the likelihood of data ("dynamic" binarization). Evaluators are shown gray values.
        frame: Samples of the frames that waveforms are cut into.
        vocabulary: Of text, filled in by `fit`.
    """

    binarize: bool = False
    frame: Size = 160
    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the spec of t, as x and as y."""
        if self.binarize and observed.modality != "image":
            raise Incompatible(
                "whole with split.binarize", "images", observed.modality, "Leave split.binarize at false."
            )
        spec = self.whole_spec(observed)
        return spec, {TARGET[observed.modality]: replace(describe_target(spec, 1), hidden=False)}

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """Return all of t."""
        return describe_views("whole", observed, self.frame)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return t as x and as y."""
        inputs = self.whole(batch)
        if self.binarize:
            inputs = Inputs(draws.bernoulli("pixel", inputs.data, *inputs.data.shape[1:]).float())
        patches = patchify(inputs.data, 1)
        weight = None if inputs.present is None else inputs.present[:, 0].float()
        return inputs, {batch_target_name(batch): Target(patches if batch.data.ndim == 5 else patches[:, 0], weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all of t; gray values also where x is binarized."""
        return Inputs(as_views(batch.data, self.frame), present_views(batch, self.frame))

    def fit(self, observed: Observed, batches: Iterable[Batch], /) -> "Whole":
        """Return the same split with the vocabulary of its data."""
        return replace(self, vocabulary=observed.vocabulary)

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the training mean at every place, or how often each token occurs."""
        if self.vocabulary is None:
            return {"mean": mean_predictor(self, batches)}
        return token_predictors(batches, self.vocabulary.size, None)

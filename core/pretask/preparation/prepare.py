"""Prepare: from what a user has to a batch of samples, by the modality that the encoder was trained on.

Axes: B samples; see the modules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pretask.preparation.arrays import as_tensor
from pretask.preparation.clips import prepare_clips
from pretask.preparation.images import describe_image, prepare_images
from pretask.preparation.refusal import refuse
from pretask.preparation.sentences import prepare_sentences
from pretask.preparation.waves import prepare_waves
from pretask.specs import Observed
from pretask.values import Batch

WORDS: Mapping[str, str] = {"image": "images", "video": "clips", "text": "sentences", "audio": "waveforms"}
MIN_RATE, MAX_RATE = 1e-3, 10_000_000  # a second


@dataclass(frozen=True)
class Preparation:
    """What makes samples of a user's inputs.

    Args:
        observed: What the encoder was trained on.
        padded: Whether its samples said where they are padding; then every batch does.
        tokenizer: Of text, as the tokenizers library writes it.
    """

    observed: Observed
    padded: bool = False
    tokenizer: str | None = None

    def __call__(self, inputs: Any, rate: float | None = None) -> Batch:
        """Return a batch on the CPU, or where the inputs are if they are samples already.

        Raises:
            PretaskError: The inputs are not of this modality, or there is none.
        """
        observed = self.observed
        if isinstance(inputs, Batch):
            return inputs
        if rate is not None:
            check_rate(rate)
        if observed.modality == "image" and len(observed.shape) == 3 and observed.dtype == "uint8":
            return Batch(prepare_images(inputs, observed))
        self.refuse_other_kinds(inputs)
        if observed.modality == "video" and len(observed.shape) == 4:
            return self.make_batch(*prepare_clips(inputs, observed, rate))
        if observed.vocabulary is not None and len(observed.shape) == 1:
            return self.make_batch(*prepare_sentences(inputs, observed, self.tokenizer))
        if observed.modality == "audio" and len(observed.shape) == 1:
            return self.make_batch(*prepare_waves(inputs, observed, rate))
        return Batch(require_samples(inputs, observed))

    def make_batch(self, data: Tensor, present: Tensor) -> Batch:
        """Return the batch, which says where it is padding if any is, or if the samples trained on did."""
        return Batch(data, present=present if self.padded or not bool(present.all()) else None)

    def refuse_other_kinds(self, inputs: Any) -> None:
        """Raise PretaskError for text that is no text for this encoder."""
        first = inputs[0] if isinstance(inputs, list | tuple) and inputs else inputs
        if isinstance(first, str) and self.observed.vocabulary is None:
            wanted = WORDS.get(self.observed.modality, f"{self.observed.modality} samples")
            raise refuse(wanted, f"text, {first[:40]!r}", f"It was trained on {self.observed.modality} data.")


def check_rate(rate: Any) -> None:
    """Raise PretaskError for a rate that nothing has."""
    if not isinstance(rate, int | float) or not MIN_RATE <= rate <= MAX_RATE:
        needs = f"a rate from {MIN_RATE:g} to {MAX_RATE:,} a second"
        raise refuse(needs, f"{rate!r}"[:40], "Give Hz of waveforms, or frames per second of clips.")


def require_samples(inputs: Any, observed: Observed) -> Tensor:
    """Return samples of a modality that only its plugin knows; raise PretaskError unless they have its very form."""
    kind = observed.dtype
    if isinstance(inputs, Tensor | np.ndarray) and len(inputs):
        data = as_tensor(inputs)
        if tuple(data.shape[1:]) == observed.shape and str(data.dtype) == f"torch.{kind}":
            return data
    needs = f"{observed.modality} samples: {kind} of shape (B, {', '.join(map(str, observed.shape))})"
    raise refuse(needs, describe_image(inputs), "Prepare them as the data set does.")

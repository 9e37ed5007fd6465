"""Pair every word with some of its window, and with negatives that are drawn from noise.

Frequent words are subsampled and rare ones left out first, the others close up, and windows are laid over the rest.

Source: Mikolov et al., NIPS 2013, sections 2.2 and 2.3, and the released code. Differs: see the folder's header.
Axes: B batch, L tokens, K candidates, P contexts of a word, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, Categories, Draws, Inputs, InputSpec, Observed, Predictor, Target, Targets, TargetSpecs
from pretask.options import Size
from torch import Tensor

from pretask_plugins.methods.word2vec.counted import CountedWords, mark_labels
from pretask_plugins.shared.constants import count_up


@dataclass(frozen=True)
class SkipGram(CountedWords):
    """Keep words, and pair each with contexts (probability 1 in all) and with negatives (probability 0).

    Args:
        window: Words on either side, at most; how many is drawn for every word.
        negatives: Negative samples for every context; 5 to 20 for little text, 2 to 5 for much.
        subsample: Frequency above which words are subsampled, the paper's t; 0 keeps all.
        noise_exponent: Power of the counts from which negatives are drawn; the paper's is 3/4.
        min_count: Occurrences of a word, below which it is left out.
        counts: Occurrences of every word, filled in by `fit`; special tokens have none.
        formula: Of the probability that a frequent word is kept: the released code's, or the paper's.
        contexts: Words of its window that a word is paired with in an epoch, drawn evenly, one perhaps twice. They
            share their negatives and count as much as one would: the mean is the same, with less noise.
    """

    who: ClassVar[str] = "skip-gram"

    contexts: Size = 1

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a row, and a word among the vocabulary for each of its places."""
        size = self.require_fit(text).size
        return self.whole_spec(text), {"context": Categories(size, grid=text.shape, sees="present")}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the words that are kept, one after the other, and the candidates for each."""
        words, present = self.keep_words(batch, draws)
        context, weight = draw_contexts(draws, present, self.window, self.contexts)
        label = words.gather(1, context.flatten(1)).view(context.shape)
        value = torch.cat([label, self.draw_noise(draws, words.shape[1], batch.device)], -1)
        probability = mark_labels(self.contexts, value.shape[-1], batch.device).expand(value.shape)
        return Inputs(words[:, None], present[:, None]), {"context": Target(value, weight, probability)}

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return a predictor that knows nothing, and one that knows how frequent the candidate is."""
        return self.predict_by_frequency("context", batches)


def draw_contexts(
    draws: Draws, present: Bool[Tensor, "B L"], window: int, count: int = 1
) -> tuple[Int[Tensor, "B L P"], Float[Tensor, "B L"]]:
    """Draw for every word the positions of some in its window, evenly; return them with how many the window has.

    Args:
        draws: Of the positions, and of the windows, which reach 1 to `window` words to either side.
        present: Where words are; they stand at the front.
        window: The largest reach.
        count: How many are drawn of each window.
    """
    length = present.shape[1]
    positions = count_up(length, present.device)
    left, right = draw_window(draws, present, window)
    size = left + right
    pick = draws.integers("context", 0, size.clamp(min=1).repeat_interleave(count, 1), length * count)
    pick, begin = pick.view(*size.shape, count), left[..., None]
    context = positions[:, None] - begin + pick + (pick >= begin)  # steps over the center word
    return context.clamp(max=length - 1), size * present.float()


def draw_window(
    draws: Draws, present: Bool[Tensor, "B L"], window: int
) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"]]:
    """Draw how many words of the window of every word lie to its left and to its right."""
    positions = count_up(present.shape[1], present.device)
    reach = draws.integers("window", 1, window + 1, present.shape[1])
    right = reach.minimum(present.sum(1, keepdim=True) - (1 + positions)).clamp(min=0)
    return reach.minimum(positions), right

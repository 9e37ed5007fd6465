"""CBOW: tell a word from the words around it, in no order.

x has a view for every distance: in view k, at the place of a word, stands the word that is k to the right (or, of the
second half of the views, to the left), present where it lies in the word's window. The word itself is in none of them.

Source: Mikolov, Chen, Corrado and Dean, ICLR workshop 2013, section 3.1; negatives as in NIPS 2013 and the released
code. Differs: see the folder's header.
Axes: B batch, V views, L tokens, K candidates, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from pretask import (
    Batch,
    Categories,
    Draws,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
)
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.word2vec.counted import CountedWords, mark_labels
from pretask_plugins.methods.word2vec.split import draw_window
from pretask_plugins.shared.constants import count_up


@dataclass(frozen=True)
class Cbow(CountedWords):
    """Keep words, show the window of each without it, and ask for it (probability 1) among negatives (probability 0).

    Args:
        window: Words on either side, at most; how many is drawn for every word.
        negatives: Negative samples for every word; 5 to 20 for little text, 2 to 5 for much.
        subsample: Frequency above which words are subsampled, the paper's t; 0 keeps all.
        noise_exponent: Power of the counts from which negatives are drawn; the paper's is 3/4.
        min_count: Occurrences of a word, below which it is left out.
        counts: Occurrences of every word, filled in by `fit`; special tokens have none.
        formula: Of the probability that a frequent word is kept: the released code's, or the paper's.
    """

    who: ClassVar[str] = "cbow"

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a row for every distance, and a word among the vocabulary for each of their places."""
        vocabulary = self.require_fit(text)
        spec = InputSpec("text", text.shape, views=2 * self.window, vocabulary=vocabulary)
        return spec, {"word": Categories(vocabulary.size, grid=text.shape, sees="present")}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the windows of the words that are kept, and the candidates for each."""
        words, present = self.keep_words(batch, draws)
        left, right = draw_window(draws, present, self.window)
        left = left * present  # padding has words to its left, too
        around, is_near = look_around(words, left, right, self.window)
        value = torch.cat([words[..., None], self.draw_noise(draws, words.shape[1], batch.device)], -1)
        probability = mark_labels(1, value.shape[-1], batch.device).expand(value.shape)
        return Inputs(around, is_near), {"word": Target(value, (left + right > 0).float(), probability)}

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return a predictor that knows nothing, and one that knows how frequent the candidate is."""
        return self.predict_by_frequency("word", batches)


def look_around(
    words: Int[Tensor, "B L"], left: Int[Tensor, "B L"], right: Int[Tensor, "B L"], window: int
) -> tuple[Int[Tensor, "B V L"], Bool[Tensor, "B V L"]]:
    """Return the words at every distance, and whether each lies in the window; id 0 stands where it does not.

    >>> look_around(torch.tensor([[5, 6, 7]]), torch.tensor([[0, 1, 1]]), torch.tensor([[1, 1, 0]]), 1)[0].tolist()
    [[[6, 7, 0], [0, 5, 6]]]
    """
    length, away = words.shape[1], count_up(window, words.device)[:, None]  # how far away, less 1
    is_near = torch.cat([away < right[:, None], away < left[:, None]], 1)
    padded = F.pad(words, (window, window))
    steps = (*range(1, window + 1), *range(-1, -window - 1, -1))
    around = torch.stack([padded[:, window + step : window + step + length] for step in steps], 1)
    return around.mul_(is_near), is_near

"""What a language model must beat: how often a token occurs, alone or after the token before it.

Source: see shared/ngrams.py.
Axes: B batch, P positions, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping

from jaxtyping import Float
from pretask import Batch, Draws, Predictor
from torch import Tensor

from pretask_plugins.shared.ngrams import bigram_log_probs, count_ngrams, unigram_log_probs, valid_rows


def token_predictors(batches: Iterable[Batch], size: int) -> Mapping[str, Predictor]:
    """Return a unigram, and a bigram where the vocabulary of `size` is small enough, fitted to all labels."""
    counts = count_ngrams(valid_rows(batches), size, skip_first=True)
    unigram = unigram_log_probs(counts.unigrams)
    predictors = {"unigram": unigram_predictor(unigram)}
    if counts.bigrams is not None:
        predictors["bigram"] = bigram_predictor(bigram_log_probs(counts.bigrams, unigram))
    return predictors


def unigram_predictor(log_probs: Float[Tensor, " C"]) -> Predictor:
    """Return the predictor of the same distribution at every position."""

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return {"next": log_probs.to(batch.device).expand(len(batch), batch.data.shape[1] - 1, -1)}

    return predict


def bigram_predictor(log_probs: Float[Tensor, "C C"]) -> Predictor:
    """Return the predictor of what follows the last token that is shown."""

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return {"next": log_probs[batch.data[:, :-1].to(log_probs.device)].to(batch.device)}

    return predict

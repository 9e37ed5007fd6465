"""word2vec: predict the words around a word from that word alone.

Source: Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013, section 2, and the released code (windows drawn from 1 to
5, counts to the power of 3/4, words of fewer than 5 occurrences left out, frequent ones subsampled before windows
are laid, by the code's formula).
Differs: in every epoch each word is paired with one word of its window, drawn evenly, which counts as often as the
window has words: so the mean over pairs is the paper's, and a row is one tensor. The word predicts its context, as in
the paper; the released code has it the other way round. Noise may hit the context by chance. Adam takes the place of
one update per pair at a rate of .025, which has no meaning for the mean over a batch.
Axes: B batch, L tokens, K candidates (a context and its noise), C size of the vocabulary.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013"
CITES = "mikolov2013distributed"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split and the task."""
    yield pretask.split(
        "skip-gram",
        "pretask_plugins.methods.word2vec.split:SkipGram",
        modality="text",
        targets={"categories"},
        sees="present",
        summary="Skip-gram: tell the words around a word from negative samples (Mikolov 2013).",
        source=SOURCE,
        cites=CITES,
        small={"min_count": 1, "subsample": 0.0},
    )
    yield pretask.task(
        "word2vec",
        split="skip-gram",
        objective="negative-sampling",
        model="embedding",
        options={"objective.negatives": 0, "model.width": 300},
        recipe={
            "optimizer": "adam",
            "lr": 1e-3,
            "weight_decay": 0.0,
            "batch": 256,
            "samples": 100_000_000,
            "warmup": 0.0,
            "schedule": "linear",
        },
        presets={
            "small": {
                "data": "toy-grammar",
                "split.subsample": 0.01,
                "split.min_count": 1,
                "model.width": 32,
                "recipe.lr": 0.01,
                "recipe.samples": 400_000,
            },
        },
        summary="word2vec: skip-gram with negative sampling, window 5, 300 wide (Mikolov 2013).",
        source=SOURCE,
        cites=CITES,
    )

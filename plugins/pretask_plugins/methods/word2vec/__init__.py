"""word2vec: predict the words around a word from that word alone (skip-gram), or the word from those around it (CBOW).

Source: Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013, section 2; Mikolov, Chen, Corrado and Dean, ICLR workshop
2013, section 3.1 (CBOW); and the released code (windows drawn from 1 to 5, counts to the power of 3/4, words of fewer
than 5 occurrences left out, frequent ones subsampled before windows are laid, by the code's formula;
split.formula=paper has the paper's).
Differs: in every epoch each word is paired with one word of its window (split.contexts), drawn evenly, which counts as
often as the window has words: so the mean over pairs is the paper's, and a row is one tensor. The word predicts its
context, as in the paper; the released code has it the other way round. Noise may hit the context by chance. Adam takes
the place of one update per pair at a rate of .025 (.05 of CBOW), which has no meaning for the mean over a batch. Of a
CBOW's mean over the window, each word gets its share of the gradient; the released code gives each all of it.
Axes: B batch, V views, L tokens, K candidates (labels and their noise), C size of the vocabulary.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013"
CITES = "mikolov2013distributed"
SOURCE_OF_CBOW = "Mikolov, Chen, Corrado and Dean, ICLR workshop 2013"
CITES_OF_CBOW = ("mikolov2013efficient", "mikolov2013distributed")
SMALL_WORDS = {"min_count": 1, "subsample": 0.0}
RECIPE = {
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "batch": 256,
    "samples": 100_000_000,
    "warmup": 0.0,
    "schedule": "linear",
}
SMALL = {
    "data": "toy-grammar",
    "split.subsample": 0.01,
    "split.min_count": 1,
    "model.width": 32,
    "recipe.lr": 0.01,
    "recipe.samples": 400_000,
}

BOOKS = {  # a million words of your own: --set data.root=FOLDER; a minute of one core. Rates by held-out rows
    "data": "text",
    "data.tokenizer": "words",
    "data.length": 128,
    "model.width": 100,
    "recipe.batch": 64,
    "recipe.clip": 0.0,
    "recipe.samples": 46_000,
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the splits and the tasks."""
    yield pretask.split(
        "skip-gram",
        "pretask_plugins.methods.word2vec.split:SkipGram",
        modality="text",
        targets={"categories"},
        sees="present",
        summary="Skip-gram: tell the words around a word from negative samples (Mikolov 2013).",
        source=SOURCE,
        cites=CITES,
        small=SMALL_WORDS,
    )
    yield pretask.split(
        "cbow",
        "pretask_plugins.methods.word2vec.cbow:Cbow",
        modality="text",
        targets={"categories"},
        views=None,
        sees="present",
        summary="CBOW: tell a word from the bag of words around it (Mikolov 2013).",
        source=SOURCE_OF_CBOW,
        cites=CITES_OF_CBOW,
        small=SMALL_WORDS,
    )
    yield pretask.task(
        "word2vec",
        split="skip-gram",
        objective="negative-sampling",
        model="embedding",
        options={"objective.negatives": 0, "model.width": 300},
        recipe=RECIPE,
        presets={"small": SMALL, "books": {**BOOKS, "split.contexts": 6, "recipe.lr": 0.01}},
        summary="word2vec: skip-gram with negative sampling, window 5, 300 wide (Mikolov 2013).",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "cbow",
        split="cbow",
        objective="negative-sampling",
        model="bag-of-words",
        options={"objective.negatives": 0, "model.width": 300},
        recipe=RECIPE,
        presets={"small": SMALL, "books": {**BOOKS, "recipe.lr": 0.03}},
        summary="word2vec: CBOW with negative sampling, window 5, 300 wide (Mikolov 2013).",
        source=SOURCE_OF_CBOW,
        cites=CITES_OF_CBOW,
    )

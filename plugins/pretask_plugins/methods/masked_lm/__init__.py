"""Masked language model: predict masked tokens from both sides, and whether the second piece follows the first.

Source: Devlin, Chang, Lee and Toutanova, NAACL 2019; the released create_pretraining_data.py and run_pretraining.py.
Differs: masks are drawn anew in every epoch, where the released data repeats ten. Replacements are ordinary tokens,
where the paper's may be special ones. Pieces are the paper's with the data sentence-pairs and split.pieces=given; with
other text they are the halves of a row, cut at the same place in a row and its partner, so that their lengths carry no
information; half of them are a partner's, which is any other row, of the same document or not. The class token is the
model's own and does not count for the mask ratio; the softmax has a matrix of its own, and the head no layer
normalization.
Axes: B batch, L tokens of a row.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Devlin, Chang, Lee and Toutanova, NAACL 2019"
CITES = "devlin2019bert"
SMALL = {  # learns toy-grammar, or the standard library, in two minutes of one core
    "data": "toy-grammar",
    "split": "mask-tokens",
    "model.width": 128,
    "model.depth": 2,
    "model.heads": 4,
    "model.dropout": 0.0,
    "objective.hidden": (),
    "recipe.lr": 2e-3,
    "recipe.batch": 32,
    "recipe.samples": 12_000,
    "recipe.warmup": 0.05,
}
# A few books of your own: --set data.root=FOLDER. For half of the run the loss stays near that of single tokens, before
# it falls below what pairs of tokens tell: 16 to 40 minutes of one core.
BOOKS = {**SMALL, "data": "text", "data.length": 64, "data.vocab_size": 2048, "recipe.samples": 300_000}
# The same in a minute and a half: with rotary positions the way to a neighbor is short, and the loss falls at once.
ROTARY = {
    **BOOKS,
    "model": "transformer",
    "model.width": 64,
    "split.mask_ratio": 0.3,
    "recipe.lr": 4e-3,
    "recipe.samples": 64_000,
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the splits and the task."""
    yield pretask.split(
        "mask-tokens",
        "pretask_plugins.methods.masked_lm.split:MaskTokens",
        modality="text",
        targets={"categories"},
        summary="Mask tokens: predict 15 % of the tokens, most of them masked (Devlin 2019).",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.split(
        "mask-tokens-pair",
        "pretask_plugins.methods.masked_lm.pair:MaskTokensPair",
        modality="text",
        targets={"categories"},
        summary="Mask tokens, and predict whether the second piece follows the first.",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "masked-lm",
        split="mask-tokens-pair",
        objective="cross-entropy",
        model="bert",
        options={"objective.hidden": (768,)},
        recipe={
            "optimizer": "adamw",
            "lr": 1e-4,
            "weight_decay": 0.01,
            "batch": 256,
            "samples": 256_000_000,
            "warmup": 0.01,
            "schedule": "linear",
            "clip": 1.0,
        },
        presets={"small": SMALL, "books": BOOKS, "rotary": ROTARY},
        summary="BERT: masked language model with next sentence prediction (Devlin 2019).",
        source=SOURCE,
        cites=CITES,
    )

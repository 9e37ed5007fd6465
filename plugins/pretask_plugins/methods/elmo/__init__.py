"""ELMo: predict the next word from those before it, and the previous word from those after it.

Source: Peters et al., NAACL 2018, sections 3.1 and 3.4, and the released code (two layers of 4,096 cells projected to
512, dropout .1, Adagrad at .2, batches of 128, gradients of norm 10 at most).
Differs: tokens have vectors of their own and the two directions share these and not the softmax, which is full; the
preset `characters` composes tokens of their characters (models/text/char_bilstm.py), and both directions share a
sampled softmax, as in the paper. States do not go on from one row to the next, and start and end are words only where
the data has them. The budget is ten epochs of a billion words in rows of 20.
Axes: B batch, L tokens, C size of the vocabulary.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Peters et al., NAACL 2018"
CITES = "peters2018deep"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split and the task."""
    yield pretask.split(
        "both-ways",
        "pretask_plugins.methods.elmo.split:BothWays",
        modality="text",
        targets={"categories"},
        sees={"past", "future"},
        summary="Both ways: predict the next word from the left, the previous from the right.",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "elmo",
        split="both-ways",
        objective="cross-entropy",
        model="bilstm",
        options={"model.width": 512, "model.depth": 2, "model.hidden_size": 4096, "model.dropout": 0.1},
        recipe={
            "optimizer": "adagrad",
            "lr": 0.2,
            "weight_decay": 0.0,
            "batch": 128,
            "samples": 400_000_000,
            "warmup": 0.0,
            "schedule": "constant",
            "clip": 10.0,
        },
        presets={
            "small": {
                "data": "toy-grammar",
                "model.width": 64,
                "model.hidden_size": 64,
                "recipe.optimizer": "adam",
                "recipe.lr": 4e-3,
                "recipe.schedule": "cosine",
                "recipe.warmup": 0.05,
                "recipe.batch": 64,
                "recipe.samples": 60_000,
            },
            "characters": {  # the paper's: words of characters, one softmax
                "model": "char-bilstm",
                "model.width": 512,
                "model.depth": 2,
                "model.hidden_size": 4096,
                "model.dropout": 0.1,
                "model.filters": (32, 32, 64, 128, 256, 512, 1024),
                "model.filter_widths": (1, 2, 3, 4, 5, 6, 7),
                "model.layer_norm": False,
                "objective": "shared-softmax",
                "objective.sampled": 8192,
            },
            "small-characters": {  # a few books of your own: --set data.root=FOLDER; minutes of one core
                "data": "text",
                "data.tokenizer": "words",
                "data.lowercase": False,
                "data.vocab_size": 8192,
                "data.length": 32,
                "model": "char-bilstm",
                "model.width": 64,
                "model.depth": 2,
                "model.dropout": 0.1,
                "model.filters": (16, 32, 32),
                "model.filter_widths": (1, 2, 3),
                "model.characters": 16,
                "objective": "shared-softmax",
                "objective.sampled": 256,
                "recipe.optimizer": "adam",
                "recipe.lr": 4e-3,
                "recipe.schedule": "cosine",
                "recipe.warmup": 0.05,
                "recipe.batch": 64,
                "recipe.samples": 60_000,
            },
        },
        summary="ELMo: a bidirectional LSTM language model of two layers (Peters 2018).",
        source=SOURCE,
        cites=CITES,
    )

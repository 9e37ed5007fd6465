"""Causal language model: predict every token from all tokens before it.

Source: Radford, Narasimhan, Salimans and Sutskever 2018 (GPT: recipe), Radford et al. 2019 (GPT-2: the model); Shannon
1951 (the task).
Differs: the model is GPT-2's of the same size, normalized before each part; the softmax has a matrix of its own, where
the paper's is that of the embeddings. Documents are closed by the end token; a row that holds several lets the later
ones see the earlier ones, as GPT-2's do. The first token of a row is no label.
Axes: B batch, L tokens of a row.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Radford, Narasimhan, Salimans and Sutskever 2018"
CITES = "radford2018improving"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split and the task."""
    yield pretask.split(
        "next-token",
        "pretask_plugins.methods.causal_lm.split:NextToken",
        modality="text",
        targets={"categories"},
        sees="past",
        summary="Next token: predict every token from all tokens before it (Radford 2018).",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "causal-lm",
        split="next-token",
        objective="cross-entropy",
        model="gpt2",
        recipe={
            "optimizer": "adamw",
            "lr": 2.5e-4,
            "weight_decay": 0.01,
            "batch": 64,
            "samples": 220_000_000,
            "warmup": 0.0006,
            "clip": 1.0,
        },
        presets={
            "small": {  # learns toy-grammar, or the standard library, in two minutes of one core
                "data": "toy-grammar",
                "model.width": 128,
                "model.depth": 2,
                "model.heads": 4,
                "model.dropout": 0.0,
                "recipe.lr": 2e-3,
                "recipe.weight_decay": 0.05,
                "recipe.batch": 32,
                "recipe.samples": 12_000,
                "recipe.warmup": 0.05,
            },
            "books": {  # a few books of your own: --set data.root=FOLDER; twenty minutes of one core
                "data": "text",
                "data.length": 65,
                "model.width": 128,
                "model.depth": 2,
                "model.heads": 4,
                "model.dropout": 0.0,
                "recipe.lr": 3e-3,
                "recipe.weight_decay": 0.05,
                "recipe.batch": 32,
                "recipe.samples": 36_000,
                "recipe.warmup": 0.05,
            },
            "characters": {  # the small network of nanoGPT for tiny Shakespeare: 4 x 128, context 64, 2,000 steps of 12
                "data": "text",
                "data.tokenizer": "characters",
                "data.length": 65,
                "model.width": 128,
                "model.depth": 4,
                "model.heads": 4,
                "model.dropout": 0.0,
                "recipe.lr": 1e-3,
                "recipe.betas": (0.9, 0.99),
                "recipe.weight_decay": 0.1,
                "recipe.batch": 12,
                "recipe.samples": 24_000,
                "recipe.warmup": 0.05,
            },
        },
        summary="GPT: a causal transformer language model (Radford 2018), in the size of GPT-2.",
        source=SOURCE,
        cites=CITES,
    )

"""Paragraph vectors: hidden words are predicted from the words around them and from a vector of their text.

Source: Le and Mikolov, ICML 2014 (PV-DM). Differs: words are hidden at random, and none is predicted twice at once; a
text that was not trained on has no vector, where the paper learns one for it.
Axes: see model.py.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Le and Mikolov, ICML 2014"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the model and the task."""
    yield pretask.model(
        "paragraph-vectors",
        "pretask_paragraphs.model:ParagraphVectors",
        modality="text",
        summary="A vector for every training text, and the mean of the words around (Le 2014).",
        source=SOURCE,
        small={"width": 16},
    )
    yield pretask.task(
        "pv-dm",
        split="pretask/mask-tokens",
        objective="pretask/cross-entropy",
        model="paragraphs/paragraph-vectors",
        recipe={"optimizer": "sgd", "lr": 0.025, "batch": 128, "samples": 100_000_000},
        presets={
            "small": {
                "data": "pretask/toy-grammar",
                "model.width": 64,
                "recipe.optimizer": "adamw",
                "recipe.lr": 1e-2,
                "recipe.batch": 64,
                "recipe.samples": 20_000,
            }
        },
        summary="Paragraph vectors, distributed memory.",
        source=SOURCE,
    )

"""Replaced token detection: a generator fills masked tokens in, the model tells which are not the original ones.

Source: Clark et al., ICLR 2020 (ELECTRA). Differs: the generator is one block and shares no embeddings.
Axes: see objective.py.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Clark et al., ICLR 2020"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the objective and the task."""
    yield pretask.objective(
        "replaced-tokens",
        "pretask_detection.objective:ReplacedTokens",
        targets={"categories"},
        summary="ELECTRA: tell the tokens that a small generator has replaced (Clark 2020).",
        source=SOURCE,
        small={"hidden": 16},
    )
    yield pretask.task(
        "electra",
        split="pretask/mask-tokens",
        objective="detection/replaced-tokens",
        model="pretask/transformer",
        recipe={"optimizer": "adamw", "lr": 5e-4, "batch": 128, "samples": 128_000_000, "weight_decay": 0.01},
        presets={
            "small": {
                "data": "pretask/toy-grammar",
                "model.width": 64,
                "model.depth": 2,
                "recipe.lr": 1e-3,
                "recipe.batch": 64,
                "recipe.samples": 20_000,
            }
        },
        summary="ELECTRA.",
        source=SOURCE,
    )

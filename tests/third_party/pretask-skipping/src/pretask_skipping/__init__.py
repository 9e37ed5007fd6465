"""Masked autoencoder: encode the visible patches only; a small decoder draws the others.

Source: He et al., CVPR 2022. Differs: a learned position embedding; layer normalization before each block.
Axes: see the modules.
"""

from collections.abc import Iterator

import pretask

SOURCE = "He et al., CVPR 2022"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the model, the objective and the task."""
    yield pretask.model(
        "visible-vit",
        "pretask_skipping.model:VisibleVit",
        modality="image",
        summary="MAE encoder: a transformer over the visible patches (He 2022).",
        source=SOURCE,
        small={"width": 16, "depth": 1},
    )
    yield pretask.objective(
        "decoder",
        "pretask_skipping.objective:Decoder",
        targets={"values"},
        summary="MAE decoder: mask tokens and a transformer predict the hidden patches (He 2022).",
        source=SOURCE,
        small={"width": 16},
    )
    yield pretask.task(
        "mae",
        split="pretask/any-from-any",
        objective="skipping/decoder",
        model="skipping/visible-vit",
        options={"split.mask_ratio": 0.75, "split.patch": 16, "model.patch": 16, "model.width": 768, "model.depth": 12},
        recipe={"optimizer": "adamw", "lr": 2.4e-3, "batch": 4096, "samples": 1_000_000_000, "weight_decay": 0.05},
        presets={
            "small": {
                "data": "pretask/shapes",
                "split.patch": 4,
                "model.patch": 4,
                "model.width": 64,
                "model.depth": 3,
                "recipe.lr": 1e-3,
                "recipe.batch": 64,
                "recipe.samples": 12_000,
            }
        },
        summary="Masked autoencoder.",
        source=SOURCE,
    )

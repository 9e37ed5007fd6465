"""BYOL: predict what a slow copy of the network makes of another view of the same sample.

Source: Grill et al., NeurIPS 2020. Differs: layer normalization in the heads, where the paper has batch normalization.
Axes: see objective.py.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Grill et al., NeurIPS 2020"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the objective and the task."""
    yield pretask.objective(
        "byol",
        "pretask_byol.objective:Byol",
        targets={"agreement"},
        state={"teacher"},
        summary="BYOL: predict a momentum teacher's projection of the other view (Grill 2020).",
        source=SOURCE,
        small={"hidden": 32, "out_dim": 16},
    )
    yield pretask.task(
        "byol",
        split="pretask/exemplar-pair",
        objective="byol/byol",
        model="pretask/timm",
        recipe={"optimizer": "lars", "lr": 0.2, "batch": 4096, "samples": 1_000_000_000, "weight_decay": 1.5e-6},
        presets={
            "small": {
                "data": "pretask/shapes",
                "model": "pretask/convnet",
                "model.width": 16,
                "recipe.optimizer": "adamw",
                "recipe.lr": 1e-3,
                "recipe.batch": 64,
                "recipe.samples": 20_000,
                "split.patch": 24,
            }
        },
        summary="BYOL on two views of an image.",
        source=SOURCE,
    )

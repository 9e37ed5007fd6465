"""Rotation: by how many quarter turns was this image turned?

Source: Gidaris, Singh and Komodakis, ICLR 2018.
Differs: one turn of every image a step, where the paper shows all four of each at once.
Axes: see rotation.py.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Gidaris, Singh and Komodakis, ICLR 2018"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split and the task."""
    yield pretask.split(
        "rotation",
        "pretask_turns.rotation:Rotate",
        modality="image",
        targets={"categories"},
        summary="By how many quarter turns was this image turned?",
        source=SOURCE,
    )
    yield pretask.task(
        "rotation",
        split="turns/rotation",
        objective="pretask/cross-entropy",
        model="pretask/timm",
        options={"model.name": "resnet50"},
        recipe={"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4, "batch": 128, "samples": 3_000_000},
        presets={
            "small": {
                "data": "pretask/digits",
                "model": "pretask/convnet",
                "model.width": 16,
                "model.stride": 1,
                "recipe.optimizer": "adamw",
                "recipe.lr": 2e-3,
                "recipe.batch": 64,
                "recipe.samples": 20_000,
            }
        },
        summary="RotNet: four turns, told apart by a linear layer.",
        source=SOURCE,
    )

"""Multi-crop: large and small crops of an image, which a student sees all and its teacher only the large ones.

Source: Caron et al., NeurIPS 2020 (crops); Caron et al., ICCV 2021 (DINO: self-distillation, centering, sharpening).
Differs: square crops without color jitter; no weight normalization in the last layer.
Axes: see the modules.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Caron et al., ICCV 2021"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split, the objective and the task."""
    yield pretask.split(
        "multicrop",
        "pretask_multicrop.split:MultiCrop",
        modality="image",
        targets={"agreement"},
        views=2,
        summary="Multi-crop: two large and several small crops of an image (Caron 2020).",
        source="Caron et al., NeurIPS 2020",
    )
    yield pretask.objective(
        "self-distillation",
        "pretask_multicrop.objective:SelfDistillation",
        targets={"agreement"},
        state={"teacher", "center"},
        summary="DINO: predict a momentum teacher's assignment of the large crops (Caron 2021).",
        source=SOURCE,
        small={"prototypes": 16},
    )
    yield pretask.task(
        "dino",
        split="multicrop/multicrop",
        objective="multicrop/self-distillation",
        model="pretask/timm",
        recipe={"optimizer": "adamw", "lr": 2e-3, "batch": 1024, "samples": 400_000_000, "weight_decay": 0.04},
        presets={
            "small": {
                "data": "pretask/shapes",
                "model": "pretask/convnet",
                "model.width": 16,
                "recipe.lr": 1e-3,
                "recipe.batch": 64,
                "recipe.samples": 12_000,
            }
        },
        summary="DINO with multi-crop.",
        source=SOURCE,
    )

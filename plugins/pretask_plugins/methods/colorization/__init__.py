"""Colorization: tell the colours of a photograph from its lightness.

Source: Zhang, Isola and Efros, ECCV 2016.
Differs: the colour prior, whose inverse says how much a colour counts, is that of the user's training images, where
the paper has ImageNet's. A place's weight enters the loss itself, which is a weighted mean; the released code scales
only the gradient, and sums. Whether an image is grey is looked up at the places that are asked for. Three of the
paper's settings differ from its code and follow the paper: five nearest bins, images of any size, a mean where the code
has a sum. The network is any image model whose positions are resampled to a quarter of the image; it is shown L / 100.
The rate falls as a cosine, not to a third and a tenth at 200,000 and 375,000 steps.
Axes: B batch, H W image, h w every fourth pixel, K nearest bins, Q = 313 bins.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import FRACTION

SOURCE = "Zhang, Isola and Efros, ECCV 2016"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split, the task and the evaluator."""
    yield pretask.split(
        "colorization",
        "pretask_plugins.methods.colorization.split:DropColour",
        modality="image",
        targets={"categories"},
        summary="Which colour has every fourth pixel of a grey image?",
        source=SOURCE,
    )
    yield pretask.evaluator(
        "colorization",
        "pretask_plugins.methods.colorization.evaluator:Colorization",
        needs="objective",
        modality="image",
        metrics={
            "auc": pretask.Metric(FRACTION, higher_is_better=True),
            "balanced_auc": pretask.Metric(FRACTION, higher_is_better=True),
        },
        headline="auc",
        summary="How near guessed colours come (AuC, raw and balanced), beside grey and the mean colour; pictures.",
        source=SOURCE,
        small={"pictures": 2},
    )
    yield pretask.task(
        "colorization",
        split="colorization",
        objective="cross-entropy",
        model="timm",
        options={"model.name": "resnet50", "objective.hidden": (512,)},
        recipe={
            "optimizer": "adam",
            "lr": 3e-5,
            "betas": (0.9, 0.99),
            "weight_decay": 1e-3,
            "batch": 40,
            "samples": 20_000_000,
            "augment": ("flip",),
        },
        presets={
            "small": {  # learns in two minutes on two cores
                "data": "shapes",
                "model": "convnet",
                "model.width": 24,
                "model.depth": 2,
                "recipe.optimizer": "adamw",
                "recipe.lr": 3e-3,
                "recipe.weight_decay": 0.05,
                "recipe.batch": 32,
                "recipe.samples": 16_000,
            },
        },
        summary="Zhang's colourful colorization: 313 bins, rebalanced by how rare a colour is.",
        source=SOURCE,
    )

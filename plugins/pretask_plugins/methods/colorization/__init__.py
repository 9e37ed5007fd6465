"""Colorization: predict the colors of a photograph from its lightness.

Read on in this order, as in the paper: soft encoding of a color over its nearest bins (section 2.1: palette.py,
soft_encode), class rebalancing (section 2.2, equations 3 and 4: palette.py, rebalancing_weights), what is shown and
what is predicted (split.py), the annealed mean and how near it comes (sections 2.3 and 3.1, equation 5: palette.py,
annealed_mean; evaluator.py), and what a classifier makes of it (section 3.1: classifier.py). The loss of equation 2 is
the objective cross-entropy.

Source: Zhang, Isola and Efros, ECCV 2016.
Differs: the color prior, whose inverse weights the colors, is that of the user's training images, where the paper has
ImageNet's. A place's weight enters the loss itself, which is a weighted mean; the released code scales only the
gradient, and sums. Whether an image is gray is decided at the places that are predicted. Three of the paper's settings
differ from its code and follow the paper: five nearest bins, images of any size, a mean where the code has a sum. The
network is any image model, by default one that keeps the paper's stride of 8 pixels, whose positions are resampled to a
quarter of the image; it is shown L / 100. The rate falls as a cosine, not to a third and a tenth at 200,000 and 375,000
steps.
Axes: B batch, H W image, h w every fourth pixel, K nearest bins, Q = 313 bins.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import FRACTION

SOURCE = "Zhang, Isola and Efros, ECCV 2016"
CITES = "zhang2016colorful"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split, the task and the evaluator."""
    yield pretask.split(
        "colorization",
        "pretask_plugins.methods.colorization.split:DropColor",
        modality="image",
        targets={"categories"},
        summary="Colorization: predict the quantized color of a grayscale image (Zhang 2016).",
        version=2,  # 1 looked the nearest bins up for colors rounded to whole units
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.evaluator(
        "colorization",
        "pretask_plugins.methods.colorization.evaluator:Colorization",
        needs="objective",
        modality="image",
        metrics={
            "auc": pretask.Metric(FRACTION, higher_is_better=True),
            "balanced_auc": pretask.Metric(FRACTION, higher_is_better=True),
            "accuracy": pretask.Metric(FRACTION, higher_is_better=True),
        },
        headline="auc",
        summary="Area under the curve of color errors, raw and balanced, and colorized images.",
        source=SOURCE,
        cites=CITES,
        small={"pictures": 2},
    )
    yield pretask.task(
        "colorization",
        split="colorization",
        objective="cross-entropy",
        model="timm",
        options={"model.name": "resnet50", "model.output_stride": 8, "objective.hidden": (512,)},
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
        summary="Colorization of Zhang et al. 2016: 313 bins, rebalanced by rarity.",
        source=SOURCE,
        cites=CITES,
    )

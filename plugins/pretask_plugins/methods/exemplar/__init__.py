"""Exemplar: classify from which image a transformed patch was cropped; every image is a class of its own.

Read seeds.py (where a patch is cropped), augmentation.py (the family of transformations; color_kernel.py is its colors
again, faster on a CPU), split.py in this order.

Its ranges are wide: of photographs, 17 % of the values of patches end at 0 or 1 (before the colors 0.4 %; without the
powers 11 %), and 5 % of the patches are nearly flat (a standard deviation below .05; before the colors 1.7 %). Whether
saturation and value share a power changes neither.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014; TPAMI 2016.
Differs: each image gives one seed, and every step a new copy of it, where the paper draws about a hundred copies of
each before training. Saturation and value have powers, factors and summands of their own. The mean pixel is not
subtracted: models normalize their own input. Seeds lie on a grid of an eighth of a patch. The network is any image
model. `exemplar-pair` shows two copies at once, and predicts which belong together, which needs no class per image and
so scales to any number of them (Dosovitskiy's classes seen as Chen et al. 2020 see them): the task of that name, whose
transformations are these and not SimCLR's, and which is optimized by AdamW instead of LARS. Axes: B batch, V views, C
channels, H W image, P patch side.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014"
CITES = "dosovitskiy2014discriminative"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the splits and the tasks."""
    yield pretask.split(
        "exemplar",
        "pretask_plugins.methods.exemplar.split:TransformSeed",
        modality="image",
        targets={"categories"},
        summary="Exemplar: classify transformed patches by their image, each a class of its own (Dosovitskiy 2014).",
        source=SOURCE,
        cites=CITES,
        small={"patch": 12},
    )
    yield pretask.split(
        "exemplar-pair",
        "pretask_plugins.methods.exemplar.split:TransformPair",
        modality="image",
        views=2,
        targets={"agreement"},
        summary="Exemplar pairs: match transformed patches of the same image (Chen 2020).",
        source=SOURCE,
        cites=CITES,
        small={"patch": 12},
    )
    yield pretask.task(
        "exemplar",
        split="exemplar",
        objective="cross-entropy",
        model="timm",
        options={"model.name": "resnet18", "split.patch": 32},
        recipe={"optimizer": "sgd", "lr": 0.01, "weight_decay": 4e-3, "batch": 128, "samples": 100_000_000},
        presets={
            "small": {  # learns in two minutes on two cores, of a few hundred images
                "data": "shapes",
                "data.size": 400,
                "model": "convnet",
                "model.width": 16,
                "split.patch": 24,
                "recipe.optimizer": "adamw",
                "recipe.lr": 3e-3,
                "recipe.weight_decay": 0.05,
                "recipe.batch": 128,
                "recipe.samples": 40_000,
            },
        },
        summary="Exemplar networks (Dosovitskiy 2014): every image a class, patches of 32 pixels.",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "exemplar-pair",
        split="exemplar-pair",
        objective="info-nce",
        model="timm",
        options={"model.name": "resnet50", "split.patch": 32, "objective.hidden": (2048,)},
        recipe={"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05, "batch": 512, "samples": 100_000_000},
        presets={
            "small": {  # learns in two minutes on two cores
                "data": "shapes",
                "data.size": 2048,
                "model": "convnet",
                "model.width": 16,
                "split.patch": 24,
                "objective.hidden": (128,),
                "recipe.lr": 2e-3,
                "recipe.batch": 128,
                "recipe.samples": 40_000,
            },
        },
        summary="SimCLR on exemplars (Chen 2020): which two transformed patches are of one image.",
        source="Chen, Kornblith, Norouzi and Hinton, ICML 2020; transformations of Dosovitskiy 2014",
        cites=("chen2020simple", CITES),
    )

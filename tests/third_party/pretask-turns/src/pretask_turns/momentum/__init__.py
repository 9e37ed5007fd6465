"""Momentum: guess what a slower copy of this network makes of the whole image, from a part of it.

Source: Grill et al., NeurIPS 2020 (BYOL: predictor, cosine, momentum that rises as a cosine); Baevski et al., ICML 2022
(data2vec: the teacher sees what is hidden from the student).
Differs: one vector for the image, not one for every place, and no projector.
Axes: see the modules.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Grill et al., NeurIPS 2020; Baevski et al., ICML 2022"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split, the objective and the task."""
    yield pretask.split(
        "hide-squares",
        "pretask_turns.momentum.split:HideSquares",
        modality="image",
        targets={"shown"},
        summary="What would a teacher make of the whole image?",
        source=SOURCE,
    )
    yield pretask.objective(
        "momentum-teacher",
        "pretask_turns.momentum.objective:MomentumTeacher",
        targets={"shown"},
        summary="How near is the guess to what a slower copy of the network sees?",
        source=SOURCE,
        small={"hidden": 32},
    )
    yield pretask.task(
        "self-teaching",
        split="turns/hide-squares",
        objective="turns/momentum-teacher",
        model="pretask/timm",
        recipe={"optimizer": "adamw", "lr": 1e-3, "batch": 256, "samples": 1_000_000},
        presets={
            "small": {
                "data": "pretask/digits",
                "split.side": 2,
                "model": "pretask/convnet",
                "model.width": 16,
                "model.stride": 1,
                "recipe.batch": 64,
                "recipe.samples": 20_000,
            }
        },
        summary="A student that sees half of the image, and a teacher that sees all of it.",
        source=SOURCE,
    )

"""Relative position: classify which of its eight neighbors a patch is shown with.

Source: Doersch, Gupta and Efros, ICCV 2015, section 3 and 3.1.
Differs: features of images whose patches keep one channel are the mean over the three channels that may be kept; the
image is not rescaled to a random number of pixels first, and no patch is made coarse (a third of the
paper's are scaled down, to 10 x 10 pixels at the least, and up again). One pair is cut per image and step, where the
paper takes four grids and every pair of each. A patch is brought to its own mean and std (as Kolesnikov, Zhai
and Beyer, CVPR 2019), where the released code divides by the root mean square and multiplies by 50. The network is any
image model; its head has layer normalization. Optimizer and budget follow the 2019 reproduction (SGD .1 per 256, 35
epochs of ImageNet, the rate falling as a cosine), since the paper's momentum of .999 and four weeks of one card are of
their time.
Axes: B batch, V views (center, neighbor), C channels, H W image, P patch side.
"""

from collections.abc import Iterator

import pretask

SMALL = {"patch": 8, "gap": 2, "jitter": 1}
# Learns in minutes on two cores: `small` on images of 128 pixels, `demo` on images of 64.
TWO_CORES = {
    "model": "convnet",
    "model.width": 24,
    "split.color": "project",
    "objective.hidden": (256,),
    "recipe.optimizer": "adamw",
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.05,
    "recipe.batch": 128,
    "recipe.augment": ("flip",),
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the splits and the task."""
    yield pretask.split(
        "relative-position",
        "pretask_plugins.methods.relative_position.split:CutPair",
        modality="image",
        views=2,
        targets={"categories"},
        summary="Relative position: classify one of eight neighbors of a patch (Doersch 2015).",
        version=2,  # 1 read whole images in all channels also where patches keep one
        source="Doersch, Gupta and Efros 2015",
        cites="doersch2015unsupervised",
        small=SMALL,
    )
    yield pretask.split(
        "absolute-position",
        "pretask_plugins.methods.relative_position.absolute:PlacePatch",
        modality="image",
        targets={"values"},
        summary="Absolute position: a probe of what lenses give away of where a patch was.",
        source="Doersch, Gupta and Efros 2015",
        cites="doersch2015unsupervised",
        small={"patch": 12},
    )
    yield pretask.task(
        "relative-position",
        split="relative-position",
        objective="cross-entropy",
        model="timm",
        options={"model.name": "resnet50", "objective.hidden": (4096, 4096), "split.color": "drop"},
        recipe={"optimizer": "sgd", "lr": 0.05, "weight_decay": 1e-4, "batch": 128, "samples": 45_000_000},
        presets={
            "small": {**TWO_CORES, "split.patch": 32, "split.gap": 8, "split.jitter": 4, "recipe.samples": 200_000},
            "demo": {
                **TWO_CORES,
                "data": "shapes",
                "model.stride": 1,
                "split.patch": 16,
                "split.gap": 4,
                "split.jitter": 2,
                "recipe.samples": 60_000,
            },
        },
        summary="Context prediction (Doersch 2015): patches of 96 pixels, gap 48, jitter 7.",
        source="Doersch, Gupta and Efros, ICCV 2015",
        cites="doersch2015unsupervised",
    )

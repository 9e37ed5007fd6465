"""Arrow of time: classify whether a clip is played forwards or backwards.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018; Pickup et al., CVPR 2014; the released code.
Differs: frames of pixels, where the paper has optical flow; by split.motion signed differences or a dense flow of our
own (motion.py), computed anew on the reversed frames as in the paper. Groups of frames are still joined as channels and
read by one network with shared weights. Black bars are cut off as in the paper. Cameras are stabilized by
split.stabilize, by affine maps where the paper has homographies (stabilization.py); global motion alone is one of the
trivial predictors. The network may be any image model; --preset t-cam has the paper's class activation maps over joined
groups, though not its finer map. A clip is shown in both directions in any two epochs that follow one another. The rate
falls as a cosine, not to a tenth after the first of 20 epochs. Reversed sound is our own.
Axes: B batch, T frames of a clip, F frames shown, V views (groups of frames), C channels, H W image, S samples of a
waveform.
"""

from collections.abc import Iterator

import pretask
from pretask import Component, hookimpl

SOURCE = "Wei, Lim, Zisserman and Freeman, CVPR 2018"
CITES = "wei2018learning"
SMALL = {  # learns in two minutes on two cores
    "data": "sprites",
    "data.image_size": 32,
    "data.size": 2048,
    "data.test_size": 1024,
    "split.frames": 8,
    "split.stack": 4,
    "model.name": "convnet",
    "model.width": 16,
    "model.depth": 2,
    "model.pool": 4,
    "objective.hidden": (128,),
    "recipe.optimizer": "adamw",
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.05,
    "recipe.batch": 128,
    "recipe.samples": 60_000,
}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the splits and the task."""
    yield pretask.split(
        "arrow-of-time",
        "pretask_plugins.methods.arrow_of_time.split:ReverseClip",
        modality="video",
        gives="image",
        views=None,
        targets={"categories"},
        summary="Arrow of time: classify whether a clip is reversed (Wei 2018).",
        source=SOURCE,
        cites=CITES,
        small={"frames": 4, "stack": 2},
    )
    yield pretask.split(
        "arrow-of-time-audio",
        "pretask_plugins.methods.arrow_of_time.sound:ReverseSound",
        modality="audio",
        gives="image",
        targets={"categories"},
        summary="Arrow of time for audio: classify whether a recording is reversed.",
        small={"window": 0.032, "hop": 0.016},
    )
    yield pretask.task(
        "arrow-of-time",
        split="arrow-of-time",
        objective="cross-entropy",
        model="frames",
        options={"model.name": "vgg16_bn", "objective.hidden": (1024,)},
        recipe={
            "optimizer": "sgd",
            "lr": 1e-2,
            "weight_decay": 5e-4,
            "batch": 96,
            "samples": 9_600_000,
            "augment": ("flip",),
        },
        presets={
            "t-cam": {"objective": "class-activation", "split.motion": "flow"},
            "small": SMALL,
        },
        summary="Arrow of time (Wei 2018): two groups of ten frames, black bars cropped.",
        source=SOURCE,
        cites=CITES,
    )

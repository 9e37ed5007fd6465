"""Sequence verification: classify whether three frames of a video are in temporal order.

Source: Misra, Zitnick and Hebert, ECCV 2016 ("Shuffle and Learn"), section 3; the released code.
Differs: moving windows are preferred by the mean change from frame to frame, where the paper takes the magnitude of
optical flow (Farneback). Where the wrong middle frame looks like the correct one, another of a few candidate tuples is
taken, and no weight is given where all are such, where the paper draws until one differs; what is alike goes by the
change between the frames of the clip, not by a sum of squares. The network is any image model over frames, with layer
normalization and no dropout, where the paper has AlexNet with batch normalization; its `pool` keeps where things are,
as AlexNet's fc6 does. The rate falls as a cosine.
split.center shows the changes between the three frames, which is our own.
Axes: B batch, T frames of a clip, V views (three frames as shown), K candidate windows, C channels, H W image.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Misra, Zitnick and Hebert, ECCV 2016"
CITES = "misra2016shuffle"
SMALL = {  # learns in two minutes on two cores
    "data": "sprites",
    "data.image_size": 32,
    "data.size": 2048,
    "data.test_size": 1024,
    "split.nearest": 3,
    "split.farthest": 8,
    "model.name": "convnet",
    "model.width": 16,
    "model.depth": 2,
    "model.pool": 4,
    "objective.hidden": (256,),
    "recipe.optimizer": "adamw",
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.05,
    "recipe.augment": ("flip",),
    "recipe.samples": 80_000,
}
# Videos of your own: --set data.root=FOLDER. Where the camera stands still, frames differ by so little that 3,000 steps
# taught nothing without split.center, and 300 do with it. Half of the samples take a minute of one core.
CLIPS = {
    **{name: value for name, value in SMALL.items() if name not in ("data.size", "data.test_size")},
    "data": "video-folder",
    "data.image_size": 48,
    "data.length": 24,
    "data.stride": 2,
    "data.clips_per_video": 6,
    "split.center": True,
    "recipe.batch": 32,
    "recipe.samples": 64_000,
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split and the task."""
    yield pretask.split(
        "sequence-verification",
        "pretask_plugins.methods.sequence_verification.split:ShuffleFrames",
        modality="video",
        gives="image",
        views=3,
        targets={"categories"},
        summary="Shuffle and Learn: verify the temporal order of three frames (Misra 2016).",
        source=SOURCE,
        cites=CITES,
        version=2,  # 1 held differences against a number of levels, and drew no other tuple
        small={"nearest": 1, "farthest": 4},
    )
    yield pretask.task(
        "sequence-verification",
        split="sequence-verification",
        objective="cross-entropy",
        model="frames",
        options={"model.name": "resnet18", "model.pool": 6},
        recipe={"optimizer": "sgd", "lr": 1e-3, "weight_decay": 5e-4, "batch": 128, "samples": 12_800_000},
        presets={"small": SMALL, "clips": CLIPS},
        summary="Shuffle and Learn: a quarter of tuples in order, 15 to 60 frames apart.",
        source=SOURCE,
        cites=CITES,
    )

"""Tracking emerges by colorizing: copy the colors of a frame from the frames before it, all of them shown gray.

Source: Vondrick, Shrivastava, Fathi, Guadarrama and Murphy, ECCV 2018; the pointer of equations 1 and 2 is the
    objective
`pointer`, what is shown and what is predicted stands in split.py.
Differs: the network is any image model, frame by frame: no convolution over the frames, and no location among its
inputs, since both would let it copy by position. Gray is Lab's L. A cell's color is the mean of its pixels, quantized
by k-means on the user's own data. Vectors have 64 numbers as in the paper, from a linear map that is thrown away; the
evaluator tracks with the encoder itself, or with these vectors by tracking.vectors=head. The rate falls as a cosine,
not to a tenth after 60,000 of 400,000 steps.
Axes: B batch, T frames of a clip, V views (references, then the frame to be colored), H W image, h w cells.
"""

from collections.abc import Iterator

import pretask
from pretask import Component, hookimpl

SOURCE = "Vondrick, Shrivastava, Fathi, Guadarrama and Murphy, ECCV 2018"
CITES = "vondrick2018tracking"
SMALL = {  # learns in two minutes on two cores
    "data": "sprites",
    "split.cell": 4,
    "split.references": 2,
    "split.step": 4,
    "model.name": "convnet",
    "model.width": 16,
    "model.depth": 1,
    "objective.normalize": True,
    "objective.temperature": 0.1,
    "recipe.lr": 2e-3,
    "recipe.augment": ("flip",),
    "recipe.samples": 12_000,
}
# Videos of your own: --set data.root=FOLDER. A minute and a half of one core.
CLIPS = {
    **SMALL,
    "data": "video-folder",
    "data.image_size": 64,
    "data.length": 16,
    "data.clips_per_video": 16,
    "recipe.samples": 24_000,
}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the split and the task."""
    yield pretask.split(
        "colorization-tracking",
        "pretask_plugins.methods.colorization_tracking.split:ColorizeFrames",
        modality="video",
        gives="image",
        views=None,
        targets={"reference"},
        summary="Tracking by colorization: copy the colors of earlier frames (Vondrick 2018).",
        source=SOURCE,
        cites=CITES,
        small={"references": 2, "step": 1, "classes": 4},
    )
    yield pretask.task(
        "colorization-tracking",
        split="colorization-tracking",
        objective="pointer",
        model="frames",
        options={"model.name": "resnet18", "model.output_stride": 8, "objective.query_views": 1},
        recipe={
            "optimizer": "adam",
            "lr": 1e-3,
            "weight_decay": 0.0,
            "batch": 32,
            "samples": 12_800_000,
            "schedule": "cosine",
        },
        presets={"small": SMALL, "clips": CLIPS},
        summary="Tracking of Vondrick et al. 2018: 3 gray references, 16 colors, cells of 8 px.",
        source=SOURCE,
        cites=CITES,
    )

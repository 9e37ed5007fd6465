"""Models of clips: one that looks at every frame by itself, and those that look at several frames at once.

A clip is ordered views of modality `image`, so that any image model reads it frame by frame as well.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, model

CLIPS = ("image", "video")


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the models."""
    yield model(
        "frames",
        "pretask_plugins.models.video.frames:Frames",
        modality=CLIPS,
        streams="present",
        summary="Frames: an image network over the frames of a clip, one by one.",
        source="He et al. 2016; Wightman 2019, PyTorch Image Models",
        cites=("he2016deep", "wightman2019timm"),
        small={"width": 8, "depth": 2},
    )
    yield model(
        "torchvision-video",
        "pretask_plugins.models.video.torchvision_video:TorchvisionVideo",
        modality=CLIPS,
        summary="torchvision's r3d_18, mc3_18 and r2plus1d_18: spatiotemporal convolutions.",
        source="Tran et al. 2018",
        cites="tran2018closer",
        small={"name": "mc3_18", "stages": 1},
    )
    yield model(
        "temporal",
        "pretask_plugins.models.video.temporal:Temporal",
        modality=CLIPS,
        streams={"past", "all"},
        summary="An image network over frames, then attention or convolutions along time.",
        source="Bertasius, Wang and Torresani 2021; Tran et al. 2018",
        cites=("bertasius2021space", "tran2018closer"),
        small={"width": 8, "depth": 2, "layers": 1, "heads": 2},
    )

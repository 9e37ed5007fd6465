"""Models that more than one method is combined from.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, model


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the models."""
    yield model(
        "timm",
        "pretask_plugins.models.image.timm:Timm",
        modality="image",
        summary="timm: any architecture by name, for any number of channels.",
        source="Wightman 2019, PyTorch Image Models",
        cites="wightman2019timm",
        small={"name": "test_resnet"},
    )
    yield model(
        "convnet",
        "pretask_plugins.models.image.convnet:Convnet",
        modality="image",
        summary="A small residual network that learns in minutes on two cores.",
        source="He et al. 2016",
        cites="he2016deep",
        small={"width": 8, "depth": 2},
    )
    yield model(
        "vit",
        "pretask_plugins.models.image.vit:Vit",
        modality="image",
        summary="A vision transformer for images of any size, which can skip what is hidden (MAE).",
        source="Dosovitskiy et al. 2021; He et al. 2022",
        cites=("dosovitskiy2021image", "he2022masked"),
        small={"width": 64, "depth": 2, "heads": 2, "patch": 4},
    )

"""Models: encoders of x, by modality; and one that takes any input.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, model


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the model of any modality."""
    yield model(
        "mlp",
        "pretask_plugins.models.mlp:Mlp",
        modality=("image", "video", "text", "audio"),
        summary="A multilayer perceptron on any input laid out flat, view by view.",
        source="Rumelhart, Hinton and Williams 1986",
        cites="rumelhart1986learning",
        small={"hidden": (16, 8)},
    )

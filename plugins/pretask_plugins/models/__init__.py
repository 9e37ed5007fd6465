"""Models: encoders of x, by modality; and two that take any input.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, model


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the models of any modality."""
    yield model(
        "mlp",
        "pretask_plugins.models.mlp:Mlp",
        modality=("image", "video", "text", "audio"),
        summary="A multilayer perceptron on any input laid out flat, view by view.",
        source="Rumelhart, Hinton and Williams 1986",
        cites="rumelhart1986learning",
        small={"hidden": (16, 8)},
    )
    yield model(
        "per-sample",
        "pretask_plugins.models.per_sample:PerSample",
        modality=("image", "video", "text", "audio"),
        summary="A vector for each training sample in the place of an encoder (Hoffman 2013).",
        source="Hoffman, Blei, Wang and Paisley 2013",
        cites="hoffman2013stochastic",
        small={"width": 32},
    )

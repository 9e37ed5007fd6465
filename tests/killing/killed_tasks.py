"""A plugin file: all that a run needs, as small as it can be, so that the moments of a kill are those of its work."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pretask import Component, Samples, data, hookimpl, suite, task
from pretask_plugins.data.image.images import Album, cached_samples

COUNTS, SIDE = {"train": 16, "test": 4}, 8  # images; pixels
RECIPE = {"lr": 0.1, "batch": 16, "samples": 384, "augment": ("flip",)}
SMALL = {"split.patch": 4, "model.width": 4, "model.depth": 1}


@dataclass(frozen=True)
class Specks:
    """Twenty gray images of eight pixels a side, of two classes, the second one brighter."""

    def __call__(self, part: str, /) -> Samples:
        """Return one part, kept in the cache."""
        return cached_samples({"data": "specks", "part": part}, lambda: make_album(part))


def make_album(part: str) -> Album:
    """Draw all images of a part."""
    labels = np.arange(COUNTS[part]) % 2
    levels = np.random.default_rng(part == "test").integers(0, 128, (len(labels), 1, SIDE, SIDE), dtype=np.uint8)
    levels += (labels * 64).astype(np.uint8)[:, None, None, None]
    return Album(levels.shape[1:], labels, ["dark", "bright"], np.split(levels, 4))


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Yield the data, two tasks, and a suite of both."""
    yield data("specks", Specks, modality="image")
    parts = {"split": "top-from-bottom", "objective": "regression", "model": "convnet", "options": SMALL}
    yield task("first", **parts, recipe=RECIPE)
    yield task("second", **parts, recipe={**RECIPE, "lr": 0.2})
    yield suite("tiny", "killing:suite.toml")

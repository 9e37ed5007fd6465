"""Promises of the scenes behind the shapes: a thing is its blueprint, nothing else tells of it, and pictures stay."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Draws
from pretask_plugins.data.image.blueprints import OBJECTS
from pretask_plugins.data.image.painting import paint
from pretask_plugins.data.image.scenes import Scenes, compose
from pretask_plugins.data.image.shapes import Shapes

PLANS = list(OBJECTS.values())

# Of 16 pictures of 32 pixels. Where they change, so does the data set: raise EDITION and the component's version.
GOLDEN = {"train": "fa4ee63306a50361e424aed88dd29292", "test": "047b48b62704d263dfe66b75d691e314"}


def scenes_of(label: int, count: int) -> Scenes:
    """The same scenes of whichever thing."""
    return compose(Draws(torch.arange(count), 0).branch("scene"), torch.full((count,), label))


def painted(scenes: Scenes, size: int) -> np.ndarray:
    return paint(scenes, size, Draws(torch.arange(len(scenes.label)), 0).branch("paint")).numpy()


def reached(scenes: Scenes, number: int, size: int) -> np.ndarray:
    """Which pixels lie within one pixel of the turned boxes around the thing's parts."""
    middle = (np.arange(size) + 0.5) / size
    column, row = np.meshgrid(middle, middle)
    found, thing = np.zeros((size, size), bool), scenes.object_parts
    for part in range(len(PLANS[int(scenes.label[number])])):
        (x, y), (width, height) = thing.center[number, part].tolist(), thing.half[number, part].tolist()
        sine, cosine = math.sin(thing.turn[number, part]), math.cos(thing.turn[number, part])
        along, above = cosine * (column - x) + sine * (y - row), cosine * (y - row) - sine * (column - x)
        width *= 1 + max(0.0, -float(thing.taper[number, part]))
        found |= (abs(along) <= width + 1 / size) & (abs(above) <= height + 1 / size)
    return found


def test_pictures_change_only_with_the_edition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))
    book = Shapes(size=16, test_size=16, image_size=32)
    assert {part: book(part).fingerprint for part in ("train", "test")} == GOLDEN


@pytest.mark.parametrize("label", range(len(OBJECTS)), ids=list(OBJECTS))
def test_leant_back_and_set_to_size_a_thing_is_its_blueprint(label: int) -> None:
    scenes, plan = scenes_of(label, 20), PLANS[label]
    away = ((scenes.object_parts.center - scenes.base[:, None]) / scenes.scale[:, None, None]).numpy()
    right, up = away[:, :, 0], -away[:, :, 1]
    sine, cosine = np.sin(scenes.tilt.numpy())[:, None], np.cos(scenes.tilt.numpy())[:, None]
    x, y = cosine * right + sine * up, cosine * up - sine * right
    for number, part in enumerate(plan):
        assert (abs(y[:, number] - part.y) < 0.021).all()
        assert (abs(x[:, number] - part.x) < 0.024 + 0.18 * abs(part.x)).all()
        assert (abs(scenes.object_parts.turn[:, number] - scenes.tilt - part.turn) < 1e-5).all()
    assert (scenes.object_parts.cover.sum(1) == len(plan)).all()


def test_another_thing_changes_no_pixel_beyond_the_two_and_many_within() -> None:
    size, count = 48, 6
    scenes = [scenes_of(label, count) for label in range(len(OBJECTS))]
    pictures = [painted(scene, size) for scene in scenes]
    for label in range(1, len(OBJECTS)):
        changed = (pictures[0] != pictures[label]).any(1)
        for number in range(count):
            reach = reached(scenes[0], number, size) | reached(scenes[label], number, size)
            assert not (changed[number] & ~reach).any()
            assert changed[number].sum() > 0.02 * size * size

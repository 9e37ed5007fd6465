"""Promises of the pictures: each depends on its number alone; a thing is known by its parts and where they are."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Draws, PretaskError, Unknown
from pretask_plugins.data.image.blueprints import OBJECTS
from pretask_plugins.data.image.painting import Brush, box, brushes, centers, disc, dome, paint, paint_part, window
from pretask_plugins.data.image.scenes import PARTS, Parts, Scenes, compose
from pretask_plugins.data.image.shapes import Shapes
from torch import Tensor
from torch.nn import functional as F

SMALL = Shapes(size=24, test_size=16, image_size=32)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))


def scenes_of(count: int, seed: int = 0) -> Scenes:
    index = torch.arange(count)
    return compose(Draws(index, seed), index % len(OBJECTS))


def test_a_picture_does_not_depend_on_what_is_painted_with_it() -> None:
    together = np.concatenate(list(SMALL.pieces("train", 24, chunk=24)))
    for chunk in (1, 7):
        assert np.array_equal(np.concatenate(list(SMALL.pieces("train", 24, chunk))), together)
    order = torch.arange(24).flip(0)
    assert np.array_equal(SMALL.pictures(order, "train").flip(0).numpy(), together)


def test_a_picture_does_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = SMALL.pictures(torch.arange(24), "train")
        torch.set_num_threads(2)
        assert torch.equal(SMALL.pictures(torch.arange(24), "train"), one)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_picture_i_is_the_same_however_many_are_asked_for() -> None:
    few, many = SMALL("train"), replace(SMALL, size=40, test_size=20)("train")
    assert torch.equal(many.data[:24], few.data)
    assert torch.equal(many.labels["class"].value[:24], few.labels["class"].value)


def test_the_scene_is_the_same_at_any_size() -> None:
    small, large = (replace(SMALL, image_size=size).pictures(torch.arange(16), "train").float() for size in (32, 128))
    difference = (F.avg_pool2d(large, 4) - small).abs().mean()
    others = (F.avg_pool2d(large, 4) - small.roll(1, 0)).abs().mean()
    assert difference < 0.2 * others


def test_the_second_call_reads_what_the_first_one_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    first = SMALL("test")
    monkeypatch.setattr(Shapes, "pictures", None)
    again = SMALL("test")
    assert torch.equal(again.data, first.data)
    assert again.fingerprint == first.fingerprint != ""


def test_seed_part_and_size_make_other_pictures() -> None:
    prints = {made("test").fingerprint for made in (SMALL, replace(SMALL, seed=1), replace(SMALL, image_size=33))} | {
        SMALL("train").fingerprint
    }
    assert len(prints) == 4


def test_no_test_picture_is_among_those_to_train_on() -> None:
    data = Shapes(size=100, test_size=100, image_size=16)
    train, test = ({picture.numpy().tobytes() for picture in data(part).data} for part in ("train", "test"))
    assert len(train) == len(test) == 100
    assert not train & test


@pytest.mark.parametrize("classes", [2, 5, 8])
def test_any_run_of_pictures_shows_all_things_alike_and_in_no_fixed_order(classes: int) -> None:
    samples = Shapes(size=6 * classes + 1, test_size=16, image_size=16, num_classes=classes)("train")
    labels = samples.labels["class"]
    counts = labels.value.bincount()
    assert counts.tolist() in [[6 + (place == extra) for place in range(classes)] for extra in range(classes)]
    rows = labels.value[:-1].view(6, classes)
    assert (rows.sort(1).values == torch.arange(classes)).all()
    assert len({tuple(row) for row in rows.tolist()}) > 1
    assert labels.names == tuple(OBJECTS)[:classes]


def test_what_is_observed_is_said() -> None:
    samples = SMALL("train")
    assert (samples.observed.modality, samples.observed.shape, samples.observed.samples) == ("image", (3, 32, 32), 24)
    assert samples.data.dtype == torch.uint8
    assert samples.data.shape == (24, 3, 32, 32)


def seen_head_on(pictures: Tensor, scenes: Scenes, side: int = 16) -> Tensor:
    """The thing alone, upright and at one size: what someone sees who knows where it stands."""
    line = torch.linspace(-0.5, 0.5, side)
    x, y = line.expand(side, side), -(line + 0.5).expand(side, side).T.flip(0)  # of the thing, y down
    sine, cosine = scenes.tilt.sin().view(-1, 1, 1), scenes.tilt.cos().view(-1, 1, 1)
    across, down = cosine * x + sine * y, cosine * y - sine * x
    places = scenes.base[:, None, None] + scenes.scale.view(-1, 1, 1, 1) * torch.stack([across, down], -1)
    return F.grid_sample(pictures.float() / 255, places * 2 - 1, align_corners=False)


def share_right(features: Tensor, labels: Tensor) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    half, flat = len(labels) // 2, features.flatten(1).numpy()
    learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=100))
    return float(learner.fit(flat[:half], labels[:half]).score(flat[half:], labels[half:]))


def test_who_knows_where_the_thing_stands_can_name_it_and_who_does_not_cannot() -> None:
    index = torch.arange(800)
    draws = Draws(index, 0)
    scenes = compose(draws, index % len(OBJECTS))
    pictures = paint(scenes, 32, draws)
    labels = scenes.label.numpy()
    assert share_right(seen_head_on(pictures, scenes), labels) > 0.9
    assert share_right(F.avg_pool2d(pictures.float() / 255, 2), labels) < 0.4
    assert share_right(pictures.float().mean((2, 3)), labels) < 0.25  # mean color; 0.125 at chance


def test_a_part_has_its_own_color_where_nothing_is_before_it() -> None:
    scenes = scenes_of(64)
    plain = replace(
        scenes.parts, texture=torch.zeros_like(scenes.parts.texture), cover=(scenes.parts.cover > 0).float()
    )
    lit = replace(scenes.landscape, light=torch.tensor([[1.0, 0.0]]).expand(64, 2))
    pictures = paint(replace(scenes, parts=plain, landscape=lit), 128, Draws(torch.arange(64), 0))
    last = [int((cover > 0).nonzero().max()) for cover in plain.cover]  # painted last, so that nothing hides it
    picture = torch.arange(64)
    x, y = (plain.center[picture, last] * 128).long().unbind(1)
    found = pictures[picture, :, y, x].float() / 255
    upright = plain.shape[picture, last] != 2  # a dome's center lies on its outline
    assert (found - plain.color[picture, last])[upright].abs().max() < 0.1  # grain, shade and half a pixel


def test_strewn_parts_are_those_of_one_thing_and_stand_nowhere_together() -> None:
    scenes = scenes_of(256)
    strewn = scenes.parts.cover.shape[1] - PARTS - 1 - PARTS
    seen = (scenes.parts.cover[:, strewn : strewn + PARTS] > 0).sum(1)
    assert set(seen.tolist()) == {len(parts) for parts in OBJECTS.values()}
    center = scenes.parts.center[:, strewn : strewn + PARTS].flatten(0, 1)
    assert torch.corrcoef(center.T)[0, 1].abs() < 0.1  # 4.5 standard errors of 2,048 free places


@pytest.mark.parametrize("name", OBJECTS)
def test_a_thing_stands_in_the_picture_on_the_ground(name: str) -> None:
    index = torch.arange(256)
    scenes = compose(Draws(index, 3), torch.full((256,), list(OBJECTS).index(name)))
    assert (scenes.base[:, 1] > scenes.landscape.level).all()
    middle = scenes.base + scenes.scale[:, None] * torch.stack([-scenes.tilt.sin(), -scenes.tilt.cos()], 1) / 2
    assert ((middle > 0.1) & (middle < 0.95)).all()
    shown = scenes.object_parts.cover > 0
    assert (shown.sum(1) == len(OBJECTS[name])).all()
    inside = ((scenes.object_parts.center > -0.05) & (scenes.object_parts.center < 1.05)).all(2)
    assert inside[shown].float().mean() > 0.99


def test_upper_parts_of_a_thing_are_painted_above_lower_ones() -> None:
    scenes = scenes_of(256)
    heights = torch.tensor([[*(part.y for part in parts), *[0.0] * (PARTS - len(parts))] for parts in OBJECTS.values()])
    for scene in range(256):
        shown = scenes.object_parts.cover[scene] > 0
        plan, found = heights[scenes.label[scene]][shown], scenes.object_parts.center[scene, shown, 1]
        above = plan[:, None] > plan[None, :] + 0.35  # more than lean and jitter can undo
        assert (found[:, None] < found[None, :])[above].all()


SHAPES_AND_EQUATIONS = {
    "disc": (disc, 0.0, lambda x, y: (x / 9) ** 2 + (y / 5) ** 2 <= 1),
    "box": (box, 0.0, lambda x, y: (abs(x) <= 9) & (abs(y) <= 5)),
    "triangle": (box, 1.0, lambda x, y: (abs(y) <= 5) & (abs(x) <= 9 * (5 - y) / 10)),
    "hull": (box, -0.5, lambda x, y: (abs(y) <= 5) & (abs(x) <= 9 * (1 + 0.5 * (y + 5) / 10))),
    "dome": (dome, 0.0, lambda x, y: ((x / 9) ** 2 + (y / 5) ** 2 <= 1) & (y >= 0)),
}


@pytest.mark.parametrize("name", SHAPES_AND_EQUATIONS)
def test_a_distance_is_below_zero_just_where_the_shape_is_and_grows_by_a_pixel_a_pixel(name: str) -> None:
    distance, taper, inside = SHAPES_AND_EQUATIONS[name]
    y, x = np.mgrid[-12:12:0.1, -20:20:0.1].astype(np.float32)
    off = distance(x / 9, y / 5, 9.0, 5.0, taper)
    assert ((off <= 0) == inside(x, y))[abs(off) > 0.01].all()
    steps = np.hypot(*np.gradient(off, 0.1))[abs(off) < 0.3]
    assert np.median(steps) == pytest.approx(1, abs=0.05)


def test_nothing_of_a_part_is_outside_its_window() -> None:
    scenes = scenes_of(24)
    for part in (part for scene in brushes(scenes.parts) for part in scene):
        outside = np.ones((48, 48), bool)
        outside[window(part, 48)] = False
        assert (cover_everywhere(part, 48)[outside] == 0).all()


def cover_everywhere(part: Brush, size: int) -> np.ndarray:
    """What a part covers, by brute force: sixteen points in every pixel, each tested by the shape's own equation."""
    line = (np.arange(4 * size) + 0.5) / (4 * size)
    x, y = line[None, :] - part.center[0], part.center[1] - line[:, None]
    sine, cosine = np.sin(part.turn), np.cos(part.turn)
    u, v = (cosine * x + sine * y) / part.half[0], (cosine * y - sine * x) / part.half[1]
    inside = u**2 + v**2 <= 1
    if part.shape == 1:
        inside = (abs(v) <= 1) & (abs(u) <= 1 - part.taper * (v + 1) / 2)
    elif part.shape == 2:
        inside = inside & (v >= 0)
    return inside.reshape(size, 4, size, 4).mean((1, 3))


def test_pixels_are_covered_as_much_as_the_shape_covers_them() -> None:
    scenes = scenes_of(24)
    one = torch.ones(24, 1)
    for number in range(PARTS):
        picked = {
            field.name: getattr(scenes.object_parts, field.name)[:, number : number + 1] for field in fields(Parts)
        }
        white = Parts(**picked | {"color": torch.ones(24, 1, 3), "edge": 0 * one, "texture": torch.zeros(24, 1, 2)})
        for brush in (brush for scene in brushes(white) for brush in scene if brush.cover):
            picture = np.zeros((3, 64, 64), np.float32)
            paint_part(picture, brush)
            covered = cover_everywhere(brush, 64).sum()
            assert picture[0].sum() == pytest.approx(covered, rel=0.12, abs=3)  # round shade; half pixels of outline


def test_pixels_have_their_middles_evenly_in_the_picture() -> None:
    assert centers(4).tolist() == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 9}, "from 2 to 8"),
        ({"num_classes": 1}, "from 2 to 8"),
        ({"size": 7}, "data.size of 8 or more; got 7"),
        ({"test_size": 3}, "data.test_size of 8 or more; got 3"),
        ({"image_size": 8}, "from 16 to 16384"),
    ],
)
def test_an_option_out_of_range_is_refused_with_its_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(PretaskError, match=message) as caught:
        Shapes(**options)
    assert caught.value.exit_code == 2


def test_a_part_that_is_neither_train_nor_test_is_unknown() -> None:
    with pytest.raises(Unknown, match="'train' and 'test'"):
        SMALL("validation")

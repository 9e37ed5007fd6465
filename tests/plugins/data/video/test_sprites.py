"""Promises of the sprites: what is planted in them, and the direction of their time."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import Draws, PretaskError, Unknown
from pretask_plugins.data.video.painting import SHAPES, inside
from pretask_plugins.data.video.physics import GRAVITY, drift, fall, fold
from pretask_plugins.data.video.sprites import COURSES, NOISE_STD, Sprites, grain
from scipy import stats

TINY = Sprites(size=12, test_size=6, length=4, image_size=24)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))


def radii(count: int) -> torch.Tensor:
    return torch.tensor([[0.2, 0.1]]).expand(count, -1)


def test_a_part_has_clips_with_a_class_each_and_a_mask_for_every_pixel() -> None:
    samples = TINY("train")
    assert samples.observed.modality == "video"
    assert samples.observed.shape == (4, 3, 24, 24)
    assert samples.data.shape == (12, 4, 3, 24, 24)
    assert samples.data.dtype is torch.uint8
    assert samples.labels["masks"].value.shape == (12, 4, 24, 24)
    assert samples.labels["class"].names == SHAPES
    assert samples.labels["course"].names == COURSES
    assert len(samples.labels["masks"].names) == 1 + TINY.num_sprites


def test_a_clip_is_the_same_however_many_are_made_and_opened_again() -> None:
    first, more = TINY("train"), Sprites(size=18, test_size=6, length=4, image_size=24)("train")
    assert torch.equal(first.data, more.data[:12])
    assert TINY("train").fingerprint == first.fingerprint
    assert more.fingerprint != first.fingerprint


def test_parts_and_seeds_share_no_clip() -> None:
    index = torch.arange(6)
    one, _ = TINY.clips(index, "train")
    other, _ = TINY.clips(index, "test")
    third, _ = Sprites(length=4, image_size=24, seed=1).clips(index, "train")
    for first, second in ((one, other), (one, third)):
        assert not (first == second).flatten(1).all(1).any()


def test_every_shape_comes_once_in_as_many_consecutive_clips() -> None:
    labels = TINY.labels(torch.arange(60), "train").view(10, len(SHAPES))
    assert torch.equal(labels.sort(1).values, torch.arange(len(SHAPES)).expand(10, -1))


def test_masks_move_with_what_is_painted() -> None:
    clips, masks = Sprites(length=3, image_size=48, num_sprites=1).clips(torch.arange(4), "train")
    still, _ = Sprites(length=3, image_size=48, num_sprites=1, seed=0).clips(torch.arange(4), "train")
    ground = (masks[:, 0] == 0) & (masks[:, 1] == 0)
    change = (clips[:, 0].float() - clips[:, 1].float()).abs().amax(1)
    assert torch.equal(clips, still)
    assert float((change[ground] > 40).float().mean()) < 0.05  # only antialiased edges change where there is ground
    arrived = (masks[:, 0] == 0) & (masks[:, 1] == 1)
    assert float((change[arrived] > 8).float().mean()) > 0.6


def test_small_sprites_hide_parts_of_the_large_one_and_are_hidden() -> None:
    _, masks = Sprites(length=8, image_size=32).clips(torch.arange(48), "train")
    seen = torch.stack([(masks == number).sum((2, 3)) for number in (1, 2, 3)], 2)  # (B, T, S) pixels
    shrinks = seen.amax(1) > 1.3 * seen.amin(1).clamp(min=1)
    assert 0.1 < float(shrinks.float().mean()) < 0.9


def test_a_disc_is_round_and_a_square_is_square() -> None:
    line = torch.linspace(-1, 1, 41)
    y, x = torch.meshgrid(line, line, indexing="ij")
    planes = [plane[None, None].expand(2, -1, -1, -1) for plane in (x, y)]
    depth = inside(torch.tensor([SHAPES.index("disc"), SHAPES.index("square")]), *planes)
    assert torch.equal(depth[0, 0] > 0, x.hypot(y) < 0.85)
    assert torch.equal(depth[1, 0] > 0, (x.abs() < 0.75) & (y.abs() < 0.75))


def test_grain_has_the_deviation_that_it_is_said_to_have() -> None:
    noise = grain(Draws(torch.arange(8)), torch.Size((8, 4, 3, 20, 20)))
    assert float(noise.std()) == pytest.approx(NOISE_STD, rel=0.02)
    assert abs(float(noise.mean())) < 0.05 * NOISE_STD


def test_falling_sprites_lose_energy_and_stay_between_walls_and_floor() -> None:
    motion = fall(Draws(torch.arange(400)), radii(400), frames=30, rate=12.0)
    energy = GRAVITY * (1 - motion.place[..., 0]).clamp(min=0)  # of height
    assert float(energy[:, :, -8:].mean()) < 0.5 * float(energy[:, :, :8].mean())
    edge = radii(400)[..., None]
    assert bool((motion.place < 1 - edge[..., None] + 1e-5).all())
    assert bool((motion.place[..., 1] > edge - 1e-5).all())
    assert bool((motion.place[..., 0] > edge - 1 / (2 * GRAVITY)).all())  # as high as it can be thrown


def test_a_falling_sprite_gains_speed_as_galileo_says() -> None:
    motion = fall(Draws(torch.arange(2000)), radii(2000), frames=4, rate=12.0)
    row = motion.place[..., 0]
    free = row.amax(2) < 0.7  # did not touch the floor
    second = row[..., 2:] - 2 * row[..., 1:-1] + row[..., :-2]
    assert torch.allclose(second[free], torch.tensor(GRAVITY / 12**2), atol=2e-3)


@pytest.mark.parametrize("move", [drift, fall])
def test_only_drifting_is_as_likely_backwards(move: object) -> None:
    motion = move(Draws(torch.arange(4000)), radii(4000), 12, 12.0)  # type: ignore[operator]
    place = motion.place[:, 0, :, 0]  # rows of one sprite, (B, T)
    speed = place.diff(dim=1).abs()
    statistics = [
        (place[:, 0], place[:, -1]),
        (speed[:, 0], speed[:, -1]),
        (place[:, 3] - place[:, 0], place[:, -4] - place[:, -1]),
        (speed[:, :5].sum(1) - speed[:, -5:].sum(1), speed[:, -5:].sum(1) - speed[:, :5].sum(1)),
    ]
    values = []
    for (
        one,
        other,
    ) in statistics:  # of different clips, or they would depend on one another; rounding errors are no speed
        values.append(stats.ks_2samp(*(clips.round(decimals=4).numpy() for clips in (one[::2], other[1::2]))).pvalue)
    if move is drift:
        assert min(values) > 1e-3
    else:
        assert max(values) < 1e-3


def test_drifting_sprites_keep_their_speed_between_mirrors() -> None:
    motion = drift(Draws(torch.arange(50)), radii(50), 10, 12.0)
    speed = motion.place.diff(dim=2).abs()
    free = (fold(torch.tensor(0.5)) == 0.5) & (speed.amax(2) - speed.amin(2) < 1e-5)
    assert float(free.float().mean()) > 0.2
    assert float(motion.angle.diff(dim=2).diff(dim=2).abs().max()) < 1e-4


def test_bad_numbers_and_parts_are_refused() -> None:
    with pytest.raises(PretaskError, match=r"data\.image_size from 16 to 16384; got 4"):
        Sprites(image_size=4)
    with pytest.raises(Unknown, match="No part 'val' of sprites"):
        TINY("val")


def test_the_course_is_where_the_masks_of_the_large_sprite_end_up() -> None:
    sprites = replace(TINY, num_sprites=1, image_size=48, length=8)
    _, masks = sprites.clips(torch.arange(40), "train")
    column = ((masks == 1) * torch.arange(48)).sum((2, 3)) / (masks == 1).sum((2, 3))
    moved = column[:, -1] - column[:, 0]
    clear = moved.abs() > 1  # a sprite that hardly moved may be drawn either way
    assert clear.sum() > 30
    assert torch.equal(sprites.courses(torch.arange(40), "train")[clear], (moved > 0).long()[clear])

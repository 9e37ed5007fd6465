"""Promises of the glyphs: a drawing depends on its number alone; a character is known by its strokes, a hand is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Draws, PretaskError, Unknown
from pretask_plugins.data.image.glyphs import MARGIN, POINTS, Glyphs, invent, measure_distance, trace

SMALL = Glyphs(size=60, test_size=20, num_classes=5)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))


def test_a_drawing_does_not_depend_on_what_is_drawn_with_it_or_how_many_are_asked_for() -> None:
    together = SMALL("train")
    order = torch.tensor([41, 3, 17])
    assert torch.equal(SMALL.drawings(order, "train"), together.data[order])
    many = replace(SMALL, size=80, test_size=30)("train")
    assert torch.equal(many.data[:60], together.data)
    assert torch.equal(many.labels["class"].value[:60], together.labels["class"].value)


def test_another_hand_draws_the_same_character_more_alike_than_another_character() -> None:
    train, test = (replace(SMALL, size=200, test_size=200, num_classes=10)(part) for part in ("train", "test"))
    means = torch.stack([train.data[train.labels["class"].value == label].float().mean(0) for label in range(10)])
    nearest = (test.data.float()[:, None] - means).flatten(2).norm(dim=2).argmin(1)
    accuracy = float((nearest == test.labels["class"].value).float().mean())
    assert accuracy > 0.6, "chance is 10 %"
    assert len({drawing.tobytes() for part in (train, test) for drawing in part.data.numpy()}) == 400


def test_a_curve_passes_through_its_ends_and_halfway_by_de_casteljau() -> None:
    curve = torch.tensor([[0.1, 0.2], [0.9, 0.1], [0.8, 0.9], [0.2, 0.7]])
    points = trace(curve[None, None])[0, 0]
    assert torch.allclose(points[[0, -1]], curve[[0, -1]])
    between = curve
    while len(between) > 1:
        between = (between[1:] + between[:-1]) / 2
    assert torch.allclose(points[POINTS // 2], between[0])


def test_the_distance_is_that_to_the_nearest_point_of_a_line() -> None:
    line = torch.tensor([[2.0, 1.0], [2.0, 5.0], [6.0, 5.0]])  # down, then to the right; x before y
    distance = measure_distance(line[None, None], 8)[0, 0]
    fine = torch.cat(
        [line[:1] + step * (line[1] - line[0]) for step in torch.linspace(0, 1, 401)]
        + [line[1:2] + step * (line[2] - line[1]) for step in torch.linspace(0, 1, 401)]
    )
    rows, columns = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    brute = torch.cdist(torch.stack([columns, rows], -1).view(-1, 2), fine).amin(1).view(8, 8)
    assert torch.allclose(distance, brute, atol=1e-2)


def test_the_strokes_of_a_character_fill_its_square_but_the_margins() -> None:
    curves, present = invent(Draws(torch.arange(50), 0))
    for strokes, there in zip(trace(curves), present, strict=True):
        points = strokes[there].flatten(0, 1)
        assert float((points.amax(0) - points.amin(0)).max()) == pytest.approx(1 - 2 * MARGIN, abs=1e-4)
    assert set(present.sum(1).tolist()) == {1, 2, 3, 4}


def test_characters_are_as_frequent_as_each_other_and_seeds_invent_others() -> None:
    labels = SMALL("train").labels["class"]
    assert np.bincount(labels.value.numpy()).tolist() == [12] * 5
    assert SMALL("test").fingerprint != replace(SMALL, seed=1)("test").fingerprint


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(PretaskError, match="test_size"):
        Glyphs(test_size=10)
    with pytest.raises(Unknown, match="No part 'val' of glyphs"):
        SMALL("val")

"""Reading: answers come from the widest stream that is blind enough, and from nowhere that shows the answer."""

from itertools import chain, combinations, product

import pytest
import torch
from pretask import Agreement, Categories, Features, FeatureSpec, Heads, Incompatible, Values, check_kinds, find_reading
from pretask.reading import widest_stream
from pretask.specs import Sight
from torch import nn

SIGHTS: tuple[Sight, ...] = ("present", "past", "future", "all")
SEES = {"present": {0}, "past": {-1, 0}, "future": {0, 1}, "all": {-1, 0, 1}}
OFFERS = list(chain.from_iterable(combinations(SIGHTS, size) for size in range(1, 5)))


@pytest.mark.parametrize(("allowed", "offered"), list(product(SIGHTS, OFFERS)))
def test_the_widest_stream_that_sees_no_more_than_allowed_is_read(allowed: Sight, offered: tuple[Sight, ...]) -> None:
    blind = [each for each in offered if SEES[each] <= SEES[allowed]]
    features = FeatureSpec(4, (3,), streams=offered)
    if not blind:
        with pytest.raises(Incompatible, match=f"at most '{allowed}'"):
            widest_stream("guess", "word", features, allowed)
        return
    chosen = widest_stream("guess", "word", features, allowed)
    assert chosen in blind
    assert all(len(SEES[each]) <= len(SEES[chosen]) for each in blind)


def features(views: int = 1, grid: tuple[int, ...] = (2, 3), width: int = 4) -> Features:
    count = 1
    for side in grid:
        count *= side
    tokens = torch.arange(2.0 * views * count * width).view(2, views, count, width)
    return Features({"all": tokens}, {"all": tokens.mean(2)}, grid)


def test_one_answer_per_sample_is_read_from_the_views_side_by_side() -> None:
    seen = features(views=2)
    read = find_reading("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3))
    assert read.width == 8
    assert torch.equal(read(seen), torch.cat([seen.summary["all"][:, 0], seen.summary["all"][:, 1]], 1))


def test_one_answer_per_view_is_read_from_its_own_view() -> None:
    seen = features(views=2)
    read = find_reading("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, views=2))
    assert read.width == 4
    assert torch.equal(read(seen), seen.summary["all"])


def test_one_answer_per_position_is_read_from_its_own_position() -> None:
    seen = features(views=2)
    read = find_reading("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, grid=(2, 3)))
    assert read.width == 8
    assert torch.equal(read(seen)[:, 5], torch.cat([seen.streams["all"][:, 0, 5], seen.streams["all"][:, 1, 5]], 1))
    assert torch.equal(read.place(read(seen))[:, 1, 2], read(seen)[:, 5])


def test_answers_on_another_grid_are_drawn_out_evenly() -> None:
    read = find_reading("guess", "kind", FeatureSpec(1, (1, 4)), Values(1, grid=(1, 8)))
    ramp = read.place(torch.arange(4.0).view(1, 4, 1))[0, 0, :, 0]
    assert torch.allclose(ramp[1:7], torch.arange(6) * 0.5 + 0.25)
    flat = find_reading("guess", "kind", FeatureSpec(1, (2, 2)), Values(1, grid=(5, 7)))
    assert torch.allclose(flat.place(torch.full((3, 4, 1), 2.0)), torch.full((3, 5, 7, 1), 2.0))


def test_answers_per_view_and_position_keep_both_axes() -> None:
    read = find_reading("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, grid=(4, 6), views=2))
    assert read.place(read(features(views=2))).shape == (2, 2, 4, 6, 4)


@pytest.mark.parametrize(
    ("offered", "target", "message"),
    [
        (FeatureSpec(4), Categories(3, hidden=False), "bottleneck"),
        (FeatureSpec(4, (5,), streams=("past",)), Categories(3, sees="past"), "pooling sees them all"),
        (FeatureSpec(4, (5,), streams=("past",)), Categories(3, grid=(6,), sees="past"), "exactly"),
        (FeatureSpec(4), Categories(3, grid=(6,)), "summary without positions"),
        (FeatureSpec(4, (5,)), Categories(3, grid=(2, 3)), r"positions \(2, 3\)"),
        (FeatureSpec(4, views=2), Categories(3, views=3), "3"),
    ],
)
def test_what_would_show_the_answer_or_has_no_place_for_it_is_refused(
    offered: FeatureSpec, target: Categories, message: str
) -> None:
    with pytest.raises(Incompatible, match=message):
        find_reading("guess", "kind", offered, target)


def test_a_bottleneck_may_take_what_x_shows() -> None:
    assert find_reading("elbo", "kind", FeatureSpec(4), Categories(3, hidden=False), bottleneck=True).width == 4


def test_a_view_may_be_pooled_for_an_answer_per_view_of_a_clip() -> None:
    spec = FeatureSpec(4, (2, 2), views=3, streams=("present",))
    assert find_reading("guess", "kind", spec, Categories(3, views=3, sees="past")).stream == "present"


def test_kinds_that_are_not_scored_are_refused_by_name() -> None:
    with pytest.raises(Incompatible, match="'same', which is agreement"):
        check_kinds("guess", {"same": Agreement()}, {"categories"})


@pytest.mark.parametrize("name", ["forward", "type", "training", "word", "_modules", "position"])
def test_heads_take_any_identifier(name: str) -> None:
    head = nn.Linear(2, 3)
    heads = Heads({name: head, "other": nn.Linear(2, 2)})
    assert heads[name] is head
    assert len(list(heads.parameters())) == 4

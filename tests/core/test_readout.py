"""Readout: answers come from the widest stream that is blind enough, and from nowhere that shows the answer."""

from itertools import chain, combinations, product

import pytest
import torch
from pretask import (
    Agreement,
    Categories,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    TargetSpec,
    Values,
    check_kinds,
    find_readout,
)
from pretask.readout import widest_stream
from pretask.specs import Sight
from torch import nn

SIGHTS: tuple[Sight, ...] = ("present", "past", "future", "all")
SEES = {"present": {0}, "past": {-1, 0}, "future": {0, 1}, "all": {-1, 0, 1}}
OFFERS = list(chain.from_iterable(combinations(SIGHTS, size) for size in range(5)))


@pytest.mark.parametrize(("allowed", "offered"), list(product(SIGHTS, OFFERS)))
def test_the_widest_stream_that_sees_no_more_than_allowed_is_read(allowed: Sight, offered: tuple[Sight, ...]) -> None:
    blind = [sight for sight in offered if SEES[sight] <= SEES[allowed]]
    features = FeatureSpec(4, (3,), streams=offered)
    if not blind:
        with pytest.raises(Incompatible, match=f"at most '{allowed}'"):
            widest_stream("guess", "word", features, allowed)
        return
    chosen = widest_stream("guess", "word", features, allowed)
    assert chosen in blind
    assert not any(SEES[chosen] < SEES[sight] for sight in blind)
    assert chosen == "past" or not {"past", chosen} <= set(blind) or SEES["past"] < SEES[chosen]  # of two, the past


def test_a_reading_takes_the_vectors_of_its_stream_and_of_no_other() -> None:
    sights: dict[str, torch.Tensor] = {sight: torch.full((1, 1, 3, 4), float(n)) for n, sight in enumerate(SIGHTS)}
    seen = Features(sights, {sight: tokens.mean(2) for sight, tokens in sights.items()}, (3,))
    offered = FeatureSpec(4, (3,), streams=SIGHTS)
    for number, sees in enumerate(SIGHTS):
        per_position = find_readout("guess", "word", offered, Categories(3, grid=(3,), sees=sees))
        assert torch.equal(per_position(seen), torch.full((1, 3, 4), float(number)))
    for number in (1, 2, 3):
        offered = FeatureSpec(4, (3,), streams=("present", SIGHTS[number]))
        pooled = find_readout("guess", "kind", offered, Categories(3))
        assert torch.equal(pooled(seen), torch.full((1, 4), float(number)))


def features(views: int = 1, grid: tuple[int, ...] = (2, 3), width: int = 4) -> Features:
    count = 1
    for side in grid:
        count *= side
    tokens = torch.arange(2.0 * views * count * width).view(2, views, count, width)
    return Features({"all": tokens}, {"all": tokens.mean(2)}, grid)


def test_one_answer_per_sample_is_read_from_the_views_side_by_side() -> None:
    seen = features(views=2)
    read = find_readout("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3))
    assert read.width == 8
    assert torch.equal(read(seen), torch.cat([seen.pooled["all"][:, 0], seen.pooled["all"][:, 1]], 1))


def test_views_in_another_order_are_told_apart() -> None:
    seen = features(views=3)
    swapped = Features({"all": seen.streams["all"].flip(1)}, {"all": seen.pooled["all"].flip(1)}, seen.grid)
    for grid in ((), (2, 3)):
        read = find_readout("guess", "kind", FeatureSpec(4, (2, 3), views=3), Categories(3, grid=grid))
        assert not torch.equal(read(seen), read(swapped))
        assert torch.equal(read(seen).sort(-1).values, read(swapped).sort(-1).values)


def test_one_answer_per_view_is_read_from_its_own_view() -> None:
    seen = features(views=2)
    read = find_readout("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, views=2))
    assert read.width == 4
    assert torch.equal(read(seen), seen.pooled["all"])


def test_one_answer_per_position_is_read_from_its_own_position() -> None:
    seen = features(views=2)
    read = find_readout("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, grid=(2, 3)))
    assert read.width == 8
    assert torch.equal(read(seen)[:, 5], torch.cat([seen.streams["all"][:, 0, 5], seen.streams["all"][:, 1, 5]], 1))
    assert torch.equal(read.place(read(seen))[:, 1, 2], read(seen)[:, 5])


def test_answers_on_another_grid_are_drawn_out_evenly() -> None:
    read = find_readout("guess", "kind", FeatureSpec(1, (1, 4)), Values(1, grid=(1, 8)))
    ramp = read.place(torch.arange(4.0).view(1, 4, 1))[0, 0, :, 0]
    assert torch.allclose(ramp[1:7], torch.arange(6) * 0.5 + 0.25)
    flat = find_readout("guess", "kind", FeatureSpec(1, (2, 2)), Values(1, grid=(5, 7)))
    assert torch.allclose(flat.place(torch.full((3, 4, 1), 2.0)), torch.full((3, 5, 7, 1), 2.0))


def test_answers_on_a_coarser_grid_and_in_three_axes_stay_on_the_ramp() -> None:
    ramp = torch.stack(torch.meshgrid(*(torch.arange(6.0),) * 3, indexing="ij"), -1).view(1, 216, 3)
    read = find_readout("guess", "kind", FeatureSpec(1, (6, 6, 6)), Values(3, grid=(3, 3, 3)))
    expected = torch.stack(torch.meshgrid(*(torch.arange(3.0) * 2 + 0.5,) * 3, indexing="ij"), -1)
    assert torch.allclose(read.place(ramp)[0], expected, atol=1e-5)


def test_answers_per_view_and_position_stay_with_their_view_and_place() -> None:
    read = find_readout("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, grid=(4, 6), views=2))
    assert read.place(read(features(views=2))).shape == (2, 2, 4, 6, 4)
    same = find_readout("guess", "kind", FeatureSpec(4, (2, 3), views=2), Categories(3, grid=(2, 3), views=2))
    seen = features(views=2).streams["all"]
    assert torch.equal(same.place(same(features(views=2)))[:, 1, 1, 2], seen[:, 1, 5])


def test_answers_per_sample_pass_unchanged() -> None:
    read = find_readout("guess", "kind", FeatureSpec(4, (2, 3)), Categories(3))
    answers = torch.arange(6.0).view(2, 3)
    assert read.place(answers) is answers


@pytest.mark.parametrize(
    ("offered", "target", "message"),
    [
        (FeatureSpec(4), Categories(3, hidden=False), "bottleneck"),
        (FeatureSpec(4, streams=("past",)), Categories(3, hidden=False, sees="past"), "Choose the objective elbo"),
        *(
            (FeatureSpec(4, (5,), streams=(sees,)), Categories(3, sees=sees), "one answer for 5 of them")
            for sees in SIGHTS[:3]
        ),
        *(
            (FeatureSpec(4, (5,), streams=(sees,)), Categories(3, grid=(6,), sees=sees), f"exactly, .* most '{sees}'")
            for sees in SIGHTS[:3]
        ),
        # Views side by side are all seen, too: a clip's last frame would be read for its first.
        (FeatureSpec(4, views=3, streams=("present",)), Categories(3, sees="past"), "one answer for 3 of them"),
        (FeatureSpec(4, (2, 2), 3, ("past",)), Categories(3, grid=(2, 2), sees="past"), "one answer for 3 of them"),
        (FeatureSpec(4), Categories(3, grid=(6,)), "pooled vector without positions"),
        (FeatureSpec(4, (5,)), Categories(3, grid=(2, 3)), r"positions \(2, 3\)"),
        (FeatureSpec(4, (2, 3)), Categories(3, grid=(6,)), r"got features at \(2, 3\)"),
        (FeatureSpec(4, views=2), Categories(3, views=3), "features of 3 views, .*got features of 2"),
        (FeatureSpec(4, views=3), Categories(3, views=2), "features of 2 views, .*got features of 3"),
        (FeatureSpec(4, (5,), streams=("all",)), Categories(3, grid=(5,), sees="past"), "got only 'all'"),
    ],
)
def test_what_would_show_the_answer_or_has_no_place_for_it_is_refused(
    offered: FeatureSpec, target: Categories, message: str
) -> None:
    with pytest.raises(Incompatible, match=message):
        find_readout("guess", "kind", offered, target)


def test_a_bottleneck_may_take_what_x_shows() -> None:
    assert find_readout("elbo", "kind", FeatureSpec(4), Categories(3, hidden=False), bottleneck=True).width == 4


def test_a_view_may_be_pooled_for_an_answer_per_view_of_a_clip() -> None:
    spec = FeatureSpec(4, (2, 2), views=3, streams=("present",))
    assert find_readout("guess", "kind", spec, Categories(3, views=3, sees="past")).stream == "present"


@pytest.mark.parametrize("sees", SIGHTS)
def test_answers_per_position_of_the_same_grid_are_read_at_any_sight(sees: Sight) -> None:
    read = find_readout("guess", "word", FeatureSpec(4, (5,), streams=SIGHTS), Categories(3, grid=(5,), sees=sees))
    assert (read.stream, read.per_position, read.per_view, read.width) == (sees, True, False, 4)


@pytest.mark.parametrize("sees", SIGHTS)
def test_a_summary_of_one_position_is_read_at_any_sight(sees: Sight) -> None:
    assert find_readout("guess", "word", FeatureSpec(4, streams=SIGHTS), Categories(3, sees=sees)).stream == sees


def test_kinds_that_are_not_scored_are_refused_by_name() -> None:
    with pytest.raises(Incompatible, match="kind categories or values; got 'same', which is agreement"):
        check_kinds("guess", {"word": Categories(2), "same": Agreement()}, {"values", "categories"})
    check_kinds("guess", {"word": Categories(2), "place": Values(2)}, {"values", "categories"})


def test_a_plugins_own_kind_is_named_by_its_class_where_it_has_no_name() -> None:
    class Ranking(TargetSpec):
        pass

    with pytest.raises(Incompatible, match="'order', which is Ranking"):
        check_kinds("guess", {"order": Ranking()}, {"categories"})


@pytest.mark.parametrize("name", ["forward", "type", "training", "word", "_modules", "position", "head_", "été"])
def test_heads_take_any_identifier(name: str) -> None:
    head = nn.Linear(2, 3)
    heads = Heads({name: head, "other": nn.Linear(2, 2)})
    assert heads[name] is head
    assert len(list(heads.parameters())) == 4
    copy = Heads({name: nn.Linear(2, 3), "other": nn.Linear(2, 2)})
    copy.load_state_dict(heads.state_dict())
    assert torch.equal(copy[name].weight, head.weight)

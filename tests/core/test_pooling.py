"""Pooling: what a sample's vector is made of, held against loops, and what is never part of it."""

from dataclasses import replace

import pytest
import torch
from pretask import Draws, Features, Inputs, Vocabulary, pooling
from pretask.pooling import KNOWN_POOLINGS, POOLINGS, find_content, find_widest_sights, lay_out, pool
from torch import Tensor, nn

ROLES = ("pad", "mask", "start", "end", "separator", "class", "unknown")
WORDS = Vocabulary(20, tuple((role, number) for number, role in enumerate(ROLES)))
LINE, WIDTH = 7, 5


def noise(name: str, *shape: int, batch: int = 3) -> torch.Tensor:
    return Draws(torch.arange(batch)).normal(name, *shape)


def features(views: int = 2, **more: object) -> Features:
    tokens = noise("stream", views, LINE, WIDTH)
    return replace(Features({"all": tokens}, {"all": noise("own", views, WIDTH)}, (LINE,)), **more)  # type: ignore[arg-type]


def test_every_pooling_is_that_of_a_loop_over_views_and_content() -> None:
    made, content = features(own_pooled=True), noise("content", 2, LINE) > 0
    content[0, 1] = False  # a view without content
    found = pool(made, content)
    assert list(found) == list(POOLINGS)
    for sample in range(3):
        views = []
        for view in range(2):
            kept = [made.streams["all"][sample, view, place] for place in range(LINE) if content[sample, view, place]]
            kept = kept or [torch.zeros(WIDTH)]
            mean, highest = torch.stack(kept).mean(0), torch.stack(kept).amax(0)
            own = made.pooled["all"][sample, view]
            views.append({"mean": mean, "last": kept[-1], "own": own, "mean-max": torch.cat([mean, highest])})
        for name in POOLINGS:
            assert torch.allclose(found[name][sample], torch.cat([view[name] for view in views]), atol=1e-6), name


@pytest.mark.parametrize("is_map", [True, False])
def test_a_mask_that_leaves_nothing_out_changes_no_bit(is_map: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = noise("stream", 2, 40, 24)
    stream = stream.mT.contiguous().mT if is_map else stream  # a vector's numbers lie apart
    made = Features({"all": stream}, {"all": stream[:, :, 0]}, (40,))
    full = torch.ones(3, 2, 40, dtype=torch.bool)
    found = pool(made, full, KNOWN_POOLINGS)
    monkeypatch.setattr(pooling, "forget_full", lambda mask: mask)
    masked = pool(made, full, KNOWN_POOLINGS)
    assert found.keys() == masked.keys()
    assert all(torch.equal(found[name], masked[name]) for name in found)


@pytest.mark.parametrize("role", ["pad", "start", "end", "separator", "class"])
def test_a_token_that_is_no_content_is_never_pooled(role: str) -> None:
    tokens = torch.tensor([[[9, 8, WORDS.id(role), 11, WORDS.id(role)]]])
    content = find_content(Inputs(tokens), WORDS)
    stream = noise("stream", 1, 5, WIDTH, batch=1)
    loud = stream.where((tokens != WORDS.id(role))[..., None], 1e6)
    quiet, other = (
        pool(Features({"past": vectors}, {"past": vectors[:, :, -1]}, (5,)), content) for vectors in (stream, loud)
    )
    assert list(quiet) == ["mean", "last", "mean-max"]
    assert all(torch.equal(quiet[name], other[name]) for name in quiet)
    assert torch.equal(quiet["last"], stream[:, 0, 3])


@pytest.mark.parametrize("role", ["mask", "unknown"])
def test_a_token_that_stands_for_a_word_counts(role: str) -> None:
    tokens = torch.tensor([[[9, WORDS.id(role), 3]]])
    content = find_content(Inputs(tokens, present=torch.tensor([[[True, True, True]]])), WORDS)
    assert content is not None
    assert content.tolist() == [[[True, True, False]]]


def test_padding_of_whatever_has_no_vocabulary_is_not_pooled() -> None:
    present = torch.tensor([True, True, True, False, False, False, False]).expand(3, 2, -1)
    made = features(present=present)
    for content in (None, find_content(Inputs(noise("frames", 2, LINE, 4), present), None)):
        assert torch.equal(pool(made, content)["last"], made.streams["all"][:, :, 2].flatten(1))


def test_content_of_another_grid_than_a_layers_leaves_its_own_padding_to_decide() -> None:
    present = torch.tensor([True] * 4 + [False] * 3).expand(3, 2, -1)
    finer = torch.zeros(3, 2, 2 * LINE, dtype=torch.bool)
    assert torch.equal(pool(features(present=present), finer)["last"], features().streams["all"][:, :, 3].flatten(1))


def test_a_grid_of_places_has_no_last_and_a_single_position_only_its_vector() -> None:
    places = features(grid=(LINE, 1))
    assert list(pool(places)) == ["mean", "mean-max"]
    one = noise("one", 1, 1, WIDTH)
    single = pool(Features({"all": one}, {"all": one[:, :, 0]}))
    assert list(single) == ["mean"]
    assert torch.equal(single["mean"], one.flatten(1))


def test_features_are_of_what_saw_most_and_a_stream_that_reads_backwards_ends_at_the_first_position() -> None:
    past, future, everything = (noise(name, 1, LINE, WIDTH) for name in ("past", "future", "all"))
    content = torch.tensor([False, True, True, True, True, False, False]).expand(3, 1, -1)
    two = Features({"past": past, "future": future}, {}, (LINE,))
    assert torch.equal(pool(two, content)["last"], torch.cat([past[:, 0, 4], future[:, 0, 1]], -1))
    assert torch.equal(pool(two)["last"], torch.cat([past[:, 0, -1], future[:, 0, 0]], -1))
    assert torch.equal(pool(two)["mean"], torch.cat([past, future], -1).mean(2).flatten(1))
    three = replace(two, streams={**two.streams, "all": everything})
    assert torch.equal(pool(three)["last"], everything[:, 0, -1])
    assert find_widest_sights(["present", "future"]) == ("future",)


def test_what_is_wide_already_is_not_put_beside_its_largest_values(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mean-max" in pool(features())
    monkeypatch.setattr(pooling, "MAX_WIDTH", WIDTH - 1)
    assert list(pool(features())) == ["mean", "last"]


def test_segments_are_the_means_of_consecutive_moments_in_their_order() -> None:
    moments, places = 10, 3
    tokens = noise("clip", 2, moments * places, WIDTH)
    made = Features({"all": tokens}, {}, (moments, places, 1), present=noise("seen", 2, moments * places) > -1)
    found = pool(made, names=("segments", "mean"))
    assert list(found) == ["mean", "segments"]
    for sample in range(3):
        expected = []
        for view in range(2):
            seen = [
                [place for place in range(places * moment, places * (moment + 1)) if made.present[sample, view, place]]  # type: ignore[index]
                for moment in range(moments)
            ]
            seen = [inside for inside in seen if inside]
            for segment in range(4):
                inside = [place for n, these in enumerate(seen) if n * 4 // len(seen) == segment for place in these]
                expected.append(tokens[sample, view, inside].mean(0))
        assert torch.allclose(found["segments"][sample], torch.cat(expected), atol=1e-6)


def test_quarters_are_the_means_of_what_lies_in_them_and_only_of_images_that_name_them() -> None:
    numbers = torch.arange(15, dtype=torch.float32).reshape(1, 1, 15, 1)  # three rows of five
    made = Features({"all": numbers}, {"all": numbers.mean(2)}, (3, 5))
    found = pool(made, names=("quarters",))["quarters"]
    rows = numbers.reshape(3, 5)
    expected = [rows[:2, :3].mean(), rows[:2, 3:].mean(), rows[2:, :3].mean(), rows[2:, 3:].mean()]
    assert torch.allclose(found, torch.stack(expected)[None])
    assert "quarters" not in pool(made)
    assert pool(features(grid=(LINE,)), names=("quarters",)) == {}
    lower = torch.arange(15) >= 10  # the upper quarters have nothing
    present = replace(made, present=lower.reshape(1, 1, 15))
    assert pool(present, names=("quarters",))["quarters"].tolist() == [[0, 0, 11, 13.5]]


def test_segments_are_of_the_content_and_of_time_alone_and_only_where_they_are_named() -> None:
    present = torch.tensor([True] * 4 + [False] * 3).expand(3, 2, -1)
    made = features(present=present)
    assert torch.equal(pool(made, names=("segments",))["segments"], made.streams["all"][:, :, :4].flatten(1))
    assert "segments" not in pool(made)
    assert pool(features(grid=(LINE, 1)), names=("segments",)) == {}
    short = replace(made, present=present & (torch.arange(LINE) < 1))
    assert pool(short, names=("segments",))["segments"].unflatten(1, (2, 4, WIDTH))[:, :, 1:].abs().max() == 0


@pytest.mark.parametrize("places", [4, 1024])
def test_vectors_of_maps_are_laid_out_as_torch_would_and_others_left_as_they_are(places: int) -> None:
    vectors = torch.randn(3, 2, 32, places).transpose(2, 3)  # features first, as of a convolution
    with torch.no_grad():
        laid_out = lay_out(vectors)
    assert laid_out.is_contiguous()
    assert torch.equal(laid_out, vectors)
    assert lay_out(laid_out) is laid_out
    assert lay_out(vectors.clone().requires_grad_()).requires_grad


def test_an_exported_network_lays_out_batches_of_any_size() -> None:
    class LayOut(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return lay_out(maps.transpose(2, 3))

    maps = torch.randn(3, 1, 32, 1024)
    with torch.no_grad():
        exported = torch.export.export(LayOut(), (maps,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = torch.randn(5, 1, 32, 1024)
    assert torch.equal(exported.module()(more), more.transpose(2, 3))

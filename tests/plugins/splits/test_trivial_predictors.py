"""Promises of the trivial guesses that generic splits are held against."""

from typing import Any

import pytest
import torch
from pretask import Batch, Draws, Observed, Vocabulary
from pretask_plugins.splits.fill import fill_with_nearest, interpolate, mirror
from pretask_plugins.splits.masked_splits import (
    any_from_any,
    future_from_past,
    future_from_recent_past,
    occluded_from_visible,
    past_from_present,
    top_from_bottom,
)
from pretask_plugins.splits.whole import Whole

VOCABULARY = Vocabulary(12, (("mask", 0),))
TEXT = Observed("text", (16,), "int64", vocabulary=VOCABULARY)


def predict_all(split: Any, train: Batch, test: Batch | None = None) -> tuple[dict[str, torch.Tensor], Any]:
    """The prediction of every trivial predictor, and the target."""
    test = train if test is None else test
    draws = Draws(test.index, 5)
    (name, target), *_ = split(test, draws)[1].items()
    return {
        predictor: predict(test, draws)[name] for predictor, predict in split.trivial_predictors([train]).items()
    }, target


def error(prediction: torch.Tensor, target: Any) -> float:
    weight = torch.ones(target.value.shape[:-1]) if target.weight is None else target.weight
    return float(((prediction - target.value).abs().amax(-1) * weight).max())


def test_the_nearest_value_along_two_axes_is_the_one_that_a_search_finds() -> None:
    values = Draws(torch.arange(4)).normal("value", 7, 9)
    seen = Draws(torch.arange(4)).bernoulli("seen", 0.3, 7, 9)
    found = fill_with_nearest(values, seen, (1, 2))
    for sample, row, column in seen.logical_not().nonzero().tolist():
        near = [(abs(r - row), float(values[sample, r, column])) for r in range(7) if seen[sample, r, column]]
        near += [(abs(c - column), float(values[sample, row, c])) for c in range(9) if seen[sample, row, c]]
        if near:
            closest = {value for distance, value in near if distance == min(near)[0]}
            assert float(found[sample, row, column]) in closest
    assert torch.equal(found[seen], values[seen])


def test_a_line_crosses_a_hole_in_a_slope_exactly() -> None:
    slope = torch.arange(12.0)[:, None] * 2 + torch.arange(12.0) * 3
    values = slope.expand(20, 1, 12, 12)
    seen = torch.ones(20, 1, 12, 12, dtype=torch.bool)
    seen[:, :, 3:8, 2:9] = False
    assert torch.allclose(interpolate(values * seen, seen, (2, 3)), values, atol=1e-4)


def test_a_short_gap_counts_more_than_a_long_one() -> None:
    values = torch.tensor([[[0.0, 0, 0], [4.0, 0, 0], [0.0, 0, 0], [0.0, 0, 0], [0.0, 0, 0], [0.0, 9, 0]]])
    seen = torch.zeros(1, 6, 3, dtype=torch.bool)
    seen[0, 1], seen[0, 0, 1], seen[0, 5, 1] = torch.tensor([True, False, True]), True, True
    values[0, 1, 2], values[0, 0, 1] = 8.0, 1.0
    across, down = 6.0, 1 + (9 - 1) / 5  # gaps of 2 and 5 places
    assert interpolate(values, seen, (1, 2))[0, 1, 1].item() == pytest.approx((across / 2 + down / 5) / (1 / 2 + 1 / 5))


def test_beyond_the_last_visible_value_a_line_stays_there() -> None:
    values, seen = torch.tensor([[1.0, 2.0, 0.0, 0.0]]), torch.tensor([[True, True, False, False]])
    assert interpolate(values, seen, (1,)).tolist() == [[1.0, 2.0, 2.0, 2.0]]


def test_a_mirror_completes_a_symmetrical_image() -> None:
    half = Draws(torch.arange(6)).integers("pixel", 0, 256, 3, 8, 16).to(torch.uint8)
    images = Batch(torch.cat([half, half.flip(2)], 2))
    made, target = predict_all(top_from_bottom(patch=4), images)
    assert error(made["reflection"], target) == 0
    assert error(made["nearest"], target) > 0.3
    sideways, sideways_target = predict_all(top_from_bottom(patch=4, side="right"), Batch(images.data.transpose(2, 3)))
    assert error(sideways["reflection"], sideways_target) == 0


def test_a_mirror_works_from_either_side() -> None:
    values, seen = torch.tensor([5.0, 6.0, 0.0, 0.0]), torch.tensor([True, True, False, False])
    assert mirror(values, seen, [0]).tolist() == [5.0, 6.0, 6.0, 5.0]


def test_of_a_clip_that_stands_still_the_last_frame_tells_the_future() -> None:
    still = Draws(torch.arange(5)).integers("pixel", 0, 256, 1, 3, 16, 16).to(torch.uint8).expand(-1, 8, -1, -1, -1)
    for split in (future_from_past(), future_from_recent_past(), past_from_present()):
        made, target = predict_all(split, Batch(still))
        assert error(made["nearest"], target) == 0
        assert error(made["mean"], target) > 0.1


def test_a_recording_is_interpolated_sample_by_sample() -> None:
    ramp = torch.arange(400.0).expand(9, 400) / 400
    made, target = predict_all(occluded_from_visible(frame=20, position="center"), Batch(ramp))
    assert error(made["interpolation"], target) < 1e-5
    assert error(made["nearest"], target) > 0.05


def squared(prediction: torch.Tensor, target: Any) -> float:
    """Mean squared error where something is asked."""
    weight = torch.ones(target.value.shape[:-1]) if target.weight is None else target.weight
    return float(((prediction - target.value).square().mean(-1) * weight).sum() / weight.sum())


def test_a_linear_map_of_what_is_visible_tells_what_depends_on_it_linearly() -> None:
    shade = Draws(torch.arange(160)).integers("shade", 0, 128, 3, 2, 4)
    images = torch.cat([255 - shade, shade], 2).repeat_interleave(2, 2).repeat_interleave(2, 3).to(torch.uint8)
    train, test = (Batch(images[part], torch.arange(160)[part]) for part in (slice(120), slice(120, 160)))
    made, target = predict_all(top_from_bottom(patch=4), train, test)
    others = min(squared(made[name], target) for name in made if name != "ridge")
    assert squared(made["ridge"], target) < 0.05 * others


@pytest.mark.parametrize(
    "split", [top_from_bottom(patch=4), future_from_past(frame=25), occluded_from_visible(frame=25, position="center")]
)
def test_a_linear_map_of_noise_is_the_mean(split: Any) -> None:
    draws = Draws(torch.arange(400))
    if split.name == "top-from-bottom":
        data = draws.integers("pixel", 0, 256, 1, 8, 8).to(torch.uint8)
    else:
        data = draws.normal("sample", 200)
    train, test = (Batch(data[part], torch.arange(400)[part]) for part in (slice(300), slice(300, 400)))
    made, target = predict_all(split, train, test)
    assert squared(made["ridge"], target) == pytest.approx(squared(made["mean"], target), rel=0.02)


def test_a_linear_map_keeps_the_line_where_that_tells_all() -> None:
    still = Draws(torch.arange(24)).integers("pixel", 0, 256, 1, 3, 16, 16).to(torch.uint8).expand(-1, 8, -1, -1, -1)
    made, target = predict_all(future_from_past(), Batch(still))
    assert error(made["ridge"], target) < 1e-5


def test_there_is_no_linear_map_where_every_sample_hides_another_part() -> None:
    images = Batch(Draws(torch.arange(9)).integers("pixel", 0, 256, 1, 8, 8).to(torch.uint8))
    for split in (any_from_any(patch=4), occluded_from_visible(patch=4)):
        assert set(predict_all(split, images)[0]) == {"mean", "nearest", "interpolation"}


def test_of_few_samples_no_map_is_made() -> None:
    images = Batch(Draws(torch.arange(5)).integers("pixel", 0, 256, 1, 8, 8).to(torch.uint8))
    made, _ = predict_all(top_from_bottom(patch=4), images)
    assert torch.equal(made["ridge"], made["interpolation"])


def test_the_mean_is_that_of_what_was_asked_in_training() -> None:
    images = Batch(Draws(torch.arange(40)).integers("pixel", 0, 256, 1, 8, 8).to(torch.uint8))
    made, _ = predict_all(top_from_bottom(patch=4), images)
    mean = (images.data[:, 0] / 255).mean(0)
    expected = mean.view(2, 4, 2, 4).permute(0, 2, 1, 3).reshape(2, 2, 16)
    assert torch.allclose(made["mean"][0, 0], expected[0], atol=1e-6)
    assert torch.allclose(made["mean"][0, 1], expected[0].mean(0), atol=1e-6)  # never asked: the mean of all places


def chain(count: int, start: int = 0) -> Batch:
    """Texts in which every token is followed by the next one, round and round."""
    first = Draws(torch.arange(start, start + count)).integers("first", 0, 11, 1)
    return Batch((first + torch.arange(16)) % 11 + 1, torch.arange(start, start + count))


@pytest.mark.parametrize(
    "split",
    [
        future_from_recent_past(prediction_length=1),
        past_from_present(prediction_length=1),
        any_from_any(mask_ratio=0.2),
    ],
)
def test_where_a_neighbour_tells_all_bigrams_know_it_and_unigrams_do_not(split: Any) -> None:
    made, target = predict_all(split.fit(TEXT, []), chain(200), chain(50, 200))
    right = {name: prediction.gather(-1, target.value[..., None])[..., 0].exp() for name, prediction in made.items()}
    mean = {name: float((correct * target.weight).sum() / target.weight.sum()) for name, correct in right.items()}
    assert mean["bigram"] > (0.9 if split.name != "any-from-any" else 0.8)  # both neighbours may be hidden
    assert mean["unigram"] < 0.12


def test_a_hidden_neighbour_is_never_looked_at() -> None:
    split, one = future_from_past().fit(TEXT, []), chain(30)
    other = Batch(torch.where(torch.arange(16) < 8, one.data, 3), one.index)
    draws = Draws(one.index, 5)
    bigrams = split.trivial_predictors([one])["bigram"]
    assert torch.equal(bigrams(one, draws)["tokens"][:, 8:], bigrams(other, draws)["tokens"][:, 8:])


def test_beyond_the_ends_of_a_text_there_is_no_neighbour() -> None:
    split, text = any_from_any(mask_ratio=0.5).fit(TEXT, []), chain(60)
    draws = Draws(text.index, 5)
    seen = split(text, draws)[0].visible[:, 0]
    bigrams = split.trivial_predictors([text])["bigram"](text, draws)["tokens"]
    alone = split.trivial_predictors([text])["unigram"](text, draws)["tokens"]
    first, last = ~seen[:, 1] & seen[:, -1], ~seen[:, -2] & seen[:, 0]
    assert bool(first.any() and last.any())
    assert torch.equal(bigrams[first, 0], alone[first, 0])
    assert torch.equal(bigrams[last, -1], alone[last, -1])


def test_the_identity_is_held_against_mean_and_unigram() -> None:
    images = Batch(Draws(torch.arange(10)).integers("pixel", 0, 256, 1, 4, 4).to(torch.uint8))
    made, _ = predict_all(Whole(), images)
    assert torch.allclose(made["mean"][0], (images.data / 255).mean(0).movedim(0, -1))
    words, _ = predict_all(Whole().fit(TEXT, []), chain(20))
    assert set(words) == {"unigram"}

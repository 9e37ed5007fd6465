"""Promises of the identity and of the six generic splits, in every modality; methods.md section 14."""

from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from pretask import Batch, Draws, Incompatible, Observed, PretaskError, Target, Vocabulary
from pretask_plugins.splits.mask_generators import RandomPatches
from pretask_plugins.splits.masked_splits import (
    any_from_any,
    future_from_past,
    future_from_recent_past,
    occluded_from_visible,
    past_from_present,
    top_from_bottom,
)
from pretask_plugins.splits.masking import PatchGrid
from pretask_plugins.splits.patches import as_views, patchify, unpatchify
from pretask_plugins.splits.whole import Whole

VOCABULARY = Vocabulary(64, (("pad", 0), ("mask", 1)))
OBSERVED = {
    "image": Observed("image", (3, 16, 24)),
    "video": Observed("video", (8, 3, 16, 16)),
    "text": Observed("text", (20,), "int64", vocabulary=VOCABULARY),
    "audio": Observed("audio", (495,), "float32", rate=8000),
}
PIECES = {"patch": 4, "frame": 20}
PARTITIONS = [
    *[(any_from_any(**PIECES, mask_ratio=0.3), modality) for modality in OBSERVED],
    *[(any_from_any(**PIECES, layout=layout), modality) for layout in ("blocks", "grid") for modality in OBSERVED],
    *[(occluded_from_visible(**PIECES), modality) for modality in OBSERVED],
    (occluded_from_visible(**PIECES, position="center"), "image"),
    *[(future_from_past(**PIECES), modality) for modality in ("video", "text", "audio")],
    (future_from_past(**PIECES, boundary_jitter=0.3), "text"),
    *[(top_from_bottom(**PIECES), modality) for modality in ("image", "video")],
]
WINDOWS = [
    *[(future_from_recent_past(**PIECES), modality) for modality in ("video", "text", "audio")],
    *[(past_from_present(**PIECES), modality) for modality in ("video", "text", "audio")],
    (past_from_present(**PIECES, boundary_jitter=0.5), "audio"),
]
EVERY = PARTITIONS + WINDOWS


def name(value: object) -> str:
    return value if isinstance(value, str) else getattr(value, "name", type(value).__name__)


every_split = pytest.mark.parametrize(("split", "modality"), EVERY, ids=name)


def noise(modality: str, count: int = 12, start: int = 0, key: str = "t") -> Batch:
    """Content that nothing predicts."""
    observed, index = OBSERVED[modality], torch.arange(start, start + count)
    draws = Draws(index).branch(key)
    if modality == "audio":
        return Batch(draws.normal("wave", *observed.shape), index)
    high = 64 if modality == "text" else 256
    drawn = draws.integers("t", 2 if modality == "text" else 0, high, *observed.shape)
    return Batch(drawn if modality == "text" else drawn.to(torch.uint8), index)


def ready(split: Any, modality: str) -> Any:
    return split.fit(OBSERVED[modality], [])


def the_target(targets: Any) -> Target:
    (target,) = targets.values()
    return target


def put_back(split: Any, batch: Batch, views: torch.Tensor, target: Target) -> torch.Tensor:
    """Pieces of x with the asked ones in their places; what no piece was asked for is left as it is."""
    pieces = patchify(views, split.patch).clone()
    frames = split.generator.target_frames(pieces.shape[1]) if batch.data.ndim == 5 else None
    if frames is not None:
        pieces[:, list(frames)] = target.value.unflatten(-1, (len(frames), -1)).movedim(-2, 1)
        return unpatchify(pieces, split.patch)
    valid = target.weight.bool()  # type: ignore[union-attr]
    answers, place = (target.value, valid) if batch.data.ndim == 5 else (target.value[:, None], valid[:, None])
    pieces[place] = answers[place]
    return unpatchify(pieces, split.patch)


@pytest.mark.parametrize(("split", "modality"), PARTITIONS, ids=name)
def test_x_and_y_together_are_t(split: Any, modality: str) -> None:
    batch, split = noise(modality), ready(split, modality)
    inputs, targets = split(batch, Draws(batch.index))
    whole = as_views(batch.data, split.frame)
    assert not torch.equal(inputs.data, whole)
    assert torch.equal(put_back(split, batch, inputs.data, the_target(targets)), whole)


@pytest.mark.parametrize(("split", "modality"), WINDOWS, ids=name)
def test_a_window_shows_and_predicts_the_truth_and_withholds_the_rest(split: Any, modality: str) -> None:
    batch, split = noise(modality), ready(split, modality)
    inputs, targets = split(batch, Draws(batch.index))
    whole = as_views(batch.data, split.frame)
    restored = put_back(split, batch, inputs.data, the_target(targets))
    same = (restored == whole).flatten(1).float().mean()
    shown = (inputs.data == whole).flatten(1).float().mean()
    assert 0 < float(shown) < float(same) < 1
    visible = inputs.visible
    assert visible is not None
    erased = {"text": 1, "audio": 0.0, "video": 0.5}[modality]
    assert torch.equal(torch.unique(inputs.data[~expanded(visible, inputs.data)]), torch.tensor([erased]))


def expanded(visible: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """A mask of places as a mask of numbers."""
    if data.ndim == 5:
        return visible[:, :, None].expand_as(data)
    return visible[..., None].expand_as(data) if data.ndim == 4 else visible


@every_split
def test_hidden_content_never_shows_in_x(split: Any, modality: str) -> None:
    batch, other, split = noise(modality), noise(modality, key="resampled"), ready(split, modality)
    inputs, _ = split(batch, Draws(batch.index))
    assert inputs.visible is not None
    visible = expanded(inputs.visible, inputs.data)
    if modality == "audio":
        visible = visible.flatten(1)[:, : batch.data.shape[1]]
    resampled = torch.where(visible.view(batch.data.shape), batch.data, other.data)
    assert not torch.equal(resampled, batch.data)
    again, _ = split(replace(batch, data=resampled), Draws(batch.index))
    assert torch.equal(again.data, inputs.data)


@every_split
def test_what_is_visible_is_never_predicted(split: Any, modality: str) -> None:
    batch, split = noise(modality), ready(split, modality)
    inputs, targets = split(batch, Draws(batch.index))
    target = the_target(targets)
    changed = put_back(split, batch, inputs.data, replace(target, value=torch.zeros_like(target.value)))
    assert inputs.visible is not None
    visible = expanded(inputs.visible, inputs.data)
    assert torch.equal(changed[visible], inputs.data[visible])


@every_split
def test_a_sample_is_split_the_same_in_any_batch_and_order(split: Any, modality: str) -> None:
    split, whole = ready(split, modality), noise(modality)
    inputs, targets = split(whole, Draws(whole.index, 3, 2))
    pick = torch.tensor([7, 2, 5])
    part = Batch(whole.data[pick], whole.index[pick])
    again, few = split(part, Draws(part.index, 3, 2))
    assert torch.equal(again.data, inputs.data[pick])
    assert torch.equal(the_target(few).value, the_target(targets).value[pick])
    weight, same = the_target(few).weight, the_target(targets).weight
    assert weight is same or torch.equal(weight, same[pick])  # type: ignore[arg-type,index]


@pytest.mark.parametrize(
    ("split", "modality"),
    [*EVERY, *[(Whole(frame=20), modality) for modality in OBSERVED]],
    ids=name,
)
def test_specs_say_what_comes(split: Any, modality: str) -> None:
    split, batch = ready(split, modality), noise(modality)
    spec, promised = split.spec(OBSERVED[modality])
    inputs, targets = split(batch, Draws(batch.index))
    assert inputs.data.shape == (12, spec.views, *spec.shape)
    assert split.whole(batch).data.shape[2:] == split.whole_spec(OBSERVED[modality]).shape
    assert set(promised) == set(targets)
    (promise,), target = promised.values(), the_target(targets)
    lead = (12, *promise.grid) if promise.views is None else (12, promise.views, *promise.grid)
    assert target.value.shape == (lead if modality == "text" else (*lead, promise.channels))
    assert target.weight is None or target.weight.shape == lead
    if spec.shown is not None:
        pixels = spec.shown * prod(spec.patch or (1,))
        assert torch.equal(inputs.visible.flatten(2).sum(2).unique(), torch.tensor([pixels]))  # type: ignore[union-attr]


def test_exactly_the_share_is_hidden_of_every_sample_but_not_the_same_pieces() -> None:
    batch = noise("image", 50)
    weight = the_target(any_from_any(patch=4, mask_ratio=0.75)(batch, Draws(batch.index))[1]).weight
    assert weight is not None
    assert weight.flatten(1).sum(1).unique().tolist() == [18.0]  # 3/4 of 4 x 6 pieces
    assert torch.allclose(weight.mean(0), torch.tensor(0.75), atol=0.25)  # 4 standard deviations
    assert len(torch.unique(weight, dim=0)) == 50


def test_a_clip_is_hidden_at_the_same_places_of_every_frame() -> None:
    batch = noise("video")
    for split in (any_from_any(patch=4), occluded_from_visible(patch=4), top_from_bottom(patch=4)):
        inputs, _ = split(batch, Draws(batch.index))
        assert inputs.visible is not None
        assert torch.equal(inputs.visible, inputs.visible[:, :1].expand_as(inputs.visible))


def test_the_block_is_one_rectangle_and_reaches_every_corner() -> None:
    batch = noise("image", 300)
    inputs, _ = occluded_from_visible(patch=4, mask_ratio=0.25)(batch, Draws(batch.index))
    assert inputs.visible is not None
    hidden = ~inputs.visible[:, 0]
    rows, columns = hidden.any(2), hidden.any(1)
    assert torch.equal(hidden, rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).unique().tolist() == [8]
    assert columns.sum(1).unique().tolist() == [12]
    assert bool(hidden[:, 0, 0].any() and hidden[:, -1, -1].any() and hidden[:, 0, -1].any())
    square = replace(batch, data=batch.data[..., :16])
    middle, _ = occluded_from_visible(patch=4, position="center")(square, Draws(batch.index))
    assert middle.visible is not None
    assert torch.equal(middle.visible[:, 0], middle.visible[:, 0].flip(1).flip(2))


def test_top_from_bottom_of_a_flipped_image_is_bottom_from_top() -> None:
    batch = noise("image")
    flipped = replace(batch, data=batch.data.flip(-2))
    top, flipped_targets = top_from_bottom(patch=1)(flipped, Draws(batch.index))
    bottom, same = top_from_bottom(patch=1, side="bottom")(batch, Draws(batch.index))
    assert torch.equal(top.data.flip(-2), bottom.data)
    assert torch.equal(the_target(flipped_targets).value.flip(1), the_target(same).value)
    assert torch.equal(the_target(flipped_targets).weight.flip(1), the_target(same).weight)  # type: ignore[union-attr,arg-type]
    assert bool((top.data[..., :8, :] == 0.5).all())


def test_left_from_right_is_top_from_bottom_of_the_transposed_image() -> None:
    batch = noise("image")
    transposed = replace(batch, data=batch.data.transpose(-1, -2))
    left, _ = top_from_bottom(patch=4, side="left")(batch, Draws(batch.index))
    top, _ = top_from_bottom(patch=4)(transposed, Draws(batch.index))
    assert torch.equal(left.data.transpose(-1, -2), top.data)


def seen_and_predicted(split: Any, count: int = 1) -> tuple[list[int], list[int]]:
    """The places of a text that x shows and that y predicts."""
    batch, split = noise("text", count), ready(split, "text")
    inputs, targets = split(batch, Draws(batch.index))
    weight = the_target(targets).weight
    assert inputs.visible is not None
    assert weight is not None
    return inputs.visible[0, 0].nonzero()[:, 0].tolist(), weight[0].nonzero()[:, 0].tolist()


def test_the_laws_of_time_are_where_they_say() -> None:
    assert seen_and_predicted(future_from_past(boundary=0.25)) == (list(range(5)), list(range(5, 20)))
    assert seen_and_predicted(future_from_recent_past(context_length=3, prediction_length=2)) == ([7, 8, 9], [10, 11])
    assert seen_and_predicted(past_from_present(context_length=1, prediction_length=4)) == ([10], [6, 7, 8, 9])


def test_frames_predicted_stand_side_by_side_in_order() -> None:
    clip = (torch.arange(8, dtype=torch.uint8) * 10).view(1, 8, 1, 1, 1).expand(2, 8, 3, 16, 16)
    _, targets = future_from_recent_past(patch=8, context_length=2, prediction_length=3)(
        Batch(clip), Draws(torch.arange(2))
    )
    value = (the_target(targets).value * 255).round().long()
    assert value[0, 1, 1].tolist() == [40] * 192 + [50] * 192 + [60] * 192


def test_a_spread_cut_falls_everywhere_within_its_bounds() -> None:
    batch = noise("text", 400)
    split = ready(future_from_past(boundary_jitter=0.25), "text")
    inputs, _ = split(batch, Draws(batch.index))
    assert inputs.visible.sum((1, 2)).unique().tolist() == list(range(5, 16))


@pytest.mark.parametrize(("split", "modality"), [pair for pair in EVERY if pair[1] in ("text", "audio")], ids=name)
def test_padding_is_never_predicted_and_never_touched(split: Any, modality: str) -> None:
    split, batch = ready(split, modality), noise(modality)
    length = torch.arange(12) * 4 + 8 if modality == "text" else (torch.arange(12) + 8) * 20
    present = torch.arange(batch.data.shape[1]) < length.clamp(max=batch.data.shape[1])[:, None]
    inputs, targets = split(replace(batch, present=present), Draws(batch.index))
    weight, shown = the_target(targets).weight, as_views(batch.data, split.frame)
    assert inputs.present is not None
    assert inputs.visible is not None
    assert weight is not None
    padding = ~inputs.present[:, 0]
    assert not bool((weight.bool() & padding).any())
    assert bool((weight.sum(1) > 0).all())
    assert torch.equal(inputs.data[:, 0][padding], shown[:, 0][padding])


@pytest.mark.parametrize(
    "split",
    [
        future_from_recent_past(boundary=0.9),
        past_from_present(boundary=0.9, prediction_length=4),
        future_from_past(boundary=0.9),
    ],
)
def test_texts_shorter_than_the_windows_are_asked_what_they_have(split: Any) -> None:
    batch = noise("text", 4)
    present = torch.arange(20) < torch.tensor([3, 4, 5, 20])[:, None]
    inputs, targets = split.fit(OBSERVED["text"], [])(replace(batch, present=present), Draws(batch.index))
    weight = the_target(targets).weight
    assert weight is not None
    assert not bool((weight.bool() & ~present).any())
    assert bool((weight.sum(1) > 0).all())
    assert bool((inputs.visible[:, 0] & present).any(1)[1:].all())


def least_squares_error(x: torch.Tensor, y: torch.Tensor) -> float:
    """Held-out squared error of the best linear guess, as a share of the variance."""
    x = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    y, half = y.double(), len(x) // 2
    weights = torch.linalg.lstsq(x[:half], y[:half], driver="gelsd").solution  # x has empty columns
    return float(((x[half:] @ weights - y[half:]) ** 2).mean() / y[half:].var())


@pytest.mark.parametrize("split", [split for split, modality in EVERY if modality == "audio"], ids=name)
def test_independent_noise_cannot_be_guessed_better_than_by_its_variance(split: Any) -> None:
    batch = Batch(Draws(torch.arange(3000)).normal("wave", 40))
    inputs, targets = replace(split, frame=4)(batch, Draws(batch.index))
    target = the_target(targets)
    assert target.weight is not None
    place = int(target.weight.sum(0).argmax())
    valid = target.weight[:, place] > 0
    error = least_squares_error(inputs.data.flatten(1)[valid], target.value[valid, place])
    assert int(valid.sum()) > 600
    # The fit of 41 parameters costs their share of the samples; 4 standard errors of 4 numbers of 300 samples or more.
    assert error == pytest.approx(1 + 41 / (int(valid.sum()) / 2 - 41), abs=0.14)


def walk(count: int = 3000, length: int = 16, kept: float = 0.8) -> Batch:
    """A stationary Gaussian process of order one, which looks the same backwards."""
    noise = Draws(torch.arange(count)).normal("step", length)
    values = [noise[:, 0]]
    for step in range(1, length):
        values.append(kept * values[-1] + (1 - kept**2) ** 0.5 * noise[:, step])
    return Batch(torch.stack(values, 1))


def best_error(split: Any, batch: Batch, place: int) -> float:
    inputs, targets = split(batch, Draws(batch.index))
    return least_squares_error(inputs.data.flatten(1), the_target(targets).value[:, place])


def test_of_a_markov_process_the_recent_past_tells_as_much_as_all_of_it() -> None:
    batch = walk()
    everything = best_error(future_from_past(frame=1), batch, 8)
    recent = best_error(future_from_recent_past(frame=1, context_length=1, prediction_length=1), batch, 8)
    assert recent == pytest.approx(1 - 0.8**2, abs=0.04)
    assert everything == pytest.approx(recent, abs=0.01)


def test_a_reversible_process_has_a_past_as_guessable_as_its_future() -> None:
    batch = walk()
    future = best_error(future_from_recent_past(frame=1, context_length=1, prediction_length=1), batch, 8)
    past = best_error(past_from_present(frame=1, context_length=1, prediction_length=1), batch, 7)
    assert future == pytest.approx(past, abs=0.03)


def test_an_irreversible_process_has_not() -> None:
    start = Draws(torch.arange(3000)).uniform("start")
    doubling = [start]
    for _ in range(3):
        doubling.append(2 * doubling[-1] % 1)  # each value tells the next one, and half of the one before
    batch = Batch(torch.stack(doubling, 1))
    errors = {}
    for split, place in (
        (future_from_recent_past(frame=1, context_length=1, prediction_length=1), 2),
        (past_from_present(frame=1, prediction_length=1), 1),
    ):
        inputs, targets = split(batch, Draws(batch.index))
        shown = inputs.data.flatten(1).sum(1)  # the only one that is not erased
        y = the_target(targets).value[:, place, 0]
        bins = (shown * 100).long()
        means = torch.zeros(100).index_add(0, bins, y) / torch.bincount(bins, minlength=100)
        errors[split.name] = float(((y - means[bins]) ** 2).mean() / y.var())
    assert errors["future-from-recent-past"] < 0.01
    assert errors["past-from-present"] == pytest.approx(
        0.75, abs=0.05
    )  # which of x/2 and x/2 + 1/2 it was: 1/16 of 1/12


def test_data_that_cannot_be_split_is_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(Incompatible, match=r"multiples of split.patch = 5 pixels; got 16 x 24"):
        any_from_any(patch=5).spec(OBSERVED["image"])
    with pytest.raises(Incompatible, match=r"at least 9 frames \(6 before and 3 after the boundary\); got 8"):
        future_from_recent_past(context_length=6, prediction_length=3).spec(OBSERVED["video"])
    with pytest.raises(Incompatible, match=r"above 0 and below 1; got 1.5"):
        occluded_from_visible(mask_ratio=1.5).spec(OBSERVED["image"])
    with pytest.raises(Incompatible, match="video or text or audio data; got image"):
        future_from_past().spec(OBSERVED["image"])
    with pytest.raises(Incompatible, match="mask or an unknown token"):
        any_from_any().spec(replace(OBSERVED["text"], vocabulary=Vocabulary(9)))
    with pytest.raises(Incompatible, match=r"split.boundary_jitter = 0 for clips"):
        future_from_past(boundary_jitter=0.1).spec(OBSERVED["video"])
    with pytest.raises(PretaskError, match="vocabulary of its text"):
        any_from_any()(noise("text"), Draws(torch.arange(12)))


@pytest.mark.parametrize("modality", OBSERVED)
def test_the_identity_asks_for_what_it_shows_and_says_so(modality: str) -> None:
    batch, split = noise(modality), Whole(frame=20)
    inputs, targets = split(batch, Draws(batch.index))
    value = the_target(targets).value
    assert torch.equal(unpatchify(value if modality == "video" else value[:, None], 1), inputs.data)
    assert not any(spec.hidden for spec in split.spec(OBSERVED[modality])[1].values())


def test_binarized_pixels_are_drawn_anew_every_epoch_with_grey_as_the_chance() -> None:
    batch = Batch(torch.full((100, 1, 8, 8), 51, dtype=torch.uint8))
    one, two = (Whole(binarize=True)(batch, Draws(batch.index, 0, epoch))[0].data for epoch in (0, 1))
    assert torch.unique(one).tolist() == [0.0, 1.0]
    assert float(one.mean()) == pytest.approx(0.2, abs=0.02)  # 4 standard errors
    assert not torch.equal(one, two)
    assert torch.allclose(Whole(binarize=True).whole(batch).data, torch.tensor(0.2))


def hidden_patches(layout: str, mask_ratio: float, side: int = 8) -> torch.Tensor:
    """Where images of so many patches a side are hidden, (samples, side, side)."""
    generator = RandomPatches(mask_ratio, layout)  # type: ignore[arg-type]
    grid = PatchGrid(1, (side, side), torch.ones(64, dtype=torch.long))
    return ~generator(Draws(torch.arange(64)), grid).visible[:, 0]


@pytest.mark.parametrize("layout", ["random", "blocks", "grid"])
@pytest.mark.parametrize("mask_ratio", [0.25, 0.5, 0.6, 0.75])
def test_exactly_so_many_patches_are_hidden_however_they_lie(layout: str, mask_ratio: float) -> None:
    assert set(hidden_patches(layout, mask_ratio, 7).sum((1, 2)).tolist()) == {round(mask_ratio * 49)}


def test_a_grid_hides_so_many_of_every_four_patches_the_same_of_all_samples() -> None:
    for mask_ratio, count in ((0.25, 1), (0.5, 2), (0.75, 3)):
        hidden = hidden_patches("grid", mask_ratio)
        assert (hidden == hidden[:1]).all()
        assert hidden.view(64, 4, 2, 4, 2).sum((2, 4)).unique().tolist() == [count]


def test_blocks_hide_neighbors_together_and_differ_between_samples() -> None:
    blocks, scattered = hidden_patches("blocks", 0.5), hidden_patches("random", 0.5)
    equal = [(hidden[:, :, 1:] == hidden[:, :, :-1]).float().mean() for hidden in (blocks, scattered)]
    assert equal[0] > 0.7
    assert equal[1] < 0.55
    assert len({tuple(hidden.flatten().tolist()) for hidden in blocks}) == 64
    assert float((blocks.float().mean(0) - 0.5).abs().max()) < 0.25  # no place is favored

"""Promises of sequence verification; methods.md section 10. A frame's brightness is its number."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Batch, Draws, Incompatible, InputSpec, Observed
from pretask.samples import Samples
from pretask_plugins.methods.sequence_verification.figures import draw_tuples
from pretask_plugins.methods.sequence_verification.split import (
    ShuffleFrames,
    count_levels,
    frame_changes,
)
from pretask_plugins.methods.sequence_verification.trivial_predictors import pair_differences
from pretask_plugins.models.video.frames import Frames
from pretask_plugins.shared.clips import count_frames
from pretask_plugins.shared.pictures import CORRECT, WRONG
from scipy import stats


def numbered(batch: int, frames: int = 120) -> Batch:
    """Clips of 4 x 4 pixels whose frame t has brightness 2 t."""
    brightness = (2 * torch.arange(frames)).to(torch.uint8)
    return Batch(brightness[None, :, None, None, None].expand(batch, -1, 1, 4, 4).contiguous())


def noise(batch: int, frames: int = 24, side: int = 8) -> Batch:
    draws = Draws(torch.arange(batch))
    return Batch(draws.integers("noise", 0, 256, frames, 1, side, side).to(torch.uint8))


def tuples(split: ShuffleFrames, batch: Batch, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers of the three frames shown, and the labels."""
    inputs, targets = split(batch, Draws(batch.index, seed))
    return (inputs.data[:, :, 0, 0, 0] * 255 / 2).round().long(), targets["order"].value


def in_order(shown: torch.Tensor) -> torch.Tensor:
    first, middle, last = shown.unbind(1)
    return ((first < middle) & (middle < last)) | ((first > middle) & (middle > last))


def test_the_label_says_whether_the_frames_can_have_happened_in_this_order() -> None:
    shown, label = tuples(ShuffleFrames(), numbered(4000))
    assert torch.equal(in_order(shown), label == 1)


def test_a_quarter_of_the_tuples_is_in_order() -> None:
    _, label = tuples(ShuffleFrames(), numbered(10_000))
    assert stats.binomtest(int(label.sum()), 10_000, 0.25).pvalue > 1e-3


def test_the_five_frames_keep_their_distances_in_ten_thousand_tuples() -> None:
    split = ShuffleFrames(nearest=15, farthest=60)
    batch = numbered(10_000)
    a, b, c, d, e = split.draw_tuples(batch, Draws(batch.index)).unbind(1)
    assert bool(((a >= 0) & (a < b) & (b < c) & (c < d) & (d < e) & (e < 120)).all())
    assert bool(((d - b <= 60) & (b - a >= 15) & (e - d >= 15)).all())
    assert int((d - b).min()) == 2
    assert int((d - b).max()) == 60
    assert int((b - a).min()) == int((e - d).min()) == 15


def test_first_and_last_frame_do_not_tell_the_label() -> None:
    batch = numbered(6000)
    positive, negative = (tuples(ShuffleFrames(positive_ratio=ratio), batch)[0] for ratio in (1.0, 0.0))
    assert torch.equal(positive[:, [0, 2]], negative[:, [0, 2]])  # the same windows, whatever their label
    assert not torch.equal(positive[:, 1], negative[:, 1])


def test_half_of_the_tuples_are_reversed_and_that_never_changes_a_label() -> None:
    shown, label = tuples(ShuffleFrames(), numbered(4000))
    backwards = shown[:, 0] > shown[:, 2]
    assert stats.binomtest(int(backwards.sum()), 4000, 0.5).pvalue > 1e-3
    table = [[int((label[backwards == way] == answer).sum()) for answer in (0, 1)] for way in (False, True)]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assert torch.equal(in_order(shown), in_order(shown.flip(1)))


def test_a_wrong_middle_comes_from_before_as_often_as_from_after() -> None:
    shown, label = tuples(ShuffleFrames(), numbered(4000))
    wrong = shown[label == 0]
    before = wrong[:, 1] < wrong[:, [0, 2]].amin(1)
    assert bool((before | (wrong[:, 1] > wrong[:, [0, 2]].amax(1))).all())
    assert stats.binomtest(int(before.sum()), len(wrong), 0.5).pvalue > 1e-3


def test_windows_in_which_more_moves_are_likelier() -> None:
    batch = noise(800, frames=40)
    batch.data[:, :20] = 100  # nothing moves in the first half
    split = ShuffleFrames(nearest=2, farthest=6, candidates=8)
    middle = split.draw_tuples(batch, Draws(batch.index))[:, 2]
    blind = ShuffleFrames(nearest=2, farthest=6, candidates=1).draw_tuples(batch, Draws(batch.index))[:, 2]
    assert float((middle >= 20).float().mean()) > 0.9
    assert float((blind >= 20).float().mean()) < 0.7


def test_static_clips_have_no_weight() -> None:
    still = Batch(torch.full((50, 40, 3, 8, 8), 90, dtype=torch.uint8))
    _, targets = ShuffleFrames()(still, Draws(still.index))
    assert float(targets["order"].weight.sum()) == 0  # type: ignore[union-attr]
    _, targets = ShuffleFrames(min_difference=0.0)(still, Draws(still.index))
    assert float(targets["order"].weight.mean()) == 1  # type: ignore[union-attr]


def test_what_moves_counts_however_faint_it_is() -> None:
    faint = torch.full((60, 40, 1, 32, 32), 90, dtype=torch.uint8)
    for frame in range(40):  # a bar of four rows, lighter by one level, that goes down a pixel a frame
        faint[:, frame, :, frame % 28 : frame % 28 + 4] += 1
    batch = Batch(faint)
    _, targets = ShuffleFrames(nearest=3, farthest=8)(batch, Draws(batch.index))
    assert float(targets["order"].weight.mean()) > 0.95  # type: ignore[union-attr]


def test_where_frames_differ_by_noise_alone_a_tuple_has_no_weight() -> None:
    batch = noise(50, side=64)
    _, targets = ShuffleFrames(nearest=3, farthest=8, min_difference=1.5)(batch, Draws(batch.index))
    assert float(targets["order"].weight.sum()) == 0  # type: ignore[union-attr]


def test_another_candidate_is_taken_where_the_wrong_middle_frame_looks_like_the_correct_one() -> None:
    batch = numbered(400, 60)
    batch.data[:, :30] = batch.data[:, 30:31]  # nothing moves in the first half
    split = ShuffleFrames(nearest=3, farthest=8, candidates=8)
    weight, once = (
        each(batch, Draws(batch.index))[1]["order"].weight
        for each in (split, ShuffleFrames(nearest=3, farthest=8, candidates=1))
    )
    assert weight is not None
    assert once is not None
    a, _, c, _, e = split.draw_tuples(batch, Draws(batch.index)).unbind(1)
    wrong = torch.where(Draws(batch.index).integers("before", 0, 2) > 0, e, a)
    shade = batch.data[0, :, 0, 0, 0]
    assert torch.equal(weight > 0, shade[wrong] != shade[c])
    assert float(once.mean()) < 0.7
    assert float(weight.mean()) > 0.97


@pytest.mark.parametrize("kind", ["static", "noise"])
def test_without_motion_no_predictor_beats_the_prior(kind: str) -> None:
    batch = noise(1500)
    if kind == "static":
        batch = Batch(batch.data[:, :1].expand(-1, 24, -1, -1, -1).contiguous())
    samples = Samples(Observed("video", tuple(batch.data.shape[1:])), batch.data)
    split = ShuffleFrames(nearest=3, farthest=8, min_difference=0.0)
    predictor = split.trivial_predictors(samples.batches(256, torch.device("cpu")))["differences"]
    draws = Draws(batch.index, seed=5)
    logits, label = predictor(batch, draws)["order"], split(batch, draws)[1]["order"].value
    positive, negative = logits[label == 1, 1].exp().numpy(), logits[label == 0, 1].exp().numpy()
    assert logits[:, 1].exp().mean() == pytest.approx(0.25, abs=0.03)
    assert float((logits.argmax(1) == label).float().mean()) == pytest.approx(0.75, abs=0.04)  # 3.6 standard errors
    if kind == "noise":
        assert stats.mannwhitneyu(positive, negative).pvalue > 1e-3  # the area under the curve is one half


def test_differences_alone_give_some_of_a_moving_clip_away() -> None:
    batch = numbered(600, 24)
    split = ShuffleFrames(nearest=3, farthest=8, min_difference=0.0)
    samples = Samples(Observed("video", tuple(batch.data.shape[1:])), batch.data)
    predictor = split.trivial_predictors(samples.batches(200, torch.device("cpu")))["differences"]
    label = split(batch, Draws(batch.index, 9))[1]["order"].value
    assert float((predictor(batch, Draws(batch.index, 9))["order"].argmax(1) == label).float().mean()) > 0.9


def test_three_differences_do_not_tell_a_tuple_from_its_reverse_but_for_their_places() -> None:
    batch = noise(40)
    inputs, _ = ShuffleFrames(nearest=3, farthest=8)(batch, Draws(batch.index))
    forwards = pair_differences(inputs)
    backwards = pair_differences(type(inputs)(inputs.data.flip(1)))
    assert torch.equal(forwards[:, [1, 0, 2, 3, 4]], backwards)


def test_weights_are_tied_so_that_permuting_frames_permutes_blocks() -> None:
    batch = noise(4)
    split = ShuffleFrames(nearest=3, farthest=8)
    spec, _ = split.spec(Observed("video", (24, 1, 8, 8)))
    model = Frames(spec, spec, width=4, depth=1, pool=2).eval()
    inputs, _ = split(batch, Draws(batch.index))
    blocks = model(inputs).pooled["present"]
    permuted = model(type(inputs)(inputs.data[:, [2, 0, 1]])).pooled["present"]
    assert torch.allclose(permuted, blocks[:, [2, 0, 1]], atol=1e-5)


def test_padding_is_never_shown_and_too_short_clips_have_no_weight() -> None:
    batch = numbered(300, 60)
    length = 5 + torch.arange(300) % 56
    padded = Batch(batch.data, batch.index, torch.arange(60) < length[:, None])
    split = ShuffleFrames(nearest=3, farthest=8, min_difference=0.0)
    shown, _ = tuples(split, padded)
    weight = split(padded, Draws(padded.index))[1]["order"].weight
    assert torch.equal(weight == 1, length >= split.shortest)
    assert bool((shown.amax(1) < length)[weight == 1].all())
    whole = (split.whole(padded).data[:, :, 0, 0, 0] * 255 / 2).round()
    assert bool((whole.amax(1) < length).all())


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_clip_is_split_the_same_at_any_batch_size_and_in_any_order(size: int) -> None:
    split, whole = ShuffleFrames(nearest=3, farthest=8), noise(64)
    expected, labels = split(whole, Draws(whole.index, seed=3, epoch=2))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for start in range(0, 64, size):
        pick = order[start : start + size]
        inputs, targets = split(Batch(whole.data[pick], whole.index[pick]), Draws(whole.index[pick], seed=3, epoch=2))
        assert torch.equal(inputs.data, expected.data[pick])
        assert torch.equal(targets["order"].value, labels["order"].value[pick])


def test_specs_say_what_comes_and_the_whole_is_frames_as_they_happened() -> None:
    observed, batch = Observed("video", (120, 1, 4, 4)), numbered(3)
    split = ShuffleFrames()
    spec, targets = split.spec(observed)
    inputs, predicted = split(batch, Draws(batch.index))
    assert spec == InputSpec("image", (1, 4, 4), views=3, ordered=True)
    assert inputs.data.shape == (3, 3, 1, 4, 4)
    assert set(targets) == set(predicted) == {"order"}
    whole = split.whole(batch).data
    assert whole.shape[1] == split.whole_spec(observed).views == 3
    assert (whole[0, :, 0, 0, 0] * 255 / 2).round().tolist() == [20, 60, 100]
    assert ShuffleFrames(eval_frames=0).whole(batch).data.shape[1] == 120


def test_centered_frames_are_their_changes_at_one_contrast_whatever_does_not_move() -> None:
    batch = noise(4)
    faint = Batch(batch.data // 8 + 100, batch.index)  # an eighth of the contrast, before a light wall
    split = ShuffleFrames(nearest=3, farthest=8, min_difference=0.0, candidates=1)
    plain = split(faint, Draws(faint.index))[0].data
    shown = replace(split, center=True)(faint, Draws(faint.index))[0].data
    changes = plain - plain.mean(1, keepdim=True)
    expected = 0.5 + changes / changes.std((1, 2, 3, 4), correction=0, keepdim=True) / 4
    assert torch.allclose(shown, expected.clamp(0, 1), atol=1e-5)
    still = Batch(batch.data[:, :1].expand_as(batch.data), batch.index)
    assert torch.allclose(replace(split, center=True).whole(still).data, torch.tensor(0.5), atol=1e-3)


def test_the_figure_marks_what_is_wrong_and_what_was_taken_for_something_else() -> None:
    frames = torch.full((2, 3, 3, 60, 60), 0.5)
    figure = draw_tuples(frames, torch.tensor([1, 0]), torch.tensor([1, 1]))
    pixels = np.asarray(Image.open(io.BytesIO(figure.png)))
    row = pixels.shape[0] // 2
    assert tuple(pixels[0, 0]) == CORRECT
    assert tuple(pixels[row, 0]) == WRONG
    column = pixels.shape[1] // 3
    corners = [tuple(pixels[row * number + 3, column + 3]) for number in (0, 1)]
    assert corners == [(128, 128, 128), WRONG]


def test_frame_changes_are_what_a_loop_finds() -> None:
    batch = noise(2, frames=5)
    change = frame_changes(batch) / count_levels(batch)
    assert change[:, 0].tolist() == [0, 0]
    sparse = batch.data[..., ::4, ::4].float() / 255
    for frame in range(1, 5):
        expected = (sparse[:, frame] - sparse[:, frame - 1]).abs().mean((1, 2, 3))
        assert torch.allclose(change[:, frame], expected)
    pair = batch.take_frames(torch.tensor([[0, 1], [2, 3]]))
    assert torch.equal(pair[1, 1], batch.data[1, 3])
    assert count_frames(batch).tolist() == [5, 5]


def test_short_clips_are_refused_with_the_number_of_frames_needed() -> None:
    with pytest.raises(Incompatible, match=r"at least 33 frames .* got 16 frames"):
        ShuffleFrames().spec(Observed("video", (16, 3, 64, 64)))
    with pytest.raises(Incompatible, match="got image"):
        ShuffleFrames().spec(Observed("image", (3, 64, 64)))

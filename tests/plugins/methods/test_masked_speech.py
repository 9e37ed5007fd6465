"""Promises of masked speech; mask ratios and fates from methods.md section 13."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Batch, Draws, FeatureSpec, Incompatible, Observed
from pretask.specs import Values
from pretask_plugins.methods.masked_speech.figures import COLORS, HIGHEST, draw_spectrograms
from pretask_plugins.methods.masked_speech.split import MaskedSpans, MaskFrames, MaskSpectrogram, mask_spans
from pretask_plugins.objectives.regression import Regression
from pretask_plugins.shared.speech.spans import (
    NEVER,
    cover_spans,
    draw_latest_starts,
    draw_replacements,
    find_highest,
    interpolate,
    since_latest,
)
from pretask_plugins.shared.speech.spectrogram import log_mel, standardize, standardize_present

SMALL = MaskFrames(mels=20, rate=8000)
TIME = torch.arange(8000) / 8000


def noise(count: int = 16, size: int = 8000) -> Batch:
    return Batch(Draws(torch.arange(count)).normal("wave", size))


def begins(count: int, frames: int, length: int | None = None) -> torch.Tensor:
    whole = frames if length is None else torch.full((count,), length)
    return draw_latest_starts(Draws(torch.arange(count)), whole, frames, 0.15, 7)


def test_the_masked_ratio_is_what_overlapping_spans_cover() -> None:
    ratio = cover_spans(begins(4000, 400), 7).float().mean()
    # round(0.15 * 400 / 7) = 9 begins among 394 places; a frame is spared when all 9 miss the 7 places before it.
    expected = 1 - torch.prod(1 - 7 / (394 - torch.arange(9.0)))
    assert float(ratio) == pytest.approx(float(expected), abs=0.004)  # fewer places near both ends


def test_so_many_spans_begin_as_the_mask_ratio_says_and_none_twice() -> None:
    for frames, spans in ((400, 9), (20, 1)):
        assert (since_latest(begins(200, frames)) == 0).sum(1).unique().tolist() == [spans]
        assert torch.equal(begins(200, frames), begins(200, frames, length=frames))


def test_the_highest_scores_are_found_and_equal_ones_as_torch_chooses_them() -> None:
    score = Draws(torch.arange(50)).uniform("score", 60)
    tied = (score * 8).round()
    for numbers in (score, tied):
        for count in (1, 7, 60):
            expected = numbers.topk(count, sorted=False).indices.sort(1).values
            assert torch.equal(find_highest(numbers, count).sort(1).values, expected)


def test_hidden_frames_are_unions_of_whole_spans() -> None:
    hidden = cover_spans(begins(200, 100), 7)
    padded = torch.nn.functional.pad(hidden.int(), (1, 1))
    edges = padded.diff(dim=1)
    lengths = (edges == -1).nonzero()[:, 1] - (edges == 1).nonzero()[:, 1]
    assert int(lengths.min()) >= 7


def test_the_first_and_the_last_frame_can_be_masked() -> None:
    hidden = cover_spans(begins(4000, 60), 7)
    assert bool(hidden[:, 0].any())
    assert bool(hidden[:, -1].any())


def test_spans_stay_inside_the_recording() -> None:
    hidden = cover_spans(begins(500, 100, length=60), 7)
    assert not bool(hidden[:, 60:].any())


def test_eight_in_ten_recordings_are_erased_one_replaced_and_one_left() -> None:
    batch = noise(600, 2400)
    inputs, targets = SMALL(batch, Draws(batch.index))
    mel, hidden = targets["frames"].value, targets["frames"].weight.bool()  # type: ignore[union-attr]
    shown = inputs.data[:, 0]
    erased = ((shown == 0).all(-1) | ~hidden).all(1)
    left = (shown == mel).all(-1).all(1)
    assert int(erased.sum()) / 600 == pytest.approx(0.8, abs=0.055)  # 3.3 standard deviations
    assert int(left.sum()) / 600 == pytest.approx(0.1, abs=0.041)
    assert not bool((erased & left).any())
    assert torch.equal(shown[~hidden], mel[~hidden])


def test_erased_frames_do_not_show_in_x() -> None:
    batch = noise(40)
    inputs, targets = SMALL(batch, Draws(batch.index))
    hidden = targets["frames"].weight.bool()  # type: ignore[union-attr]
    invisible = ~inputs.visible[:, 0]  # type: ignore[index]
    assert bool((hidden | ~invisible).all())
    fate = Draws(batch.index).uniform("fate")
    erased = invisible & (fate < 0.8)[:, None]
    assert bool((inputs.data[:, 0][erased] == 0).all())


def test_of_hidden_sound_nothing_shows_but_the_mean_and_std_of_bands() -> None:
    batch = noise(24)
    draws = Draws(batch.index)
    inputs, targets = SMALL(batch, draws)
    visible = ~targets["frames"].weight.bool()  # type: ignore[union-attr]
    near = (torch.arange(8000) - 80 * torch.arange(101)[:, None]).abs() <= 100  # samples in the window of each frame
    unheard = (visible.float() @ near.float()) == 0
    louder = batch.data + 3 * unheard * Draws(batch.index, 1).normal("other", 8000)
    again, _ = SMALL(Batch(louder), draws)
    erased = draws.uniform("fate") < 0.8
    assert bool(unheard[erased].any(1).all())
    for one, two, seen in zip(inputs.data[erased, 0], again.data[erased, 0], visible[erased], strict=True):
        assert not torch.allclose(one[seen], two[seen], atol=1e-3)  # the leak that the header owns up to
        assert torch.allclose(*(standardize(shown[seen][None]) for shown in (one, two)), atol=1e-3)


def test_white_noise_is_predicted_no_better_than_by_the_median() -> None:
    split, batch = MaskFrames(mels=20, rate=8000, window=0.01, hop=0.01), noise(40)
    draws = Draws(batch.index, epoch=3)
    target = split(batch, draws)[1]["frames"]
    hidden = target.weight.bool()  # type: ignore[union-attr]
    truth = target.value[hidden]
    minimum = float((truth - truth.median(0).values).abs().mean())
    error = {
        name: float((predict(batch, draws)["frames"][hidden] - truth).abs().mean())
        for name, predict in split.trivial_predictors([]).items()
    }
    assert error["mean"] == pytest.approx(minimum, rel=0.02)
    assert min(error["copy"], error["interpolation"]) > 1.1 * minimum


def test_no_gradient_comes_from_frames_that_are_shown_or_are_padding() -> None:
    present = torch.arange(8000) < torch.full((8, 1), 5000)
    batch = Batch(noise(8).data, present=present)
    _, targets = SMALL(batch, Draws(batch.index))
    width, frames = 20, targets["frames"].value.shape[1]
    objective = Regression(FeatureSpec(width, (frames,)), {"frames": Values(width, grid=(frames,))}, error="absolute")
    prediction = torch.zeros_like(targets["frames"].value).requires_grad_()
    objective.score({"frames": prediction}, targets).total.backward()
    assert prediction.grad is not None
    assert torch.equal(prediction.grad.abs().sum(2) > 0, targets["frames"].weight.bool())  # type: ignore[union-attr]


def test_a_replaced_frame_comes_from_as_far_into_another_span() -> None:
    latest = torch.tensor([[NEVER, 1, 1, 1, 1, 1, 1, 1]])
    source = draw_replacements(Draws(torch.arange(1)), latest, since_latest(latest), 8, 3)
    padded = draw_replacements(Draws(torch.arange(1)), latest, since_latest(latest), torch.tensor([8]), 3)
    assert torch.equal(source, padded)
    assert torch.equal(source[0, 1:4] - source[0, 1], torch.arange(3))


def test_only_hidden_and_present_frames_have_weight() -> None:
    present = torch.arange(8000) < torch.full((30, 1), 4000)
    batch = Batch(noise(30).data, present=present)
    inputs, targets = SMALL(batch, Draws(batch.index))
    weight = targets["frames"].weight
    assert weight is not None
    assert float(weight[:, 51:].sum()) == 0  # frames whose center lies in the padding
    assert torch.equal(inputs.present[:, 0, :50].all(), torch.tensor(True))  # type: ignore[index]


def test_present_bands_have_mean_zero_and_std_one() -> None:
    mel = Draws(torch.arange(3)).normal("mel", 50, 4) * 3 + 5
    present = torch.arange(50) < torch.tensor([[50], [30], [20]])
    even = standardize_present(mel, present)
    assert torch.allclose(even[0], standardize(mel)[0], atol=1e-6)
    assert even[1, :30].mean(0).abs().max() < 1e-5
    assert torch.allclose(even[1, :30].std(0, correction=0), torch.ones(4), atol=1e-4)
    assert bool((even[1, 30:] == 0).all())


def test_a_pure_tone_lights_the_band_of_its_frequency() -> None:
    low, high = (
        log_mel(torch.sin(2 * torch.pi * hertz * TIME)[None], 8000, 20, 200, 80).mean(1)[0] for hertz in (300, 3000)
    )
    assert int(low.argmax()) < 6
    assert int(high.argmax()) > 14


def test_a_line_fills_a_gap_in_a_ramp_exactly_and_a_steady_tone_nearly() -> None:
    ramp = torch.arange(20.0)[None, :, None].expand(1, 20, 3)
    hidden = torch.zeros(1, 20, dtype=torch.bool)
    hidden[:, 5:12] = True
    assert torch.allclose(interpolate(ramp * ~hidden[..., None], hidden), ramp)


def test_a_gap_at_the_end_of_a_recording_is_filled_from_before_it_and_not_from_padding() -> None:
    present = torch.arange(8000) < torch.full((60, 1), 4000)
    batch = Batch(noise(60).data, present=present)
    draws = Draws(batch.index)
    target = SMALL(batch, draws)[1]["frames"]
    hidden = target.weight.bool()  # type: ignore[union-attr]
    ends = hidden[:, 49]  # the last frame whose center is sound is hidden
    filled = {name: predict(batch, draws)["frames"] for name, predict in SMALL.trivial_predictors([]).items()}
    last = torch.where(hidden | (torch.arange(101) > 49), -1, torch.arange(101)).amax(1)
    assert bool(ends.any())
    for recording in ends.nonzero()[:, 0].tolist():
        expected = target.value[recording, last[recording]]
        assert torch.allclose(filled["interpolation"][recording, 49], expected)
        assert torch.allclose(filled["copy"][recording, 49], expected)


def test_a_recording_is_masked_the_same_in_any_batch() -> None:
    batch = noise(9)
    expected = SMALL(batch, Draws(batch.index, 3, 1))[0].data
    pick = torch.tensor([7, 2, 5])
    part = Batch(batch.data[pick], batch.index[pick])
    assert torch.allclose(SMALL(part, Draws(part.index, 3, 1))[0].data, expected[pick], atol=1e-5)


def test_spectrograms_hide_what_frames_hide() -> None:
    batch = noise(5)
    frames, _ = SMALL(batch, Draws(batch.index))
    picture, targets = MaskSpectrogram(mels=20, rate=8000)(batch, Draws(batch.index))
    assert torch.allclose((picture.data[:, 0, 0].transpose(1, 2) - 0.5) * 4, frames.data[:, 0], atol=1e-5)
    assert targets["frames"].value.shape == (5, 20, 101, 1)
    assert targets["frames"].weight.shape == (5, 20, 101)  # type: ignore[union-attr]


def test_recordings_that_do_not_fit_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(Incompatible, match="8000 Hz"):
        SMALL.spec(Observed("audio", (8000,), "float32", rate=16000))
    with pytest.raises(Incompatible, match=r"at least 0\.14 seconds"):
        SMALL.spec(Observed("audio", (800,), "float32", rate=8000))


def test_specs_say_what_comes() -> None:
    seen = Observed("audio", (8000,), "float32", rate=8000)
    spec, targets = SMALL.spec(seen)
    batch = noise(2)
    inputs, predicted = SMALL(batch, Draws(batch.index))
    assert inputs.data.shape == (2, 1, *spec.shape)
    assert predicted["frames"].value.shape == (2, *targets["frames"].grid, 20)
    assert SMALL.whole(batch).data.shape == (2, 1, *SMALL.whole_spec(seen).shape)


def test_the_figure_shows_what_was_hidden_and_what_is_predicted_there() -> None:
    mel = torch.zeros(1, 10, 80)
    weight = torch.zeros(1, 10)
    weight[:, 4] = 1
    present = weight == 0
    spans = MaskedSpans(mel, mel, present, present, weight)
    figure = draw_spectrograms(spans, torch.full((1, 10, 80), HIGHEST))
    sheet = np.asarray(Image.open(BytesIO(figure.png)))  # three rows of 80 bands with a gap of 4 each
    true, hidden, predicted = (sheet[row * 84 + 40, :10].tolist() for row in range(3))
    assert true[4] == true[0]
    assert hidden[4] == list(COLORS[0]), "as quiet as can be"
    assert hidden[5] == true[5]
    assert predicted[4] == list(COLORS[-1]), "as loud as can be"
    assert predicted[5] == true[5]


def test_a_block_of_bands_is_erased_in_all_frames_and_scored_where_bands_are_pixels() -> None:
    batch = noise(64)
    plain = mask_spans(SMALL, batch, Draws(batch.index))
    blocks = mask_spans(replace(SMALL, bands=0.2), batch, Draws(batch.index))
    assert blocks.bands is not None
    widths = blocks.bands.sum(1)
    assert set(widths.tolist()) == {0, 1, 2, 3, 4}
    edges = torch.nn.functional.pad(blocks.bands.int(), (1, 1)).diff(dim=1)
    assert int((edges == 1).sum(1).max()) == 1  # one block
    assert torch.equal(blocks.shown, plain.shown.masked_fill(blocks.bands[:, None], 0))
    assert torch.equal(blocks.weight, plain.weight)
    weight = MaskSpectrogram(mels=20, rate=8000, bands=0.2)(batch, Draws(batch.index))[1]["frames"].weight
    assert weight is not None
    assert torch.equal(weight > 0, blocks.bands[..., None] | (plain.weight[:, None] > 0))


def test_what_a_processor_does_block_by_block_and_row_by_row_is_what_is_done_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = noise(20, 11_003)
    split = replace(SMALL, window=0.05)

    def run() -> list[torch.Tensor]:
        masked = mask_spans(split, batch, Draws(batch.index))
        return [masked.mel, masked.shown]

    here = run()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)  # as a compiled step and a GPU do it
    elsewhere = run()
    assert not torch.equal(here[0], here[1])
    assert all(torch.equal(one, other) for one, other in zip(here, elsewhere, strict=True))

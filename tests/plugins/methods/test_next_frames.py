"""Promises of next frames: autoregressive predictive coding on log-mel frames."""

import pytest
import torch
from pretask import Batch, Draws, Incompatible, Observed, Recipe, compose
from pretask_plugins.methods.next_frames.split import NextFrames
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.objectives.regression import Regression
from pretask_plugins.shared.speech.spectrogram import log_mel

OBSERVED = Observed("audio", (4000,), "float32", rate=8000)
SPLIT = NextFrames(mels=20, rate=8000)


def noise(count: int = 12) -> Batch:
    loudness = torch.linspace(0.01, 1, 4000)
    return Batch(Draws(torch.arange(count)).normal("wave", 4000) * loudness)


def fitted(split: NextFrames = SPLIT) -> NextFrames:
    return split.fit(OBSERVED, [noise()])


def test_the_target_of_a_frame_is_the_one_three_frames_later() -> None:
    batch = noise()
    inputs, targets = fitted()(batch, Draws(batch.index))
    frames, target = inputs.data[:, 0], targets["frames"]
    assert torch.equal(target.value[:, :-3], frames[:, 3:])
    assert target.weight is not None
    assert target.weight[0].tolist() == [1] * 48 + [0] * 3


def test_bands_have_mean_zero_and_std_one_over_the_training_part_not_in_a_recording() -> None:
    frames = fitted().whole(noise()).data[:, 0]
    assert torch.allclose(frames.mean((0, 1)), torch.zeros(20), atol=1e-4)
    assert torch.allclose(frames.std((0, 1), correction=0), torch.ones(20), atol=1e-3)
    raw = log_mel(noise().data, 8000, 20, 200, 80)
    assert torch.allclose(frames, (raw - raw.mean((0, 1))) / raw.std((0, 1), correction=0), atol=1e-3)


def test_no_frame_tells_of_sound_that_comes_after_its_window() -> None:
    batch, split = noise(), fitted()
    louder = Batch(torch.cat([batch.data[:, :2000], 3 * batch.data[:, 2000:]], 1))
    one, other = (split.whole(each).data[:, 0] for each in (batch, louder))
    before = (2000 - 100) // 80  # windows of 200 samples about every 80th
    assert torch.equal(one[:, : before + 1], other[:, : before + 1])
    assert not torch.equal(one[:, before + 2 :], other[:, before + 2 :])


def test_padding_is_zero_and_nothing_is_predicted_there() -> None:
    present = torch.arange(4000) < torch.full((12, 1), 2000)
    batch = Batch(noise().data, present=present)
    inputs, targets = fitted()(batch, Draws(batch.index))
    assert bool((inputs.data[:, 0, 25:] == 0).all())
    assert targets["frames"].weight[0].tolist() == [1] * 22 + [0] * 29  # type: ignore[union-attr]


def test_the_newest_frame_is_a_good_guess_of_a_steady_tone_and_the_mean_is_not() -> None:
    tone = Batch(torch.sin(2 * torch.pi * torch.tensor([[300.0], [900.0]]) * torch.arange(4000) / 8000))
    split = SPLIT.fit(OBSERVED, [tone])
    target = split(tone, Draws(tone.index))[1]["frames"]
    inner = slice(3, -8)
    error = {
        name: float((predict(tone, Draws(tone.index))["frames"] - target.value)[:, inner].abs().mean())
        for name, predict in split.trivial_predictors([]).items()
    }
    assert error["copy"] < 0.05
    assert error["mean"] > 0.5


def test_with_a_causal_model_no_prediction_knows_the_future_and_one_that_sees_all_is_refused() -> None:
    def network(causal: bool) -> object:
        return lambda spec, whole: Transformer(spec, whole, width=8, depth=1, heads=2, causal=causal, dropout=0.0)

    recipe = Recipe(samples=16, batch=8)
    task = compose(OBSERVED, fitted(), network(True), Regression, recipe=recipe)  # type: ignore[arg-type]
    batch = noise()
    louder = Batch(torch.cat([batch.data[:, :2000], 3 * batch.data[:, 2000:]], 1))
    one, other = (task.predict(each, Draws(each.index))["frames"].detach() for each in (batch, louder))
    assert one.shape == (12, 51, 20)
    assert torch.allclose(one[:, :24], other[:, :24], atol=1e-5)
    assert not torch.allclose(one[:, 27:], other[:, 27:], atol=1e-3)
    with pytest.raises(Incompatible, match="at most 'past'"):
        compose(OBSERVED, fitted(), network(False), Regression, recipe=recipe)  # type: ignore[arg-type]


def test_recordings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Incompatible, match="8000 Hz"):
        SPLIT.spec(Observed("audio", (4000,), "float32", rate=16000))
    with pytest.raises(Incompatible, match=r"at least 0\.04 seconds \(4 frames\)"):
        SPLIT.spec(Observed("audio", (160,), "float32", rate=8000))

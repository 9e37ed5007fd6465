"""Promises of contrastive predictive coding."""

import math

import pytest
import torch
from pretask import Batch, Draws, Features, FeatureSpec, Incompatible, Inputs, InputSpec, Observed, Target
from pretask_plugins.methods.contrastive_predictive.objective import FutureContrast, contrast_steps
from pretask_plugins.methods.contrastive_predictive.split import FutureLatents, Latents, name_moments
from pretask_plugins.models.text.frame_lstm import FrameLstm

FRAMES, WIDTH = 10, 6
SPEC = FeatureSpec(WIDTH, (FRAMES,), 1, ("present", "past"))


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def as_streams(present: torch.Tensor, past: torch.Tensor) -> Features:
    streams = {"present": present[:, None], "past": past[:, None]}
    return Features(streams, {name: vectors.mean(2) for name, vectors in streams.items()}, (FRAMES,))


def test_the_loss_of_a_step_is_what_a_loop_finds() -> None:
    latents, negatives = unit(2, 5, 4), unit(2, 7, 4, seed=1)
    predicted = unit(2, 5, 3, 4, seed=2)
    valid = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(3)) > 0.3
    nats, correct = contrast_steps(predicted, latents, negatives, valid)
    for row, frame, step in ((0, 0, 1), (1, 2, 2), (1, 1, 3)):
        later = frame + step
        own = float(predicted[row, frame, step - 1] @ latents[row, later])
        others = [float(predicted[row, frame, step - 1] @ negatives[row, n]) for n in range(7) if valid[row, later, n]]
        expected = -own + math.log(math.exp(own) + sum(map(math.exp, others)))
        assert nats[row, frame, step - 1].item() == pytest.approx(expected, abs=1e-5)
        assert bool(correct[row, frame, step - 1]) == (own > max(others))


def test_latents_that_are_all_equal_leave_the_loss_at_chance() -> None:
    index = torch.arange(4)
    objective = FutureContrast(SPEC, {"moments": Latents(grid=(FRAMES,), sees="past")}, steps=3, negatives=500)
    ones = torch.ones(4, FRAMES, WIDTH)
    parts = objective(as_streams(ones, ones), {"moments": Target(name_moments(index, FRAMES))}, Draws(index)).parts
    # A fortieth of the negatives are the frame itself, which do not count.
    assert float(parts["moments"]) == pytest.approx(objective.chance["moments"], abs=0.05)
    assert objective.chance["moments.mutual_information"] == 0


def test_a_past_that_holds_the_future_is_known_and_padding_does_not_count() -> None:
    index = torch.arange(8)
    objective = FutureContrast(SPEC, {"moments": Latents(grid=(FRAMES,), sees="past")}, steps=1, negatives=30)
    with torch.no_grad():
        objective.predictions["moments"].weight.copy_(20 * torch.eye(WIDTH))
    latents = unit(8, FRAMES, WIDTH)
    past = torch.cat([latents[:, 1:], latents[:, :1]], 1)  # what comes next
    weight = (torch.arange(FRAMES) < 6).float().expand(8, -1)
    past[:, 6:] = 0
    target = Target(name_moments(index, FRAMES), weight)
    loss = objective(as_streams(latents, past), {"moments": target}, Draws(index))
    assert float(loss.parts["moments.accuracy"]) == 1
    changed = latents.clone()
    changed[:, 6:] = 100.0
    other = objective(as_streams(changed, past), {"moments": target}, Draws(index))
    assert float(other.parts["moments"]) == pytest.approx(float(loss.parts["moments"]), abs=1e-5)


def test_the_two_streams_see_one_frame_and_all_so_far() -> None:
    spec = InputSpec("audio", (FRAMES, 5))
    model = FrameLstm(spec, spec, width=8).eval()
    frames = unit(1, 1, FRAMES, 5)
    changed = frames.clone()
    changed[0, 0, 4] += 1
    one, other = model(Inputs(frames)).streams, model(Inputs(changed)).streams
    differs = {name: (one[name] != other[name]).any(-1)[0, 0].tolist() for name in one}
    assert differs["present"] == [number == 4 for number in range(FRAMES)]
    assert differs["past"] == [number >= 4 for number in range(FRAMES)]


def test_frames_have_names_of_their_own_and_padding_no_weight() -> None:
    split = FutureLatents(mels=4, window=0.032, hop=0.016, rate=8000)
    waves = torch.sin(torch.arange(4000) * torch.tensor([[0.3], [0.9]]))
    present = torch.arange(4000) < torch.tensor([[4000], [2000]])
    batch = Batch(waves, torch.tensor([3, 8]), present)
    fitted = split.fit(Observed("audio", (4000,), "float32", 2, rate=8000), [batch])
    inputs, targets = fitted(batch, Draws(batch.index))
    target = targets["moments"]
    assert target.weight is not None
    assert inputs.present is not None
    assert torch.equal(target.weight > 0, inputs.present[:, 0])
    assert target.value.unique().numel() == target.value.numel()


def test_models_with_one_stream_and_single_frames_are_refused() -> None:
    targets = {"moments": Latents(grid=(FRAMES,), sees="past")}
    with pytest.raises(Incompatible, match="present and past"):
        FutureContrast(FeatureSpec(WIDTH, (FRAMES,), 1, ("past",)), targets)
    with pytest.raises(Incompatible, match="two frames or more"):
        FutureContrast(FeatureSpec(WIDTH, (1,), 1, ("present", "past")), {"moments": Latents(grid=(1,), sees="past")})

"""Promises of the arrow of time; methods.md section 11. A frame's brightness is its number."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from pretask import Batch, Draws, Incompatible, InputSpec, Observed, Samples
from pretask_plugins.methods.arrow_of_time.cues import estimate_translations, mean_detail
from pretask_plugins.methods.arrow_of_time.motion import estimate_flow
from pretask_plugins.methods.arrow_of_time.sound import ReverseSound, reverse_recordings
from pretask_plugins.methods.arrow_of_time.split import ReverseClip, crop_bars, find_edges
from pretask_plugins.methods.arrow_of_time.stabilization import chain_maps, fit_maps, make_grid, stabilize
from scipy import stats

PLAIN = ReverseClip(frames=6, stack=1, crop_bars=False)


def numbered(batch: int, frames: int = 24) -> Batch:
    """Clips of 4 x 4 pixels whose frame t has brightness 10 (t + 1)."""
    brightness = (10 * (1 + torch.arange(frames))).to(torch.uint8)
    return Batch(brightness[None, :, None, None, None].expand(batch, -1, 3, 4, 4).contiguous())


def numbers(views: torch.Tensor) -> torch.Tensor:
    return (views[:, :, 0, 0, 0] * 255 / 10).round().long() - 1


def textures(count: int, side: int = 40) -> torch.Tensor:
    """Soft random pictures, (count, 1, side, side) in [0, 1]."""
    rough = Draws(torch.arange(count)).uniform("texture", 1, side, side)
    soft = rough
    for _ in range(3):
        soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(soft, (3, 3, 3, 3), mode="circular"), 7, 1)
    return (soft - soft.amin((2, 3), keepdim=True)) / (
        soft.amax((2, 3), keepdim=True) - soft.amin((2, 3), keepdim=True)
    )


def moving(speeds: torch.Tensor) -> Batch:
    """Pictures that move right by the given pixels from frame to frame, (B, F - 1)."""
    pictures, place = textures(len(speeds)), torch.cat([torch.zeros(len(speeds), 1), speeds.cumsum(1)], 1).long()
    column = (torch.arange(40) - place[..., None]) % 40  # (B, F, W)
    rows = pictures[:, :, None].expand(-1, -1, place.shape[1], -1, -1)
    moved = rows.gather(4, column[:, None, :, None].expand(-1, 1, -1, 40, -1))
    clips = moved.transpose(1, 2)[..., 8:32, 8:32]
    return Batch((clips * 255).round().byte())


def right(predictor: Callable[..., object], split: ReverseClip, batch: Batch, seed: int = 7) -> float:
    """The accuracy of a predictor."""
    draws = Draws(batch.index, seed)
    prediction = predictor(batch, draws)["direction"].argmax(1)  # type: ignore[index]
    return float((prediction == split(batch, draws)[1]["direction"].value).float().mean())


def fitted(split: ReverseClip, batch: Batch) -> dict[str, Callable[..., object]]:
    samples = Samples(Observed("video", tuple(batch.data.shape[1:])), batch.data)
    return dict(split.trivial_predictors(samples.batches(200, torch.device("cpu"))))


def test_the_label_says_in_which_direction_the_frames_follow_one_another() -> None:
    batch = numbered(500)
    inputs, targets = PLAIN(batch, Draws(batch.index))
    step = numbers(inputs.data).diff(dim=1)
    assert torch.equal(step, torch.where(targets["direction"].value[:, None] == 1, -1, 1).expand(-1, 5))


def test_every_clip_is_shown_in_both_directions_in_two_epochs() -> None:
    batch = numbered(1000)
    for first in (0, 5, -1):
        one, other = (PLAIN(batch, Draws(batch.index, 0, epoch))[1]["direction"].value for epoch in (first, first + 1))
        assert torch.equal(one, 1 - other)
        assert stats.binomtest(int(one.sum()), 1000, 0.5).pvalue > 1e-3


def test_epochs_may_differ_within_a_batch() -> None:
    batch, epoch = numbered(100), torch.arange(100) % 3
    mixed = PLAIN(batch, Draws(batch.index, 0, epoch))[1]["direction"].value
    for number in range(3):
        alone = PLAIN(batch, Draws(batch.index, 0, number))[1]["direction"].value
        assert torch.equal(mixed[epoch == number], alone[epoch == number])


def test_a_palindromic_clip_is_the_same_forwards_and_backwards() -> None:
    half = Draws(torch.arange(200)).integers("noise", 0, 256, 3, 3, 8, 8).to(torch.uint8)
    batch = Batch(torch.cat([half, half.flip(1)], 1))
    split = ReverseClip(frames=6, stack=3)
    one, other = (split(batch, Draws(batch.index, 0, epoch)) for epoch in (0, 1))
    assert torch.equal(one[0].data, other[0].data)
    assert torch.equal(one[1]["direction"].value, 1 - other[1]["direction"].value)


def test_windows_are_uniform_and_do_not_depend_on_the_direction() -> None:
    batch = numbered(6000, 10)
    inputs, targets = PLAIN(batch, Draws(batch.index))
    first = numbers(inputs.data).amin(1)
    label = targets["direction"].value
    table = [torch.bincount(first[label == way], minlength=5).tolist() for way in (0, 1)]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assert stats.chisquare(torch.bincount(first, minlength=5).numpy()).pvalue > 1e-3


def test_groups_are_frames_joined_as_channels() -> None:
    batch = numbered(50, 6)
    split = ReverseClip(frames=6, stack=3, crop_bars=False)
    inputs, targets = split(batch, Draws(batch.index))
    assert inputs.data.shape == (50, 2, 9, 4, 4)
    single = PLAIN(batch, Draws(batch.index))[0].data
    assert torch.equal(split.unstack_groups(inputs.data), single)
    forwards = inputs.data[targets["direction"].value == 0]
    assert ((forwards[0, :, ::3, 0, 0] * 255 / 10).round() - 1).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("bars", [(6, 6, 0, 0), (0, 0, 8, 4), (4, 2, 3, 5)])
def test_bars_are_cut_off_and_the_rest_enlarged(bars: tuple[int, int, int, int]) -> None:
    top, bottom, left, right_ = bars
    inner = textures(3, 24)[:, None].expand(-1, 2, 3, -1, -1) * 0.5 + 0.4
    clips = torch.full((3, 2, 3, 24, 24), 0.02)
    clips[..., top : 24 - bottom, left : 24 - right_] = inner[..., top : 24 - bottom, left : 24 - right_]
    larger = crop_bars(clips, 0.06)
    cut = clips[..., top : 24 - bottom, left : 24 - right_].flatten(0, 1)
    expected = torch.nn.functional.interpolate(cut, (24, 24), mode="bilinear", align_corners=False)
    assert float(larger.min()) > 0.38
    assert torch.allclose(larger.flatten(0, 1), expected, atol=1e-4)


def test_clips_without_bars_and_dark_clips_are_left_as_they_are() -> None:
    clips = textures(4, 16)[:, None].expand(-1, 3, 2, -1, -1) + 0.1
    assert torch.equal(crop_bars(clips, 0.06), clips)
    dark = torch.zeros(2, 3, 2, 16, 16)
    assert torch.equal(crop_bars(dark, 0.06), dark)
    one_bright_line = torch.tensor([[False, False, True], [True, True, True]])
    assert find_edges(one_bright_line).tolist() == [[1, 3], [3, 3]]  # 3 less the first line, and the one after the last


def test_a_bar_that_fades_tells_the_direction_until_it_is_cut_off() -> None:
    clips = moving(torch.zeros(400, 5)).data.float() * 0.6 + 60
    clips[..., :4, :] = 2 * torch.arange(6.0)[:, None, None, None]  # grows brighter, below what counts as dark
    batch = Batch(clips.byte())
    share = {}
    for crop in (False, True):
        split = ReverseClip(frames=6, stack=1, crop_bars=crop)
        share[crop] = right(fitted(split, batch)["border"], split, batch)
    assert share[False] > 0.95
    assert abs(share[True] - 0.5) < 0.1  # 4 standard errors of 400


def test_constant_motion_in_any_direction_leaves_every_cue_at_chance() -> None:
    speed = Draws(torch.arange(800)).integers("speed", -3, 4, 1).float().expand(-1, 5)
    batch = moving(speed)
    held_out = Batch(batch.data[600:], batch.index[600:])
    for predictor in fitted(PLAIN, Batch(batch.data[:600])).values():
        assert abs(right(predictor, PLAIN, held_out) - 0.5) < 0.14  # 4 standard errors of 200


def test_motion_that_slows_down_is_found_by_the_cue_of_motion() -> None:
    sign = 1 - 2 * Draws(torch.arange(400)).integers("sign", 0, 2, 1).float()
    batch = moving(sign * torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]))
    assert right(fitted(PLAIN, batch)["motion"], PLAIN, batch) > 0.9


def test_translations_are_the_pixels_by_which_a_picture_moved() -> None:
    clips = moving(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])).data.float() / 255
    moved = estimate_translations(clips.mean(2))
    assert torch.allclose(moved[..., 1], torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), atol=0.25)
    assert torch.allclose(moved[..., 0], torch.zeros(2, 2), atol=0.25)


def test_flow_is_the_pixels_by_which_a_picture_moved_and_none_where_it_is_flat() -> None:
    clips = moving(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])).data.float() / 255
    flow = estimate_flow(clips.mean(2))
    assert flow.shape == (2, 2, 2, 24, 24)
    assert torch.allclose(flow[:, :, 1, 4:-4, 4:-4].mean((2, 3)), torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), atol=0.2)
    assert torch.allclose(flow[:, :, 0, 4:-4, 4:-4].mean((2, 3)), torch.zeros(2, 2), atol=0.2)
    flat = torch.linspace(0.2, 0.6, 3)[:, None, None].expand(1, 3, 24, 24)
    assert torch.equal(estimate_flow(flat), torch.zeros(1, 2, 2, 24, 24))


@pytest.mark.parametrize("motion", ["differences", "flow"])
def test_motion_is_computed_anew_on_the_frames_as_they_are_shown(motion: Literal["differences", "flow"]) -> None:
    batch = moving(torch.tensor([[3.0, 2.0, 1.0, 0.0]] * 6))
    split = ReverseClip(frames=4, stack=2, crop_bars=False, motion=motion)
    inputs, targets = split(batch, Draws(batch.index))
    reversed_clips = Batch(
        torch.where(targets["direction"].value.bool()[:, None, None, None, None], batch.data.flip(1), batch.data)
    )
    assert torch.equal(inputs.data, split.whole(reversed_clips).data)
    assert 0 < int(targets["direction"].value.sum()) < 6
    spec, _ = split.spec(Observed("video", (5, 1, 24, 24)))
    assert inputs.data.shape[1:] == (2, *spec.shape)
    assert spec.shape[0] == (2 if motion == "differences" else 4)
    still = split.whole(Batch(batch.data[:, :1].expand(-1, 5, -1, -1, -1)))
    assert torch.equal(still.data, torch.full_like(still.data, 0.5))
    with pytest.raises(Incompatible, match="at least 5 frames"):
        split.spec(Observed("video", (4, 1, 24, 24)))


def seen(maps: torch.Tensor, side: int = 48) -> torch.Tensor:
    """What a camera sees of a texture that is twice as large, (N, 1, side, side), by the map of each frame."""
    half = maps.clone()
    half[:, :2] *= 0.5
    pictures = textures(1, 2 * side).expand(len(maps), -1, -1, -1)
    return torch.nn.functional.grid_sample(pictures, make_grid(half, side, side), align_corners=False)


def camera_path(length: int, right: float = 2.0) -> torch.Tensor:
    """Maps of a camera that goes right and down (pixels of 48 a frame), nears and turns, (length, 3, 3)."""
    step = torch.tensor([[0.99, -0.01, right / 24], [0.01, 0.99, 1 / 24], [0, 0, 1]])
    path = [torch.eye(3)]
    for _ in range(length - 1):
        path.append(path[-1] @ step)
    return torch.stack(path)


def test_the_map_from_frame_to_frame_is_that_of_the_camera() -> None:
    path = camera_path(2)
    frames = seen(path)[:, 0]
    found = fit_maps(frames[:1], frames[1:])
    # A place of the first frame is seen by the second one where the second camera's map leads back from.
    assert torch.allclose(found[0], torch.linalg.inv(path[1]), atol=0.1 / 24)  # a tenth of a pixel


@pytest.mark.parametrize("length", [6, 7])
def test_a_camera_that_moves_is_taken_out_and_what_moves_by_itself_is_not(length: int) -> None:
    frames = seen(torch.linalg.inv(camera_path(length)[length // 2]) @ camera_path(length))[None].clone()
    for number in range(length):
        frames[0, number, :, 20:26, 8 + 4 * number : 14 + 4 * number] = 0
    steady, common = stabilize(frames)
    changes, before = steady.diff(dim=1).abs()[0, :, 0], frames.diff(dim=1).abs()[0, :, 0]
    still = torch.ones(48, 48, dtype=torch.bool)
    still[8:40] = False  # lines that the object crosses at some time
    assert changes[:, still].mean() < 0.15 * before[:, still].mean()
    assert changes[:, 14:32].mean() > 5 * changes[:, still].mean()
    assert 0.5 < float(common) < 0.9


def test_a_clip_played_backwards_is_steadied_from_the_same_standpoint() -> None:
    frames = seen(camera_path(6))[None]
    forwards, backwards = (stabilize(clip)[0] for clip in (frames, frames.flip(1)))
    assert (backwards.flip(1) - forwards).abs().mean() < 0.1 * forwards.diff(dim=1).abs().mean().clamp(min=0.02)


def test_maps_lead_from_the_middle_to_every_frame() -> None:
    steps = torch.eye(3).repeat(1, 3, 1, 1)
    steps[..., 0, 2] = torch.tensor([1.0, 2.0, 4.0])  # to the right from frame to frame
    assert chain_maps(steps)[0, :, 0, 2].tolist() == [-2, -1, 1, 5]


def test_clips_that_no_map_steadies_have_no_weight() -> None:
    clips = Batch((torch.stack([seen(camera_path(8, speed)) for speed in (0.5, 12.0)]) * 255).byte())
    split = ReverseClip(frames=8, stack=1, crop_bars=False, stabilize=True)
    weight = split(clips, Draws(clips.index))[1]["direction"].weight
    assert weight is not None
    assert weight.tolist() == [1, 0]


def test_light_that_comes_and_never_goes_is_found_by_the_differences_of_regions() -> None:
    clips = moving(torch.zeros(400, 5)).data
    clips[:, 3:, :, :6, :6] = 255  # a corner lights up at once
    batch = Batch(clips)
    assert right(fitted(PLAIN, batch)["differences"], PLAIN, batch) > 0.95


def test_detail_is_the_mean_step_between_pixels() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 3, 8, 8) / 10
    assert float(mean_detail(ramp)) == pytest.approx(0.1)


def test_padding_is_never_shown_and_short_clips_have_no_weight() -> None:
    batch = numbered(200, 20)
    length = 3 + torch.arange(200) % 18
    padded = Batch(batch.data, batch.index, torch.arange(20) < length[:, None])
    inputs, targets = PLAIN(padded, Draws(padded.index))
    valid = targets["direction"].weight == 1
    assert torch.equal(valid, length >= 6)
    assert bool((numbers(inputs.data).amax(1) < length)[valid].all())


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_clip_is_split_the_same_at_any_batch_size_and_in_any_order(size: int) -> None:
    split = ReverseClip(frames=4, stack=2)
    noise = Draws(torch.arange(64)).integers("noise", 0, 256, 8, 3, 6, 6).to(torch.uint8)
    expected, labels = split(Batch(noise), Draws(torch.arange(64), seed=3, epoch=2))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for start in range(0, 64, size):
        pick = order[start : start + size]
        inputs, targets = split(Batch(noise[pick], pick), Draws(pick, seed=3, epoch=2))
        assert torch.equal(inputs.data, expected.data[pick])
        assert torch.equal(targets["direction"].value, labels["direction"].value[pick])


def test_specs_say_what_comes_and_the_whole_is_shown_forwards() -> None:
    observed, batch = Observed("video", (24, 3, 4, 4)), numbered(3)
    split = ReverseClip(frames=6, stack=2, crop_bars=False)
    spec, _ = split.spec(observed)
    assert spec == split.whole_spec(observed) == InputSpec("image", (6, 4, 4), views=3, ordered=True)
    assert split(batch, Draws(batch.index))[0].data.shape == (3, 3, 6, 4, 4)
    assert numbers(split.unstack_groups(split.whole(batch).data))[0].tolist() == [9, 10, 11, 12, 13, 14]
    single = Batch(batch.data[:, 4:5])
    assert numbers(split.unstack_groups(split.whole(single).data))[0].tolist() == [4] * 6


def test_short_clips_and_uneven_groups_are_refused() -> None:
    with pytest.raises(Incompatible, match=r"at least 20 frames .* got 16 frames"):
        ReverseClip().spec(Observed("video", (16, 3, 64, 64)))
    with pytest.raises(Incompatible, match=r"a multiple of split\.stack = 4; got 6"):
        ReverseClip(frames=6, stack=4).spec(Observed("video", (16, 3, 64, 64)))


def chirps(count: int) -> Batch:
    """Tones that rise."""
    second = torch.arange(2000) / 8000
    start = Draws(torch.arange(count)).uniform("pitch", 1, low=300, high=900)
    return Batch(0.5 * torch.sin(2 * torch.pi * (start * second + 4000 * second**2)))


def test_a_recording_played_backwards_falls_where_it_rose() -> None:
    batch = chirps(60)
    inputs, targets = ReverseSound()(batch, Draws(batch.index))
    pitch = inputs.data[:, 0, 0].argmax(1).float()  # (B, T) loudest row
    rises = pitch[:, -4] > pitch[:, 4]
    assert torch.equal(rises, targets["direction"].value == 0)
    spec, _ = ReverseSound().spec(Observed("audio", (2000,), "float32", rate=8000))
    assert inputs.data.shape[1:] == (1, *spec.shape)


def test_silence_at_the_end_of_a_recording_stays_there() -> None:
    waves, length = torch.arange(1.0, 9.0).expand(2, -1), torch.tensor([[8], [3]])
    batch = Batch(waves, torch.arange(2), torch.arange(8) < length)
    assert reverse_recordings(batch).tolist() == [[8, 7, 6, 5, 4, 3, 2, 1], [3, 2, 1, 4, 5, 6, 7, 8]]


def test_recordings_of_another_rate_are_refused() -> None:
    with pytest.raises(Incompatible, match=r"split\.rate = 8000 Hz; got audio .* at 16000 Hz"):
        ReverseSound().spec(Observed("audio", (4000,), "float32", rate=16000))

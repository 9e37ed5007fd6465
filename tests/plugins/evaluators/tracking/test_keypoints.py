"""Promises of the evaluator `keypoint-tracking`, and of the file of keypoints."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pretask import Batch, Labels, Observed, PretaskError, Samples
from pretask_plugins.data.video.frames import Frames
from pretask_plugins.evaluators.tracking.keypoints import KeypointTracking, PointTrack, measure_pck
from pretask_plugins.evaluators.tracking.points import find_middles, find_points, read_points, spread_points

SIDE, FRAMES = 48, 6


def walkers() -> Samples:
    """Clips in which a light and a dark square of four levels walk over gray, with keypoints in their middles."""
    data = torch.full((2, FRAMES, 3, SIDE, SIDE), 128, dtype=torch.uint8)
    places = torch.zeros(2, FRAMES, 2, 2, dtype=torch.int16)
    for clip in range(2):
        for frame in range(FRAMES):
            for joint, (row, column, level) in enumerate(
                ((8 + 4 * clip, 8 + 4 * frame, 200), (36 - 4 * frame, 32, 10))
            ):
                levels = (level + 10 * torch.arange(4).view(2, 2)).repeat_interleave(4, 0).repeat_interleave(4, 1)
                data[clip, frame, :, row - 4 : row + 4, column - 4 : column + 4] = levels.byte()
                places[clip, frame, joint] = torch.tensor([row, column])
    places[0, 3, 1] = -1  # not seen there
    keypoints = Labels(places, ("light", "dark"))
    return Samples(Observed("video", (FRAMES, 3, SIDE, SIDE), "uint8", 2), data, {"keypoints": keypoints})


def encode_levels(frames: torch.Tensor) -> torch.Tensor:
    """The level of every square of 4 x 4 pixels, one-hot."""
    return torch.nn.functional.one_hot(frames[:, 0, 2::4, 2::4].long() // 10, 26).movedim(3, 1).float()


def test_points_are_followed_by_what_stands_there_and_lost_where_the_first_place_is_kept() -> None:
    samples = walkers()
    tracking = KeypointTracking(layer=1, top_k=1, radius=12, temperature=0.01, center=False)
    readout = tracking.list_readouts(1)[0]
    found = dict(tracking.name_scores("", tracking.track_objects(encode_levels, readout, samples, torch.device("cpu"))))
    kept = dict(tracking.name_scores("", tracking.copy_first(samples, torch.device("cpu"))))
    assert found["PCK@20"] > 0.9
    assert kept["PCK@50"] < 0.5


def test_a_point_is_spread_over_positions_and_found_again() -> None:
    places = torch.tensor([[[10.0, 20.0], [33.3, 5.5], [1.5, 46.0]]])
    labels = spread_points(places, (SIDE, SIDE), 12, 12)
    assert torch.allclose(labels.sum((1, 2)), torch.ones(1, 3), atol=1e-5)
    last = torch.full((1, 1, 3, 2), 7.0)
    found = find_points(labels[..., None, :], (SIDE, SIDE), last)
    assert torch.allclose(found[:, 0, :2], places[:, :2], atol=1e-3)
    assert (found[0, 0, 2] - places[0, 2]).abs().max() <= 0.5  # beyond the middle of the last position
    assert torch.equal(find_points(torch.zeros(1, 12, 12, 1, 3), (SIDE, SIDE), last), last)


def test_pck_counts_joints_alike_and_only_frames_in_which_they_are_seen() -> None:
    samples = walkers()
    batch = Batch(samples.data)
    points = read_points(samples, torch.arange(2), batch)
    assert points.seen.sum().item() == 2 * FRAMES * 2 - 1
    row, column = 8 - 36, 8 - 32
    assert points.diagonal[0, 0, 0].item() == pytest.approx((row**2 + column**2) ** 0.5)
    tracks = [PointTrack(0, 0, torch.tensor([5.0, 15.0, 25.0, 60.0])), PointTrack(1, 1, torch.tensor([5.0]))]
    assert measure_pck(tracks, 10) == pytest.approx((1 / 4 + 1) / 2)
    assert measure_pck(tracks, 30) == pytest.approx((3 / 4 + 1) / 2)


def test_without_keypoints_the_middles_of_objects_are_the_points() -> None:
    masks = torch.zeros(1, 2, 10, 12, dtype=torch.int8)
    masks[0, 0, 2:5, 3:9] = 1
    masks[0, :, 7:9, 0:2] = 2
    points = find_middles(masks)
    assert points.place[0, 0].tolist() == [[3, 5.5], [7.5, 0.5]]
    assert points.seen[0].tolist() == [[True, True], [False, True]]
    assert points.diagonal[0, 0].tolist() == pytest.approx([45**0.5, 8**0.5])


def written(folder: Path, content: Any) -> Frames:
    """Two sequences of two frames of 20 x 40 pixels, and keypoints."""
    for name in ("a", "b"):
        (folder / "JPEGImages" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (40, 20)).save(folder / "JPEGImages" / name / f"{number:05d}.png")
    (folder / "keypoints.json").write_text(json.dumps(content))
    return Frames(folder, image_size=(10, 10), train_pattern="a", test_pattern="b")


def test_keypoints_are_read_in_pixels_of_the_frames_as_they_are_shown(tmp_path: Path) -> None:
    sequences = {"b": {"00001": [[39, 0], None]}, "a": {"00000": [[19.5, 9.5], [400, 3]]}}
    data = written(tmp_path, {"names": ["head", "hand"], "sequences": sequences})
    labels = data("test").labels["keypoints"]
    assert labels.names == ("head", "hand")
    assert labels.value.tolist() == [[[[-1, -1], [-1, -1]], [[0, 9], [-1, -1]]]]
    assert data("train").labels["keypoints"].value[0, 0].tolist() == [[4, 4], [-1, -1]]  # 400 is beside the frame


def test_a_broken_file_of_keypoints_is_named(tmp_path: Path) -> None:
    data = written(tmp_path, {"names": ["head", "hand"], "sequences": {"b": {"00001": [[39, 0]]}}})
    with pytest.raises(PretaskError, match="1 joints of 2 names in frame 00001 of b"):
        data("test")


def test_clips_without_points_are_refused() -> None:
    samples = Samples(Observed("video", (FRAMES, 3, SIDE, SIDE), "uint8", 2), walkers().data)
    with pytest.raises(PretaskError, match="`keypoints` or `masks`"):
        KeypointTracking().check_labels(samples)

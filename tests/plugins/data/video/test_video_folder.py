"""Promises of the data `video-folder`. A frame is as bright as its number says."""

import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import PretaskError
from pretask.preparation.clips import crop_squares
from pretask_plugins.data.video import video_folder
from pretask_plugins.data.video.readers import (
    check_times,
    choice,
    choose_decoder,
    open_video,
    pyav,
    read_frames,
    select_at_rate,
)
from pretask_plugins.data.video.video_folder import VideoFolder
from pretask_plugins.data.video.videos import Video, find_videos
from pretask_plugins.shared.listing import FileTree, Leftovers

LEVEL = 6  # gray levels from one frame to the next


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write_video(path: Path, count: int, times: list[float] | None = None, codec: str = "mpeg4") -> None:
    """A video of 64 x 128 pixels at 10 frames a second, or with frames shown at the given seconds."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for number in range(count):
            picture = np.full((64, 128, 3), 20 + LEVEL * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(100 * (times[number] if times else number / 10)), Fraction(1, 100)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def numbers(data: torch.Tensor) -> list[list[int]]:
    """The number of every frame, from its brightness."""
    return ((data.float().mean((2, 3, 4)) - 20) / LEVEL).round().int().tolist()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            for number in range(2):
                write_video(tmp_path / "videos" / part / label / f"{number}.mp4", 20)
    return tmp_path / "videos"


def test_a_clip_is_cut_from_the_middle_of_every_video(root: Path, decoder: str) -> None:
    samples = VideoFolder(root, length=4, stride=2, image_size=16, decoder=decoder)("train")  # type: ignore[arg-type]
    assert samples.observed.shape == (4, 3, 16, 16)
    assert numbers(samples.data) == [[6, 8, 10, 12]] * 4
    assert samples.labels["class"].names == ("cat", "dog")
    assert samples.labels["class"].value.tolist() == [0, 0, 1, 1]


def test_several_clips_are_spread_and_none_means_as_many_as_fit(root: Path) -> None:
    two = VideoFolder(root, length=4, clips_per_video=2, image_size=16)("test")
    assert [clip[0] for clip in numbers(two.data[:2])] == [5, 11]  # a third and two thirds of the 16 places
    many = VideoFolder(root, length=6, clips_per_video=0, image_size=16)("test")
    assert len(many) == 4 * 3
    assert many.labels["class"].value.tolist() == [0] * 6 + [1] * 6


def test_clips_that_are_too_many_for_memory_are_the_same_ones(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = VideoFolder(root, length=6, clips_per_video=0, image_size=16)
    kept, shapes = data("test").data.clone(), []
    monkeypatch.setattr(video_folder, "MAX_BYTES_IN_MEMORY", 6 * 3 * 16 * 16)
    with FileTree("video-folder", root) as tree:
        videos = [Video(name, files) for name, files in find_videos(tree, Leftovers()).items() if "test" in name]
        pieces = [*data.reel(tree, videos, np.zeros(4, np.int64), ["cat"]).clips]
        shapes = [(type(piece), piece.shape) for piece in pieces]
    assert shapes == [(np.memmap, (3, 6, 3, 16, 16))] * 4
    assert np.array_equal(np.concatenate(pieces), kept.numpy())


def test_frames_are_made_small_one_by_one_as_they_are_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    convert, crop = pyav.to_rgb, crop_squares
    monkeypatch.setattr(pyav, "to_rgb", lambda frame: log.append("decoded") or convert(frame))  # type: ignore[func-returns-value]
    monkeypatch.setattr(video_folder, "crop_squares", lambda frames, side: log.append("small") or crop(frames, side))  # type: ignore[func-returns-value]
    with FileTree("video-folder", root) as tree:
        name, files = next(iter(find_videos(tree, Leftovers()).items()))
        data = VideoFolder(root, length=5, stride=3, image_size=16)
        [*data.reel(tree, [Video(name, files)], np.zeros(1, np.int64), ["cat"]).clips]
    assert log == ["decoded", "small"] * 5


def test_a_rate_goes_by_the_times_of_a_video_of_variable_rate(tmp_path: Path, decoder: str) -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4]
    write_video(tmp_path / "videos" / "cat" / "a.mkv", 10, times)
    with open_video(tmp_path / "videos" / "cat" / "a.mkv", decoder) as reader:  # type: ignore[arg-type]
        assert reader.times == pytest.approx(times, abs=0.011)
        assert select_at_rate(np.array(times), 2.5) == [0, 4, 5, 6, 7, 8, 9]
        frames = read_frames(reader, [0, 5, 9])
    assert ((frames.mean((1, 2, 3)) - 20) / LEVEL).round().tolist() == [0, 5, 9]


def test_decoders_give_the_same_pictures(root: Path, fallback: str) -> None:
    found = []
    for name in ("pyav", fallback):
        data = VideoFolder(root, length=3, image_size=16, decoder=name)  # type: ignore[arg-type]
        with FileTree("video-folder", root) as tree:
            video, files = next(iter(find_videos(tree, Leftovers()).items()))
            found.append(next(iter(data.reel(tree, [Video(video, files)], np.zeros(1, np.int64), ["cat"]).clips)))
    one, other = found
    assert int(np.abs(one.astype(int) - other.astype(int)).max()) <= 3  # versions of one color conversion


def test_a_table_names_classes_and_splits_and_val_is_trained_on_where_there_is_a_test(tmp_path: Path) -> None:
    for name in "abcd":
        write_video(tmp_path / "videos" / "clips" / f"{name}.avi", 6)
    table = (
        "file,label,split,note\nclips/a.avi,x,train,\nclips/b.avi,y,val,\nclips/c.avi,x,test,\nclips/d.avi,y,train,\n"
    )
    (tmp_path / "videos" / "labels.csv").write_text(table)
    data = VideoFolder(tmp_path / "videos", length=2, image_size=16)
    assert data("train").labels["class"].value.tolist() == [0, 1, 1]
    assert data("test").labels["class"].value.tolist() == [0]
    (tmp_path / "videos" / "labels.csv").write_text(table.replace("test", "train"))
    assert len(data("test")) == 1
    (tmp_path / "videos" / "labels.csv").write_text("name,class\na,b\n")
    with pytest.raises(PretaskError, match="the columns file and label"):
        data("train")
    (tmp_path / "videos" / "labels.csv").write_text("file,label\nclips/z.avi,x\n")
    with pytest.raises(PretaskError, match=r"no such file as clips/z\.avi"):
        data("train")


def test_folds_of_ucf101_and_hmdb51_are_those_of_their_lists(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    for label in ("Archery", "Diving"):
        for number in range(3):
            write_video(root / "UCF-101" / label / f"v_{label}_g0{number}.avi", 4 + number)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist02.txt").write_text("Archery/v_Archery_g00.avi 1\nDiving/v_Diving_g01.avi 2\n")
    (lists / "testlist02.txt").write_text("Diving/v_Diving_g00.avi\n")
    ucf = VideoFolder(root, fold=2, length=4, clips_per_video=1, image_size=16)
    assert ucf("train").labels["class"].names == ucf("test").labels["class"].names == ("Archery", "Diving")
    assert ucf("train").labels["class"].value.tolist() == [0, 1]
    assert ucf("test").labels["class"].value.tolist() == [1]
    (lists / "Archery_test_split1.txt").write_text("v_Archery_g00.avi 2\nv_Archery_g01.avi 0\nv_Archery_g02.avi 1\n")
    (lists / "Diving_test_split1.txt").write_text("v_Diving_g00.avi 1\nv_Diving_g01.avi 1\nv_Diving_g02.avi 2\n")
    hmdb = VideoFolder(root, fold=1, length=4, image_size=16)
    assert hmdb("train").labels["class"].value.tolist() == [0, 1, 1]
    assert hmdb("test").labels["class"].value.tolist() == [0, 1]
    with pytest.raises(
        PretaskError, match=r"lists of fold 3: trainlist03\.txt and testlist03\.txt, or CLASS_test_split3"
    ):
        VideoFolder(root, fold=3)("train")
    (lists / "testlist02.txt").write_text("Diving/v_Diving_g07.avi\n")
    with pytest.raises(PretaskError, match=r"1 of 3 that are not there: Diving/v_Diving_g07\.avi"):
        ucf("test")


def test_a_tar_file_reads_as_its_folder_does(root: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "videos.tar", "w") as archive:
        archive.add(root, arcname=".")
    folder, tar = (VideoFolder(place, length=3, image_size=16)("test") for place in (root, tmp_path / "videos.tar"))
    assert torch.equal(folder.data, tar.data)
    assert folder.fingerprint == tar.fingerprint


def test_a_folder_of_images_is_a_video(tmp_path: Path) -> None:
    for number in range(5):
        place = tmp_path / "videos" / "cat" / "one"
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (20 + LEVEL * number,) * 3).save(place / f"{number:03d}.png")
    (tmp_path / "videos" / "labels.csv").write_text("file,label,split\ncat/one,cat,train\n")
    samples = VideoFolder(tmp_path / "videos", length=3, image_size=16)("train")
    assert numbers(samples.data) == [[1, 2, 3]]
    with pytest.raises(PretaskError, match="its frames have no times"):
        VideoFolder(tmp_path / "videos", length=3, image_size=16, frame_rate=5.0)("train")


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_truncated_videos_are_named_and_the_process_lives(tmp_path: Path, name: str, decoder: str) -> None:
    whole = tmp_path / "whole" / name
    write_video(whole, 30)
    place = tmp_path / "videos" / "cat" / name
    place.parent.mkdir(parents=True)
    place.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "videos" / "labels.csv").write_text(f"file,label,split\ncat/{name},cat,train\n")
    with pytest.raises(PretaskError, match=f"1 of 1 that cannot: cat/{name}"):
        VideoFolder(tmp_path / "videos", length=28, image_size=16, decoder=decoder)("train")  # type: ignore[arg-type]


def test_short_empty_and_foreign_files_are_named_together(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "train" / "cat" / "one frame.mp4", 1)
    for name, content in {"empty.mp4": b"", "text.mp4": b"not a video" * 50}.items():
        (tmp_path / "videos" / "train" / "cat" / name).write_bytes(content)
    short = r"3 of 3 that cannot: .*one frame.mp4 \(1 frames, and a clip of data\.length=4 needs 4\)"
    with pytest.raises(PretaskError, match=short):
        VideoFolder(tmp_path / "videos", length=4, image_size=16)("train")
    with pytest.raises(PretaskError, match=r"videos \(\.mp4, \.avi, \.mkv …\) for the part test; got none"):
        VideoFolder(tmp_path / "videos", length=4, image_size=16)("test")


@pytest.mark.parametrize("rate", [0.0, -5.0, float("nan"), float("inf"), 1e9])
def test_rates_that_no_film_has_are_refused(rate: float) -> None:
    with pytest.raises(PretaskError, match=r"data\.frame_rate above 0 and up to 1000") as caught:
        VideoFolder(Path("videos"), frame_rate=rate)
    assert caught.value.exit_code == 2


def test_the_short_side_is_resized_and_the_middle_cut_out() -> None:
    wide = np.zeros((1, 16, 48, 3), np.uint8)
    wide[:, :, 16:32] = 200
    assert int(crop_squares(wide, 16).min()) == 200
    assert crop_squares(wide, 8).shape == (1, 3, 8, 8)


def test_times_that_make_no_sense_are_replaced_by_the_rate() -> None:
    assert check_times(np.array([-3e17] * 3), 2.0).tolist() == [0.0, 0.5, 1.0]  # type: ignore[union-attr]
    assert check_times(np.array([0.0, 0.0]), 0.0) is None


def test_the_first_decoder_that_can_be_loaded_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    order = ["av", "cv2", "torchcodec", "decord"]
    for number, name in enumerate(["pyav", "opencv", "torchcodec", "decord"]):
        loadable = order[number:]
        monkeypatch.setattr(choice, "is_loadable", loadable.__contains__)
        assert choose_decoder("auto") == name


def test_without_any_decoder_there_is_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_obstacle", lambda module: f"no {module} here")
    tried = r"pyav: no av here; opencv: no cv2 here; torchcodec: no torchcodec here; decord: no decord here"
    with pytest.raises(PretaskError, match=rf"{tried}\)\. pip install av, or use folders of frames"):
        choose_decoder("auto")


def test_a_decoder_that_is_installed_and_cannot_be_loaded_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchcodec's, which raises RuntimeError where it finds no FFmpeg."""
    (tmp_path / "broken_codec.py").write_text("raise RuntimeError('Could not load libbroken. Likely causes:\\n 1. …')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(choice.MODULES, "torchcodec", "broken_codec")
    with pytest.raises(PretaskError, match=r"the decoder torchcodec; got .*Could not load libbroken") as caught:
        choose_decoder("torchcodec")
    assert "FFmpeg 4 to 8 with its shared libraries" in str(caught.value)
    assert "or leave out data.decoder" in str(caught.value)

"""Promises of the data `frames`: DAVIS's layout, in folders and tar files. A frame is as bright as its number says."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import PretaskError
from pretask_plugins.data.video.frames import Frames


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write_sequence(root: Path, name: str, count: int, objects: int = 1, size: tuple[int, int] = (12, 20)) -> None:
    """Frames of brightness 10 * number with a mask whose object k is column k."""
    for number in range(count):
        image = np.full((*size, 3), 10 * number, np.uint8)
        mask = np.zeros(size, np.uint8)
        mask[:, 1 : objects + 1] = np.arange(1, objects + 1)
        for folder, picture in (("JPEGImages", image), ("Annotations", mask)):
            place = root / folder / "480p" / name
            place.mkdir(parents=True, exist_ok=True)
            made = Image.fromarray(picture)
            if folder == "Annotations":
                made.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
            made.save(place / f"{number:05d}.{'jpg' if folder == 'JPEGImages' else 'png'}", quality=95)


def write_lists(root: Path, **parts: str) -> None:
    for part, lines in parts.items():
        place = root / "ImageSets" / "2017"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{part}.txt").write_text(lines)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    root = tmp_path / "DAVIS"
    for name, count in {"bear": 6, "camel": 9, "goat": 7}.items():
        write_sequence(root, name, count, objects=2)
    write_lists(root, train="bear\ngoat\n", val="camel\n")
    return root


def brightness(data: torch.Tensor) -> list[list[int]]:
    return (data.float().mean((2, 3, 4)) / 10).round().int().tolist()


def test_whole_sequences_are_padded_to_the_longest_and_say_so(davis: Path) -> None:
    samples = Frames(davis)("train")
    assert samples.observed.shape == (7, 3, 12, 20)
    assert samples.present is not None
    assert samples.present.sum(1).tolist() == [6, 7]
    assert brightness(samples.data) == [[0, 1, 2, 3, 4, 5, 0], [0, 1, 2, 3, 4, 5, 6]]


def test_masks_are_the_palette_numbers_and_unknown_in_padding(davis: Path) -> None:
    masks = Frames(davis)("train").labels["masks"]
    assert masks.names == ("ground", "object 1", "object 2")
    assert masks.value[0, 0, 3, :4].tolist() == [0, 1, 2, 0]
    assert bool((masks.value[0, 6] == -1).all())


def test_clips_follow_one_another_and_step_over_frames(davis: Path) -> None:
    samples = Frames(davis, length=2, stride=3)("test")
    assert brightness(samples.data) == [[0, 3]]
    assert samples.present is None
    assert brightness(Frames(davis, length=4)("test").data) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_tar_file_reads_as_its_folder_does(davis: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "davis.tar", "w") as archive:
        archive.add(davis, arcname="DAVIS")
    folder, tar = Frames(davis)("train"), Frames(tmp_path / "davis.tar")("train")
    assert torch.equal(folder.data, tar.data)
    assert folder.fingerprint == tar.fingerprint


def test_lists_may_name_images_and_one_list_of_all_leaves_every_third_for_testing(davis: Path) -> None:
    for path in davis.glob("ImageSets/2017/*.txt"):
        path.unlink()
    lines = [
        f"/JPEGImages/480p/{name}/00000.jpg /Annotations/480p/{name}/00000.png" for name in ("bear", "camel", "goat")
    ]
    write_lists(davis, val="\n".join(lines))
    assert Frames(davis)("train").present.sum(1).tolist() == [6, 9]  # type: ignore[union-attr]
    assert len(Frames(davis)("test")) == 1
    write_lists(davis, val=lines[0])
    assert Frames(davis)("test").data.shape[1] == 6


def test_patterns_choose_sequences(davis: Path) -> None:
    assert len(Frames(davis, train_pattern=".", test_pattern=".")("train")) == 3
    assert len(Frames(davis, test_pattern="^(bear|camel)$")("train")) == 1


def test_all_frames_are_brought_to_one_size_and_masks_stay_numbers(davis: Path) -> None:
    write_sequence(davis, "bear", 6, size=(24, 40))
    samples = Frames(davis, image_size=(6, 10))("train")
    assert samples.observed.shape[2:] == (6, 10)
    assert set(samples.labels["masks"].value.unique().tolist()) <= {-1, 0, 1, 2}


def test_white_masks_are_one_object_and_void_is_unknown(tmp_path: Path) -> None:
    write_sequence(tmp_path, "bear", 3)
    for number, levels in enumerate(([0, 255], [0, 1, 255])):
        mask = np.zeros((12, 20), np.uint8)
        mask[0, : len(levels)] = levels
        Image.fromarray(mask).save(tmp_path / "Annotations" / "480p" / "bear" / f"{number:05d}.png")
    masks = Frames(tmp_path, test_pattern=".", train_pattern=".")("test").labels["masks"].value
    assert masks[0, 0, 0, :2].tolist() == [0, 1]
    assert masks[0, 1, 0, :3].tolist() == [0, 1, -1]


def test_sequences_without_annotations_have_no_masks(tmp_path: Path) -> None:
    write_sequence(tmp_path, "bear", 3)
    for path in tmp_path.glob("Annotations/480p/bear/*"):
        path.unlink()
    assert dict(Frames(tmp_path, train_pattern=".")("train").labels) == {}


def test_a_broken_image_is_named_and_leaves_nothing(davis: Path) -> None:
    (davis / "JPEGImages" / "480p" / "camel" / "00003.jpg").write_bytes(b"no image")
    with pytest.raises(PretaskError, match="1 of 1 that cannot: camel"):
        Frames(davis)("test")


@pytest.mark.parametrize("number", [0, 2])
def test_a_broken_annotation_is_named_and_leaves_nothing(davis: Path, number: int) -> None:
    broken = sorted(davis.rglob("Annotations/**/*.png"))[number]
    broken.write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(PretaskError, match=rf"can be decoded; got .*{broken.name} \(no image\)"):
            [Frames(davis)(part) for part in ("train", "test")]


def test_numbers_and_patterns_that_make_no_sense_are_refused() -> None:
    for options in (
        {"length": -1},
        {"stride": 0},
        {"image_size": (0, 8)},
        {"train_pattern": "("},
        {"test_pattern": "*"},
    ):
        with pytest.raises(PretaskError, match=r"frames needs .*data\.") as caught:
            Frames(Path("d"), **options)
        assert caught.value.exit_code == 2


def test_missing_and_ambiguous_layouts_are_refused(davis: Path, tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match=r"a folder or tar file; got .*nowhere"):
        Frames(tmp_path / "nowhere")("train")
    with pytest.raises(PretaskError, match="at least 40 frames for the part test; got 1, of at most 9"):
        Frames(davis, length=40)("test")
    (davis / "JPEGImages" / "1080p" / "bear").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(davis / "JPEGImages" / "1080p" / "bear" / "00000.jpg")
    with pytest.raises(PretaskError, match="the resolutions 1080p, 480p"):
        Frames(davis)("train")
    assert len(Frames(davis, resolution="480p")("train")) == 2
    torn = io.BytesIO(b"not a tar file")
    (tmp_path / "torn.tar").write_bytes(torn.getvalue())
    with pytest.raises(PretaskError, match="a whole tar file"):
        Frames(tmp_path / "torn.tar")("train")

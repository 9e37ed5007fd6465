"""Promises of the data `frames`: DAVIS's layout, in folders and tar files. A frame is as bright as its number says."""

import io
import tarfile
from collections.abc import Callable
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


def write_masks(root: Path, picture: Callable[[np.ndarray], Image.Image]) -> Path:
    """Three sequences whose masks have two objects; how they are written is up to `picture`."""
    for name in ("bear", "camel", "goat"):
        write_sequence(root, name, 2, objects=2)
    for path in root.glob("Annotations/*/*/*.png"):
        mask = np.zeros((12, 20), np.uint8)
        mask[2:5, 3:9], mask[6:9, 8:15] = 1, 2
        picture(mask).save(path)
    return root


def in_palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
    return image


OWN_COLORS = np.array([[0, 0, 0], [250, 10, 10], [10, 10, 250]], np.uint8)


@pytest.mark.parametrize(
    ("picture", "names"),
    [
        (in_palette, ("object 1", "object 2")),
        (lambda mask: in_palette(mask).convert("RGB"), ("object 1", "object 2")),
        (lambda mask: Image.fromarray(OWN_COLORS[[0, 2, 1]][mask]), ("object #0a0afa", "object #fa0a0a")),
        (lambda mask: Image.fromarray(mask * 100), ("object 100", "object 200")),
        (lambda mask: Image.fromarray(mask.astype(np.uint16) * 1000), ("object 1000", "object 2000")),
        (Image.fromarray, ("object 1", "object 2")),
    ],
    ids=["palette", "colors of the palette", "other colors", "gray", "16 bits", "numbers"],
)
def test_masks_of_every_coding_keep_their_objects_apart(
    tmp_path: Path, picture: Callable[[np.ndarray], Image.Image], names: tuple[str, ...]
) -> None:
    data = Frames(write_masks(tmp_path / "d", picture))
    for part in ("train", "test"):
        masks = data(part).labels["masks"]
        assert masks.names == ("ground", *names)
        assert masks.value[0, 0, [0, 3, 7], [0, 5, 12]].tolist() == [0, 1, 2]


def test_objects_that_appear_late_or_in_one_part_only_have_names(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "d", in_palette)
    late = np.zeros((12, 20), np.uint8)
    late[0, 0] = 5
    in_palette(late).save(root / "Annotations" / "480p" / "goat" / "00001.png")
    names = [Frames(root)(part).labels["masks"].names for part in ("train", "test")]
    assert names[0] == names[1] == ("ground", *(f"object {number}" for number in range(1, 6)))


def test_annotations_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    with pytest.raises(PretaskError, match=r"masks of at most 127 objects; got at least 2\d\d numbers or colors"):
        Frames(write_masks(tmp_path / "d", lambda _: Image.fromarray(noise)))("train")


def test_folders_train_and_valid_around_the_layout_are_the_parts(tmp_path: Path) -> None:
    for part, names in (("train", "ab"), ("valid", "cde")):
        for name in names:
            write_sequence(tmp_path / "d" / part, name, 2)
    assert [len(Frames(tmp_path / "d")(part)) for part in ("train", "test")] == [2, 3]


def test_frames_without_leading_zeros_are_in_order(tmp_path: Path) -> None:
    for name in ("bear", "camel", "goat"):
        write_sequence(tmp_path / "d", name, 12)
        for path in (tmp_path / "d" / "JPEGImages" / "480p" / name).iterdir():
            path.rename(path.with_name(f"{int(path.stem)}.jpg"))
    assert brightness(Frames(tmp_path / "d")("test").data) == [[*range(12)]]

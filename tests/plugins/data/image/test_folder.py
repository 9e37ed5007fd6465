"""Promises of the folder data: what lies in folders or tar files comes out, in its part and class, or is named."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pretask import PretaskError, Samples, Unknown
from pretask_plugins.data.image import folder
from pretask_plugins.data.image.folder import Folder

SIDE = 8
LEVELS = {"ant": 30, "bee": 120, "cow": 220}  # the gray of each class's images


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write(path: Path, level: int = 100, width: int = 12, height: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (level, level, level)).save(path)
    return path


def in_parts(root: Path, test: str = "val") -> Path:
    """Train and test folders; the level of an image says its class and number."""
    for part, count in (("train", 3), (test, 2)):
        for label, level in LEVELS.items():
            for number in range(count):
                write(root / part / label / f"{number}.png", level + number)
    return root


def in_classes(root: Path, count: int = 40) -> Path:
    for label, level in LEVELS.items():
        for number in range(count):
            write(root / label / f"{number}.png", level + number)
    return root


def packed(source: Path, target: Path, prefix: str = "") -> Path:
    """A tar file of a folder, newest names first: the order in a tar file is anyone's."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz" if target.suffix == ".gz" else "w") as archive:
        for path in sorted(source.rglob("*.*"), reverse=True):
            archive.add(path, prefix + path.relative_to(source).as_posix())
    return target


def levels(samples: Samples) -> list[int]:
    return samples.data[:, 0, 0, 0].tolist()


def labels(samples: Samples) -> list[int]:
    return samples.labels["class"].value.tolist()


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_train_and_test_folders_are_the_parts_and_class_folders_in_order_of_name_the_classes(
    tmp_path: Path, test: str
) -> None:
    data = Folder(in_parts(tmp_path / "d", test), image_size=SIDE)
    train, held = data("train"), data("test")
    assert train.data.shape == (9, 3, SIDE, SIDE)
    assert train.labels["class"].names == held.labels["class"].names == ("ant", "bee", "cow")
    assert (levels(train), labels(train)) == ([30, 31, 32, 120, 121, 122, 220, 221, 222], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert (levels(held), labels(held)) == ([30, 31, 120, 121, 220, 221], [0, 0, 1, 1, 2, 2])


def test_a_class_has_the_same_number_in_both_parts_even_where_one_lacks_another(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d")
    for path in (root / "val" / "ant").iterdir():
        path.unlink()
    test = Folder(root, image_size=SIDE)("test")
    assert labels(test) == [1, 1, 2, 2]
    assert test.labels["class"].names == ("ant", "bee", "cow")


def test_of_class_folders_alone_a_tenth_is_held_out_and_nothing_is_in_both(tmp_path: Path) -> None:
    data = Folder(in_classes(tmp_path / "d", 70), image_size=SIDE)
    train, test = data.find("train").images, data.find("test").images
    assert len(train) + len(test) == 210
    assert not {image.name for image in train} & {image.name for image in test}
    assert 0.05 < len(test) / 210 < 0.15


def test_what_is_held_out_stays_so_when_others_are_added(tmp_path: Path) -> None:
    root = in_classes(tmp_path / "d", 20)
    before = {image.name for image in Folder(root).find("test").images}
    old = {image.name for part in ("train", "test") for image in Folder(root).find(part).images}
    in_classes(root, 50)
    write(root / "aardvark" / "0.png")
    write(root / "aardvark" / "1.png")
    assert before
    assert {image.name for image in Folder(root).find("test").images} & old == before


def test_a_root_that_is_called_like_a_part_is_still_shared_out_once(tmp_path: Path) -> None:
    root = in_classes(tmp_path / "train")
    tar = packed(root, tmp_path / "train.tar")
    for place in (root, tar):
        parts = [{image.name for image in Folder(place).find(part).images} for part in ("train", "test")]
        assert not parts[0] & parts[1]
        assert len(parts[0] | parts[1]) == 120


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("make", [in_parts, in_classes])
@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_tar_file_is_the_folder_that_it_was_made_of(tmp_path: Path, make: object, ending: str, prefix: str) -> None:
    root = make(tmp_path / "d")  # type: ignore[operator]
    tar = packed(root, tmp_path / f"all{ending}", prefix)
    for part in ("train", "test"):
        assert Folder(tar, image_size=SIDE)(part).fingerprint == Folder(root, image_size=SIDE)(part).fingerprint


@pytest.mark.parametrize("prefix", ["", "{part}/"])
def test_a_tar_file_for_each_part_is_the_folder_that_they_were_made_of(tmp_path: Path, prefix: str) -> None:
    root = in_parts(tmp_path / "d")
    for part in ("train", "val"):
        packed(root / part, tmp_path / "tars" / f"{part}.tar", prefix.format(part=part))
    for part in ("train", "test"):
        assert (
            Folder(tmp_path / "tars", image_size=SIDE)(part).fingerprint
            == Folder(root, image_size=SIDE)(part).fingerprint
        )


@pytest.mark.parametrize(("width", "height"), [(31, 17), (17, 31), (9, 9)])
@pytest.mark.parametrize("gray", [False, True])
def test_images_are_resized_by_their_short_side_and_cut_from_the_middle(
    tmp_path: Path, width: int, height: int, gray: bool
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for name in "ab":
        write(tmp_path / "d" / "train" / "ant" / f"{name}.png")
        Image.fromarray(noise).save(tmp_path / "d" / "train" / "ant" / f"{name}.png")
    seen = Folder(tmp_path / "d", image_size=SIDE, grayscale=gray)("train").data[0].numpy()
    image, short = Image.fromarray(noise).convert("L" if gray else "RGB"), min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    square = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short))
    assert np.array_equal(seen, np.asarray(square)[None] if gray else np.asarray(square).transpose(2, 0, 1))


def test_a_jpeg_is_what_pil_decodes(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 12).astype(np.uint8)[None, :, None].repeat(12, 0).repeat(3, 2)
    for name in "ab":
        path = write(tmp_path / "d" / "train" / "ant" / f"{name}.JPEG")
        Image.fromarray(ramp).save(path, quality=95)
    seen = Folder(tmp_path / "d", image_size=12)("train").data[0].numpy()
    assert np.array_equal(seen, np.asarray(Image.open(path)).transpose(2, 0, 1))


def test_a_photograph_that_was_taken_sideways_is_seen_upright(tmp_path: Path) -> None:
    sideways = Image.new("RGB", (SIDE, SIDE))
    sideways.paste((255, 255, 255), (0, 0, SIDE // 2, SIDE))  # white on the left: on top when upright
    about = Image.Exif()
    about[0x0112] = 6
    for name in "ab":
        sideways.save(write(tmp_path / "d" / "train" / "ant" / f"{name}.png"), exif=about)
    seen = Folder(tmp_path / "d", image_size=SIDE)("train").data[0, 0]
    assert (seen[: SIDE // 2] == 255).all()
    assert (seen[SIDE // 2 :] == 0).all()


def test_grey_gives_one_channel(tmp_path: Path) -> None:
    gray = Folder(in_parts(tmp_path / "d"), image_size=SIDE, grayscale=True)("train")
    assert gray.observed.shape == (1, SIDE, SIDE)
    assert levels(gray)[::3] == list(LEVELS.values())


def test_unreadable_images_are_counted_and_named(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d")
    (root / "train" / "bee" / "1.png").write_bytes(b"no image")
    whole = (root / "train" / "cow" / "2.png").read_bytes()
    (root / "train" / "cow" / "2.png").write_bytes(whole[:-30])
    with pytest.raises(PretaskError, match=r"2 of 9 that cannot: train/bee/1\.png .*train/cow/2\.png") as caught:
        Folder(root, image_size=SIDE)("train")
    assert "delete them" in str(caught.value)


def test_what_is_hidden_or_no_image_is_left_out(tmp_path: Path) -> None:
    root = in_classes(tmp_path / "d")
    before = [Folder(root).find(part).images for part in ("train", "test")]
    for name in ("ant/._1.png", ".checkpoints/1.png", "bee/notes.txt"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
    assert [Folder(root).find(part).images for part in ("train", "test")] == before
    tar = packed(root, tmp_path / "all.tar")
    with tarfile.open(tar) as archive:
        assert {"ant/._1.png", ".checkpoints/1.png"} <= set(archive.getnames())
    assert [len(Folder(tar).find(part).images) for part in ("train", "test")] == [len(part) for part in before]


def test_an_empty_folder_says_what_belongs_into_it(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(PretaskError, match=r"images .* for the part train; got none in .*d\. Put them into"):
        Folder(tmp_path / "d")("train")


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match=r"got no .*/nowhere\. Name one with --set data\.root"):
        Folder(tmp_path / "nowhere")("train")


def test_a_class_with_one_image_to_train_on_is_named_and_to_test_on_is_fine(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d")
    write(root / "train" / "dog" / "0.png")
    write(root / "val" / "dog" / "0.png")
    with pytest.raises(PretaskError, match=r"at least two images of every class to train on; got one of dog\."):
        Folder(root, image_size=SIDE)("train")
    assert len(Folder(root, image_size=SIDE)("test")) == 7


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5])
def test_a_tar_file_that_was_cut_short_is_named(tmp_path: Path, ending: str, kept: float) -> None:
    root = tmp_path / "d"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for name in "abcdef":
        Image.fromarray(noise).save(write(root / "train" / "ant" / f"{name}.png"))
    tar = packed(root, tmp_path / f"all{ending}")
    tar.write_bytes(tar.read_bytes()[: int(kept * tar.stat().st_size)])
    with pytest.raises(PretaskError, match=r"a whole tar file of images; got .*all\.tar"):
        Folder(tar, image_size=SIDE)("train")


def test_a_tar_file_that_was_cut_between_two_images_is_named(tmp_path: Path) -> None:
    tar = packed(in_parts(tmp_path / "d"), tmp_path / "all.tar")
    with tarfile.open(tar) as archive:
        ends = archive.getmembers()[4].offset
    os.truncate(tar, ends)
    with pytest.raises(PretaskError, match=r"all\.tar \(it ends before its end mark\)"):
        Folder(tar, image_size=SIDE)("train")


def test_a_file_that_is_no_tar_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match=r"a folder, or a whole tar file of images; got .*one\.png"):
        Folder(write(tmp_path / "one.png"))("train")


def test_where_there_is_a_test_folder_a_val_folder_is_left_alone(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d", "test")
    write(root / "val" / "ant" / "0.png", 99)
    assert levels(Folder(root, image_size=SIDE)("test")) == [30, 31, 120, 121, 220, 221]


def test_folders_in_a_class_folder_belong_to_the_class(tmp_path: Path) -> None:
    for label, level in LEVELS.items():
        for number in range(3):
            write(tmp_path / "d" / "tiny" / "train" / label / "images" / f"{number}.png", level)
            write(tmp_path / "e" / "tiny" / label / "images" / f"{number}.png", level)
    for root in ("d", "e"):
        found = Folder(tmp_path / root).find("train")
        assert found.classes == ("ant", "bee", "cow")
        assert all(image.label in image.name.split("/") for image in found.images)


def test_a_class_that_is_only_to_be_tested_on_is_named(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d")
    write(root / "val" / "images" / "0.png")
    assert len(Folder(root, image_size=SIDE)("train")) == 9
    with pytest.raises(PretaskError, match="got images without images to train on"):
        Folder(root, image_size=SIDE)("test")


def test_folders_that_are_links_are_followed(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d")
    (tmp_path / "linked").mkdir()
    for part in ("train", "val"):
        (tmp_path / "linked" / part).symlink_to(root / part)
    assert (
        Folder(tmp_path / "linked", image_size=SIDE)("train").fingerprint
        == Folder(root, image_size=SIDE)("train").fingerprint
    )


def test_two_folders_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    for level in (10, 20):
        for name in "ab":
            path = write(tmp_path / f"{level}" / "train" / "ant" / f"{name}.bmp", level)
            os.utime(path, ns=(0, 0))  # equal names, bytes and times
        assert levels(Folder(tmp_path / f"{level}", image_size=SIDE)("train")) == [level, level]


def test_a_root_below_the_home_folder_may_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(tmp_path / "photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Folder(Path("~/photos"), image_size=SIDE)("train")) == 9


def test_images_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = in_parts(tmp_path / "d")
    first = Folder(root, image_size=SIDE)("train")

    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(folder, "crop_square", fail)
    again = Folder(root, image_size=SIDE)("train")
    assert again.fingerprint == first.fingerprint
    assert levels(again) == levels(first)
    with pytest.raises(PretaskError, match="decoded again"):
        Folder(root, image_size=SIDE + 1)("train")


def test_an_image_that_changed_is_decoded_anew(tmp_path: Path) -> None:
    root = in_parts(tmp_path / "d")
    first = Folder(root, image_size=SIDE)("train")
    path = write(root / "train" / "ant" / "0.png", 77)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    second = Folder(root, image_size=SIDE)("train")
    assert (levels(first)[0], levels(second)[0]) == (30, 77)
    assert levels(first)[1:] == levels(second)[1:]
    assert first.fingerprint != second.fingerprint


def test_tar_files_without_times_are_told_apart(tmp_path: Path) -> None:
    def timeless(path: Path, level: int) -> Path:
        with tarfile.open(path, "w") as archive:
            for name in "ab":
                pixels = io.BytesIO()
                Image.new("RGB", (SIDE, SIDE), (level, level, level)).save(pixels, "bmp")
                about = tarfile.TarInfo(f"train/ant/{name}.bmp")  # its time is 0
                about.size = pixels.tell()
                archive.addfile(about, io.BytesIO(pixels.getvalue()))
        os.utime(path, ns=(level, level))
        return path

    for level in (10, 20):
        assert levels(Folder(timeless(tmp_path / f"{level}.tar", level), image_size=SIDE)("train")) == [level, level]


def test_another_part_than_train_and_test_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="No part 'val' of folder"):
        Folder(in_parts(tmp_path / "d"))("val")

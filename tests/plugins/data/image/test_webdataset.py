"""Tar shards are read in place: what `folder` decodes of them once, batch by batch, and only their places are kept."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from pretask import PretaskError, Samples
from pretask.order import draw_batch
from pretask_plugins.data.image.folder import Folder
from pretask_plugins.data.image.webdataset import WebDataset
from pretask_plugins.shared.listing.tar_files import TarFile

SIDE = 8


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def picture(value: int, kind: str = "png") -> bytes:
    pixels = io.BytesIO()
    Image.new("RGB", (2 * SIDE, SIDE), (value, 255 - value, value // 2)).save(pixels, kind)
    return pixels.getvalue()


def pack(path: Path, files: Mapping[str, bytes], mtime: int = 0) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mtime = len(content), mtime
            archive.addfile(about, io.BytesIO(content))


def write_shards(root: Path, names: str = "my-{part}-{number:06d}.tar", shards: int = 4) -> Path:
    """Four shards to train on and one to test on, of three images each; classes in sidecars of both kinds."""
    for number in range(shards + 1):
        files = {}
        for place in range(3):
            value = 10 * (3 * number + place)
            files |= {f"{place}.png": picture(value), f"{place}.txt": b"a caption"}
            files |= {f"{place}.cls": b"9"} if place else {f"{place}.json": json.dumps({"label": 10}).encode()}
        pack(root / names.format(part="train" if number < shards else "val", number=number), files)
    return root


def data(root: Path, part: str = "train") -> Samples:
    return WebDataset(root, image_size=SIDE)(part)


@pytest.mark.parametrize("names", ["my-{part}-{number:06d}.tar", "{part}/{number}.tar", "{number:03d}.tar"])
def test_its_samples_and_classes_are_those_that_folder_decodes(names: str, tmp_path: Path) -> None:
    root = write_shards(tmp_path / "d", names, shards=9)
    for part in ("train", "test"):
        decoded, read = Folder(root, image_size=SIDE)(part), data(root, part)
        assert torch.equal(read.take(slice(None)), decoded.data)
        assert torch.equal(read.labels["class"].value, decoded.labels["class"].value)
        assert read.labels["class"].names == decoded.labels["class"].names == ("9", "10")
        assert read.observed == decoded.observed


def test_folders_in_shards_are_classes_and_files_without_one_have_none(tmp_path: Path) -> None:
    files = {"cats/1.png": picture(1), "train/dogs/2.png": picture(2), "3.png": picture(3)}
    pack(tmp_path / "d" / "train.tar", files)
    pack(tmp_path / "d" / "test.tar", {"test/cats/4.png": picture(4)})
    label = data(tmp_path / "d").labels["class"]
    assert (label.names, label.value.tolist()) == (("cats", "dogs"), [0, 1, -1])


def test_the_list_is_made_once_and_holds_for_the_same_bytes_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = data(write_shards(tmp_path / "d"))
    pixels = first.data[3]
    (tmp_path / "d").rename(tmp_path / "e")
    monkeypatch.setattr(TarFile, "list_members", None)
    again = data(tmp_path / "e")
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.data[3], pixels)


def test_the_fingerprint_is_that_of_images_and_classes_however_they_are_packed(tmp_path: Path) -> None:
    def make(name: str, value: int = 1, label: bytes = b"a", mtime: int = 0, split: bool = False) -> str:
        files = [
            (f"{number}.{kind}", content)
            for number in (0, 1)
            for kind, content in (("png", picture(value + number)), ("cls", label))
        ]
        for number, some in enumerate((files[:2], files[2:]) if split else (files,)):
            pack(tmp_path / name / f"train-{number}.tar", dict(some), mtime)
        pack(tmp_path / name / "test-0.tar", dict(files[:2]))
        return data(tmp_path / name).fingerprint

    known = make("a")
    assert known == make("b", mtime=5) == make("c", split=True)
    assert len({known, make("d", value=2), make("e", label=b"b")}) == 3


def test_an_epoch_shows_every_image_once_and_batches_of_any_size_the_same_order(tmp_path: Path) -> None:
    samples = data(write_shards(tmp_path / "d"))
    wholes = draw_batch(samples, 0, 0, 12, torch.device("cpu"))[0]
    pieces = [draw_batch(samples, 0, start, 4, torch.device("cpu"))[0] for start in (0, 4, 8)]
    assert sorted(wholes.data[:, 0, 0, 0].tolist()) == [*range(0, 120, 10)]
    assert torch.equal(torch.cat([piece.data for piece in pieces]), wholes.data)
    assert not torch.equal(draw_batch(samples, 1, 0, 12, torch.device("cpu"))[0].data, wholes.data)


def test_images_are_the_same_however_many_threads_decode_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = data(write_shards(tmp_path / "d"))
    found = []
    for cores in ({0}, {0, 1, 2}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        found.append(samples.take(slice(None)))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("files", "needs"),
    [
        ({"train-0.tar.gz": {"a.png": picture(0)}}, r"tar files that are not compressed.*; got train-0\.tar\.gz"),
        ({"cats.tar": {"a.png": picture(0)}}, "a folder of tar files that are numbered or named for a part"),
        ({"train-0.tar": {"a.png": picture(0)}}, "samples of the part test; got none"),
        (
            {"train-0.tar": {"a/1.png": picture(0)}, "val-0.tar": {"b/1.png": picture(0)}},
            "every class of the part test among those of the part train; got b without",
        ),
    ],
)
def test_shards_that_cannot_be_used_are_refused(
    files: Mapping[str, Mapping[str, bytes]], needs: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        pack(tmp_path / "d" / name, content)
    with pytest.raises(PretaskError, match=f"webdataset needs {needs}"):
        data(tmp_path / "d")


def test_a_broken_image_is_named_when_it_is_needed(tmp_path: Path) -> None:
    root = write_shards(tmp_path / "d")
    pack(root / "my-train-000007.tar", {"7.png": b"no image", "7.cls": b"9"})
    samples = data(root)
    assert samples.take(slice(0, 12)).shape == (12, 3, SIDE, SIDE)
    with pytest.raises(PretaskError, match=r"got .*my-train-000007\.tar: 7\.png \(no image\)"):
        samples.take(12)


def test_what_is_no_image_is_told_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data(write_shards(tmp_path / "d"))
    assert "files of other kinds: 15 (.txt 15)" in capsys.readouterr().err

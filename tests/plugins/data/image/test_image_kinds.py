"""Promises of the folder data about kinds of images and of sources: depth, transparency, tables, shards, the cache."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pretask import PretaskError
from pretask_plugins.data.image import images
from pretask_plugins.data.image.folder import Folder
from pretask_plugins.shared.listing import digests

SIDE = 8


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def encode(picture: Image.Image, kind: str = "png") -> bytes:
    pixels = io.BytesIO()
    picture.save(pixels, kind)
    return pixels.getvalue()


def level(value: int) -> bytes:
    return encode(Image.new("RGB", (SIDE, SIDE), (value,) * 3))


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def values(root: Path, part: str = "train", **options: bool) -> list[int]:
    return Folder(root, image_size=SIDE, **options)(part).data[:, 0, 0, 0].tolist()


def test_sixteen_bits_are_scaled_in_every_format(tmp_path: Path) -> None:
    deep = np.full((SIDE, SIDE), 0x8080, np.uint16)
    files = {
        "a.png": encode(Image.fromarray(deep)),
        "b.tif": encode(Image.fromarray(deep), "tiff"),
        "c.pgm": b"P5\n8 8\n65535\n" + deep.astype(">u2").tobytes(),
        "d.pgm": b"P5\n8 8\n4095\n" + np.full((SIDE, SIDE), 4095, ">u2").tobytes(),
        "e.pgm": b"P2\n8 8\n65535\n" + b"65535 " * SIDE**2,
    }
    root = write(tmp_path / "d", {f"train/x/{name}": content for name, content in files.items()})
    assert values(root) == values(root, grayscale=True) == [128, 128, 128, 255, 255]


def test_thirty_two_bits_are_refused_since_their_white_is_unknown(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((SIDE, SIDE), 9.5, np.float32))
    root = write(tmp_path / "d", {f"train/x/{name}.tif": encode(deep, "tiff") for name in "ab"})
    with pytest.raises(PretaskError, match=r"2 of 2 that cannot: train/x/a\.tif \(32 bits a channel or signed"):
        values(root)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    half = Image.new("LA", (SIDE, SIDE), (0, 128))
    keyed = Image.new("RGB", (SIDE, SIDE), (9, 9, 9))
    indexed = Image.new("P", (SIDE, SIDE), 0)
    indexed.putpalette([0, 0, 0, 5, 5, 5])
    files = {
        "a.png": encode(clear),
        "b.png": encode(half),
        "e.png": encode(Image.new("RGBA", (SIDE, SIDE), (7, 7, 7, 255))),
    }
    for name, picture, key in (("c.png", keyed, (9, 9, 9)), ("d.png", indexed, 0)):
        pixels = io.BytesIO()
        picture.save(pixels, "png", transparency=key)
        files[name] = pixels.getvalue()
    root = write(tmp_path / "d", {f"train/x/{name}": content for name, content in files.items()})
    assert values(root) == [255, 127, 255, 255, 7]


def test_a_file_that_was_replaced_by_one_of_equal_size_and_time_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "FRESH_NS", 0)  # so that digests are kept at once
    bitmap = {value: encode(Image.new("RGB", (SIDE, SIDE), (value,) * 3), "bmp") for value in (10, 200)}
    root = write(tmp_path / "d", {f"train/x/{name}.bmp": bitmap[10] for name in "ab"})
    seen = []
    for value in (10, 200):
        (root / "train/x/a.bmp").write_bytes(bitmap[value])
        os.utime(root / "train/x/a.bmp", ns=(0, 0))
        seen.append(values(root))
    assert seen == [[10, 10], [200, 10]]


def test_digests_are_read_once_and_anew_where_a_file_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "d", {name: name.encode() for name in "abc"})
    paths = sorted(root.iterdir())
    read: list[Path] = []
    own = digests.digest_file
    monkeypatch.setattr(digests, "digest_file", lambda path: read.append(path) or own(path))
    first = digests.digest_files(paths)
    assert digests.digest_files(paths) == first
    assert len(read) == 6  # they are too new to be trusted
    monkeypatch.setattr(digests, "FRESH_NS", 0)
    assert digests.digest_files(paths) == digests.digest_files(paths) == first
    assert len(read) == 9
    paths[0].write_bytes(b"z")
    os.utime(paths[0], ns=(0, 0))
    assert digests.digest_files(paths)[1:] == first[1:]
    assert digests.digest_files(paths)[0] != first[0]


def test_another_decoder_decodes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "d", {f"train/x/{name}.png": level(50) for name in "ab"})
    values(root)
    entries = len([*(tmp_path / "cache" / "images").iterdir()])
    monkeypatch.setattr("pretask_plugins.data.image.folder.DECODER", f"{images.DECODER}, later")
    values(root)
    assert len([*(tmp_path / "cache" / "images").iterdir()]) == entries + 1


@pytest.mark.parametrize(("ending", "mark"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_a_table_of_paths_gives_classes_and_parts(tmp_path: Path, ending: str, mark: str) -> None:
    rows = [("in/a.png", "x", "train"), ("in/b.png", "10", "train"), ("c.png", "x", "test"), ("d.png", "", "val")]
    rows += [("e.png", "x", "train"), ("f.png", "10", "train")]
    root = write(tmp_path / "d", {name: level(10 * number) for number, (name, _, _) in enumerate(rows)})
    write(tmp_path / "d", {"unlisted.png": level(99)})
    table = root / f"all{ending}"
    table.write_text("\n".join(mark.join(row) for row in [("Path", "Label", "Split"), *rows]) + "\n")
    train, test = (Folder(table, image_size=SIDE)(part) for part in ("train", "test"))
    assert train.data[:, 0, 0, 0].tolist() == [0, 10, 30, 40, 50]  # val is trained on where there is a test
    assert train.labels["class"].names == test.labels["class"].names == ("10", "x")
    assert train.labels["class"].value.tolist() == [1, 0, -1, 1, 0]
    assert test.labels["class"].value.tolist() == [1]


def test_a_table_names_what_it_lacks(tmp_path: Path) -> None:
    root = write(tmp_path / "d", {"a.png": level(1)})
    for text, message in (
        ("image,label\na.png,x\nb.png,x\nc.png,x\n", r"no such file as b\.png, no such file as c\.png \(2 rows\)"),
        ("image,label,split\na.png,x,middle\n", "the split 'middle'"),
        ("name,label\na.png,x\n", "the columns file and label"),
        ("", "the columns file and label"),
    ):
        (root / "t.csv").write_text(text)
        with pytest.raises(PretaskError, match=message):
            Folder(root / "t.csv")("train")


def test_rows_for_one_file_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "d", {"a.png": level(1), "b.png": level(2)})
    (root / "t.csv").write_text("file,label,split\na.png,x,train\n./a.png,x,test\nb.png,x,train\n")
    assert values(root / "t.csv") == [1, 2]
    assert "rows for a file of another row: 1 (./a.png)" in capsys.readouterr().err


def pack(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_shards_in_the_layout_of_webdataset_are_read_with_their_classes(tmp_path: Path, ending: str) -> None:
    for shard in range(12):
        part = "train" if shard < 10 else "val"
        pack(
            tmp_path / "d" / f"my-{part}-{shard:06d}{ending}",
            {
                "0001.png": level(10 * shard),
                "0001.cls": b"7",
                "0002.jpg": encode(Image.new("RGB", (SIDE, SIDE)), "jpeg"),
                "0002.json": json.dumps({"label": 11, "caption": "?"}).encode(),
            },
        )
    data = Folder(tmp_path / "d", image_size=SIDE)
    train, test = data("train"), data("test")
    assert train.data[::2, 0, 0, 0].tolist() == [*range(0, 100, 10)]
    assert train.labels["class"].names == ("7", "11")
    assert train.labels["class"].value.tolist() == [0, 1] * 10
    assert test.data[::2, 0, 0, 0].tolist() == [100, 110]


def test_images_without_classes_have_no_labels(tmp_path: Path) -> None:
    root = write(tmp_path / "d", {f"{part}/{name}.png": level(5) for part in ("train", "test") for name in "ab"})
    samples = Folder(root, image_size=SIDE)("train")
    assert (len(samples), dict(samples.labels)) == (2, {})

"""Promises of the hf data: what a data set of the datasets library holds comes out as from a folder. No network."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from pretask import PretaskError
from pretask_plugins.data.audio.hf_audio import HfAudio
from pretask_plugins.data.hub import Choice, HubData
from pretask_plugins.data.image.hf_image import HfImage
from pretask_plugins.data.text.hf_text import HfText

SIDE = 8


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PretaskError, match=r"hf-image needs the package datasets; .*pip install 'pretask\[datasets\]'"):
        HfImage("mnist")("train")


def save(place: Path, features: dict[str, Any], **splits: dict[str, list[Any]]) -> str:
    """A data set on this machine, as `save_to_disk` writes it; one split without a name is a single table."""
    import datasets

    made = {}
    for name, columns in splits.items():
        file = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
        raw = {key: file if isinstance(kind, datasets.Audio) else kind for key, kind in features.items()}
        table = datasets.Dataset.from_dict(columns, features=datasets.Features(raw))
        made[name] = table.cast(datasets.Features(features))  # the library encodes recordings with torchcodec only
    (datasets.DatasetDict(made) if len(made) > 1 else next(iter(made.values()))).save_to_disk(str(place))
    return str(place)


def png(level: int, mode: str = "RGB") -> dict[str, Any]:
    pixels = io.BytesIO()
    Image.new(mode, (SIDE, SIDE), (level,) * len(mode)).save(pixels, "png")
    return {"bytes": pixels.getvalue(), "path": None}


def wav(level: float, path: Path | None = None) -> dict[str, Any]:
    sound = io.BytesIO()
    soundfile.write(sound, np.full(800, level), 8000, format="WAV")
    if path is None:
        return {"bytes": sound.getvalue(), "path": None}
    path.write_bytes(sound.getvalue())
    return {"bytes": None, "path": str(path)}


@pytest.mark.exhaustive
def test_images_come_with_the_classes_and_splits_of_the_data_set(tmp_path: Path) -> None:
    import datasets

    features = {"image": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog", "eel"])}
    name = save(
        tmp_path / "d",
        features,
        train={"image": [png(10), png(20), png(0, "LA")], "kind": [1, 0, 0]},
        validation={"image": [png(30)], "kind": [2]},
    )
    data = HfImage(name, image_size=SIDE)
    train, test = data("train"), data("test")
    assert train.data[:, 0, 0, 0].tolist() == [10, 20, 255]  # what is transparent is white
    assert train.labels["class"].names == test.labels["class"].names == ("cat", "dog", "eel")
    assert (train.labels["class"].value.tolist(), test.labels["class"].value.tolist()) == ([1, 0, 0], [2])
    assert data("train").fingerprint == train.fingerprint != test.fingerprint
    with pytest.raises(PretaskError, match=r"the split data\.test_split=dev .*; got the splits train, validation"):
        HfImage(name, test_split="dev")("test")
    with pytest.raises(PretaskError, match=r"a column of Audio .*; got the columns image \(Image\), kind"):
        HfAudio(name)("train")
    with pytest.raises(PretaskError, match="hf-image needs the data set nowhere/such"):
        HfImage("nowhere/such")("train")


@pytest.mark.exhaustive
def test_of_a_single_split_a_tenth_is_held_out_and_broken_rows_are_named(tmp_path: Path) -> None:
    import datasets

    rows = [png(level) for level in range(40)]
    features = {"image": datasets.Image(), "label": datasets.Value("string")}
    name = save(tmp_path / "d", features, train={"image": rows, "label": list("ab" * 20)})
    parts = {part: HfImage(name, image_size=SIDE)(part) for part in ("train", "test")}
    levels = {part: samples.data[:, 0, 0, 0].tolist() for part, samples in parts.items()}
    assert sorted(levels["train"] + levels["test"]) == [*range(40)]
    assert 0 < len(levels["test"]) < 12
    for part, samples in parts.items():
        assert samples.labels["class"].value.tolist() == [level % 2 for level in levels[part]]
    broken = save(
        tmp_path / "e",
        {"image": datasets.Image()},
        train={"image": [png(1), {"bytes": b"?", "path": None}]},
        test={"image": [png(2)]},
    )
    with pytest.raises(PretaskError, match=r"1 of 2 that cannot: row 1 "):
        HfImage(broken)("train")


@pytest.mark.exhaustive
def test_recordings_are_read_from_tables_and_from_the_paths_in_them(tmp_path: Path) -> None:
    import datasets

    features = {"audio": datasets.Audio(), "word": datasets.Value("int64")}
    inside = save(
        tmp_path / "d",
        features,
        train={"audio": [wav(0.5), wav(0.25)], "word": [9, 10]},
        test={"audio": [wav(0.1)], "word": [9]},
    )
    made = HfAudio(inside, label="word", sample_rate=8000, seconds=0.1)
    assert torch.allclose(made("train").data[:, 5], torch.tensor([0.5, 0.25]), atol=1e-4)
    assert made("train").labels["class"].names == ("9", "10")
    (tmp_path / "files").mkdir()
    paths = [wav(0.5, tmp_path / "files" / "a.wav"), wav(0.25, tmp_path / "files" / "b.wav")]
    outside = save(tmp_path / "e", {"audio": datasets.Audio()}, train={"audio": paths}, test={"audio": [wav(0.1)]})
    first = HfAudio(outside, sample_rate=8000, seconds=0.1)("train")
    assert torch.equal(first.data, made("train").data)
    assert dict(first.labels) == {}


@pytest.mark.exhaustive
def test_files_that_a_table_only_names_are_read_and_in_the_key(tmp_path: Path) -> None:
    import datasets

    paths = [tmp_path / f"{name}.png" for name in "ab"]
    for path in paths:
        path.write_bytes(png(7)["bytes"])
    table = datasets.Dataset.from_dict({"image": list(map(str, paths))}).cast_column("image", datasets.Image())
    splits = {part: part for part in ("train", "test")}
    data = HubData(Choice("hf-image", "Image", "mine"), dict.fromkeys(splits, table), splits)
    assert data.content("train").read(1) == paths[1].read_bytes()
    before = data.facts("train")["outside"]
    paths[1].write_bytes(png(8)["bytes"])
    after = data.facts("train")["outside"]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


@pytest.mark.exhaustive
def test_texts_are_rows_with_classes_or_one_stream(tmp_path: Path) -> None:
    import datasets

    columns = {"text": ["ab", None, "cd" * 9], "label": [1, 0, -1]}
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    name = save(tmp_path / "d", features, train=columns, test={"text": ["a"], "label": [0]})
    data = HfText(name, length=8, tokenizer="characters", vocab_size=50)
    train = data("train")
    assert [data.decode(row) for row in train.data] == ["ab", "", "cdcdcdc"]
    assert train.labels["class"].value.tolist() == [1, 0, -1]
    assert data.extent("test").bytes == 1
    stream = HfText(name, length=5, tokenizer="characters", vocab_size=50, packed=True)
    assert dict(stream("train").labels) == {}
    assert stream.decode(stream("train").data.flatten()) == "ab" + "cd" * 8 + "c"


@pytest.mark.exhaustive
def test_a_parquet_table_of_paths_reads_as_its_csv_does(tmp_path: Path) -> None:
    import pyarrow
    from pretask_plugins.data.image.folder import Folder
    from pyarrow.parquet import write_table

    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(10 * number)["bytes"])
    columns = {"file": [f"{n}.png" for n in range(4)], "label": [0, 1, 0, 1], "split": ["train", "test", "train", None]}
    write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("file,label,split\n0.png,0,train\n1.png,1,test\n2.png,0,train\n3.png,1,\n")
    found = [Folder(tmp_path / f"t.{ending}", image_size=SIDE)("test").fingerprint for ending in ("parquet", "csv")]
    assert found[0] == found[1]
    (tmp_path / "t.parquet").write_bytes(b"PAR1?")
    with pytest.raises(PretaskError, match="a whole Parquet file"):
        Folder(tmp_path / "t.parquet")("train")

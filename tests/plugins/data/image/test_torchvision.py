"""Promises of the torchvision data: its own files come out as its own images and labels, or are said to be missing."""

import pickle
import struct
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from pretask import PretaskError, Unknown
from pretask_plugins.data.image import torchvision as ours
from pretask_plugins.data.image.torchvision import TorchvisionData

NAMES = [f"thing {number}" for number in range(10)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def pickled(path: Path, content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return md5(path.read_bytes()).hexdigest()


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch, size: int = 4) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Batches as CIFAR10's authors wrote them, and torchvision told their checksums; gives what is in each."""
    draw, folder, found = np.random.default_rng(0), root / "cifar-10-batches-py", {}
    sums = {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        rows, labels = draw.integers(0, 256, (size, 3072), np.uint8), draw.integers(0, 10, size).tolist()
        sums[name] = pickled(folder / name, {"data": rows, "labels": labels})
        found[name] = rows.reshape(size, 3, 32, 32), labels
    kind = torchvision.datasets.CIFAR10
    meta = pickled(folder / "batches.meta", {"label_names": NAMES})
    monkeypatch.setattr(kind, "train_list", [[name, sums[name]] for name in sums if name != "test_batch"])
    monkeypatch.setattr(kind, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(kind, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})
    return found


def mnist(root: Path, size: int = 12) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """IDX files as MNIST's authors wrote them; gives what is in each."""
    draw, folder, found = np.random.default_rng(0), root / "MNIST" / "raw", {}
    folder.mkdir(parents=True)
    for name in ("train", "t10k"):
        images, labels = draw.integers(0, 256, (size, 28, 28), np.uint8), np.arange(size, dtype=np.uint8) % 10
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, size, 28, 28) + images.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, size) + labels.tobytes())
        found[name] = images, labels
    return found


def test_cifar_batches_come_out_in_order_with_their_labels_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cifar(tmp_path / "d", monkeypatch)
    held = found.pop("test_batch")
    data = TorchvisionData("CIFAR10", tmp_path / "d")
    train, test = data("train"), data("test")
    assert np.array_equal(train.data.numpy(), np.concatenate([images for images, _ in found.values()]))
    assert train.labels["class"].value.tolist() == [label for _, labels in found.values() for label in labels]
    assert np.array_equal(test.data.numpy(), held[0])
    assert test.labels["class"].value.tolist() == held[1]
    assert train.labels["class"].names == tuple(NAMES)


def test_images_without_labels_are_learned_from_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, folder, sums = np.random.default_rng(0), tmp_path / "d" / "stl10_binary", {}
    folder.mkdir(parents=True)
    images = {part: draw.integers(0, 256, (4, 3, 96, 96), np.uint8) for part in ("train", "test", "unlabeled")}
    files = {f"{part}_X.bin": rows.tobytes() for part, rows in images.items()}
    files |= {f"{part}_y.bin": np.array([1, 2, 3, 1], np.uint8).tobytes() for part in ("train", "test")}
    for name, content in {**files, "class_names.txt": b"airplane\nbird\ncar\n"}.items():
        (folder / name).write_bytes(content)
        sums[name] = [name, md5(content).hexdigest()]
    kind = torchvision.datasets.STL10
    monkeypatch.setattr(kind, "train_list", [sums[f"{name}.bin"] for name in ("train_X", "train_y", "unlabeled_X")])
    monkeypatch.setattr(kind, "test_list", [sums[f"{name}.bin"] for name in ("test_X", "test_y")])
    every, labeled = (TorchvisionData("STL10", tmp_path / "d", unlabeled=flag) for flag in (True, False))
    assert np.array_equal(every("train").data.numpy(), images["unlabeled"].swapaxes(2, 3))
    assert every("train").labels["class"].value.tolist() == [-1] * 4
    assert every("test").labels["class"].value.tolist() == [0, 1, 2, 0]
    assert np.array_equal(labeled("train").data.numpy(), images["train"].swapaxes(2, 3))
    with pytest.raises(PretaskError, match=r"data\.unlabeled needs STL10; got CIFAR10"):
        TorchvisionData("CIFAR10", tmp_path / "d", unlabeled=True)


def test_images_are_resized_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = cifar(tmp_path / "d", monkeypatch)["test_batch"][0]
    seen = TorchvisionData("CIFAR10", tmp_path / "d", image_size=16)("test").data.numpy()
    for image, small in zip(images, seen, strict=True):
        smaller = Image.fromarray(image.transpose(1, 2, 0)).resize((16, 16), Image.Resampling.BILINEAR)
        assert np.array_equal(small, np.asarray(smaller).transpose(2, 0, 1))


def test_mnist_is_grey_and_keeps_its_own_parts(tmp_path: Path) -> None:
    found = mnist(tmp_path / "d")
    data = TorchvisionData("MNIST", tmp_path / "d")
    for part, name in (("train", "train"), ("test", "t10k")):
        samples = data(part)
        assert np.array_equal(samples.data.numpy(), found[name][0][:, None])
        assert samples.labels["class"].value.tolist() == found[name][1].tolist()
    assert samples.labels["class"].names[3] == "3 - three"


def test_imagenette_folders_are_the_parts_and_get_a_size_and_the_first_of_their_names(tmp_path: Path) -> None:
    folders = torchvision.datasets.Imagenette._WNID_TO_CLASS
    for part, dark in (("train", 0), ("val", 40)):
        for number, wnid in enumerate(folders):
            path = tmp_path / "d" / "imagenette2" / part / wnid / "0.JPEG"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (150 + number, 140), (20 * number, dark, 0)).save(path, quality=95)
    train, samples = (TorchvisionData("Imagenette", tmp_path / "d")(part) for part in ("train", "test"))
    assert int(train.data[:, 1].max()) < 10 < 30 < int(samples.data[:, 1].min())
    names = samples.labels["class"].names
    assert samples.observed.shape == (3, 128, 128)
    assert sorted(names) == sorted(synonyms[0] for synonyms in folders.values())
    for image, label in zip(samples.data, samples.labels["class"].value.tolist(), strict=True):
        number = [synonyms[0] for synonyms in folders.values()].index(names[label])
        assert abs(int(image[0, 64, 64]) - 20 * number) < 3


def test_the_smallest_imagenette_that_suffices_is_read(tmp_path: Path) -> None:
    for name, green in (("imagenette2-160", 60), ("imagenette2-320", 120), ("imagenette2", 180)):
        path = tmp_path / "d" / name / "train" / "n01440764" / "0.JPEG"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (340, 330), (0, green, 0)).save(path, quality=95)
    for size, green in ((64, 60), (160, 60), (161, 120), (321, 180)):
        seen = TorchvisionData("Imagenette", tmp_path / "d", image_size=size)("train").data
        assert abs(int(seen[0, 1, 8, 8]) - green) < 3


def test_of_a_data_set_without_parts_a_tenth_is_held_out_and_nothing_is_in_both(tmp_path: Path) -> None:
    for number, name in enumerate(("Forest", "River")):
        for place in range(30):
            path = tmp_path / "d" / "eurosat" / "2750" / name / f"{name}_{place}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64), (8 * place, 200 * number, 0)).save(path, quality=95)
    data = TorchvisionData("EuroSAT", tmp_path / "d")
    train, test = data("train"), data("test")
    assert len(train) + len(test) == 60
    assert 1 <= len(test) <= 15
    red = [{(int(image[0, 8, 8]), int(image[1, 8, 8]) > 100) for image in part.data} for part in (train, test)]
    assert not red[0] & red[1]
    for part in (train, test):
        assert ((part.data[:, 1, 8, 8] > 100).long() == part.labels["class"].value).all()
    assert train.labels["class"].names == ("Forest", "River")


def test_another_data_set_below_the_same_root_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist(tmp_path / "d")
    data = TorchvisionData("MNIST", tmp_path / "d")
    before = data.files()
    cifar(tmp_path / "d", monkeypatch)
    assert len(before) == 4
    assert data.files() == before


@pytest.mark.parametrize("name", ours.Name.__args__)  # type: ignore[attr-defined]
def test_missing_files_are_named_with_the_way_to_get_them(tmp_path: Path, name: ours.Name) -> None:
    with pytest.raises(PretaskError, match=rf"torchvision {name} needs its files below .*data\.download=true"):
        TorchvisionData(name, tmp_path / "d")("train")


def test_a_batch_that_was_cut_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(tmp_path / "d", monkeypatch)
    path = tmp_path / "d" / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PretaskError, match="corrupted"):
        TorchvisionData("CIFAR10", tmp_path / "d")("train")


def test_images_are_decoded_once_and_anew_when_the_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar(tmp_path / "d", monkeypatch)
    data = TorchvisionData("CIFAR10", tmp_path / "d")
    first = data("test")

    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    with monkeypatch.context() as broken:
        broken.setattr(ours, "crop_square", fail)
        assert data("test").fingerprint == first.fingerprint
    cifar(tmp_path / "d", monkeypatch, size=5)
    assert len(data("test")) == 5


def test_every_name_is_a_data_set_of_torchvision_whose_parts_exist() -> None:
    for name in ours.Name.__args__:  # type: ignore[attr-defined]
        assert hasattr(torchvision.datasets, name)
    names = set(ours.Name.__args__)  # type: ignore[attr-defined]
    assert set(ours.SPLITS) | set(ours.GRAYSCALE) | set(ours.VARIED) | set(ours.UNDIVIDED) <= names == set(ours.FILES)


def test_another_part_than_train_and_test_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="No part 'val' of torchvision"):
        TorchvisionData("MNIST", tmp_path)("val")

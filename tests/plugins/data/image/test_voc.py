"""Promises of images with objects: both layouts say the same, boxes stay on their objects, faults are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import PretaskError
from pretask_plugins.data.image.voc import Voc

BOX = (5, 3, 15, 9)  # left, top, right, bottom of the object, pixels of the file


def write_image(path: Path, size: tuple[int, int] = (40, 20), box: tuple[int, ...] = BOX) -> None:
    """Write a black image with a white object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(pixels).save(path)


def xml(*objects: tuple[str, tuple[int, ...], int]) -> str:
    """Return an annotation; its corners are the first and the last pixel, from 1 on."""
    return (
        "<annotation>"
        + "".join(
            f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0] + 1}</xmin>"
            f"<ymin>{box[1] + 1}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
            for name, box, difficult in objects
        )
        + "</annotation>"
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images to train on, one to test on, in the layout of VOC."""
    objects = {"a": [("cat", BOX, 0)], "b": [("cat", BOX, 1)], "c": [], "d": [("dog", BOX, 0), ("cat", BOX, 1)]}
    for stem, found in objects.items():
        write_image(tmp_path / "JPEGImages" / f"{stem}.png")
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{stem}.xml").write_text(xml(*found))
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("a\nb\nc\n")
    (tmp_path / "ImageSets/Main/test.txt").write_text("d\n")
    return tmp_path


def test_boxes_stay_on_their_objects_when_images_are_scaled_to_fit(root: Path) -> None:
    data = Voc(root, height=20, width=20)
    image, boxes = data("train").data[0], data.boxes("train")
    corners, classes, _ = boxes.of_image(0)
    assert corners.tolist() == [[2.5, 1.5, 7.5, 4.5]]
    assert [boxes.names[number] for number in classes] == ["cat"]
    inside = image[0, 2:4, 3:7].float()
    assert inside.min() > 200
    assert image[:, 10:].sum() == 0  # half as high as wide: the rest is black


def test_classes_that_an_image_shows_are_labels_and_difficult_ones_are_unknown(root: Path) -> None:
    data = Voc(root, 20, 20)
    labels = data("train").labels["objects"]
    assert (labels.names, labels.multiple) == (("cat", "dog"), True)
    assert labels.value.tolist() == [[1, 0], [-1, 0], [0, 0]]
    assert data("test").labels["objects"].value.tolist() == [[-1, 1]]
    assert data.boxes("test").difficult.tolist() == [[False, True]]


def test_the_layout_of_coco_says_the_same(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = tmp_path_factory.mktemp("coco")
    other = whole / "training"  # a folder around all parts says nothing of them
    left, top, right, bottom = BOX
    box = [left, top, right - left, bottom - top]
    parts = {"train": [("a", [("cat", 0)]), ("b", [("cat", 1)]), ("c", [])], "val": [("d", [("dog", 0), ("cat", 1)])]}
    for part, images in parts.items():
        for stem, _ in images:
            write_image(other / f"{part}2017" / f"{stem}.png")
        entries = [(number, name, crowd) for number, (_, found) in enumerate(images) for name, crowd in found]
        content = {
            "images": [{"id": number, "file_name": f"{stem}.png"} for number, (stem, _) in enumerate(images)],
            "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
            "annotations": [
                {"image_id": number, "category_id": {"cat": 7, "dog": 3}[name], "bbox": box, "iscrowd": crowd}
                for number, name, crowd in entries
            ],
        }
        (other / "annotations").mkdir(exist_ok=True)
        (other / f"annotations/instances_{part}2017.json").write_text(json.dumps(content))
    ours, theirs = Voc(root, 20, 20), Voc(whole, 20, 20)
    for part in ("train", "test"):
        assert torch.equal(ours(part).data, theirs(part).data)
        assert ours(part).fingerprint == theirs(part).fingerprint
        assert torch.equal(ours.boxes(part).corners, theirs.boxes(part).corners)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: (root / "Annotations/a.xml").write_text("<annotation><object>"), "XML in the layout"),
        (lambda root: (root / "Annotations/a.xml").write_text(xml(("cat", (5, 3, 5, 9), 0))), "a box of some area"),
        (lambda root: (root / "JPEGImages/a.png").unlink(), r"Add a\.jpg"),
        (lambda root: (root / "ImageSets/Main/test.txt").write_text("a\n"), "1 in both"),
        (lambda root: (root / "ImageSets/Main/test.txt").write_text("nowhere\n"), r"an annotation nowhere\.xml"),
        (lambda root: (root / "instances_train.json").write_text('{"images": []}'), "JSON in the layout of COCO"),
        (lambda root: (root / "JPEGImages/a.png").write_bytes(b"no image"), "images that can be decoded"),
    ],
)
def test_what_cannot_be_read_is_named(root: Path, change: object, says: str) -> None:
    change(root)  # type: ignore[operator]
    with pytest.raises(PretaskError, match=says):
        Voc(root, 20, 20)("train")


def test_without_lists_a_tenth_is_for_testing_and_no_image_is_in_both(tmp_path: Path) -> None:
    for number in range(40):
        write_image(tmp_path / "JPEGImages" / f"{number}.png", box=(number % 20, 3, number % 20 + 9, 12))
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{number}.xml").write_text(xml(("cat", (1, 1, 9, 9), 0)))
    train, test = (Voc(tmp_path, 20, 40)(part) for part in ("train", "test"))
    assert len(train) + len(test) == 40
    assert 0 < len(test) < 12

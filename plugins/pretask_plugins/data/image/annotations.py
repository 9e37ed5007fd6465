"""Annotations: which objects an image shows and where, in the layout of PASCAL VOC and in that of COCO.

VOC: Annotations/NAME.xml and JPEGImages/NAME.jpg, ImageSets/Main/SET.txt, wherever they lie below the root. Its corners
are the first and the last pixel of an object, counted from 1.
COCO: instances_SET.json, or annotations/instances_SET.json, with images, annotations and categories; the images by
their file names below the root. Its boxes are left, top, width and height, pixels.

Source: Everingham et al. 2010; Lin et al. 2014.
Axes: none.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree

from pretask import PretaskError

from pretask_plugins.data.decoding import first_line
from pretask_plugins.shared.listing import FileTree
from pretask_plugins.shared.parts import hash_text, is_tenth, list_some

WHO = "voc"
SIDES = ("xmin", "ymin", "xmax", "ymax")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SETS = {"train": ("trainval", "train"), "test": ("test", "val", "valid")}  # by part; the first one that is there
COCO_SETS = re.compile(r"^(?:.*/)?(?:_annotations\.coco|instances_?(\w*))\.json$")


@dataclass(frozen=True)
class Annotated:
    """An image and its objects.

    Args:
        image: Name of its file in the tree.
        classes: Name of the class of every object.
        corners: Left, top, right, bottom of every object, pixels of the file, right and bottom exclusive.
        difficult: Whether an object need not be found.
    """

    image: str
    classes: tuple[str, ...]
    corners: tuple[tuple[float, float, float, float], ...]
    difficult: tuple[bool, ...]


Parts = Mapping[str, tuple[list[Annotated], list[str]]]  # images and the files that say what is in them, by part


def read_annotations(tree: FileTree, part: str) -> tuple[list[Annotated], tuple[str, ...], list[str]]:
    """Return the images of a part with their objects, the classes of both parts, and the files these were read from.

    Raises:
        PretaskError: There are neither, an annotation cannot be read, or one has no image.
    """
    jsons = [name for name in tree.names if COCO_SETS.match(name)]
    parts = read_coco(tree, jsons) if jsons else read_voc(tree)
    names = sorted({name for images, _ in parts.values() for image in images for name in image.classes})
    found, files = parts[part]
    if not found or not names:
        needs = "images with objects in the layout of PASCAL VOC (Annotations/*.xml) or COCO (instances_*.json)"
        got = f"{len(found)} images and {len(names)} classes for the part {part}"
        raise PretaskError(WHO, needs, got, "Name the folder or tar file around them with --set data.root=…")
    return found, tuple(names), files


def read_voc(tree: FileTree) -> Parts:
    """Read XML files: the parts are those of ImageSets/Main, else a tenth by hash of the names is for testing."""
    files = {PurePosixPath(name).stem: name for name in tree.names if PurePosixPath(name).suffix.lower() == ".xml"}
    images = {PurePosixPath(name).stem: name for name in tree.names if name.lower().endswith(ENDINGS)}
    objects = {stem: read_xml(tree, name, require_image(images, stem, name)) for stem, name in files.items()}
    chosen = {part: read_set(tree, part) for part in SETS}
    if not all(chosen.values()):
        chosen = {part: [stem for stem in files if is_for_test(stem) == (part == "test")] for part in SETS}
    check_apart(chosen)
    return {
        part: ([objects[require_known(files, stem)] for stem in stems], [files[stem] for stem in stems])
        for part, stems in chosen.items()
    }


def is_for_test(stem: str) -> bool:
    """Return whether an image is for testing where nothing else says so."""
    return is_tenth(hash_text(stem))


def read_set(tree: FileTree, part: str) -> list[str]:
    """Return the names that the first list of a part has; none where there is no list."""
    lists = {PurePosixPath(name).stem: name for name in tree.names if PurePosixPath(name).parent.name == "Main"}
    name = next((lists[word] for word in SETS[part] if word in lists), None)
    lines = tree.read(name).decode().splitlines() if name else []
    return [line.split()[0] for line in lines if line.strip()]


def check_apart(chosen: Mapping[str, Sequence[str]]) -> None:
    """Raise PretaskError where an image is of both parts."""
    both = sorted({*chosen["train"]} & {*chosen["test"]})
    if both:
        got = f"{len(both)} in both ({list_some(both)})"
        raise PretaskError(WHO, "lists of different images to train and to test on", got, "Take them out of one list.")


def require_image(images: Mapping[str, str], stem: str, annotation: str) -> str:
    """Return the image of an annotation; raise PretaskError where there is none."""
    if stem not in images:
        raise PretaskError(WHO, f"an image for {annotation}", "none", f"Add {stem}.jpg, or delete the annotation.")
    return images[stem]


def require_known(files: Mapping[str, str], stem: str) -> str:
    """Return the name; raise PretaskError where it has no annotation."""
    if stem not in files:
        raise PretaskError(WHO, f"an annotation {stem}.xml, as a list has it", "none", "Take it out of the list.")
    return stem


def read_xml(tree: FileTree, name: str, image: str) -> Annotated:
    """Read the objects of one image."""
    try:
        objects = [*ElementTree.fromstring(tree.read(name)).iter("object")]
        boxes = [[float(entry.findtext(f"bndbox/{side}", "")) for side in SIDES] for entry in objects]
    except (ElementTree.ParseError, ValueError) as error:
        needs, got = (
            "XML in the layout of PASCAL VOC: object, name, bndbox",
            f"{tree.locate(name)} ({first_line(error)})",
        )
        raise PretaskError(WHO, needs, got, "Correct or delete it, and its image.") from error
    corners = tuple((left - 1, top - 1, right, bottom) for left, top, right, bottom in boxes)
    classes = tuple(entry.findtext("name", "").strip() for entry in objects)
    difficult = tuple(entry.findtext("difficult", "0").strip() == "1" for entry in objects)
    return check_objects(Annotated(image, classes, corners, difficult), tree.locate(name))


def check_objects(found: Annotated, place: str) -> Annotated:
    """Return the image; raise PretaskError where an object has no class, or a box no area."""
    for name, (left, top, right, bottom) in zip(found.classes, found.corners, strict=True):
        if not name or not (left < right and top < bottom):
            got = f"'{name}' from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) in {place}"
            raise PretaskError(WHO, "objects with a class and a box of some area", got, "Correct it or take it out.")
    return found


def read_coco(tree: FileTree, jsons: Sequence[str]) -> Parts:
    """Read JSON files: one for training, and another one; of one alone, a tenth is for testing."""
    by_name = index_names(tree.names)
    read = {name: [*read_json(tree, name, by_name)] for name in jsons}
    by_part = {part: [name for name in read if is_for_training(name) == (part == "train")] for part in SETS}
    if all(by_part.values()):
        parts = {part: (read[names[0]], [names[0]]) for part, names in by_part.items()}
    else:
        name = next(iter(read))
        parts = {
            part: ([image for image in read[name] if is_for_test(image.image) == (part == "test")], [name])
            for part in SETS
        }
    check_apart({part: [image.image for image in images] for part, (images, _) in parts.items()})
    return parts


def is_for_training(name: str) -> bool:
    """Return whether a JSON file is of the training part: by the set in its name, else by the folder that it is in.

    >>> is_for_training("training/instances_val.json"), is_for_training("train/_annotations.coco.json")
    (False, True)
    """
    return (find_set(name) or PurePosixPath(name).parent.name).lower().startswith("train")


def find_set(name: str) -> str:
    """Return the set that the name of a JSON file has, such as train2017; empty where it has none."""
    words = COCO_SETS.match(name)
    return (words[1] or "") if words else ""


def index_names(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Return the paths of all files by their last word."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(PurePosixPath(name).name, []).append(name)
    return found


def read_json(tree: FileTree, name: str, by_name: Mapping[str, Sequence[str]]) -> Iterator[Annotated]:
    """Yield the images of a JSON file with their objects, given the paths of all files by their last word."""
    try:
        content = json.loads(tree.read(name))
        classes = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        objects: dict[Any, list[Mapping[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
        for entry in content["annotations"]:
            objects[entry["image_id"]].append(entry)
        for image in content["images"]:
            found = objects[image["id"]]
            boxes = [[float(number) for number in entry["bbox"]] for entry in found]
            yield check_objects(
                Annotated(
                    find_file(by_name, name, str(image["file_name"])),
                    tuple(classes[entry["category_id"]] for entry in found),
                    tuple((left, top, left + width, top + height) for left, top, width, height in boxes),
                    tuple(bool(entry.get("iscrowd", 0)) for entry in found),
                ),
                f"{tree.locate(name)}, image {image['id']}",
            )
    except (ValueError, KeyError, TypeError) as error:
        needs = "JSON in the layout of COCO: images, annotations, categories, bbox, image_id, category_id"
        got = f"{tree.locate(name)} ({type(error).__name__}: {first_line(error)})"
        raise PretaskError(WHO, needs, got, "Correct the file.") from error


def find_file(by_name: Mapping[str, Sequence[str]], annotations: str, image: str) -> str:
    """Return the file of an image, by the shortest path below the root that ends with its name."""
    part = find_set(annotations)
    ends = [name for name in by_name.get(PurePosixPath(image).name, ()) if name == image or name.endswith(f"/{image}")]
    within = [name for name in ends if part and part in PurePosixPath(name).parts]
    if not ends:
        raise PretaskError(WHO, f"the image {image}, as {annotations} has it", "none", "Add it, or take it out.")
    return min(within or ends, key=len)

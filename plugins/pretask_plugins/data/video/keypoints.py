"""Keypoints: places of named joints in frames, from a file keypoints.json beside JPEGImages.

{"names": ["head", "left hand"],
 "sequences": {"bear": {"00000": [[210.5, 64], null], "00001": [[212, 65], [180, 90]]}}}

A place is x (to the right) and y (down) in pixels of the image file, the middle of the first pixel at 0; null where a
joint is not seen. Frames go by the names of the images without their ending; those that are missing have no joints.
Axes: N clips, T frames, K joints.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int16
from pretask import PretaskError

from pretask_plugins.data.decoding import first_line
from pretask_plugins.shared.listing import FileTree, printable_name

FILE = "keypoints.json"
UNKNOWN = -1  # row and column of a joint that is not seen


@dataclass(frozen=True)
class Keypoints:
    """Places of joints.

    Args:
        names: Of the joints.
        places: By sequence and frame, (x, y) of every joint, None where it is not seen.
    """

    names: tuple[str, ...]
    places: Mapping[str, Mapping[str, Sequence[Sequence[float] | None]]]

    def place_joints(
        self, sequence: str, images: Sequence[str], sizes: Callable[[str], tuple[int, int]], size: tuple[int, int]
    ) -> Int16[np.ndarray, "T K 2"]:
        """Return row and column of every joint in some frames, in pixels of a size.

        Args:
            sequence: Its name.
            images: Files of the frames.
            sizes: Gives height and width of an image file.
            size: Height and width of the frames.
        """
        rows = np.full((len(images), len(self.names), 2), UNKNOWN, np.int16)
        frames = self.places.get(PurePosixPath(sequence).name, {})
        for number, image in enumerate(images):
            joints = frames.get(PurePosixPath(image).stem, ())
            ratios = np.array(size) / np.array(sizes(image)) if any(joint is not None for joint in joints) else None
            for joint, place in enumerate(joints):
                if place is not None and ratios is not None:
                    moved = (np.array(place[::-1]) + 0.5) * ratios - 0.5
                    inside = (moved >= -0.5).all() and (moved <= np.array(size) - 0.5).all()
                    rows[number, joint] = moved.round().clip(0, np.array(size) - 1) if inside else UNKNOWN
        return rows


def find_keypoints(tree: FileTree) -> str:
    """Find the name of the file of keypoints, empty where there is none."""
    return next((name for name in tree.names if PurePosixPath(name).name == FILE), "")


def read_keypoints(tree: FileTree, name: str) -> Keypoints:
    """Read a file of keypoints.

    Raises:
        PretaskError: It is no JSON, or has another form.
    """
    try:
        return parse_keypoints(json.loads(tree.read(name)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PretaskError(
            "frames",
            f'{FILE} with "names", and "sequences" that hold by frame one [x, y] or null for each name',
            f"{printable_name(name)} ({first_line(error)})",
            "Mend or delete it.",
        ) from error


def parse_keypoints(content: Any) -> Keypoints:
    """Return keypoints of what JSON holds; raise ValueError where a frame has another number of joints."""
    names = tuple(map(str, content["names"]))
    places: dict[str, dict[str, list[tuple[float, float] | None]]] = {}
    for sequence, frames in content["sequences"].items():
        for frame, joints in frames.items():
            if len(joints) != len(names):
                raise ValueError(f"{len(joints)} joints of {len(names)} names in frame {frame} of {sequence}")
            read = [None if place is None else (float(place[0]), float(place[1])) for place in joints]
            places.setdefault(sequence, {})[frame] = read
    return Keypoints(names, places)

"""Points of masks: a keypoints.json for sequences that have masks and no joints, in the layout of DAVIS.

    python benchmarks/mask_points.py SEQUENCES

Of what a mask covers, the middle and the highest, lowest, leftmost and rightmost places (the mean of equally far ones)
are named in every frame. They are no joints: as a thing turns, they move over it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("middle", "top", "bottom", "left", "right")
MIN_PIXELS = 20  # of an object, below which a frame has no points


def main() -> None:
    """Write keypoints.json beside JPEGImages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path, help="a folder with Annotations/RESOLUTION/SEQUENCE/FRAME.png")
    root: Path = parser.parse_args().sequences
    sequences = {
        folder.name: {mask.stem: find_points(mask) for mask in sorted(folder.glob("*.png"))}
        for folder in sorted(root.glob("Annotations/*/*"))
    }
    (root / "keypoints.json").write_text(json.dumps({"names": NAMES, "sequences": sequences}), encoding="utf-8")


def find_points(path: Path) -> list[list[float] | None]:
    """Return (x, y) of every named point of a mask; None where there is hardly any object."""
    with Image.open(path) as image:
        rows, columns = np.nonzero(np.asarray(image))
    if len(rows) < MIN_PIXELS:
        return [None] * len(NAMES)
    chosen = (
        rows >= 0,
        rows == rows.min(),
        rows == rows.max(),
        columns == columns.min(),
        columns == columns.max(),
    )
    return [[float(columns[some].mean()), float(rows[some].mean())] for some in chosen]


if __name__ == "__main__":
    main()

"""Pictures: test images with the boxes that were found and those that are there.

Axes: H W image.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from pretask import Figure, Samples
from torch import Tensor

from pretask_plugins.evaluators.detection.average_precision import Found
from pretask_plugins.shared.boxes import Boxes
from pretask_plugins.shared.pictures import encode_png

IMAGES, COLUMNS = 6, 3
SIDE = 240  # pixels of the longer side of an image, at most
SURE = 0.5  # score of a box that is drawn
COLORS = ((230, 60, 60), (60, 140, 230), (70, 200, 90), (240, 180, 40), (180, 80, 200), (40, 190, 190))
THERE = (255, 255, 255)  # of boxes that are there


def draw_found(samples: Samples, found: Sequence[Found], truth: Boxes) -> Figure:
    """Draw some images: white boxes are there, colored ones were found, a color for each class."""
    count = min(IMAGES, len(samples))
    pictures = [draw_image(samples.data[number], found[number], truth, number) for number in range(count)]
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (-len(pictures) % min(COLUMNS, count))
    columns = min(COLUMNS, count)
    rows = [np.concatenate(pictures[start : start + columns], 1) for start in range(0, len(pictures), columns)]
    names = ", ".join(f"{name} {describe_color(number)}" for number, name in enumerate(truth.names[: len(COLORS)]))
    caption = (
        f"Held-out images. White: the boxes that are there. Colored: found with a score of {SURE} or more ({names})."
    )
    return Figure(encode_png(np.concatenate(rows)), caption)


def describe_color(number: int) -> str:
    """Return what the color of a class is called."""
    return ("red", "blue", "green", "yellow", "violet", "teal")[number % len(COLORS)]


def draw_image(image: UInt8[Tensor, "C H W"], boxes: Found, truth: Boxes, number: int) -> UInt8[np.ndarray, "h w 3"]:
    """Draw one image with its boxes."""
    pixels = image.expand(3, -1, -1).movedim(0, 2).cpu().numpy()
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    picture = Image.fromarray(np.ascontiguousarray(pixels)).resize(size)
    draw = ImageDraw.Draw(picture)
    corners, _, _ = truth.of_image(number)
    for corner in corners.tolist():
        draw.rectangle([value * scale for value in corner], outline=THERE)
    sure = boxes.scores >= SURE
    for corner, label in zip(boxes.corners[sure].tolist(), boxes.classes[sure].tolist(), strict=True):
        draw.rectangle([value * scale for value in corner], outline=COLORS[label % len(COLORS)], width=2)
    return np.pad(np.asarray(picture), ((0, 4), (0, 4), (0, 0)), constant_values=255)

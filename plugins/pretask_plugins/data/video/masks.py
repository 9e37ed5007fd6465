"""Masks: which object every pixel of a frame belongs to, whatever numbers or colors an annotation writes.

Palettes and gray levels are numbers of objects, of 8 or 16 bits; 255 (65535) is void, and in a file that has nothing
else but 0 its one object, as DAVIS 2016 writes it. Colors are those of the palette of PASCAL VOC and DAVIS, else they
are numbered as they sort. Numbers up to 127 stay, others are counted anew, over both parts of a data set.

Source: Everingham et al. 2010 (the palette); Pont-Tuset et al. 2017.
Axes: H W image.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Int8, Int64
from PIL import Image
from pretask import PretaskError

from pretask_plugins.data.decoding import first_line
from pretask_plugins.shared.listing.names import printable_name

GROUND = 0
UNKNOWN = -1  # a pixel of which nobody knows
VOID_LEVELS = (255, 65535)
VOID_COLOR_NUMBER = 255  # in the palette of PASCAL VOC, the border of objects
MAX_OBJECTS = 127  # that masks of 8 bits can number
COLOR = 1 << 24  # added to a color, so that it is no number
THREADS = 4


@dataclass(frozen=True)
class Coding:
    """What the marks of annotations mean.

    Args:
        numbers: Of objects, by their marks.
        names: Of the numbers, from 0 on.
    """

    numbers: Mapping[int, int]
    names: tuple[str, ...]

    def translate(self, marks: Int64[np.ndarray, "H W"]) -> Int8[np.ndarray, "H W"]:
        """Return the numbers of objects."""
        own, places = np.unique(marks, return_inverse=True)
        numbers = np.array([self.numbers.get(int(mark), UNKNOWN) for mark in own], np.int8)
        return numbers[places.reshape(marks.shape)]


@contextmanager
def raise_for_broken_image(name: str) -> Iterator[None]:
    """Raise PretaskError where an image cannot be decoded; the cache would take that for a broken disk."""
    try:
        yield
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        got = f"{printable_name(name)} ({first_line(error)})"
        raise PretaskError("frames", "images that can be decoded", got, "Replace or delete it.") from error


def find_coding(read: Callable[[str], bytes], names: Sequence[str]) -> Coding:
    """Look at all annotations of a data set, and return what their marks mean.

    Args:
        read: Gives the bytes of an annotation.
        names: Of the annotations of both parts.

    Raises:
        PretaskError: One cannot be decoded, or there are more objects than masks can number.
    """

    def list_marks(name: str) -> set[int]:
        with raise_for_broken_image(name):
            return {int(mark) for mark in np.unique(read_marks(read(name)))}

    marks: set[int] = set()
    with ThreadPoolExecutor(THREADS) as pool:
        for some in pool.map(list_marks, names):
            marks |= some
            if len(marks) > 2 * MAX_OBJECTS:
                break
    return build_coding(marks)


def build_coding(marks: Iterable[int]) -> Coding:
    """Return what marks mean: numbers up to 127 themselves, and others by their order.

    >>> build_coding([0, 1, 3]).names, build_coding([0, 1000, 2000]).names
    (('ground', 'object 1', 'object 2', 'object 3'), ('ground', 'object 1000', 'object 2000'))
    """
    meaning = read_colors(marks)
    objects = sorted({number for number in meaning.values() if number > 0})
    if not objects or objects[-1] <= MAX_OBJECTS:
        names = ("ground", *(f"object {number}" for number in range(1, max(objects, default=0) + 1)))
        return Coding(meaning, names)
    if len(objects) > MAX_OBJECTS:
        raise PretaskError(
            "frames",
            f"masks of at most {MAX_OBJECTS} objects",
            f"at least {len(objects)} numbers or colors in the annotations",
            "Write the objects of a sequence as 1, 2, 3 … in PNG files without smoothing.",
        )
    order = {number: place for place, number in enumerate(objects, start=1)}
    numbers = {mark: order.get(number, number) for mark, number in meaning.items()}
    return Coding(numbers, ("ground", *map(name_object, objects)))


def read_colors(marks: Iterable[int]) -> dict[int, int]:
    """Return what every mark stands for: colors for the numbers of the palette, where all of them are in it."""
    every, palette = [*marks], read_palette()
    if not all(mark - COLOR in palette for mark in every if mark >= COLOR):
        return {mark: mark for mark in every}
    numbers = {mark: palette[mark - COLOR] for mark in every if mark >= COLOR}
    void = {mark for mark, number in numbers.items() if number == VOID_COLOR_NUMBER}
    return {mark: UNKNOWN if mark in void else numbers.get(mark, mark) for mark in every}


def name_object(mark: int) -> str:
    """Return what an object of that number or color is called."""
    return f"object #{mark - COLOR:06x}" if mark >= COLOR else f"object {mark}"


def read_marks(content: bytes, size: tuple[int, int] | None = None) -> Int64[np.ndarray, "H W"]:
    """Read what an annotation writes into every pixel: 0 for the ground, -1 for void, a number, or a color.

    Args:
        content: Of the file.
        size: Height and width that are wanted, of the nearest pixels; those of the file when left out.

    Raises:
        ValueError: It has a mode that cannot be one of masks.
    """
    with Image.open(io.BytesIO(content)) as image:
        marks = decode_marks(image)
    if size is None or marks.shape == size:
        return marks
    sized = Image.fromarray(marks.astype(np.int32)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(sized).astype(np.int64)


def decode_marks(image: Image.Image) -> Int64[np.ndarray, "H W"]:
    """Return what an image writes into every pixel."""
    if image.mode == "F":
        raise ValueError("masks of fractions")
    if image.mode == "P":
        levels = np.asarray(image).astype(np.int64)
        return np.where(levels == VOID_LEVELS[0], UNKNOWN, levels)
    if image.mode == "L" or image.mode.startswith("I"):
        return decode_levels(np.asarray(image).astype(np.int64))
    if image.mode in ("1", "LA"):
        return decode_levels(np.asarray(image.convert("L")).astype(np.int64))
    colors = np.asarray(image.convert("RGBA")).astype(np.int64)
    red, green, blue, opacity = np.moveaxis(colors, -1, 0)
    if (red == green).all() and (green == blue).all():
        return decode_levels(np.where(opacity == 0, GROUND, red))
    written = (red << 16) + (green << 8) + blue
    return np.where((written == 0) | (opacity == 0), GROUND, written + COLOR)


def decode_levels(levels: Int64[np.ndarray, "H W"]) -> Int64[np.ndarray, "H W"]:
    """Return gray levels as numbers: white is void, or the one object where there is nothing else."""
    if levels.max() > VOID_LEVELS[1]:
        raise ValueError("masks of more than 16 bits")
    white = VOID_LEVELS[int(levels.max() > VOID_LEVELS[0])]
    only_white = not ((levels != GROUND) & (levels != white)).any()
    return np.where(levels == white, 1 if only_white else UNKNOWN, levels)


@cache
def read_palette() -> Mapping[int, int]:
    """Return the numbers that colors stand for in the palette of PASCAL VOC, which is also that of DAVIS.

    >>> read_palette()[0x800000], read_palette()[0x008000]
    (1, 2)
    """
    palette = {}
    for number in range(256):
        color, rest = [0, 0, 0], number
        for bit in range(7, -1, -1):
            color = [level | (rest >> channel & 1) << bit for channel, level in enumerate(color)]
            rest >>= 3
        palette[(color[0] << 16) + (color[1] << 8) + color[2]] = number
    return palette

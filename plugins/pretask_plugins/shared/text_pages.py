"""Text pages: lines of text as a picture, and tokens as text.

The font is Pillow's own, the only one that is there wherever Pillow is. It has the letters of English; dashes are set
as a typewriter would, and any other character as Python would (`\\u4e2d`), so that no box stands in its place.
Axes: none.
"""

import textwrap
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pretask import Data, Decodes, source_of

from pretask_plugins.shared.pictures import encode_png

COLUMNS = 110  # characters of a line
FONT_PIXELS = 14
LINE_PIXELS = 20
MARGIN_PIXELS = 16
MAX_LINES = 120
TYPED = {"\t": "    ", "\u2014": "--", "\u2013": "-", "\u00a0": " "}  # tab, dashes, the space that does not break
NO_CHARACTER = "\U0010ffff"  # never assigned: its glyph is the box that stands for missing ones


def draw_page(lines: Iterable[str]) -> bytes:
    """Draw lines as a PNG file, black on white; long ones are broken, and what no page can hold is left out."""
    broken = [piece for line in lines for piece in wrap_line(line)][:MAX_LINES]
    font = load_font()
    width = max((font.getlength(line) for line in broken), default=0)
    sheet = Image.new("L", (int(width) + 2 * MARGIN_PIXELS, LINE_PIXELS * len(broken) + 2 * MARGIN_PIXELS), 255)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(broken):
        draw.text((MARGIN_PIXELS, MARGIN_PIXELS + LINE_PIXELS * number), line, fill=0, font=font)
    return encode_png(np.asarray(sheet))


def wrap_line(line: str) -> list[str]:
    """Break a line into pieces that fit, indented as it is; line breaks stay, and what follows is indented twice.

    >>> wrap_line("  a" + chr(10) + "b" + chr(9) + "c" + chr(7))
    ['  a', '    b    c\\\\x07']
    """
    indent = " " * (len(line) - len(line.lstrip(" ")))
    first, *rest = line.splitlines() or [""]
    pieces = [textwrap.wrap(make_drawable(first), COLUMNS, subsequent_indent=2 * indent)]
    pieces += [
        textwrap.wrap(make_drawable(line), COLUMNS, initial_indent=2 * indent, subsequent_indent=2 * indent)
        for line in rest
    ]
    return [text for piece in pieces for text in piece or [""]]


def make_drawable(text: str) -> str:
    """Return the text in characters that the font has.

    >>> make_drawable(chr(8212) + chr(20013))
    '--\\\\u4e2d'
    """
    typed = (TYPED.get(character, character) for character in text)
    return "".join(
        character if len(character) > 1 or has_glyph(character) else escape(character) for character in typed
    )


def escape(character: str) -> str:
    """Return one character as Python would write it."""
    return character.encode("unicode_escape").decode()


@cache
def has_glyph(character: str) -> bool:
    """Return whether the font can draw a character: it is visible or a space, and not the box of missing ones."""
    return character.isprintable() and (character == " " or draw_glyph(character) != draw_glyph(NO_CHARACTER))


def draw_glyph(character: str) -> tuple[tuple[int, int], bytes]:
    """Return size and pixels of a drawn character."""
    mask = load_font().getmask(character)
    return mask.size, bytes(mask)


@cache
def load_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of pages."""
    return ImageFont.load_default(FONT_PIXELS)


def decoder_of(data: Data) -> Callable[[list[int]], str]:
    """Return what makes text of tokens: the data's own way, else their numbers."""
    source = source_of(data)
    return source.decode if isinstance(source, Decodes) else lambda ids: " ".join(map(str, ids))

"""Picture: lines of text on a page.

Axes: none.
"""

import io
import textwrap
from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 110  # characters of a line
SIZE = 14  # pixels of a letter
LEADING = 20  # pixels from line to line
MARGIN = 16  # pixels
MOST = 120  # lines of a page


def page(lines: Iterable[str]) -> bytes:
    """Lines as a PNG file, black on white; long ones are broken, and what no page can hold is left out."""
    broken = [piece for line in lines for piece in wrapped(line)][:MOST]
    font = ImageFont.load_default(SIZE)
    width = max((font.getlength(line) for line in broken), default=0)
    sheet = Image.new("L", (int(width) + 2 * MARGIN, LEADING * len(broken) + 2 * MARGIN), 255)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(broken):
        draw.text((MARGIN, MARGIN + LEADING * number), line, fill=0, font=font)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def wrapped(line: str) -> list[str]:
    """A line in pieces that fit, indented as it is; line breaks in it are shown as a mark.

    >>> wrapped("  a" + chr(10) + "b")
    ['  a ⏎ b']
    """
    plain = " ⏎ ".join(line.splitlines())
    indent = " " * (len(plain) - len(plain.lstrip()))
    return textwrap.wrap(plain, COLUMNS, subsequent_indent=2 * indent) or [""]

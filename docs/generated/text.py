"""Text: sentences of docstrings and cells of tables, as Markdown shows them."""

import re
from collections.abc import Iterable, Sequence

from pretask_bench.results.markdown import plain_text, row_text

LABEL = re.compile(r"^(Source|Differs|Axes): ", re.MULTILINE)
AXES_IN_LINE = re.compile(r" Axes: ")


def write_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; nothing where it has no rows."""
    lines = [row_text(map(as_prose, row)) for row in rows]
    return "\n".join([row_text(heads), row_text("---" for _ in heads), *lines, ""]) if lines else ""


def as_prose(text: str) -> str:
    """Return text whose only markup is code between backticks.

    >>> as_prose("`x_1` is x_1 | <b>")
    '`x_1` is x\\\\_1 \\\\| &lt;b&gt;'
    """
    pieces = re.split(r"(`[^`\n|]+`)", text)
    return "".join(piece if number % 2 else plain_lines(piece) for number, piece in enumerate(pieces))


def plain_lines(text: str) -> str:
    """Return the text without markup, line by line: a list stays a list."""
    return "\n".join(plain_text(line).replace("_", "\\_").replace("\\\\_", "\\_") for line in text.split("\n"))


def split_header(docstring: str) -> dict[str, str]:
    """Return the parts of a method's header by their labels: "" before the first, then Source, Differs and Axes.

    >>> split_header("Cut: tell.\\n\\nSource: Noroozi.\\nDiffers: nothing. Axes: B batch.")
    {'': 'Cut: tell.', 'Source': 'Noroozi.', 'Differs': 'nothing.', 'Axes': 'B batch.'}
    """
    pieces = LABEL.split(AXES_IN_LINE.sub("\nAxes: ", docstring.strip()))
    return {"": pieces[0].strip()} | {
        label: text.strip() for label, text in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def first_paragraphs(docstring: str) -> str:
    """Return what a docstring says before its sections, such as Args."""
    return re.split(r"\n\n(?=(?:Args|Returns|Yields|Raises):\n)|\n\n(?=>>> )", docstring.strip())[0].strip()


def fenced(text: str, language: str = "") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip()}\n```\n"

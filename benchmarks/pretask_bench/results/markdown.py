"""Markdown: tables of texts that strangers wrote."""

import re
from collections.abc import Iterable


def row_text(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def plain_text(text: str) -> str:
    """Return text that Markdown and HTML show as it is.

    >>> plain_text("<b>|*a*")
    '&lt;b&gt;\\\\|\\\\*a\\\\*'
    """
    entities = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quiet = entities.replace("://", "&#58;//").replace("www.", "www&#46;")  # so that no address becomes a link
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", quiet).replace("\n", " ")

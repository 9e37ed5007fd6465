"""LaTeX: tables of texts that strangers wrote, as a tabular that needs no package."""

from collections.abc import Sequence

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "×": r"$\times$",
}
NUMBER_STARTS = "+-−.0123456789"


def latex(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a tabular in which nothing that a stranger wrote is a command; columns of numbers are flush right.

    >>> print(latex(["what", "n"], [["a_b", "3"]]))
    \\begin{tabular}{lr}
    \\hline
    what & n \\\\
    \\hline
    a\\_b & 3 \\\\
    \\hline
    \\end{tabular}
    """
    sides = "".join("r" if is_numeric([row[place] for row in cells]) else "l" for place in range(len(columns)))
    rows = [f"{' & '.join(map(escape_latex, row))} \\\\" for row in (columns, *cells)]
    body = [rows[0], r"\hline", *rows[1:], r"\hline"] if cells else [rows[0], r"\hline"]
    return "\n".join([f"\\begin{{tabular}}{{{sides}}}", r"\hline", *body, r"\end{tabular}"])


def is_numeric(column: Sequence[str]) -> bool:
    """Return whether every cell is a number or empty, and not all are empty."""
    return any(column) and all(not cell or cell[0] in NUMBER_STARTS for cell in column)


def escape_latex(text: str) -> str:
    """Return text that LaTeX shows as it is.

    >>> escape_latex("50 % of a_b"), escape_latex("accuracy ↑")
    ('50 \\\\% of a\\\\_b', 'accuracy $\\\\uparrow$')
    """
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))

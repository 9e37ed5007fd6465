"""Miscompilations: expressions for which torch.compile is known to answer otherwise than eager torch.

Each is kept with a reproduction in two lines; tests run them, so that an entry is taken out when torch is mended. Where
the outputs of a compiled split differ from its eager ones, the entries that its source matches are named.
"""

import inspect
import re
import sys
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Miscompilation:
    """One known fault of a compiler.

    Args:
        name: Lower-case words with hyphens.
        torch: The version that it was found with, major and minor; on another one it must be tried again.
        device: Where the fault shows.
        operands: Python source of a tuple of operands, first line of the reproduction.
        expression: Python source of a function of them, second line.
        outcome: What the compiled function does.
        pattern: Of source that may hold it, as a regular expression.
        instead: One sentence that says what to write.
        certain: Whether the reproduction shows the fault every time; else a test only runs it.
    """

    name: str
    torch: str
    device: str
    operands: str
    expression: str
    outcome: str
    pattern: str
    instead: str
    certain: bool = True


MISCOMPILATIONS = (
    # Found in the kernel's source: both axes are tiled to transpose the strided operand, and the index that goes with
    # an element is that of its tile, not of the element, so every answer is a multiple of 8 or 16. From one tile on.
    Miscompilation(
        "index-of-a-strided-extreme",
        torch="2.11",
        device="cpu",
        operands="(torch.arange(2048.0).view(64, 32).sin(), torch.arange(64.0).cos()[::2])",
        expression="lambda rows, strided: (strided - rows).argmin(-1)",
        outcome="argmin, argmax, min(dim) and max(dim) give multiples of 8 or 16 where what they reduce is computed "
        "from an operand that is strided along the reduced axis (a slice with a step, a transpose, a sum over "
        "another axis)",
        pattern=r"\.(argmin|argmax)\(|\.(min|max)\((dim=)?-?\d|torch\.(argmin|argmax|min|max)\(",
        instead="Let the extreme be taken of the result of an operation that is not fused, such as torch.cdist.",
    ),
    # Why Draws hash in an operation of their own (draws.py). Seen as glibc's "double free or corruption" after some
    # twenty sizes had been compiled in one process; each of twelve sizes alone, run 2,000 times, was right.
    Miscompilation(
        "corruption-by-hashed-counters",
        torch="2.11",
        device="cpu",
        operands="(torch.arange(12), torch.arange(1, 10))",
        expression="lambda index, counter: index[:, None] + counter * -7046029254386353131",
        outcome="memory is corrupted, now and then, where int64 of shape (B, 1) is added to a counter times a constant "
        "of 64 bits",
        pattern=r"torch\.arange\([^\n]*\) \* (signed|as_int64)\(|\* -?(0x[0-9A-Fa-f]{16}|\d{19})\b",
        instead="Make the arithmetic one torch.library.custom_op.",
        certain=False,
    ),
)


def find_suspects(component: object) -> list[Miscompilation]:
    """Return the known miscompilations that the source of a component's module may hold.

    Args:
        component: An instance of a class, or a function.
    """
    source = source_of_module(component)
    return [entry for entry in MISCOMPILATIONS if re.search(entry.pattern, source)]


def source_of_module(component: object) -> str:
    """Read the source of the module that defines a component; empty where there is none to read."""
    module = sys.modules.get(getattr(component, "__module__", ""))
    try:
        return inspect.getsource(module) if module is not None else ""
    except (OSError, TypeError):
        return ""


def is_of_this_torch(entry: Miscompilation) -> bool:
    """Return whether an entry was found with the version of torch that is installed."""
    return torch.__version__.startswith(f"{entry.torch}.")

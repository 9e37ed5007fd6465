"""Hold out: a part of the samples to learn from, to choose by, so that what one chooses has not seen the test part.

The last samples of every class are held out, or the last of all where there are no classes: what lies together, such as
the clips of a video or the rows of a book, stays together but for one place of each class. What was made of the whole
training part before, such as a vocabulary, has seen what is held out.
"""

from inspect import getattr_static, signature
from itertools import pairwise
from types import FunctionType
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.errors import PretaskError
from pretask.protocols import Data
from pretask.samples import Remembered, Samples

PART = "part"  # the parameter of what data offer of their parts


class HoldOut(Remembered):
    """Data whose test part is a share of its training part, which that lacks; its own test part is not read.

    What else the data set offers it offers, too (`source_of`), but for what is of a part as that was, such as the boxes
    of its images or the length of its text: an evaluator that needs these refuses it.

    Args:
        source: The data set itself.
        share: Of the training samples that are held out, more than 0 and less than 1; at least one.

    Raises:
        PretaskError: Too few samples to hold one out and keep one.
    """

    def __init__(self, source: Data, share: float) -> None:
        super().__init__(source)
        self.share = check_share(share)

    def __call__(self, part: str, /) -> Samples:
        """Return the samples that are left to learn from as `train`, and those held out as `test`."""
        if part not in ("train", "test"):
            raise PretaskError("hold_out", "the part train or test", part, "Name one of these.")
        if not self.parts:
            samples = self.source("train")
            held = find_last(samples, self.share, rows_of_question(self.source))
            left = torch.ones(len(samples), dtype=torch.bool).index_fill_(0, held, False).nonzero()[:, 0]
            self.parts = {
                "train": samples.part(left, f"without the last {self.share:g} of every class"),
                "test": samples.part(held, f"the last {self.share:g} of every class"),
            }
        return self.parts[part]

    def offered(self) -> Any:
        """Return what the data set offers beside its parts, and nothing that it says of a part as that was."""
        names = [name for name in dir(self.source) if not name.startswith("_")]
        properties = {name: offer(self.source, name) for name in names if not is_of_a_part(self.source, name)}
        return type(type(self.source).__name__, (), properties)()


def is_of_a_part(source: Data, name: str) -> bool:
    """Return whether something that a data set offers is asked for by a part; a property is not, and is not read."""
    found = getattr_static(source, name)
    return isinstance(found, FunctionType) and PART in signature(found).parameters


def offer(source: Data, name: str) -> property:
    """Return a property that is what a data set offers under a name; protocols look for it in a class."""
    return property(lambda _: getattr(source, name))


def check_share(share: float) -> float:
    """Return a share of samples to hold out; raises PretaskError unless it is between 0 and 1."""
    if not 0 < share < 1:
        do = "A tenth is 0.1."
        raise PretaskError("hold_out", "a share of the training samples between 0 and 1", f"{share:g}", do, exit_code=2)
    return float(share)


def rows_of_question(source: Data) -> int:
    """Return how many rows stay together, as the choices of a question do; else one."""
    choices = getattr(source, "choices", 1)
    return choices if isinstance(choices, int) and choices > 0 else 1


def find_last(samples: Samples, share: float, rows: int = 1) -> Int[Tensor, " M"]:
    """Return the numbers of the last samples of every class, in order; those without a class count as one.

    Args:
        samples: Of the training part.
        share: How many of them; of every class as near to it as whole samples allow, and of all together.
        rows: That stay together; more than one have no classes.
    """
    count = len(samples) // rows
    if count < 2:
        raise PretaskError("hold_out", "at least 2 samples to learn from", f"{count}", "Use more data.")
    first = next(iter(samples.labels.values()), None)
    has_classes = rows == 1 and first is not None and first.value.ndim == 1 and not first.value.is_floating_point()
    labels = first.value.cpu() if first is not None and has_classes else torch.zeros(count, dtype=torch.int64)
    order = labels.argsort(stable=True)
    ends = torch.unique_consecutive(labels[order], return_counts=True)[1].cumsum(0).tolist()
    bounds = [0, *(round(share * end) for end in ends)]  # so that the shares of many small classes add up
    taken = [after - before for before, after in pairwise(bounds)]
    held = torch.cat([order[end - number : end] for end, number in zip(ends, taken, strict=True)])
    held = held if len(held) else order[-1:]
    held = held[1:] if len(held) == count else held
    return (held.sort().values[:, None] * rows + torch.arange(rows)).flatten()

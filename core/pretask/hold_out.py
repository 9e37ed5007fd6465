"""Hold out: a part of the samples to learn from, to choose by, so that what one chooses has not seen the test part.

The last samples of every class are held out, or the last of all where there are no classes: what lies together, such as
the clips of a video or the rows of a book, stays together but for one place of each class.
"""

from dataclasses import replace
from hashlib import sha256

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.errors import PretaskError
from pretask.protocols import Data
from pretask.samples import Remembered, Samples


class HoldOut(Remembered):
    """Data whose test part is a share of its training part, which that lacks; its own test part is not read.

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
        if part not in self.parts:
            samples = self.source("train")
            held = find_last(samples, self.share)
            left = torch.ones(len(samples), dtype=torch.bool).index_fill_(0, held, False).nonzero()[:, 0]
            self.parts = {
                "train": name_part(samples, left, f"without the last {self.share:g} of every class"),
                "test": name_part(samples, held, f"the last {self.share:g} of every class"),
            }
        return self.parts[part]


def check_share(share: float) -> float:
    """Return a share of samples to hold out; raises PretaskError unless it is between 0 and 1."""
    if not 0 < share < 1:
        do = "A tenth is 0.1."
        raise PretaskError("hold_out", "a share of the training samples between 0 and 1", f"{share:g}", do, exit_code=2)
    return float(share)


def find_last(samples: Samples, share: float) -> Int[Tensor, " M"]:
    """Return the numbers of the last samples of every class, in order; those without a class count as one."""
    if len(samples) < 2:
        raise PretaskError("hold_out", "at least 2 samples to learn from", f"{len(samples)}", "Use more data.")
    labels = next((labels.value for labels in samples.labels.values() if labels.value.ndim == 1), None)
    if labels is None or labels.is_floating_point():
        labels = torch.zeros(len(samples), dtype=torch.int64)
    order = labels.cpu().argsort(stable=True)
    counts = torch.unique_consecutive(labels.cpu()[order], return_counts=True)[1]
    classes = torch.split(order, counts.tolist())
    held = torch.cat([numbers[len(numbers) - round(share * len(numbers)) :] for numbers in classes])
    if len(held) == 0:  # classes of very few
        held = order[-1:]
    if len(held) == len(samples):
        held = held[1:]
    return held.sort().values


def name_part(samples: Samples, selected: Int[Tensor, " M"], name: str) -> Samples:
    """Return some of the samples, with the hash of which they are."""
    some = samples.some(selected, name)
    return replace(some, fingerprint=sha256(some.fingerprint.encode()).hexdigest())

"""What a split makes of a sample is the same to the last bit beside any others, whatever is left of a vector's width.

Processors work on eight or sixteen numbers at a time, and on what is left in another way, in every thread; sizes here
leave something.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from pretask import Draws, Incompatible, Samples
from pretask.values import iterate_tensors
from pretask_registry import Registered, Registry, build
from pretask_registry.canned import OBSERVED, make_canned_samples
from pretask_registry.conformance.material import fit_split, make_batch
from torch import Tensor

SIDES = {"image": (63, 70), "video": (21, 35)}  # with whole patches of 7 pixels
PATCH = 7
SHORTER = 3  # sound, by so many moments
BATCH = 5
SPLITS = [registered for registered in Registry.load().current("split") if registered.namespace == "pretask"]


def make_odd_samples(modality: str) -> Samples:
    """Make canned samples whose numbers are no multiple of sixteen."""
    samples = make_canned_samples(modality, 24, scale={"image": 4, "video": 2}.get(modality, 1), frames=2)
    height, width = SIDES.get(modality, (0, 0))
    data = samples.data[..., :height, :width] if height else samples.data[:, :-SHORTER]
    return replace(samples, data=data.contiguous(), observed=replace(samples.observed, shape=tuple(data.shape[1:])))


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("registered", SPLITS, ids=lambda registered: registered.name)
def test_a_sample_has_the_same_bits_in_any_batch(registered: Registered) -> None:
    fitting = [found for modality in OBSERVED if (found := find_fitting(registered, make_odd_samples(modality)))]
    assert fitting
    for split, samples in fitting:
        together = cut(split, samples, 0, BATCH)
        for number in range(BATCH):
            alone = cut(split, samples, number, 1)
            assert together.keys() == alone.keys()
            changed = [name for name, one in alone.items() if not torch.equal(together[name][number : number + 1], one)]
            assert not changed, f"of sample {number} of {samples.observed.modality}"


def find_fitting(registered: Registered, samples: Samples) -> tuple[Any, Samples] | None:
    """Return the split, fitted to the samples, and these, where they go together."""
    options = dict(registered.component.small)
    try:
        split = fit_split(build(registered, {**options, "patch": PATCH} if "patch" in options else options), samples)
        split.spec(samples.observed)
    except Incompatible:
        return None
    return split, samples


def cut(split: Any, samples: Samples, start: int, count: int) -> dict[str, Tensor]:
    """Return every tensor that a split makes of some samples, by its name."""
    batch = make_batch(samples, split, count, start)
    made = (*split(batch, Draws(batch.index).branch("split")), split.whole(batch))
    return dict(iterate_tensors(made))

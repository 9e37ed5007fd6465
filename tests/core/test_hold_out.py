"""What is held out of the training part: the last samples of every class, never one that is learned from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pretask import Labels, Observed, PretaskError, Samples, source_of
from pretask.hold_out import HoldOut


def make_data(classes: list[int] | None, count: int) -> "Numbered":
    """Return data of a training part of numbers, whose test part cannot be read."""
    labels = {} if classes is None else {"class": Labels(torch.tensor(classes), ("a", "b", "c"))}
    observed = Observed("image", (1,), samples=count)
    return Numbered(Samples(observed, torch.arange(count)[:, None].float(), labels, fingerprint="f" * 64))


class Numbered:
    """Data that says when its test part is read."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __call__(self, part: str, /) -> Samples:
        assert part == "train", "the test part was read"
        return self.samples


def numbers(samples: Samples) -> list[int]:
    return samples.data[:, 0].int().tolist()


def test_the_last_samples_of_every_class_are_held_out() -> None:
    held = HoldOut(make_data([0, 1] * 10, 20), 0.2)
    assert numbers(held("test")) == [16, 17, 18, 19]
    assert numbers(held("train")) == list(range(16))
    assert held("test").labels["class"].value.tolist() == [0, 1, 0, 1]
    assert held("train").observed.samples == 16
    assert len({held("train").fingerprint, held("test").fingerprint, "f" * 64}) == 3


def test_without_classes_the_last_of_all_are() -> None:
    assert numbers(HoldOut(make_data(None, 30), 0.1)("test")) == [27, 28, 29]


@given(st.lists(st.integers(0, 2), min_size=2, max_size=40), st.floats(0.01, 0.99))
def test_no_sample_is_both_and_none_is_lost(classes: list[int], share: float) -> None:
    held = HoldOut(make_data(classes, len(classes)), share)
    learned, measured = numbers(held("train")), numbers(held("test"))
    assert learned
    assert measured
    assert sorted(learned + measured) == list(range(len(classes)))


def test_what_the_data_offers_beside_its_parts_is_found_below() -> None:
    data = make_data(None, 10)
    assert source_of(HoldOut(data, 0.5)) is data


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(PretaskError, match="between 0 and 1"):
        HoldOut(make_data(None, 10), share)


def test_one_sample_is_too_few() -> None:
    with pytest.raises(PretaskError, match="at least 2"):
        HoldOut(make_data(None, 1), 0.5)("train")

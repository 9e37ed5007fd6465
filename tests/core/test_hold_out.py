"""What is held out of the training part: the last samples of every class, never one that is learned from."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pretask import Labels, Observed, PretaskError, Remembered, Samples, SharesTokenizer, source_of
from pretask.hold_out import HoldOut
from pretask.protocols import MeasuresText


def make_data(classes: list[int] | None, count: int) -> "Numbered":
    """Return data of a training part of numbers, whose test part cannot be read."""
    labels = {} if classes is None else {"class": Labels(torch.tensor(classes), ("a", "b", "c"))}
    observed = Observed("image", (1,), samples=count)
    return Numbered(Samples(observed, torch.arange(count)[:, None].float(), labels, fingerprint="f" * 64))


class Numbered:
    """Data that says when its test part is read."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.choices = 1

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


class Offers(Numbered):
    """Data that offers a tokenizer, and the length of a part's text."""

    tokenizer_json = "{}"

    def decode(self, row: torch.Tensor, /) -> str:
        return str(row)

    def extent(self, part: str, /) -> tuple[int, int]:
        return 1, 1


def test_what_the_data_offers_beside_its_parts_is_offered_and_what_it_says_of_a_part_is_not() -> None:
    data = Offers(make_data(None, 10).samples)
    offered = source_of(Remembered(HoldOut(data, 0.5)))
    assert isinstance(offered, SharesTokenizer)
    assert (offered.tokenizer_json, offered.decode(torch.ones(()))) == ("{}", "tensor(1.)")
    assert isinstance(data, MeasuresText)
    assert not isinstance(offered, MeasuresText)
    assert source_of(Remembered(data)) is data


def test_shares_of_small_classes_add_up() -> None:
    classes = [number % 3 for number in range(12)]
    assert len(HoldOut(make_data(classes, 12), 0.25)("test")) == 3
    many = make_data(None, 1)
    labels = {"class": Labels(torch.arange(400) // 4, tuple(map(str, range(100))))}
    many.samples = Samples(Observed("image", (1,), samples=400), torch.zeros(400, 1), labels, fingerprint="f" * 64)
    assert len(HoldOut(many, 0.1)("test")) == 40


def test_the_choices_of_a_question_stay_together() -> None:
    data = make_data([1, 0, 0, 0] * 10, 40)
    data.choices = 4
    assert numbers(HoldOut(data, 0.1)("test")) == [36, 37, 38, 39]


def test_labels_of_several_classes_are_no_classes() -> None:
    data = make_data([0, 1] * 5, 10)
    several = {"classes": Labels(torch.ones(10, 3, dtype=torch.int64), ("a", "b", "c")), **data.samples.labels}
    data.samples = replace(data.samples, labels=several)
    assert numbers(HoldOut(data, 0.2)("test")) == [8, 9]


def test_content_that_is_not_known_stays_so() -> None:
    data = make_data(None, 10)
    data.samples = replace(data.samples, fingerprint="")
    assert {HoldOut(data, 0.2)(part).fingerprint for part in ("train", "test")} == {""}


def test_there_are_two_parts() -> None:
    with pytest.raises(PretaskError, match="train or test; got validation"):
        HoldOut(make_data(None, 10), 0.5)("validation")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(PretaskError, match="between 0 and 1"):
        HoldOut(make_data(None, 10), share)


def test_one_sample_is_too_few() -> None:
    with pytest.raises(PretaskError, match="at least 2"):
        HoldOut(make_data(None, 1), 0.5)("train")

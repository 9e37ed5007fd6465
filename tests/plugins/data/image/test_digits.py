"""Promises of the digits: all that scikit-learn has, each in one part, classes alike in both."""

import numpy as np
import pytest
import torch
from pretask import PretaskError, Unknown
from pretask_plugins.data.image.digits import Digits
from sklearn.datasets import load_digits


def test_all_1797_digits_are_there_each_in_one_part() -> None:
    train, test = Digits()("train"), Digits()("test")
    assert (len(train), len(test)) == (1442, 355)
    seen = np.concatenate([part.data.numpy().reshape(-1, 64) for part in (train, test)])
    every = np.floor(load_digits().data * 255 / 16 + 0.5).astype(np.uint8)
    assert np.array_equal(np.unique(seen, axis=0), np.unique(every, axis=0))
    assert len({row.tobytes() for row in seen}) == len({row.tobytes() for row in every}) == 1797


def test_labels_are_scikit_learns() -> None:
    found = load_digits()
    known = dict(zip([row.tobytes() for row in found.data.astype(np.uint8)], found.target.tolist(), strict=True))
    for part in ("train", "test"):
        samples = Digits()(part)
        ink = (samples.data.numpy().reshape(-1, 64) / (255 / 16)).round().astype(np.uint8)
        assert [known[row.tobytes()] for row in ink] == samples.labels["class"].value.tolist()
    assert samples.labels["class"].names == tuple("0123456789")


def test_a_fifth_of_every_class_is_held_out() -> None:
    train, test = (np.bincount(Digits()(part).labels["class"].value.numpy()) for part in ("train", "test"))
    assert (test == (train + test) // 5).all()


@pytest.mark.parametrize("size", [5, 8, 32])
def test_digits_have_the_size_that_has_a_label(size: int) -> None:
    samples = Digits(size)("test")
    assert samples.data.shape == (355, 1, size, size)
    assert samples.observed.shape == (1, size, size)


def test_a_larger_digit_is_the_same_digit() -> None:
    small, large = Digits()("test").data.float(), Digits(32)("test").data.float()
    back = large.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    nearest = torch.cdist(back.flatten(1), small.flatten(1)).argmin(1)
    assert nearest.tolist() == list(range(355))


def test_the_same_digits_come_every_time_and_the_parts_differ() -> None:
    assert Digits()("train").fingerprint == Digits()("train").fingerprint != Digits()("test").fingerprint


def test_a_size_below_one_pixel_and_an_unknown_part_are_errors() -> None:
    with pytest.raises(PretaskError, match=r"data\.image_size from 1 to 16384; got 0") as caught:
        Digits(0)
    assert caught.value.exit_code == 2
    with pytest.raises(Unknown, match="No part 'val' of digits"):
        Digits()("val")

"""Samples and batches: no label can slip into a batch, and partners are always somebody else."""

from dataclasses import fields, replace
from itertools import permutations

import pytest
import torch
from pretask import Batch, Draws, Inputs, Labels, Observed, PretaskError, Samples, Vocabulary
from pretask.samples import draw_others
from scipy import stats  # type: ignore[import-untyped]

CPU = torch.device("cpu")


def numbered(count: int = 10) -> Samples:
    data = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    label = Labels(torch.arange(count) % 3, ("a", "b", "c"))
    return Samples(Observed("image", (1, 1, 1), samples=count), data, {"class": label})


def test_a_batch_has_no_field_that_could_hold_a_label() -> None:
    assert {field.name for field in fields(Batch)} == {"data", "index", "present", "partners"}
    assert {field.name for field in fields(Inputs)} == {"data", "present", "visible", "segment", "groups", "index"}


def test_other_labels_give_the_same_batches() -> None:
    samples = numbered()
    other = replace(samples, labels={"class": Labels(torch.zeros(10, dtype=torch.int64), ("a",))})
    for one, two in zip(samples.batches(4, CPU, partners=1), other.batches(4, CPU, partners=1), strict=True):
        assert all(same(getattr(one, field.name), getattr(two, field.name)) for field in fields(Batch))


def same(one: torch.Tensor | None, two: torch.Tensor | None) -> bool:
    return one is two if one is None or two is None else torch.equal(one, two)


def test_batches_come_in_order_and_the_last_may_be_smaller() -> None:
    batches = list(numbered().batches(4, CPU))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([batch.data.flatten() for batch in batches]), torch.arange(10, dtype=torch.uint8))
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(10))


def test_a_sample_keeps_its_number_wherever_it_is_in_a_batch() -> None:
    batch = numbered().batch(torch.tensor([7, 2]), CPU)
    assert batch.data.flatten().tolist() == batch.index.tolist() == [7, 2]


def test_what_is_padding_goes_with_its_sample() -> None:
    lengths = torch.arange(10) % 4
    present = torch.arange(4) < lengths[:, None]
    samples = Samples(Observed("text", (4,), "int64", 10), torch.zeros(10, 4, dtype=torch.int64), present=present)
    batch = samples.batch(torch.tensor([7, 2, 4]), CPU)
    assert batch.present is not None
    assert batch.present.sum(1).tolist() == [3, 2, 0]


@pytest.mark.parametrize("size", [1, 3, 10, 64])
def test_every_sample_is_in_one_batch(size: int) -> None:
    index = torch.cat([batch.index for batch in numbered().batches(size, CPU)])
    assert torch.equal(index, torch.arange(10))


def test_a_batch_without_numbers_is_counted_from_zero() -> None:
    assert Batch(torch.zeros(3, 1)).index.tolist() == [0, 1, 2]


def test_partners_are_other_samples_each_equally_often() -> None:
    index = torch.arange(10).repeat_interleave(500)
    drawn = draw_others(index, 10, 4, seed=3, epoch=torch.arange(5000))
    assert bool((drawn != index[:, None]).all())
    # By distance around the ring: 1 … 9. A partner twice as likely as another moves chi-square by 1,500.
    distance = ((drawn - index[:, None]) % 10).flatten().bincount(minlength=10)[1:]
    assert stats.chisquare(distance.numpy()).pvalue > 1e-4
    of_first = drawn[:500].flatten().bincount(minlength=10)[1:]
    assert stats.chisquare(of_first.numpy()).pvalue > 1e-4


def test_a_sample_has_the_same_partners_in_any_batch_and_others_in_another_epoch() -> None:
    whole = draw_others(torch.arange(50), 50, 3, seed=2, epoch=5)
    for order in permutations([4, 17, 33]):
        index = torch.tensor(order)
        assert torch.equal(draw_others(index, 50, 3, seed=2, epoch=5), whole[index])
    assert not torch.equal(draw_others(torch.arange(50), 50, 3, seed=2, epoch=6), whole)
    assert not torch.equal(draw_others(torch.arange(50), 50, 3, seed=3, epoch=5), whole)


def test_of_two_samples_each_is_the_others_partner() -> None:
    assert draw_others(torch.arange(2), 2, 3).tolist() == [[1, 1, 1], [0, 0, 0]]


def test_a_sample_alone_has_no_partner() -> None:
    with pytest.raises(PretaskError, match="a split with partners needs at least 2 samples; got 1"):
        next(numbered(1).batches(4, CPU, partners=1))
    assert len(next(numbered(1).batches(4, CPU))) == 1


def test_partners_come_with_their_data() -> None:
    batch = next(numbered().batches(10, CPU, partners=2))
    assert batch.partners is not None
    assert torch.equal(batch.partners.flatten(1), draw_others(torch.arange(10), 10, 2).to(torch.uint8))


def test_moving_a_batch_moves_all_of_it() -> None:
    batch = Batch(torch.zeros(2, 3), present=torch.ones(2, 3, dtype=torch.bool), partners=torch.zeros(2, 1, 3))
    moved = batch.to("meta")
    assert all(getattr(moved, field.name).is_meta for field in fields(moved))
    assert moved.device.type == "meta"


def test_on_a_cpu_data_stays_where_it_is() -> None:
    samples = numbered()
    assert samples.resident(CPU) is samples


def test_resident_samples_are_on_the_device_and_keep_what_belongs_to_them() -> None:
    samples = replace(numbered(), present=torch.ones(10, 1, dtype=torch.bool), fingerprint="f")
    there = samples.resident(torch.device("meta"))
    assert there.present is not None
    assert (there.data.is_meta, there.present.is_meta, len(there)) == (True, True, 10)
    assert (there.labels, there.observed, there.fingerprint) == (samples.labels, samples.observed, "f")
    assert there.resident(torch.device("meta")) is there


def test_draws_of_a_batch_follow_its_samples() -> None:
    samples = numbered()
    whole = Draws(samples.batch(torch.arange(10), CPU).index).uniform("u")
    assert torch.equal(Draws(samples.batch(torch.tensor([4, 1]), CPU).index).uniform("u"), whole[[4, 1]])


def test_some_samples_keep_their_labels_their_padding_and_another_fingerprint() -> None:
    data = torch.arange(12).view(6, 2)
    labels = {"class": Labels(torch.arange(6) % 3, ("a", "b", "c"))}
    whole = Samples(Observed("text", (2,), "int64", 6), data, labels, data > 3, "whole")
    few = whole.some(torch.tensor([4, 1]), "two")
    assert len(few) == few.observed.samples == 2
    assert few.data.tolist() == [[8, 9], [2, 3]]
    assert few.labels["class"].value.tolist() == [1, 1]
    assert few.present is not None
    assert few.present.tolist() == [[True, True], [False, False]]
    assert few.fingerprint not in ("", whole.fingerprint, whole.some(slice(0, 2), "first").fingerprint)
    assert len(whole.some(slice(0, 99), "all")) == 6


def test_tokens_kept_in_few_bytes_are_the_same_batches_as_int64() -> None:
    seen = Observed("text", (3,), "int64", 4, Vocabulary(100))
    wide = Samples(seen, torch.arange(12).view(4, 3))
    narrow = replace(wide, data=wide.data.to(torch.int8))
    for samples in (wide, narrow):
        batch = samples.batch(torch.tensor([2, 0]), CPU, torch.tensor([[1], [3]]))
        assert (batch.data.dtype, batch.data.tolist()) == (torch.int64, [[6, 7, 8], [0, 1, 2]])
        assert batch.partners is not None
        assert (batch.partners.dtype, batch.partners.tolist()) == (torch.int64, [[[3, 4, 5]], [[9, 10, 11]]])
        assert torch.equal(samples.take(slice(1, 3)), wide.data[1:3])

"""Samples and batches: no label can slip into a batch, and partners are always somebody else."""

from dataclasses import fields

import torch
from pretask import Batch, Draws, Labels, Observed, Samples
from pretask.samples import others
from scipy import stats

CPU = torch.device("cpu")


def numbered(count: int = 10) -> Samples:
    data = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    label = Labels(torch.arange(count) % 3, ("a", "b", "c"))
    return Samples(Observed("image", (1, 1, 1), samples=count), data, {"class": label})


def test_a_batch_has_no_field_that_could_hold_a_label() -> None:
    assert {field.name for field in fields(Batch)} == {"data", "index", "present", "partners"}


def test_batches_come_in_order_and_the_last_may_be_smaller() -> None:
    batches = list(numbered().batches(4, CPU))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([batch.data.flatten() for batch in batches]), torch.arange(10, dtype=torch.uint8))
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(10))


def test_a_sample_keeps_its_number_wherever_it_is_in_a_batch() -> None:
    batch = numbered().batch(torch.tensor([7, 2]), CPU)
    assert batch.data.flatten().tolist() == batch.index.tolist() == [7, 2]


def test_a_batch_without_numbers_is_counted_from_zero() -> None:
    assert Batch(torch.zeros(3, 1)).index.tolist() == [0, 1, 2]


def test_partners_are_other_samples_each_equally_often() -> None:
    index = torch.arange(10).repeat_interleave(500)
    drawn = others(index, 10, 4, seed=3, epoch=torch.arange(5000))
    assert bool((drawn != index[:, None]).all())
    of_first = drawn[:500].flatten().bincount(minlength=10)[1:]
    assert stats.chisquare(of_first.numpy()).pvalue > 1e-4


def test_partners_come_with_their_data() -> None:
    batch = next(numbered().batches(10, CPU, partners=2))
    assert batch.partners is not None
    assert torch.equal(batch.partners.flatten(1), others(torch.arange(10), 10, 2).to(torch.uint8))


def test_moving_a_batch_moves_all_of_it() -> None:
    batch = Batch(torch.zeros(2, 3), present=torch.ones(2, 3, dtype=torch.bool), partners=torch.zeros(2, 1, 3))
    moved = batch.to("meta")
    assert all(getattr(moved, field.name).is_meta for field in fields(moved))
    assert moved.device.type == "meta"


def test_on_a_cpu_data_stays_where_it_is() -> None:
    samples = numbered()
    assert samples.resident(CPU) is samples


def test_draws_of_a_batch_follow_its_samples() -> None:
    samples = numbered()
    whole = Draws(samples.batch(torch.arange(10), CPU).index).uniform("u")
    assert torch.equal(Draws(samples.batch(torch.tensor([4, 1]), CPU).index).uniform("u"), whole[[4, 1]])

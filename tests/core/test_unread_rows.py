"""Unread rows look like a tensor, and nothing is read of them but what is asked for."""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import PretaskError, room
from pretask.training import train
from pretask.unread_rows import UnreadRows
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from tiny import RECIPE, samples, task, weights

BASE = torch.arange(30 * 4, dtype=torch.uint8).view(30, 4)


class Reader:
    """Gives rows, and notes which."""

    def __init__(self, base: Tensor = BASE) -> None:
        self.base = base
        self.read: list[int] = []

    def __call__(self, numbers: Tensor) -> Tensor:
        self.read += numbers.tolist()
        return self.base[numbers]


def unread(reader: Reader) -> UnreadRows:
    return UnreadRows(reader, reader.base.shape, reader.base.dtype)


@pytest.mark.parametrize(
    ("take", "read"),
    [
        (lambda rows: rows.index_select(0, torch.tensor([3, 1])), [3, 1]),
        (lambda rows: rows[torch.tensor([[1, 2], [-1, 4]])], [1, 2, 29, 4]),
        (lambda rows: rows[7], [7]),
        (lambda rows: rows[5:9][torch.tensor([0, -1])].float(), [5, 8]),
        (lambda rows: rows[torch.arange(30) > 27] + 1, [28, 29]),
        (lambda rows: torch.stack(list(rows[::20])), [0, 20]),
        (lambda rows: rows[:, 1], [*range(30)]),
    ],
)
def test_operations_give_what_they_give_of_a_tensor_and_read_no_other_rows(
    take: Callable[[Tensor], Tensor], read: list[int]
) -> None:
    reader = Reader()
    assert torch.equal(take(unread(reader)), take(BASE))
    assert reader.read == read


def test_shape_type_and_size_are_known_without_reading() -> None:
    reader = Reader()
    rows = unread(reader)[torch.arange(30) % 3 == 0][2:]
    assert (len(rows), rows.shape, rows.dtype, rows.nbytes, rows.device.type) == (8, (8, 4), torch.uint8, 32, "cpu")
    assert reader.read == []


def test_more_rows_at_once_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_memory", lambda device=None: 100)
    with pytest.raises(PretaskError, match=r"the data needs .*all of its 30 samples at once"):
        unread(Reader()).float()


def test_batches_and_parts_of_unread_samples_are_those_of_samples_in_memory() -> None:
    known = replace(samples(20), fingerprint="known")
    lazy = replace(known, data=unread(Reader(known.data)))
    index, partners = torch.tensor([4, 0, 19]), torch.tensor([[1], [2], [3]])
    for one, two in zip(
        (known.batch(index, torch.device("cpu"), partners), known.some(slice(2, 9), "a").take(slice(1, 3))),
        (lazy.batch(index, torch.device("cpu"), partners), lazy.some(slice(2, 9), "a").take(slice(1, 3))),
        strict=True,
    ):
        pairs = [(one, two)] if isinstance(one, Tensor) else [(one.data, two.data), (one.partners, two.partners)]
        assert all(torch.equal(*pair) and type(pair[1]) is Tensor for pair in pairs)


def test_what_is_learned_of_unread_samples_does_not_hang_on_how_long_reading_takes() -> None:
    known = replace(samples(), block=4)

    def read_slowly(numbers: Tensor) -> Tensor:
        time.sleep(random.Random(int(numbers[0])).random() / 500)
        return known.data[numbers]

    unread_samples = replace(known, data=UnreadRows(read_slowly, known.data.shape, torch.uint8))
    one, two = task(), task()
    train(one, known, seed=7)
    train(two, unread_samples, seed=7)
    assert all(torch.equal(value, weights(two)[name]) for name, value in weights(one).items())


def test_unread_samples_stay_so_on_every_device() -> None:
    lazy = replace(samples(), data=unread(Reader(samples().data)))
    assert lazy.resident(torch.device("meta")) is lazy


def test_a_step_reads_its_own_samples_alone() -> None:
    reader = Reader(samples().data)
    train(task(replace(RECIPE, samples=24)), replace(samples(), data=unread(reader), block=4), seed=7)
    assert len(reader.read) == len({*reader.read}) == 24

"""Ranks: what is done on several ranks of distributed training, each a thread of this process.

`torch.distributed` says inside that there are so many ranks, and the collective operations that objectives use (sums,
means, gathering, broadcasting) exchange tensors between the threads. Other operations are not simulated.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch import distributed as dist

from pretask_registry.conformance.check import Skip

SECONDS = 60  # that a rank waits for the others
REDUCTIONS: dict[Any, Callable[[Tensor], Tensor]] = {
    dist.ReduceOp.SUM: lambda values: values.sum(0),
    dist.ReduceOp.AVG: lambda values: values.mean(0),
    dist.ReduceOp.MAX: lambda values: values.amax(0),
    dist.ReduceOp.MIN: lambda values: values.amin(0),
    dist.ReduceOp.PRODUCT: lambda values: values.prod(0),
}
OTHERS = ("reduce", "reduce_scatter", "scatter", "gather", "all_to_all", "all_gather_object", "send", "recv")
Done = TypeVar("Done")


class Ranks:
    """The operations of `torch.distributed` between threads, each of which is a rank.

    Args:
        count: How many ranks there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.barrier_of_all = threading.Barrier(count, timeout=SECONDS)
        self.given: list[Any] = [None] * count
        self.here = threading.local()

    def exchange(self, value: Tensor) -> list[Tensor]:
        """Return what every rank gives at this point, in the order of ranks."""
        self.given[self.here.rank] = value.detach().clone()
        self.barrier_of_all.wait()
        found = list(self.given)
        self.barrier_of_all.wait()  # before anybody gives the next
        return found

    def get_rank(self, group: Any = None) -> int:
        """Return the rank of this thread."""
        rank: int = self.here.rank
        return rank

    @torch.no_grad()
    def all_reduce(
        self, tensor: Tensor, op: Any = dist.ReduceOp.SUM, group: Any = None, async_op: bool = False
    ) -> None:
        """Replace a tensor by the sum, or another reduction, of those of all ranks."""
        tensor.copy_(REDUCTIONS[op](torch.stack(self.exchange(tensor))))

    @torch.no_grad()
    def all_gather(self, tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> None:
        """Fill a list with the tensors of all ranks."""
        for place, value in zip(tensor_list, self.exchange(tensor), strict=True):
            place.copy_(value)

    @torch.no_grad()
    def all_gather_into_tensor(
        self, output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
    ) -> None:
        """Fill a tensor with those of all ranks, side by side."""
        output_tensor.copy_(torch.cat(self.exchange(input_tensor)).view(output_tensor.shape))

    @torch.no_grad()
    def broadcast(self, tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False) -> None:
        """Replace a tensor by that of one rank."""
        tensor.copy_(self.exchange(tensor)[src])

    def barrier(self, group: Any = None, async_op: bool = False) -> None:
        """Wait for all ranks."""
        self.barrier_of_all.wait()

    @contextmanager
    def in_place_of_torch(self) -> Iterator[None]:
        """Let torch.distributed be this inside."""
        own = ("get_rank", "all_reduce", "all_gather", "all_gather_into_tensor", "broadcast", "barrier")
        replaced: dict[str, Any] = {name: getattr(self, name) for name in own}
        replaced |= {name: refuse_operation(name) for name in OTHERS}
        replaced |= {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "get_world_size": lambda group=None: self.count,
        }
        with patch.multiple(dist, **replaced):
            yield


def refuse_operation(name: str) -> Callable[..., None]:
    """Return what stands for an operation that is not simulated."""

    def refuse(*values: Any, **options: Any) -> None:
        raise Skip(f"It calls torch.distributed.{name}, which the kit does not simulate: use gather_over_ranks.")

    return refuse


def simulate_ranks(count: int, work: Callable[[int], Done]) -> list[Done]:
    """Return what each rank's work gives, in the order of ranks.

    Args:
        count: How many ranks there are.
        work: Called with the number of the rank, in a thread of its own.

    Raises:
        Exception: What the first rank that failed by itself has raised.
    """
    ranks = Ranks(count)

    def run(rank: int) -> Done:
        ranks.here.rank = rank
        try:
            return work(rank)
        except BaseException:
            ranks.barrier_of_all.abort()  # or the others would wait
            raise

    with ranks.in_place_of_torch(), ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, rank) for rank in range(count)]
        errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]

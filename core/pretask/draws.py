"""Draws: randomness as a function of (seed, epoch, sample, name), and of nothing else.

What is drawn for a sample is the same for any batch size, order, rank, worker, device and resume point.
A draw is a 64-bit mixing hash of its key and a running count, so there is no state to keep.

Source: Steele, Lea and Flood, OOPSLA 2014 (SplitMix64, its finalizer by Stafford).
Differs: counter-based: the finalizer is applied to key and counter, not to a running state.
Axes: B batch.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pretask import draw_kernels as kernels
from pretask.draw_kernels import (
    MASK_64_BITS,
    SPLITMIX_INCREMENT,
    SPLITMIX_MULTIPLIER_1,
    SPLITMIX_MULTIPLIER_2,
    as_int64,
)
from pretask.errors import PretaskError

MAX_INTEGER_RANGE = 1 << 32  # of a range of integers: 32 bits are drawn
Key = tuple[int, Tensor | None, Tensor | None]  # a word, and what is mixed into it where the numbers are drawn


def mix_int(word: int) -> int:
    """Apply SplitMix64's finalizer to a Python int, giving one in [0, 2^64); arithmetic only, so that it traces."""
    word &= MASK_64_BITS
    word = ((word ^ (word >> 30)) * SPLITMIX_MULTIPLIER_1) & MASK_64_BITS
    word = ((word ^ (word >> 27)) * SPLITMIX_MULTIPLIER_2) & MASK_64_BITS
    return word ^ (word >> 31)


def name_key(name: str) -> int:
    """Return a 64-bit key of a name, by arithmetic on its code points (hashlib would break fullgraph)."""
    return hash_name(name) if torch.compiler.is_compiling() else remember_key(name)


@lru_cache(maxsize=1024)
def remember_key(name: str) -> int:
    """Return `hash_name`, computed once; the compiler would not look through what remembers."""
    return hash_name(name)


def hash_name(name: str) -> int:
    """Return a 64-bit key of a name."""
    key = len(name) or SPLITMIX_INCREMENT  # an empty name is a name too, and the finalizer keeps 0
    for letter in name:
        key = mix_int((key + SPLITMIX_INCREMENT) ^ ord(letter))
    return key


def as_int64_tensor(number: int | Tensor, device: torch.device) -> Tensor:
    """Return a seed or an epoch as int64, whatever its type; of a larger int the lowest 64 bits."""
    if isinstance(number, Tensor):
        return torch.as_tensor(number, dtype=torch.int64, device=device)
    fill = fill_constant if torch.compiler.is_compiling() else remember_constant
    return fill(as_int64(number & MASK_64_BITS), device)


def fill_constant(number: int, device: torch.device) -> Tensor:
    """Return a number as a tensor that is filled in where it lies: a step would wait for a copy to a GPU."""
    return torch.full((), number, dtype=torch.int64, device=device)


@lru_cache(maxsize=256)
def remember_constant(number: int, device: torch.device) -> Tensor:
    """Return `fill_constant`, filled in once: the bounds of draws are the same in every step. Not to be written to."""
    return fill_constant(number, device)


class HashedIndex:
    """The numbers of a batch's samples, hashed when the first number is drawn, and once for all of its draws."""

    def __init__(self, index: Tensor) -> None:
        self.index = index
        self.hashed: Tensor | None = None

    def get(self) -> Tensor:
        """Return the hashes."""
        if self.hashed is None:
            self.hashed = kernels.hashed_index(self.index)
        return self.hashed


class Draws:
    """The random numbers of one batch.

    Args:
        index: Each sample's number in its data set; its device is where the numbers are made.
        seed: The run's seed; an int or a 0-d tensor.
        epoch: How often the data was seen before; an int, a 0-d tensor, or one number per sample.

    >>> draws = Draws(torch.arange(4), seed=0)
    >>> draws.integers("neighbour", 0, 8).shape, draws.normal("noise", 2, 3).shape
    (torch.Size([4]), torch.Size([4, 2, 3]))
    >>> bool((draws.uniform("corner") == draws.uniform("corner")).all())
    True
    """

    def __init__(
        self, index: Int[Tensor, " B"], /, seed: int | Tensor = 0, epoch: int | Tensor = 0, *, path: int = 0
    ) -> None:
        self.index, self.seed, self.epoch, self.path = index.long(), seed, epoch, path
        self.shared = HashedIndex(self.index)

    def branch(self, name: str) -> "Draws":
        """Return draws of the same samples that have no number in common with these."""
        return self._derive(self.epoch, mix_int(self.path ^ name_key(name)))

    def at_epoch(self, epoch: int | Tensor) -> "Draws":
        """Return the draws of the same samples in another epoch, such as 0 for what stays the same in all."""
        return self._derive(epoch, self.path)

    def _derive(self, epoch: int | Tensor, path: int) -> "Draws":
        """Return draws of the same samples, whose numbers are not hashed anew."""
        derived = Draws(self.index, self.seed, epoch, path=path)
        derived.shared = self.shared
        return derived

    def bits(self, name: str, count: int) -> Int[Tensor, "B count"]:
        """Draw `count` words of 64 random bits per sample."""
        words: Tensor = kernels.bits(self.shared.get(), *self.key(name), (count,))
        return words

    def key(self, name: str) -> Key:
        """Return seed, epoch, branch and name in one word, as far as they are numbers; the kernel mixes in tensors.

        Every draw begins here, so that who watches this sees all of them.
        """
        salt = mix_int(self.path ^ name_key(name))
        if not isinstance(self.seed, int):
            return as_int64(salt), self.seed, as_int64_tensor(self.epoch, self.index.device)
        word = mix_int(self.seed + salt)
        if isinstance(self.epoch, int):
            return as_int64(mix_int(word + self.epoch)), None, None
        return as_int64(word), None, self.epoch

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, "B ..."]:
        """Draw uniform numbers in [low, high), each of 24 random bits."""
        drawn: Tensor = kernels.uniform(self.shared.get(), *self.key(name), shape, low, high)
        return drawn

    def uniforms(self, ranges: Mapping[str, tuple[Sequence[int], float, float]]) -> dict[str, Float[Tensor, "B ..."]]:
        """Draw what `uniform` does for several names, in one operation.

        Args:
            ranges: By name the shape, the lowest and the highest number.

        >>> draws = Draws(torch.arange(4))
        >>> many = draws.uniforms({"scale": ((), 0.5, 2.0), "shift": ((2,), -1.0, 1.0)})
        >>> bool((many["shift"] == draws.uniform("shift", 2, low=-1.0, high=1.0)).all())
        True
        """
        keys = [self.key(name) for name in ranges]
        shapes, lows, highs = zip(*ranges.values(), strict=True)
        counts = [math.prod(shape) for shape in shapes]
        words, (_, seed, epoch) = [word for word, _, _ in keys], keys[0]
        drawn = kernels.uniforms(self.shared.get(), words, seed, epoch, counts, lows, highs).split(counts, 1)
        return {
            name: part.unflatten(1, shape) if len(shape) > 1 else part.reshape(-1, *shape)
            for name, part, shape in zip(ranges, drawn, shapes, strict=True)
        }

    def normal(self, name: str, *shape: int, rows: Int[Tensor, "B R"] | None = None) -> Float[Tensor, "B ..."]:
        """Draw standard normal numbers by the Box-Muller transform; none is beyond 6.7.

        Args:
            name: Of the draw.
            shape: Of a sample's numbers.
            rows: Which rows of its first axis, from 0 on, are wanted of every sample; the others are not drawn.

        >>> draws, rows = Draws(torch.arange(2)), torch.tensor([[2], [0]])
        >>> bool((draws.normal("a", 3, 5, rows=rows)[0, 0] == draws.normal("a", 3, 5)[0, 2]).all())
        True
        """
        drawn: Tensor = kernels.normal(self.shared.get(), *self.key(name), shape, rows)
        return drawn

    def integers(self, name: str, low: int | Tensor, high: int | Tensor, *shape: int) -> Int[Tensor, "B ..."]:
        """Draw integers in [low, high); bounds may be tensors that broadcast. The bias is at most (high - low) / 2^32.

        Raises:
            PretaskError: There are none, or more than 2^32. Of tensors that is for the caller to see to.
        """
        hashed, key = self.shared.get(), self.key(name)
        if not (isinstance(low, int) and isinstance(high, int)):
            bounds = (as_int64_tensor(bound, hashed.device) for bound in (low, high))
            between: Tensor = kernels.integers_between(hashed, *key, shape, *bounds)
            return between
        if not 0 < high - low <= MAX_INTEGER_RANGE:
            raise PretaskError(
                f"the draw '{name}'",
                f"a range of 1 to {MAX_INTEGER_RANGE} integers",
                f"[{low}, {high})",
                "Refuse such data in the split's spec.",
            )
        drawn: Tensor = kernels.integers(hashed, *key, shape, low, high)
        return drawn

    def bernoulli(self, name: str, probability: float | Tensor, *shape: int) -> Bool[Tensor, "B ..."]:
        """Draw True with the given probability."""
        draw = kernels.bernoulli if isinstance(probability, Tensor) else kernels.event
        drawn: Tensor = draw(self.shared.get(), *self.key(name), shape, probability)
        return drawn

    def permutation(self, name: str, count: int) -> Int[Tensor, "B count"]:
        """Draw an order of 0 … count - 1 for every sample."""
        return self.bits(name, count).argsort(dim=1)

    def choice(self, name: str, count: int, size: int) -> Int[Tensor, "B size"]:
        """Draw `size` different ones of 0 … count - 1 for every sample, in random order.

        Raises:
            PretaskError: There are fewer.
        """
        if size > count:
            raise PretaskError(
                f"the draw '{name}'", f"at most {count} of {count}", f"{size}", "Refuse such data in the split's spec."
            )
        return self.permutation(name, count)[:, :size]

"""Draws: randomness as a function of (seed, epoch, sample, name), and of nothing else.

What is drawn for a sample is the same for any batch size, order, rank, worker, device and resume point.
A draw is a 64-bit mixing hash of its key and a running count, so there is no state to keep.

Source: Steele, Lea and Flood, OOPSLA 2014 (SplitMix64, its finalizer by Stafford).
Differs: counter-based: the finalizer is applied to key and counter, not to a running state.
Axes: B batch.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pretask.errors import PretaskError

SPLITMIX_INCREMENT = 0x9E3779B97F4A7C15
SPLITMIX_MULTIPLIER_1 = 0xBF58476D1CE4E5B9
SPLITMIX_MULTIPLIER_2 = 0x94D049BB133111EB
MASK_64_BITS = (1 << 64) - 1
MAX_INTEGER_RANGE = 1 << 32  # of a range of integers: 32 bits are drawn


def as_int64(word: int) -> int:
    """Return the int64 with the bits of an unsigned 64-bit word."""
    return word - (1 << 64) if word >> 63 else word


def mix_int(word: int) -> int:
    """Apply SplitMix64's finalizer to a Python int, giving one in [0, 2^64); arithmetic only, so that it traces."""
    word &= MASK_64_BITS
    word = ((word ^ (word >> 30)) * SPLITMIX_MULTIPLIER_1) & MASK_64_BITS
    word = ((word ^ (word >> 27)) * SPLITMIX_MULTIPLIER_2) & MASK_64_BITS
    return word ^ (word >> 31)


def name_key(name: str) -> int:
    """Return a 64-bit key of a name, by arithmetic on its code points (hashlib would break fullgraph)."""
    key = len(name) or SPLITMIX_INCREMENT  # an empty name is a name too, and the finalizer keeps 0
    for letter in name:
        key = mix_int((key + SPLITMIX_INCREMENT) ^ ord(letter))
    return key


def as_int64_tensor(number: int | Tensor, device: torch.device) -> Tensor:
    """Return a seed or an epoch as int64, whatever its type; of a larger int the lowest 64 bits."""
    if isinstance(number, int):
        number = as_int64(number & MASK_64_BITS)
    return torch.as_tensor(number, dtype=torch.int64, device=device)


def shift_right(word: Tensor, bits: int) -> Tensor:
    """Shift int64 right logically: torch shifts the sign in, which is masked away."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def mix(word: Tensor) -> Tensor:
    """Apply SplitMix64's finalizer to int64 tensors; the products wrap.

    >>> int(mix(torch.tensor(1))) == as_int64(mix_int(1))
    True
    """
    word = (word ^ shift_right(word, 30)) * as_int64(SPLITMIX_MULTIPLIER_1)
    word = (word ^ shift_right(word, 27)) * as_int64(SPLITMIX_MULTIPLIER_2)
    return word ^ shift_right(word, 31)


def hash_bits(key: Tensor, index: Tensor, count: int) -> Tensor:
    """Hash key (0-d or (B,)), index (B,) and 1 … count to 64 random bits each, (B, count)."""
    sample = mix(mix(index + as_int64(SPLITMIX_INCREMENT)) ^ key)
    counter = torch.arange(1, count + 1, device=index.device) * as_int64(SPLITMIX_INCREMENT)
    return mix(sample[:, None] + counter)


# One opaque operation: inductor on CPU (torch 2.11) corrupted memory when it fused these integers itself. Eager steps
# call the function: an operation of ours imports torch's whole compiler, two seconds, when it is first called.
hashed_bits = torch.library.custom_op("pretask::hashed_bits", hash_bits, mutates_args=())


@hashed_bits.register_fake
def _(key: Tensor, index: Tensor, count: int) -> Tensor:
    return index.new_empty((index.shape[0], count))


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

    def branch(self, name: str) -> "Draws":
        """Return draws of the same samples that have no number in common with these."""
        return Draws(self.index, self.seed, self.epoch, path=mix_int(self.path ^ name_key(name)))

    def bits(self, name: str, count: int) -> Int[Tensor, "B count"]:
        """Draw `count` words of 64 random bits per sample."""
        words: Tensor = (hashed_bits if torch.compiler.is_compiling() else hash_bits)(
            self._key(name), self.index, count
        )
        return words

    def _key(self, name: str) -> Tensor:
        """Seed, epoch, branch and name in one word; in Python where the numbers are, to spare a device the launches."""
        salt = mix_int(self.path ^ name_key(name))
        if isinstance(self.seed, int) and isinstance(self.epoch, int):
            word = as_int64(mix_int(mix_int(self.seed + salt) + self.epoch))
            return torch.full((), word, dtype=torch.int64, device=self.index.device)
        seed, epoch = as_int64_tensor(self.seed, self.index.device), as_int64_tensor(self.epoch, self.index.device)
        return mix(mix(seed + as_int64(salt)) + epoch)

    def _shaped(self, name: str, shape: tuple[int, ...], words_each: int = 1) -> Tensor:
        words = self.bits(name, words_each * math.prod(shape))
        return words.view(self.index.shape[0], *shape, *([words_each] if words_each > 1 else []))

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, "B ..."]:
        """Draw uniform numbers in [low, high), each of 24 random bits."""
        unit = shift_right(self._shaped(name, shape), 40).float() * 2.0**-24
        if low == 0:
            return high * unit
        below = high - abs(high) * 2.0**-23  # rounding of the sum would now and then reach high
        return (low + (high - low) * unit).clamp(max=below)

    def normal(self, name: str, *shape: int) -> Float[Tensor, "B ..."]:
        """Draw standard normal numbers by the Box-Muller transform; none is beyond 6.7."""
        pair = self._shaped(name, shape, words_each=2)
        radius = (shift_right(pair[..., 0], 32).float() + 1) * 2.0**-32  # (0, 1]: the logarithm is finite
        angle = shift_right(pair[..., 1], 40).float() * (2 * math.pi * 2.0**-24)
        return (-2 * radius.log()).clamp(min=0).sqrt() * angle.cos()

    def integers(self, name: str, low: int | Tensor, high: int | Tensor, *shape: int) -> Int[Tensor, "B ..."]:
        """Draw integers in [low, high); bounds may be tensors that broadcast. The bias is at most (high - low) / 2^32.

        Raises:
            PretaskError: There are none, or more than 2^32. Of tensors that is for the caller to see to.
        """
        if isinstance(low, int) and isinstance(high, int) and not 0 < high - low <= MAX_INTEGER_RANGE:
            raise PretaskError(
                f"the draw '{name}'",
                f"a range of 1 to {MAX_INTEGER_RANGE} integers",
                f"[{low}, {high})",
                "Refuse such data in the split's spec.",
            )
        return low + shift_right(shift_right(self._shaped(name, shape), 32) * (high - low), 32)

    def bernoulli(self, name: str, probability: float | Tensor, *shape: int) -> Bool[Tensor, "B ..."]:
        """Draw True with the given probability."""
        return self.uniform(name, *shape) < probability

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

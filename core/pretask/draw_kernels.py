"""Draw kernels: a draw as one operation of torch, so that it is dispatched once, counted once and never fused.

On a CPU the words are made in place by numpy, a block at a time that stays in the cache, where torch would write eight
arrays of 64-bit integers; elsewhere in torch's operations. The bits are the same. Inductor on CPU (torch 2.11)
corrupted memory when it fused these integers itself (miscompilations.py): to it an operation of ours is opaque.

A draw has a key: a 64-bit word, which seed and epoch are mixed into here where they are tensors.
Axes: B batch, K numbers of a sample.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretask.own_operations import register

SPLITMIX_INCREMENT = 0x9E3779B97F4A7C15
SPLITMIX_MULTIPLIER_1 = 0xBF58476D1CE4E5B9
SPLITMIX_MULTIPLIER_2 = 0x94D049BB133111EB
MASK_64_BITS = (1 << 64) - 1
MAX_BLOCK = 1 << 14  # words of a block: 128 KiB, and as many of scratch
MAX_NORMAL_BLOCK = 1 << 15  # normal numbers of a block: 256 KiB of words, one of a pair after the other
UNIT_24_BITS, UNIT_32_BITS = 2.0**-24, 2.0**-32
# Arrays without axes, which numpy takes a third faster than numbers of its own.
INCREMENT, MULTIPLIER_1, MULTIPLIER_2, SHIFT_27, SHIFT_30, SHIFT_31, SHIFT_32, SHIFT_40 = (
    np.array(number, np.uint64)
    for number in (SPLITMIX_INCREMENT, SPLITMIX_MULTIPLIER_1, SPLITMIX_MULTIPLIER_2, 27, 30, 31, 32, 40)
)
KEY = "Tensor hashed, int word, Tensor? seed, Tensor? epoch, SymInt[] shape"


def as_int64(word: int) -> int:
    """Return the int64 with the bits of an unsigned 64-bit word."""
    return word - (1 << 64) if word >> 63 else word


def shift_right(word: Tensor, bits: int) -> Tensor:
    """Shift int64 right logically: torch shifts the sign in, which is masked away."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def mix(word: Tensor) -> Tensor:
    """Apply SplitMix64's finalizer to int64 tensors; the products wrap."""
    word = (word ^ shift_right(word, 30)) * as_int64(SPLITMIX_MULTIPLIER_1)
    word = (word ^ shift_right(word, 27)) * as_int64(SPLITMIX_MULTIPLIER_2)
    return word ^ shift_right(word, 31)


def hash_words(
    hashed: Tensor, word: int, seed: Tensor | None, epoch: Tensor | None, count: int, rows: Tensor | None = None
) -> Tensor:
    """Hash key, sample and 1 … count to 64 random bits each, (B, count), in operations of torch.

    Args:
        hashed: The numbers of samples, hashed.
        word: The key.
        seed: What is mixed into it, where that is a tensor.
        epoch: Likewise.
        count: Words of a sample; of a row, where there are rows.
        rows: Which rows of so many words a sample gets, (B, R): the result is (B, R * count).
    """
    key: Tensor | int = word
    if seed is not None:
        key = mix(seed.long() + word)
    if epoch is not None:
        key = mix(epoch.long() + key)
    sample = mix(hashed ^ key)
    counter = torch.arange(1, count + 1, device=hashed.device) * as_int64(SPLITMIX_INCREMENT)
    if rows is None:
        return mix(sample[:, None] + counter)
    begin = sample[:, None] + rows * as_int64(SPLITMIX_INCREMENT * count & MASK_64_BITS)
    return mix(begin[..., None] + counter).flatten(1)


@lru_cache(maxsize=64)
def count_in_increments(count: int) -> Any:
    """Return 1 … count times the increment, as uint64; it must not be written to."""
    return np.arange(1, count + 1, dtype=np.uint64) * INCREMENT


def mix_in_place(words: Any) -> None:
    """Apply SplitMix64's finalizer to an array of uint64."""
    scratch = words >> SHIFT_30
    words ^= scratch
    words *= MULTIPLIER_1
    np.right_shift(words, SHIFT_27, scratch)
    words ^= scratch
    words *= MULTIPLIER_2
    np.right_shift(words, SHIFT_31, scratch)
    words ^= scratch


def view_words(tensor: Tensor) -> Any:
    """Return integers of a CPU tensor as an array of uint64, which shares their memory where it can."""
    return (tensor if tensor.dtype == torch.int64 else tensor.long()).numpy().view(np.uint64)


def hash_samples(hashed: Tensor, word: int, seed: Tensor | None, epoch: Tensor | None) -> Any:
    """Return the words that the words of every sample are counted on from, (B,) uint64."""
    key: Any = np.uint64(word & MASK_64_BITS)
    for number in (seed, epoch):
        if number is not None:
            key = np.atleast_1d(view_words(number)) + key
            mix_in_place(key)
    sample = view_words(hashed) ^ key
    mix_in_place(sample)
    return sample


def make_words(sample: Any, counters: Any) -> Any:
    """Return the words of samples, (B, K), of which each is counted on by (K,) increments."""
    words = sample[:, None] + counters
    mix_in_place(words)
    return words


def iterate_blocks(samples: int, count: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Yield which samples and which of their numbers are a block of at most so many numbers."""
    width = max(1, min(count, most))
    height = max(1, most // width)
    for top in range(0, samples, height):
        for left in range(0, count, width):
            yield slice(top, top + height), slice(left, left + width)


def fill_blocks(sample: Any, count: int, out: Any, convert: Callable[[Any, Any], None]) -> None:
    """Make the words of all samples, block by block, and let every block be converted into its part of `out`.

    Args:
        sample: From which the words of every sample are counted on, (B,).
        count: Numbers of a sample.
        out: (B, count).
        convert: Called with a block's words, (b, k), which it may overwrite, and its part of `out`.
    """
    counters = count_in_increments(count)
    if len(sample) * count <= MAX_BLOCK:
        convert(make_words(sample, counters), out)
        return
    for some, columns in iterate_blocks(len(sample), count, MAX_BLOCK):
        convert(make_words(sample[some], counters[columns]), out[some, columns])


def fill(
    hashed: Tensor, key: tuple[Any, ...], shape: Sequence[int], dtype: Any, convert: Callable[..., None]
) -> Tensor:
    """Make the numbers of a draw on a CPU."""
    count = math.prod(shape)
    out = np.empty((len(hashed), count), dtype)
    fill_blocks(hash_samples(hashed, *key), count, out, convert)
    return torch.from_numpy(out).view(len(hashed), *shape)


def draw_bits_on_cpu(hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int]) -> Tensor:
    """Draw words of 64 random bits."""

    def convert(words: Any, out: Any) -> None:
        out[...] = words.view(np.int64)

    return fill(hashed, (word, seed, epoch), shape, np.int64, convert)


def draw_bits(hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int]) -> Tensor:
    """Draw words of 64 random bits."""
    return hash_words(hashed, word, seed, epoch, math.prod(shape)).view(len(hashed), *shape)


def draw_uniform_on_cpu(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], low: float, high: float
) -> Tensor:
    """Draw uniform numbers in [low, high)."""
    factor, below = np.float32(high - low) * np.float32(UNIT_24_BITS), np.float32(find_below(high))

    def convert(words: Any, out: Any) -> None:
        words >>= SHIFT_40
        out[...] = words.view(np.int64)
        out *= factor  # a power of two times a factor rounds as the factor alone does
        if low != 0:
            out += np.float32(low)
            np.minimum(out, below, out=out)

    return fill(hashed, (word, seed, epoch), shape, np.float32, convert)


def find_below(high: float) -> float:
    """Return a number below `high`, which the rounding of a sum would now and then reach."""
    return high - abs(high) * 2.0**-23


def draw_uniform(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], low: float, high: float
) -> Tensor:
    """Draw uniform numbers in [low, high)."""
    return to_uniform(draw_bits(hashed, word, seed, epoch, shape), low, high)


def to_uniform(words: Tensor, low: float, high: float) -> Tensor:
    """Return words of 64 bits as uniform numbers in [low, high), of 24 bits each."""
    unit = shift_right(words, 40).float() * UNIT_24_BITS
    return high * unit if low == 0 else (low + (high - low) * unit).clamp(max=find_below(high))


def draw_uniforms_on_cpu(
    hashed: Tensor,
    words: Sequence[int],
    seed: Any,
    epoch: Any,
    counts: Sequence[int],
    lows: Sequence[float],
    highs: Sequence[float],
) -> Tensor:
    """Draw uniform numbers of several keys, side by side; the same ones as key by key."""
    factor, low, below = tabulate_ranges(tuple(counts), tuple(lows), tuple(highs))
    samples = np.stack([hash_samples(hashed, word, seed, epoch) for word in words], 1).repeat(counts, 1)
    drawn = samples + np.concatenate([count_in_increments(count) for count in counts])
    mix_in_place(drawn)
    drawn >>= SHIFT_40
    out = drawn.view(np.int64).astype(np.float32)
    out *= factor
    out += low
    return torch.from_numpy(np.minimum(out, below, out=out))


@lru_cache(maxsize=64)
def tabulate_ranges(counts: tuple[int, ...], lows: tuple[float, ...], highs: tuple[float, ...]) -> tuple[Any, Any, Any]:
    """Return number by number what 24 bits are multiplied by, what is added, and the most that may come out."""
    factors = [np.float32(high - low) * np.float32(UNIT_24_BITS) for low, high in zip(lows, highs, strict=True)]
    most = [find_below(high) if low else math.inf for low, high in zip(lows, highs, strict=True)]
    factor, low, below = (np.repeat(np.array(values, np.float32), counts) for values in (factors, lows, most))
    return factor, low, below


def draw_uniforms(
    hashed: Tensor,
    words: Sequence[int],
    seed: Any,
    epoch: Any,
    counts: Sequence[int],
    lows: Sequence[float],
    highs: Sequence[float],
) -> Tensor:
    """Draw uniform numbers of several keys, side by side; the same ones as key by key."""
    keys = zip(words, counts, lows, highs, strict=True)
    return torch.cat([draw_uniform(hashed, word, seed, epoch, (count,), *ends) for word, count, *ends in keys], 1)


def shape_uniforms(hashed: Tensor, words: Any, seed: Any, epoch: Any, counts: Sequence[int], *ends: Any) -> Tensor:
    """Tell the compiler the shape and type of uniform numbers of several keys."""
    return hashed.new_empty((hashed.shape[0], sum(counts)), dtype=torch.float32)


def draw_normal_on_cpu(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], rows: Tensor | None = None
) -> Tensor:
    """Draw standard normal numbers; with rows (B, R), those of these rows of `shape`.

    Radii and angles are of every second word; each block is transformed while it is in the cache.
    """
    sample, count = hash_samples(hashed, word, seed, epoch), math.prod(shape)
    if rows is not None:
        count = math.prod(shape[1:])
        sample = (sample[:, None] + view_words(rows) * (INCREMENT * np.uint64(2 * count))).reshape(-1)
    normal, (of_radius, of_angle) = torch.empty((len(sample), count)), count_in_pairs(count)
    for some, columns in iterate_blocks(len(sample), count, MAX_NORMAL_BLOCK):
        radius = draw_floats(sample[some], of_radius[columns], SHIFT_32)
        angle = draw_floats(sample[some], of_angle[columns], SHIFT_40)
        radius.add_(1).mul_(UNIT_32_BITS).log_().mul_(-2).clamp_(min=0).sqrt_()
        torch.mul(radius, angle.mul_(2 * math.pi * UNIT_24_BITS).cos_(), out=normal[some, columns])
    return normal.view(len(hashed), *shape_rows(shape, rows))


@lru_cache(maxsize=64)
def count_in_pairs(count: int) -> tuple[Any, Any]:
    """Return odd and even numbers up to 2 count times the increment, as uint64; they must not be written to."""
    odd = np.arange(1, 2 * count, 2, dtype=np.uint64) * INCREMENT
    return odd, odd + INCREMENT


def draw_floats(sample: Any, counters: Any, shift: Any) -> Tensor:
    """Return the first bits of the words of samples as floats, (B, K)."""
    words = make_words(sample, counters)
    words >>= shift
    return torch.from_numpy(words.view(np.int64).astype(np.float32))


def shape_rows(shape: Sequence[int], rows: Tensor | None) -> tuple[int, ...]:
    """Return the shape of what is drawn: that of so many rows of `shape`, where there are some."""
    return tuple(shape) if rows is None else (rows.shape[1], *shape[1:])


def draw_normal(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], rows: Tensor | None = None
) -> Tensor:
    """Draw standard normal numbers; with rows (B, R), those of these rows of `shape`."""
    count = 2 * math.prod(shape if rows is None else shape[1:])
    pairs = hash_words(hashed, word, seed, epoch, count, rows)
    return to_normal(pairs.view(len(hashed), *shape_rows(shape, rows), 2))


def shape_normal(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], rows: Tensor | None = None
) -> Tensor:
    """Tell the compiler the shape and type of normal numbers."""
    return hashed.new_empty((hashed.shape[0], *shape_rows(shape, rows)), dtype=torch.float32)


def to_normal(pair: Tensor) -> Tensor:
    """Return pairs of words as standard normal numbers by the Box-Muller transform; none is beyond 6.7."""
    radius = (shift_right(pair[..., 0], 32).float() + 1) * UNIT_32_BITS  # (0, 1]: the logarithm is finite
    angle = shift_right(pair[..., 1], 40).float() * (2 * math.pi * UNIT_24_BITS)
    return (-2 * radius.log()).clamp(min=0).sqrt() * angle.cos()


def draw_integers_on_cpu(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], low: int, high: int
) -> Tensor:
    """Draw integers in [low, high)."""

    def convert(words: Any, out: Any) -> None:
        words >>= SHIFT_32
        words *= np.uint64(high - low)
        words >>= SHIFT_32
        np.add(words.view(np.int64), np.int64(low), out=out)

    return fill(hashed, (word, seed, epoch), shape, np.int64, convert)


def draw_integers(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], low: int, high: int
) -> Tensor:
    """Draw integers in [low, high)."""
    return to_integers(draw_bits(hashed, word, seed, epoch, shape), low, high)


def to_integers(words: Tensor, low: int | Tensor, high: int | Tensor) -> Tensor:
    """Return words of 64 bits as integers in [low, high), of 32 bits each."""
    return low + shift_right(shift_right(words, 32) * (high - low), 32)


def draw_integers_between_on_cpu(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], low: Tensor, high: Tensor
) -> Tensor:
    """Draw integers in [low, high), whose bounds broadcast."""
    words = view_words(draw_bits_on_cpu(hashed, word, seed, epoch, shape))
    words >>= SHIFT_32
    scaled = words * (view_words(high) - view_words(low))
    scaled >>= SHIFT_32
    scaled += view_words(low)
    return torch.from_numpy(scaled.view(np.int64))


def draw_integers_between(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], low: Tensor, high: Tensor
) -> Tensor:
    """Draw integers in [low, high), whose bounds broadcast."""
    return to_integers(draw_bits(hashed, word, seed, epoch, shape), low, high)


def draw_bernoulli_on_cpu(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], probability: Tensor | float
) -> Tensor:
    """Draw True with a probability, which broadcasts."""
    return draw_uniform_on_cpu(hashed, word, seed, epoch, shape, 0.0, 1.0) < probability


def draw_bernoulli(
    hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], probability: Tensor | float
) -> Tensor:
    """Draw True with a probability, which broadcasts."""
    return draw_uniform(hashed, word, seed, epoch, shape, 0.0, 1.0) < probability


def hash_index_on_cpu(index: Tensor) -> Tensor:
    """Hash the numbers of samples, which all draws of a batch have in common."""
    words = view_words(index) + INCREMENT
    mix_in_place(words)
    return torch.from_numpy(words.view(np.int64))


def hash_index(index: Tensor) -> Tensor:
    """Hash the numbers of samples, which all draws of a batch have in common."""
    return mix(index + as_int64(SPLITMIX_INCREMENT))


def like_shape(dtype: torch.dtype) -> Callable[..., Tensor]:
    """Return what tells the compiler the shape and type of a draw."""

    def shape_draw(hashed: Tensor, word: int, seed: Any, epoch: Any, shape: Sequence[int], *options: Any) -> Tensor:
        bounds = [option.shape for option in options if isinstance(option, Tensor)]
        whole = torch.broadcast_shapes((hashed.shape[0], *shape), *bounds)  # type: ignore[no-untyped-call]
        return hashed.new_empty(whole, dtype=dtype)

    return shape_draw


hashed_index = register("hashed_index", "Tensor index", hash_index_on_cpu, hash_index, torch.empty_like)
bits = register("bits", KEY, draw_bits_on_cpu, draw_bits, like_shape(torch.int64))
uniform = register(
    "uniform", f"{KEY}, float low, float high", draw_uniform_on_cpu, draw_uniform, like_shape(torch.float32)
)
uniforms = register(
    "uniforms",
    "Tensor hashed, int[] words, Tensor? seed, Tensor? epoch, SymInt[] counts, float[] lows, float[] highs",
    draw_uniforms_on_cpu,
    draw_uniforms,
    shape_uniforms,
)
normal = register("normal", f"{KEY}, Tensor? rows=None", draw_normal_on_cpu, draw_normal, shape_normal)
integers = register(
    "integers", f"{KEY}, int low, int high", draw_integers_on_cpu, draw_integers, like_shape(torch.int64)
)
integers_between = register(
    "integers_between",
    f"{KEY}, Tensor low, Tensor high",
    draw_integers_between_on_cpu,
    draw_integers_between,
    like_shape(torch.int64),
)
bernoulli = register(
    "bernoulli", f"{KEY}, Tensor probability", draw_bernoulli_on_cpu, draw_bernoulli, like_shape(torch.bool)
)
event = register("event", f"{KEY}, float probability", draw_bernoulli_on_cpu, draw_bernoulli, like_shape(torch.bool))

DRAWS = {
    draw.name().removeprefix("pretask::"): draw
    for draw in (hashed_index, bits, uniform, uniforms, normal, integers, integers_between, bernoulli, event)
}

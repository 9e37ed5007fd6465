"""Promises of the quantizer: nearest entries, a gradient that passes through, averages, and entries that begin anew."""

import pytest
import torch
from pretask import Draws
from pretask_plugins.shared.latent.quantizer import Quantizer, nearest_entry, perplexity

VECTORS = Draws(torch.arange(6)).normal("vectors", 10, 3)


def quantizer(min_usage: float = 0.0, size: int = 4) -> Quantizer:
    torch.manual_seed(0)
    return Quantizer(size, 3, 0.9, min_usage)


def test_every_vector_has_its_nearest_entry() -> None:
    made = quantizer(size=7)
    distance = (VECTORS[:, :, None] - made.codebook).square().sum(-1)  # by brute force
    quantized, index = made(VECTORS)
    assert torch.equal(index, distance.argmin(-1))
    assert torch.allclose(quantized, made.codebook[index], atol=1e-6)


def test_the_gradient_of_an_entry_is_that_of_its_vector() -> None:
    vectors = VECTORS.clone().requires_grad_()
    weight = Draws(torch.arange(6)).normal("weight", 10, 3)
    (quantizer()(vectors)[0] * weight).sum().backward()
    assert torch.equal(vectors.grad, weight)


def test_entries_are_the_moving_averages_of_the_vectors_that_chose_them() -> None:
    made, usage, sums = quantizer(), torch.zeros(4), torch.zeros(4, 3)
    for step in range(5):
        vectors = VECTORS + 0.3 * step
        index = nearest_entry(vectors, made.codebook)
        half = len(vectors) // 2
        for part in (slice(0, half), slice(half, None)):  # a step of two parts
            made.note(vectors[part], index[part], torch.rand(index[part].shape))
        made.update()
        for entry in range(4):
            chose = vectors[index == entry]
            usage[entry] = 0.9 * usage[entry] + 0.1 * len(chose)
            sums[entry] = 0.9 * sums[entry] + 0.1 * chose.sum(0)
        used = usage > 0
        assert torch.allclose(made.codebook[used], (sums / usage[:, None])[used], atol=1e-5)
    made.update()  # without a step nothing moves
    assert torch.allclose(made.usage, usage)


def test_entries_that_nothing_chooses_begin_anew_at_the_vectors_of_highest_priority_whatever_the_order() -> None:
    found = []
    for order in (torch.arange(6), torch.tensor([3, 5, 0, 1, 4, 2])):
        made = quantizer(min_usage=0.5)
        made.codebook[2:] = 100.0  # which nothing is near
        priority = Draws(torch.arange(6)).uniform("priority", 10)
        vectors = VECTORS[order]
        made.note(vectors, nearest_entry(vectors, made.codebook), priority[order])
        made.update()
        best = VECTORS.flatten(0, 1)[priority.flatten().topk(4).indices]
        assert torch.equal(made.codebook[2:], best[2:])
        found.append(made.codebook.clone())
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_perplexity_lies_between_one_and_the_number_of_entries() -> None:
    assert float(perplexity(torch.zeros(9, dtype=torch.long), 5)) == pytest.approx(1)
    assert float(perplexity(torch.arange(5), 5)) == pytest.approx(5)

"""Precision: what a split makes of a sample is the same under half precision, for every built-in task."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import whole_gradient
from pretask import Draws, Inputs, PretaskError, Task
from pretask.checkpoint import Progress
from pretask.precision import matrix_products, refuse_narrow_maps, require_precision, watch_narrow_maps
from pretask.training import MicroBatch, Run
from pretask.values import iterate_tensors
from pretask_registry.conformance.material import make_batch
from torch import nn

HALF = torch.autocast("cpu", torch.bfloat16)


@contextmanager
def seen_by(task: Task) -> Iterator[list[Inputs]]:
    """What a task's model is given inside."""
    seen: list[Inputs] = []
    handle = task.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    yield seen
    handle.remove()


def equal(one: object, other: object) -> bool:
    ours, theirs = dict(iterate_tensors(one)), dict(iterate_tensors(other))
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("name", whole_gradient.TASKS)
def test_inputs_and_targets_are_the_same_bits_under_autocast(name: str) -> None:
    task, samples = whole_gradient.prepared(name, torch.float32)
    batch = make_batch(samples, task.split, 16)
    plain = task.apply_split(batch, Draws(batch.index))
    with HALF:
        assert equal(task.apply_split(batch, Draws(batch.index)), plain)
    with HALF, seen_by(task) as seen, torch.no_grad():
        task.loss(batch, Draws(batch.index))
        task.predict(batch, Draws(batch.index))
        task.encode(batch)
    assert equal(seen, [plain[0], plain[0], task.split.whole(batch)])


def test_training_in_half_precision_shows_the_network_what_training_in_single_does() -> None:
    task, samples = whole_gradient.prepared("pretask/colorization-tracking@1", torch.float32)

    def first_parts(precision: str) -> list[MicroBatch]:
        recipe = whole_gradient.replace(task.recipe, precision=precision)
        run = Run(whole_gradient.replace(task, recipe=recipe), samples, 0, None, Progress(""), None)
        return run.make_micro_batches(run.fetch(0))

    assert equal(first_parts("bf16"), first_parts("fp32"))


def test_products_of_matrices_are_taken_by_tf32_inside_where_that_is_asked_for_and_nowhere_else() -> None:
    allowed = []
    for precision in ("fp32", "tf32", "bf16"):
        with matrix_products(precision):
            allowed.append(torch.backends.cuda.matmul.allow_tf32)
    assert [*allowed, torch.backends.cuda.matmul.allow_tf32] == [False, True, False, False]


def test_a_cpu_refuses_half_precision_to_convolutions_whose_gradients_it_has_wrong() -> None:
    cpu, over_time = torch.device("cpu"), nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.Conv3d(8, 8, 3, padding=1))
    with pytest.raises(PretaskError, match=r"Sequential with 0 and 1 more.*recipe\.precision=fp32"):
        require_precision(cpu, "bf16", [over_time])
    require_precision(cpu, "fp32", [over_time])
    require_precision(cpu, "bf16", [nn.Conv2d(3, 8, 3, padding=1), nn.Conv3d(3, 8, (1, 3, 3), padding=(0, 1, 1))])


@pytest.mark.parametrize(
    ("convolution", "size"),
    [
        (nn.Conv1d(16, 16, 5, 4, padding=2), (3,)),
        (nn.Conv2d(16, 16, 3, 2, padding=1), (1, 1)),
        (nn.Conv2d(16, 16, 3, 3, padding=1), (2, 2)),
        (nn.ConvTranspose2d(16, 16, 3, 2, padding=1), (1, 1)),
        (nn.Conv3d(16, 16, (1, 3, 3), (1, 2, 2), padding=(0, 1, 1)), (3, 1, 4)),
    ],
)
def test_maps_narrower_than_a_stride_are_seen_before_their_gradients(convolution: Any, size: tuple[int, ...]) -> None:
    found: list[str] = []
    network = nn.Sequential(nn.Identity(), convolution)
    with watch_narrow_maps(network, found.append):
        network(torch.randn(2, 16, *size))
        network(torch.randn(2, 16, *(8 for _ in size)))
    assert found == ["1"]
    network(torch.randn(2, 16, *size))
    assert found == ["1"]


def test_training_refuses_them_where_they_would_be_learned_from() -> None:
    def halves(precision: Any, size: int) -> None:
        network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1), nn.Conv2d(8, 8, 3, 2, padding=1))
        with refuse_narrow_maps(torch.device("cpu"), precision, [network]):
            network(torch.randn(2, 3, size, size))

    with pytest.raises(PretaskError, match=r"narrower ones at 1 of Sequential.*recipe\.precision=fp32"):
        halves("bf16", 2)
    halves("bf16", 4)
    halves("fp32", 2)


@pytest.mark.parametrize(("width", "channels"), [(1, 16), (2, 16), (2, 64), (4, 16), (7, 3)])
def test_gradients_of_wider_maps_are_right_in_half_precision(width: int, channels: int) -> None:
    network, image = nn.Conv2d(channels, 16, 3, min(width, 2), padding=1), torch.randn(8, channels, width, width)
    (right,) = torch.autograd.grad(network(image).square().mean(), [network.weight])
    with HALF:
        (half,) = torch.autograd.grad(network(image).float().square().mean(), [network.weight])
    assert torch.linalg.vector_norm(half - right) < 0.1 * torch.linalg.vector_norm(right)


def test_only_processors_that_compute_with_half_precision_have_those_gradients_wrong() -> None:
    network, clip = nn.Conv3d(16, 16, 3, padding=1), torch.randn(2, 16, 2, 4, 4)
    (right,) = torch.autograd.grad(network(clip).square().mean(), [network.weight])
    with HALF:
        (half,) = torch.autograd.grad(network(clip).float().square().mean(), [network.weight])
    is_right = torch.linalg.vector_norm(half - right) < 0.1 * torch.linalg.vector_norm(right)
    assert is_right or "AVX512" in torch.backends.cpu.get_cpu_capability()

"""Precision: what a split makes of a sample is the same under half precision, for every built-in task."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import whole_gradient
from pretask import Draws, Inputs, Task
from pretask.checkpoint import Progress
from pretask.precision import matrix_products
from pretask.training import MicroBatch, Run
from pretask.values import iterate_tensors
from pretask_registry.conformance.material import make_batch

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

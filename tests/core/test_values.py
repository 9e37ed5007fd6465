"""Values: tensors by name, on one device, of the stated shapes, and never changed in place of each other."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from pretask import Batch, Features, Inputs, Loss, Target

IMAGES = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)


def test_a_batch_is_as_long_as_its_samples_and_where_they_are() -> None:
    batch = Batch(IMAGES)
    assert len(batch) == 3
    assert batch.device == IMAGES.device
    assert Batch(IMAGES.to("meta")).index.is_meta


def test_a_batch_keeps_the_numbers_that_it_is_given() -> None:
    index = torch.tensor([9, 2, 5])
    assert Batch(IMAGES, index).index is index


def test_moving_a_batch_moves_what_there_is_and_changes_nothing() -> None:
    bare, full = Batch(IMAGES), Batch(IMAGES, present=IMAGES[:, 0] == 0, partners=IMAGES[:, None])
    assert bare.to("meta").present is None
    assert bare.to("meta").partners is None
    there = full.to("meta")
    assert all(getattr(there, field.name).is_meta for field in fields(Batch))
    assert not full.data.is_meta
    assert all(torch.equal(getattr(full.to("cpu"), field.name), getattr(full, field.name)) for field in fields(Batch))


@pytest.mark.parametrize(
    "value",
    [Batch(IMAGES), Inputs(IMAGES[:, None]), Target(torch.zeros(3)), Features({}, {}), Loss(torch.zeros(()))],
    ids=lambda value: type(value).__name__,
)
def test_a_value_cannot_be_changed(value: Batch) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)


def test_what_is_left_out_of_a_loss_is_not_shared() -> None:
    assert Loss(torch.zeros(())).parts is not Loss(torch.zeros(())).parts


def test_padding_and_erasure_are_two_masks() -> None:
    present, visible = torch.ones(3, 1, 16, dtype=torch.bool), torch.zeros(3, 1, 16, dtype=torch.bool)
    inputs = Inputs(torch.zeros(3, 1, 16), present, visible)
    assert inputs.present is present
    assert inputs.visible is visible


@pytest.mark.parametrize(
    "made",
    [
        lambda: Batch(IMAGES, torch.zeros(2, dtype=torch.int64)),  # three samples, two numbers
        lambda: Batch(IMAGES, torch.zeros(3)),  # numbers are integers
        lambda: Batch(IMAGES, present=torch.ones(3, 4)),  # a mask is bool
        lambda: Inputs(torch.zeros(3)),  # no axis of views
        lambda: Inputs(torch.zeros(3, 2, 4), visible=torch.ones(3, 1, 4, dtype=torch.bool)),  # of other views
        lambda: Target(torch.zeros(3), weight=torch.ones(2)),
        lambda: Target(torch.zeros(3), weight=torch.ones(3, dtype=torch.int64)),
        lambda: Features({"all": torch.zeros(3, 2, 8)}, {"all": torch.zeros(3, 2, 8)}),  # no axis of positions
        lambda: Features({"all": torch.zeros(3, 2, 5, 8)}, {"all": torch.zeros(3, 2, 7)}),  # of two widths
        lambda: Loss(torch.zeros(2)),  # a loss is one number
    ],
)
def test_tests_refuse_shapes_and_types_that_are_not_the_stated_ones(made: type) -> None:
    with pytest.raises(TypeError):  # of jaxtyping and beartype, which run under pytest only
        made()

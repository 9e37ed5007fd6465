"""Clips that are read when a split asks for frames: the same ones as of a batch that was copied whole."""

from dataclasses import replace

import pytest
import torch
from pretask import Batch, Draws, Observed, Samples
from pretask.augment import augment_batch
from pretask.order import draw_batch

CPU = torch.device("cpu")
DATA = Draws(torch.arange(9)).integers("clips", 0, 256, 5, 2, 6, 7).to(torch.uint8)
PRESENT = (torch.arange(5) < torch.tensor([5, 3, 4])[:, None]).repeat(3, 1)
SAMPLES = Samples(Observed("video", (5, 2, 6, 7), "uint8", 9), DATA, present=PRESENT)


def draw_both(*augment: str) -> list[Batch]:
    batches = [draw_batch(SAMPLES, 3, 4, 4, CPU, unread=unread)[0] for unread in (False, True)]
    return [augment_batch(batch, augment, Draws(batch.index)) for batch in batches]


@pytest.mark.parametrize("augment", [(), ("flip",), ("flip", "flip")], ids=len)
def test_unread_clips_have_the_frames_and_pixels_of_read_ones(augment: tuple[str, ...]) -> None:
    read, unread = draw_both(*augment)
    frames, order = torch.tensor([[4, 0], [1, 1], [2, 3], [0, 4]]), torch.tensor([0, 0, 3])
    assert torch.equal(read.take_frames(frames), unread.take_frames(frames))
    for step in (1, 2, 4):
        assert torch.equal(read.take_pixels(order, step), unread.take_pixels(order, step))
        assert torch.equal(read.take_pixels(frames, step), unread.take_pixels(frames, step))
    assert (len(unread), unread.device, unread.shape) == (len(read), read.device, read.data.shape)
    assert "data" not in vars(unread)
    assert torch.equal(read.data, unread.data)
    assert torch.equal(read.index, unread.index)
    assert torch.equal(read.present, unread.present)  # type: ignore[arg-type]


def test_what_is_changed_in_unread_clips_is_a_plain_batch() -> None:
    _, unread = draw_both("flip")
    shown = replace(unread, data=unread.data[:, :2])
    assert type(shown) is Batch
    assert torch.equal(shown.index, unread.index)
    assert type(replace(unread, present=None)) is Batch
    with pytest.raises(AttributeError, match="clips have no 'pixels'"):
        unread.pixels  # type: ignore[attr-defined]  # noqa: B018

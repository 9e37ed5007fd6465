"""Augment: what a recipe may do to t before it is split, batched, on the device.

Axes: B batch, C channels, H W image, T frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pretask.draws import Draws
from pretask.errors import Unknown
from pretask.unread_clips import UnreadClips, mirror_some
from pretask.values import Batch


def flip(batch: Batch, draws: Draws) -> Batch:
    """Mirror every second image or clip, left to right."""
    mirrored = draws.bernoulli("flip", 0.5)
    if isinstance(batch, UnreadClips):
        return batch.mirror(mirrored)
    return replace(batch, data=mirror_some(batch.data, mirrored))


AUGMENTATIONS: dict[str, Callable[[Batch, Draws], Batch]] = {"flip": flip}


def augment_batch(batch: Batch, names: Sequence[str], draws: Draws) -> Batch:
    """Return the batch after every named augmentation; raise Unknown where there is no such name."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise Unknown(f"No augmentation '{name}'. There are: {', '.join(AUGMENTATIONS)}.")
        batch = AUGMENTATIONS[name](batch, draws)
    return batch

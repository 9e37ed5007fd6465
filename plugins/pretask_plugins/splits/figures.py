"""Figures of the masked splits: images or clips, what was shown of them, and what is predicted for the rest.

Axes: B batch, V views (T frames of a clip, else 1), C channels, H W image, h w patches, K numbers in a patch.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Figure, Task
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor

from pretask_plugins.shared.drawn import DrawsPredictions
from pretask_plugins.shared.pictures import encode_png, fit_images, tile_rows, to_bytes
from pretask_plugins.splits.patches import TARGET, erase, expand_to_pixels, patchify, unpatchify

if TYPE_CHECKING:
    from pretask_plugins.splits.masking import Mask, Masking

IMAGES, CLIPS = 6, 1  # samples in a figure
FRAMES = 8  # most frames of a clip
DRAWS = 4  # of the hidden pixels, where an objective draws them


def masking_figures(split: "Masking", task: Task, batch: Batch) -> Iterator[Figure]:
    """Yield a figure of a few images, or of the frames of one clip; none of text or sound."""
    if batch.data.ndim < 4:
        return
    batch = take_first(batch, IMAGES if batch.data.ndim == 4 else CLIPS)
    draws = Draws(batch.index, 0, HELD_OUT_EPOCH)
    mask = split.mask(batch, draws.branch("split"))
    whole = split.whole(batch).data
    rows, caption = [whole, erase(whole, expand_to_pixels(mask.visible, split.patch), 0)], "was shown of them"
    predicted = fill_predicted(split, whole, mask, task.predict(batch, draws).get(TARGET["image"]))
    if predicted is not None:
        rows.append(predicted)
        caption += ", and what is predicted for the rest"
    filled = [fill_predicted(split, whole, mask, values) for values in draw_predictions(task, batch, draws)]
    drawn = [one for one in filled if one is not None]
    if drawn:
        rows += drawn
        caption += f", and {len(drawn)} draws of it"
    what = "images" if batch.data.ndim == 4 else "frames of a clip"
    tiled = tile_rows(torch.stack([fit_images(to_bytes(row.flatten(0, 1)[:FRAMES])) for row in rows]))
    yield Figure(encode_png(tiled.cpu().numpy()), f"From above: {what}, what {caption}.")


def draw_predictions(task: Task, batch: Batch, draws: Draws) -> list[Tensor]:
    """Return some draws of the hidden pixels, where the objective can draw them."""
    objective = task.objective
    if not isinstance(objective, DrawsPredictions):
        return []
    inputs, _ = task.apply_split_and_prepare(batch, draws)
    drawn = objective.draw_predictions(task.encode_inputs(inputs), draws.branch("objective"), DRAWS)
    return list(drawn[TARGET["image"]].unbind(1)) if TARGET["image"] in drawn else []


def take_first(batch: Batch, count: int) -> Batch:
    """Return the first samples of a batch of images or clips."""
    return Batch(batch.data[:count], batch.index[:count])


def fill_predicted(
    split: "Masking", whole: Float[Tensor, "B V C H W"], mask: "Mask", values: Tensor | None
) -> Float[Tensor, "B V C H W"] | None:
    """Return the views with predictions at the target, and gray where nothing is shown or predicted.

    None where the objective predicts no pixels, such as one that compares embeddings.
    """
    patches = patchify(whole, split.patch)  # (B, V, h, w, K)
    frames = split.generator.target_frames(whole.shape[1]) if whole.shape[1] > 1 else None
    numbers = patches.shape[-1] * (1 if frames is None else len(frames))
    wanted = patches.shape if whole.shape[1] > 1 and frames is None else (len(whole), *patches.shape[2:4], numbers)
    if values is None or values.shape != wanted:
        return None
    predicted = torch.full_like(patches, 0.5)
    if frames is None:
        predicted[:] = values.reshape(patches.shape)
    else:
        side_by_side = values.reshape(*values.shape[:-1], len(frames), -1)  # (B, h, w, frames, K)
        predicted[:, list(frames)] = side_by_side.movedim(-2, 1).to(patches.dtype)
    predicted = predicted.where(mask.target[..., None], 0.5)
    return unpatchify(patches.where(mask.visible[..., None], predicted), split.patch)

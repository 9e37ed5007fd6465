"""Patches: which of an image's patches are visible, for models that encode no others (MAE, I-JEPA).

Axes: B batch, V views, H W image, N patches of one view, row by row, S of them visible, D width.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pretask.errors import Incompatible
from pretask.specs import InputSpec
from pretask.values import Inputs


def check_patch(who: str, spec: InputSpec, patch: int) -> None:
    """Raise Incompatible where a model's patches are not hidden or visible as a whole.

    Args:
        who: The model, for the error.
        spec: Of x.
        patch: Side of the model's patches, pixels; it must divide the side of what the split hides.
    """
    if spec.patch is not None and any(side % patch for side in spec.patch):
        hidden = " x ".join(str(side) for side in spec.patch)
        raise Incompatible(
            who,
            f"x to be hidden by patches whose sides {patch} divides (model.patch), or it would read hidden pixels",
            f"patches of {hidden} pixels",
            f"Set split.patch to {patch} or a multiple, or model.patch to a divisor of {min(spec.patch)}.",
        )


def find_visible_patches(inputs: Inputs, patch: int) -> Bool[Tensor, "B V N"] | None:
    """Return which patches are visible; None where the split hides nothing.

    Args:
        inputs: Images with `visible` of every pixel, (B, V, H, W).
        patch: Side of a patch, pixels.
    """
    if inputs.visible is None:
        return None
    return inputs.visible[..., ::patch, ::patch].flatten(2)


def count_visible_patches(spec: InputSpec, patch: int) -> int | None:
    """Return how many patches of one view are visible; None where all are, or where their number differs."""
    if spec.shown is None or spec.patch is None:
        return None
    return spec.shown * (spec.patch[0] // patch) * (spec.patch[1] // patch)


def select_patches(
    tokens: Float[Tensor, "B N D"], visible: Bool[Tensor, "B N"] | None, count: int | None
) -> tuple[Float[Tensor, "B S D"], Int[Tensor, "B S"]]:
    """Return the tokens of the visible patches, in order, and the places that they came from.

    Args:
        tokens: Of all patches.
        visible: Which are visible; None for all.
        count: How many are, the same in every row; None leaves all N in, the visible ones first.
    """
    if visible is None:
        return tokens, torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
    order = visible.int().argsort(dim=1, descending=True, stable=True)[:, :count]
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[2])), order


def restore_patches(
    tokens: Float[Tensor, "B S D"], order: Int[Tensor, "B S"], count: int
) -> Float[Tensor, "B {count} D"]:
    """Return tokens at the places that they came from, of so many, and zeros elsewhere."""
    full = tokens.new_zeros(len(tokens), count, tokens.shape[2])
    return full.scatter(1, order[..., None].expand(-1, -1, tokens.shape[2]), tokens)

"""Patches: which of an image's patches are visible, for models that encode no others (MAE, I-JEPA).

Axes: B batch, V views, H W image, N patches of one view, row by row.
"""

from jaxtyping import Bool
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

"""Feature maps: what networks of images and of frames share: what they can read, and their maps as features.

Axes: B batch, V views, D width, `...` rows and columns, or moments before them; N positions.
"""

from collections.abc import Collection

from jaxtyping import Float
from pretask import Features, Incompatible, InputSpec
from torch import Tensor


def check_images(
    who: str,
    spec: InputSpec,
    whole_spec: InputSpec,
    modalities: Collection[str] = ("image",),
    needs: str = "images, (channels, height, width)",
    whole: str = "image",
) -> None:
    """Raise Incompatible unless both specs are images of equal channels.

    Args:
        who: The model, for errors.
        spec: Of x.
        whole_spec: Of the undivided sample.
        modalities: That the model reads.
        needs: What it reads, for errors.
        whole: What an undivided sample is, for errors.
    """
    for read in (spec, whole_spec):
        if read.modality not in modalities or len(read.shape) != 3:
            raise Incompatible(
                who,
                needs,
                f"{read.modality} of shape {read.shape}",
                f"Choose a model for {read.modality}: pretask list model.",
            )
    if spec.shape[0] != whole_spec.shape[0]:
        raise Incompatible(
            who,
            f"the same channels in x and in the whole {whole}",
            f"{spec.shape[0]} and {whole_spec.shape[0]}",
            "Let the split's whole() show what x shows.",
        )


def map_tokens(maps: Float[Tensor, "BV D ..."], views: int) -> Float[Tensor, "B V N D"]:
    """Return a vector per position."""
    tokens = maps.flatten(2).transpose(1, 2)
    return tokens.reshape(-1, views, *tokens.shape[1:])


def map_features(maps: Float[Tensor, "BV D ..."], views: int, stream: str = "all") -> Features:
    """Return maps as features of one stream: a token per position, their mean as the pooled vector."""
    tokens = map_tokens(maps, views)
    return Features({stream: tokens}, {stream: tokens.mean(2)}, tuple(maps.shape[2:]))


def read_map(features: Features) -> Float[Tensor, "B D h w"]:
    """Return features on a grid as a map, the mean over views."""
    tokens = next(iter(features.streams.values())).float().mean(1)
    return tokens.transpose(1, 2).reshape(*tokens.shape[::2], *features.grid)

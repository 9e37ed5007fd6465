"""Stand-in: an encoder without training, with which a split that cannot do without one is fitted when it is tried.

A fixed random projection of what the split shows of undivided samples: of tokens, of frames of sound, of areas
of images.
Axes: B batch, V views, N positions, C channels, H W image, S samples, D width.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from pretask import Batch, Features, Samples, SplitFn
    from pretask.protocols import Encoder

WIDTH = 16  # D
SIDE = 4  # areas of an image along either axis
FIT_BATCH = 16  # samples that a split is fitted to at a time


def fit_on_trial(split: Any, samples: "Samples") -> "SplitFn":
    """Return the split, fitted to tiny samples where it needs to be: alone if it can, else with a stand-in."""
    import torch
    from pretask.fitting import fit_split
    from pretask.protocols import FitsWithEncoder, Fittable

    alone = isinstance(split, Fittable) or not isinstance(split, FitsWithEncoder)
    batches = samples.batches(FIT_BATCH, torch.device("cpu"))
    return fit_split(split, samples.observed, batches, None if alone else make_stand_in(split))


def make_stand_in(split: "SplitFn") -> "Encoder":
    """Return the encoder of what a split shows of whole samples."""

    from pretask import Features

    def encode(batch: "Batch") -> "Features":
        vectors = project(split.whole(batch).data)
        features = Features({"all": vectors}, {"all": vectors.mean(2)}, (vectors.shape[2],))
        return Features(features.streams, features.pooled, features.grid, layers=(features,))

    return encode


def project(data: "torch.Tensor") -> "torch.Tensor":
    """Return vectors (B, V, N, D) of tokens (B, V, N), images (B, V, C, H, W), or sound (B, V, S) or (B, V, N, S)."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(0)
    if not data.is_floating_point():
        table = torch.randn(int(data.max()) + 1, WIDTH, generator=generator)
        return table.to(data.device)[data]
    if data.ndim == 5:
        areas = F.adaptive_avg_pool2d(data.flatten(0, 1), SIDE).view(*data.shape[:3], -1).transpose(2, 3)
    else:
        areas = data if data.ndim == 4 else data[:, :, None]
    return areas @ torch.randn(areas.shape[-1], WIDTH, generator=generator).to(data.device)

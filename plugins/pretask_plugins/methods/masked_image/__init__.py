"""Masked image: predict the hidden patches of an image from the visible ones.

The split is the generic one of any part from any other part (splits, any-from-any): a fixed share of the patches, drawn
at random, is hidden, and y is their pixels. Two papers differ in who sees the hole:

    MAE     the encoder is given the visible quarter alone (model.hidden = skipped); a decoder of a few blocks, with a
            learned vector at each hidden place, draws the rest (decoder.py), by squared errors
    SimMIM  the encoder is given all places, a learned vector where a patch is hidden (model.hidden = masked); a line
            draws the rest, by absolute errors (preset `simmim`)

Source: He et al., CVPR 2022; Xie et al., CVPR 2022.
Differs: see decoder.py and models/image/vit.py; images are mirrored at most, where both papers cut regions of random
    size and shape; weights begin as PyTorch's and timm's layers have them, where MAE's are uniform by the size of a
    layer; SimMIM's network is a Swin or ViT-B with relative positions.
Axes: see the modules.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import LOSS, Metric

# Learns in minutes on two cores.
TWO_CORES = {
    "split.patch": 8,
    "model.patch": 8,
    "model.width": 96,
    "model.depth": 4,
    "recipe.lr": 1e-3,
    "recipe.batch": 128,
    "recipe.augment": ("flip",),
    "recipe.samples": 200_000,
}
LINE = {
    "model.hidden": "masked",
    "objective.depth": 0,
    "objective.error": "absolute",
    "split.mask_ratio": 0.6,
    "recipe.betas": (0.9, 0.999),
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the objective and the task."""
    yield pretask.objective(
        "patch-decoder",
        "pretask_plugins.methods.masked_image.decoder:PatchDecoder",
        targets={"values"},
        metrics={LOSS: Metric("error", higher_is_better=False), "r2": Metric(higher_is_better=True)},
        summary="Decoder of hidden patches: a small transformer or a line (He 2022, Xie 2022).",
        source="He et al. 2022; Xie et al. 2022",
        cites=("he2022masked", "xie2022simmim"),
        small={"width": 16, "depth": 1, "heads": 2},
    )
    yield pretask.task(
        "masked-image",
        split="any-from-any",
        objective="patch-decoder",
        model="vit",
        options={
            "split.mask_ratio": 0.75,
            "split.patch": 16,
            "model.width": 768,
            "model.depth": 12,
            "model.heads": 12,
            "model.hidden": "skipped",
        },
        recipe={
            "optimizer": "adamw",
            "betas": (0.9, 0.95),
            "lr": 2.4e-3,
            "batch": 4096,
            "samples": 1_000_000_000,
            "warmup": 0.05,
            "weight_decay": 0.05,
        },
        presets={
            "small": {**TWO_CORES, "objective.width": 64, "objective.depth": 1, "objective.heads": 4},
            "simmim": {**TWO_CORES, **LINE},
        },
        summary="Masked autoencoder (He 2022): three of four patches of 16 pixels hidden; SimMIM as a preset.",
        source="He et al., CVPR 2022",
        cites="he2022masked",
    )

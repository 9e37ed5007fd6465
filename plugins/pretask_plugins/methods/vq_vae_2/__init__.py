"""VQ-VAE-2: encode an image as codebook entries on two grids, the lower made of the upper, and learn their prior.

What it adds to VQ-VAE (methods/vq_vae), in the order of the paper:

1. The map of features is halved once more; the smaller map is quantized to the top codes (section 3.1, algorithm 1):
   shared/latent/discrete_model.py, `bottom_up`.
2. The bottom codes are those of the larger map joined with what the top's entries are decoded to: again
   discrete_model.py, `project_level`; the decoder is given the entries of both.
3. The prior is p(top) p(bottom | top) (section 3.2, algorithm 2): the evaluator code-prior of methods/vq_vae, over rows
   that have the top codes first.

Source: Razavi, van den Oord and Vinyals, NeurIPS 2019; K = 512 entries of 64 numbers, beta .25, decay .99, Adam at
3e-4.
Differs: as methods/vq_vae; one transformer over both levels in place of two PixelSNAILs, and no rejection of samples.
Axes: see the split whole and the objective vector-quantization.
"""

from collections.abc import Iterator

import pretask

OPTIONS = {
    "objective.levels": 2,
    "model.width": 32,
    "model.depth": 2,
    "model.stride": 1,
    "objective.codebook_size": 512,
    "objective.code_dim": 64,
    "objective.channels": 128,
}
RECIPE = {
    "optimizer": "adam",
    "lr": 3e-4,
    "weight_decay": 0.0,
    "batch": 128,
    "samples": 32_000_000,
    "warmup": 0.0,
    "schedule": "constant",
}
SMALL = {  # digits of 8 x 8 pixels
    "data": "digits",
    "model.width": 16,
    "model.depth": 1,
    "objective.codebook_size": 32,
    "objective.code_dim": 16,
    "objective.channels": 32,
    "recipe.lr": 3e-3,
    "recipe.batch": 64,
    "recipe.samples": 60_000,
    "recipe.schedule": "cosine",
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the task; its parts are shared with others."""
    yield pretask.task(
        "vq-vae-2",
        split="whole",
        objective="vector-quantization",
        model="convnet",
        options=OPTIONS,
        recipe=RECIPE,
        presets={"small": SMALL},
        summary="VQ-VAE-2: codes on two levels, the lower made of the upper (Razavi 2019).",
        source="Razavi, van den Oord and Vinyals, NeurIPS 2019",
        cites="razavi2019generating",
    )

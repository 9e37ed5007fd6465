"""VQ-VAE: encode an image as entries of a codebook on a grid, and learn how such codes are distributed.

The method in the order of its equations; x is an image:

1. z_e(x) is a map of features, a quarter of x's sides: models/image/convnet.py, and a linear map of every vector.
2. Each vector is replaced by the nearest of K entries, z_q(x) = e_k with k = argmin_j ||z_e(x) - e_j|| (equations 1 and
   2), with the gradient of the entry (straight through): shared/latent/quantizer.py.
3. Entries follow the vectors that chose them as moving averages (appendix A.1); those that none chooses begin anew:
   again quantizer.py.
4. What is trained is log p(x | z_q(x)) - beta ||z_e(x) - sg[e]||^2 (equation 3 without its second term, which 3
   replaces): objectives/vae/vector_quantization.py and shared/latent/discrete_model.py.
5. The prior is learned afterwards, over the codes in reading order (section 3.3): codes.py makes rows of codes predict
   themselves, prior.py trains and measures a causal transformer, models/text/transformer.py.
6. A sample is drawn code by code and decoded: prior.py, `draw_codes`.

Source: van den Oord, Vinyals and Kavukcuoglu, NIPS 2017; K = 512, beta .25, batches of 128, decay .99.
Differs: the encoder is a small residual network with batch normalization; the likelihood has a learned standard
deviation, where the paper has the squared error; the prior is a transformer in place of a PixelCNN; Adam's rate is that
of VQ-VAE-2.
Axes: see the split whole and the objective vector-quantization.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import FRACTION

VQ_VAE = "van den Oord, Vinyals and Kavukcuoglu, NIPS 2017"
VQ_VAE_2 = "Razavi, van den Oord and Vinyals, NeurIPS 2019"
NATS = pretask.Metric("nats", higher_is_better=False)
OPTIONS = {
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
    """Declare the task, and the evaluator that learns the prior."""
    yield pretask.task(
        "vq-vae",
        split="whole",
        objective="vector-quantization",
        model="convnet",
        options=OPTIONS,
        recipe=RECIPE,
        presets={"small": SMALL},
        summary="VQ-VAE: an image as entries of a codebook, 512 of 64 numbers (van den Oord 2017).",
        source=VQ_VAE,
        cites="oord2017neural",
    )
    yield pretask.evaluator(
        "code-prior",
        "pretask_plugins.methods.vq_vae.prior:CodePrior",
        needs="objective",
        modality="image",
        metrics={
            "negative_elbo": NATS,
            "uniform_negative_elbo": NATS,
            "reconstruction": NATS,
            "nats_per_code": NATS,
            "unigram": NATS,
            "uniform": pretask.Metric("nats"),
            "perplexity": pretask.Metric("entries"),
            "used": pretask.Metric(FRACTION),
        },
        headline="negative_elbo",
        summary="Code prior: a causal transformer over codes, top to bottom, and its samples (Razavi 2019).",
        source=VQ_VAE_2,
        cites="razavi2019generating",
        small={"samples": 64, "batch": 16, "width": 16, "depth": 1, "heads": 2, "num_samples": 4},
    )

"""The variational autoencoder: tell t from a short noisy code of it.

Source: Kingma and Welling, ICLR 2014, algorithm 1 and section 5 (M = 100, L = 1, Adagrad, 500 tanh units a side, weight
decay for a standard normal prior on the weights, which is 1 / 60,000 for a mean over MNIST).
Differs: pixels are drawn black or white with their grey values as probabilities, anew every epoch, so that the bound is
one on the likelihood of data; layers begin as torch's do, not from N(0, 0.01); the middle one of the paper's step sizes
.01, .02, .1 is taken instead of the best on the first few batches.
Axes: see the split whole and the objective elbo.
"""

from collections.abc import Iterator

import pretask

# Learns in a minute or two on two cores; with a code of two dimensions the whole of it can be looked at.
TWO_CORES = {
    "data": "digits",
    "model.hidden": (200,),
    "objective.hidden": (200,),
    "recipe.optimizer": "adam",
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.0,
    "recipe.schedule": "cosine",
    "recipe.samples": 300_000,
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the task; its parts are shared with others."""
    yield pretask.task(
        "vae",
        split="whole",
        objective="elbo",
        model="mlp",
        options={
            "split.binarize": True,
            "model.hidden": (500,),
            "objective.latent": 20,
            "objective.hidden": (500,),
            "objective.likelihood": "bernoulli",
            "objective.samples": 1,
        },
        recipe={
            "optimizer": "adagrad",
            "lr": 0.02,
            "weight_decay": 1 / 60_000,
            "batch": 100,
            "samples": 10_000_000,
            "warmup": 0.0,
            "schedule": "constant",
        },
        presets={"small": {**TWO_CORES, "objective.latent": 10}, "manifold": {**TWO_CORES, "objective.latent": 2}},
        summary="Kingma and Welling's AEVB: one hidden layer a side, 20 latent dimensions, Bernoulli pixels.",
        source="Kingma and Welling, ICLR 2014",
    )

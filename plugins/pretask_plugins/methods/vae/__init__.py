"""The variational autoencoder: encode a sample as a Gaussian code, decode the sample from draws of the code.

The method in the order of the paper, with the place where each equation is computed:

1. The data, x. Gray values are drawn black or white: splits/whole.py, with `binarise`.
2. The encoder, q(z | x) = N(mean, variance), equation 9: the model (models/mlp.py) gives a feature vector, a linear map
   of it the mean and the log-variance: shared/latent/latent_model.py, `LatentModel.posterior`; shared/latent/
   gaussian.py, `Posterior`.
3. Draws of the code by reparameterization, z = mean + std * noise, equation 4: gaussian.py, `Posterior.draw`.
4. The decoder, p(x | z), appendix C: shared/latent/decoders.py computes its parameters, shared/latent/likelihoods.py
   the log-likelihood, `Bernoulli` for equation 11 and `Gaussian` for equation 12.
5. The divergence KL(q(z | x) || p(z)) in closed form, appendix B: gaussian.py, `kl_to_standard_normal`.
6. The bound of equation 3, estimated by equation 7 (equation 10 in this case) with L = 1 code and a minibatch as in
   equation 8: objectives/vae/elbo.py, `Elbo.forward`. Algorithm 1 is `pretask.train` with this objective.
7. How well it does: the bound, its gap and the likelihood log p(x) by importance sampling (in the place of appendix D's
   estimator, which is good for few dimensions only), figures 4 and 5: evaluators/density. A tighter bound with more
   codes, IWAE, is objectives/vae/iwae.py.

Source: Kingma and Welling, ICLR 2014, algorithm 1 and section 5 (M = 100, L = 1, Adagrad, 500 tanh units a side, weight
decay for a standard normal prior on the weights, which is 1 / 60,000 for a mean over MNIST).
Differs: pixels are drawn black or white with their gray values as probabilities, anew every epoch, so that the bound is
one on the likelihood of data; layers begin as torch's do, not from N(0, 0.01); the middle one of the paper's step sizes
.01, .02, .1 is taken instead of the best on the first few batches.
Axes: see the split whole and the objective elbo.
"""

from collections.abc import Iterator

import pretask

# Learns in a minute or two on two cores; a code of two dimensions can be drawn as a plane (preset `manifold`).
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
            "objective.latent_dim": 20,
            "objective.hidden": (500,),
            "objective.likelihood": "bernoulli",
            "objective.num_latents": 1,
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
        presets={
            "small": {**TWO_CORES, "objective.latent_dim": 10},
            "manifold": {**TWO_CORES, "objective.latent_dim": 2},
        },
        summary="Variational autoencoder: 20 latent dimensions, Bernoulli pixels (Kingma 2014).",
        source="Kingma and Welling, ICLR 2014",
        cites="kingma2014auto",
    )

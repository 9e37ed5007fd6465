"""Text VAE: write a sentence from one Gaussian code of the whole of it, word by word.

The method in the order of its equations; x is a sentence of words x_1 … x_L, z its code:

1. x is shown whole, and is the target as well: splits/whole.py.
2. h is the last state of an LSTM that reads x (section 3): models/text/lstm.py, whose pooled feature it is.
3. q(z | x) = N(mu, diag sigma^2), where (mu, log sigma^2) is linear in h (Kingma and Welling, equation 9), and a draw
   z = mu + sigma * epsilon (equation 4): shared/latent/gaussian.py and latent_model.py.
4. p(x | z) = the product over i of p(x_i | x_1 … x_(i-1), z), by a recurrent decoder that begins in a state made of z
   (section 3): shared/latent/autoregressive.py.
5. KL(q(z | x) || N(0, I)) in closed form (Kingma and Welling, appendix B): shared/latent/gaussian.py.
6. What is trained is E_q[log p(x | z)] - w(t) KL, with w(t) rising from 0 to 1 along a sigmoid (section 3.1):
   objectives/vae/elbo.py, with `annealing` and the progress t at which w is 1. What is reported has the whole
   divergence, whatever w is.
7. Words of the history are hidden from the decoder with a probability of `word_dropout` (section 3.1), at 1 all of
   them, the inputless decoder: again shared/latent/autoregressive.py.
8. Without 6 and 7 the decoder writes by the history alone, and the divergence falls to 0 (section 3.1, figure 3): the
   preset `collapse`. What codes tell is measured by evaluators/density/posterior.py; sentences between two others and
   from the prior (section 5.3) are evaluators/density/interpolation.py.

Source: Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, CoNLL 2016, sections 3 and 3.1; sizes, clipping, batch and
the code at every position after He, Spokoyny, Neubig and Berg-Kirkpatrick, ICLR 2019.
Differs: the decoder is a GRU (a causal transformer with `objective.decoder`); the fraction of hidden words is ours, as
is the length of the annealing. Adam takes the place of SGD at a rate of 1 that is halved.
Axes: see the split whole and the objective elbo.
"""

from collections.abc import Iterator

import pretask

SMALL = {
    "data": "toy-grammar",
    "model.width": 64,
    "objective.latent_dim": 16,
    "objective.hidden": (64,),
    "recipe.lr": 5e-3,
    "recipe.batch": 128,
    "recipe.samples": 120_000,
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the task; its parts are shared with others."""
    yield pretask.task(
        "text-vae",
        split="whole",
        objective="elbo",
        model="lstm",
        options={
            "model.width": 1024,
            "model.depth": 1,
            "objective.latent_dim": 32,
            "objective.hidden": (1024,),
            "objective.decoder": "gru",
            "objective.word_dropout": 0.5,
            "objective.annealing": "sigmoid",
            "objective.anneal_end": 0.5,
        },
        recipe={
            "optimizer": "adam",
            "lr": 1e-3,
            "weight_decay": 0.0,
            "batch": 32,
            "samples": 5_000_000,
            "warmup": 0.0,
            "clip": 5.0,
        },
        presets={
            "small": SMALL,
            "collapse": {**SMALL, "objective.annealing": "none", "objective.word_dropout": 0.0},
        },
        version=2,
        summary="Variational autoencoder of sentences: annealing and word dropout (Bowman 2016).",
        source="Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, CoNLL 2016",
        cites="bowman2016generating",
    )

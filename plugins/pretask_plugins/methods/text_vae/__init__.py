"""Text VAE: tell a sentence from a short noisy code of the whole of it.

Source: Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, CoNLL 2016, sections 3 and 3.1 (LSTM encoder whose last
state makes the code, sigmoid annealing of the divergence), in the case of the inputless decoder (word dropout of 1);
sizes, clipping and batch after He, Spokoyny, Neubig and Berg-Kirkpatrick, ICLR 2019.
Differs: the decoder says all words at once, each given the code alone, where the paper's inputless LSTM says them one
after the other without being shown any. A decoder that is shown the words before is not here. Adam takes the place of
SGD at a rate of 1 that is halved. What is reported has the whole divergence, whatever the annealing says.
Axes: see the split whole and the objective elbo.
"""

from collections.abc import Iterator

import pretask


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
            "small": {
                "data": "toy-grammar",
                "model.width": 64,
                "objective.latent_dim": 16,
                "objective.hidden": (128,),
                "recipe.lr": 5e-3,
                "recipe.batch": 128,
                "recipe.samples": 120_000,
            },
        },
        summary="Bowman's variational autoencoder of sentences with an inputless decoder: LSTM encoder, annealed.",
        source="Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, CoNLL 2016",
    )

"""-log p(x) of MNIST or of glyphs against samples seen: a VAE, an importance-weighted one, and a convolutional one.

    python -m benchmarks.latent.likelihood MNIST_ROOT OUT.json vae-faster --samples 6000000
    python -m benchmarks.latent.likelihood MNIST_ROOT OUT.json vae vae-faster iwae-50 convolution --samples 300000
    python -m benchmarks.latent.likelihood glyphs OUT.json vae-faster iwae-50 convolution --samples 300000

The network is that of Burda, Grosse and Salakhutdinov (ICLR 2016) with one layer of 50 stochastic units: two layers of
200 tanh units a side, pixels drawn black or white anew in every epoch, Adam, whose rate of 1e-3 falls to 0 as a half
cosine where the paper's falls by steps. `vae-faster` and `iwae-50` have twice the rate and half the batch.
`convolution` has a residual network as encoder and upsampled convolutions as decoder. -log p(x) is estimated by
importance sampling, on the same first test images at all looks, and on more of them at the end. CPU time of one thread,
without the looks.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pretask import Budget, Data, Task
from pretask.pretext_score import evaluation_mode
from pretask.training import Visits, train
from pretask_plugins.evaluators.density.density import Density, take_first

from benchmarks.latent.planned import plan_task

# Of 1,623 characters, as Omniglot has, by 20 hands; some of those hands test, as in Burda's parts of it.
GLYPHS: Mapping[str, Any] = {"data.num_classes": 1623, "data.size": 24_345, "data.test_size": 8070}
COMMON: Mapping[str, Any] = {
    "objective.latent_dim": 50,
    "recipe.optimizer": "adam",
    "recipe.lr": 1e-3,
    "recipe.weight_decay": 0.0,
    "recipe.schedule": "cosine",
    "recipe.batch": 200,
}
PERCEPTRON: Mapping[str, Any] = {"model.hidden": (200, 200), "objective.hidden": (200, 200)}
FASTER = {**PERCEPTRON, "recipe.lr": 2e-3, "recipe.batch": 100}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "vae": PERCEPTRON,
    "vae-faster": FASTER,
    "iwae-50": {
        **FASTER,
        "objective": "iwae",
        "objective.likelihood": "bernoulli",
        "objective.num_latents": 50,
    },
    "convolution": {
        "model": "convnet",
        "model.width": 16,
        "model.depth": 2,
        "objective.decoder": "convolution",
        "objective.hidden": (64,),
    },
}
LOOKS = {first * 10**power for first in (1, 2, 5) for power in range(5, 9)}  # samples seen
LOOKED_AT = (5000, 200)  # codes and test images
AT_THE_END = ((500, 500), (5000, 1000))
AT_ONCE = 100  # test images
COSTLY = ("convolution",)  # networks of which the first of these is all: a code takes twenty times as long


def negative_log_p(task: Task, data: Data, codes: int, images: int) -> dict[str, float]:
    """Return -log p(x) and the negative bound of the first test images, in nats, and the units in use."""
    with evaluation_mode(task), torch.no_grad():
        found = dict(Density(codes).bounds(task, take_first(data("test"), images), Budget(batch=AT_ONCE)))
    numbers = {"negative_log_p": -found["iwae"], "negative_elbo": -found["elbo"], "active_units": found["active_units"]}
    return {"codes": codes, "images": images, **{name: round(number, 2) for name, number in numbers.items()}}


def choose_data(root: str) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the options of the data: glyphs, or MNIST below some folder."""
    return ("glyphs", GLYPHS) if root == "glyphs" else ("torchvision", {"data.name": "MNIST", "data.root": root})


def measure(root: str, network: str, samples: int, seed: int) -> dict[str, Any]:
    """Train one network, and return its curve and its numbers at the end."""
    name, options = choose_data(root)
    settings = {**COMMON, **NETWORKS[network], **options, "recipe.samples": samples}
    task, data = plan_task("vae", name, settings, seed=seed)
    curve: list[dict[str, float]] = []
    looked = 0.0

    def look(step: int) -> None:
        nonlocal looked
        seen = step * task.recipe.batch
        if seen in LOOKS and network not in COSTLY:
            start = time.process_time()
            curve.append({"samples": seen, **negative_log_p(task, data, *LOOKED_AT)})
            looked += time.process_time() - start
            print(network, json.dumps(curve[-1]), flush=True)

    start = time.process_time()
    train(task, data("train"), seed=seed, visits=Visits(min(LOOKS) // task.recipe.batch, look))
    spent = time.process_time() - start - looked
    return {
        "network": network,
        "samples": samples,
        "seed": seed,
        "parameters": sum(weight.numel() for part in (task.model, task.objective) for weight in part.parameters()),
        "cpu_seconds": round(spent, 1),
        "end": [negative_log_p(task, data, *size) for size in AT_THE_END[: 1 if network in COSTLY else None]],
        "curve": curve,
    }


def main() -> None:
    """Measure what the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="the folder of MNIST, or glyphs")
    parser.add_argument("out", type=Path)
    parser.add_argument("networks", nargs="+", choices=NETWORKS)
    parser.add_argument("--samples", type=int, default=500_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    known = {(row["network"], row["samples"], row["seed"]) for row in rows}
    for seed in arguments.seeds:
        for network in arguments.networks:
            if (network, arguments.samples, seed) not in known:
                rows.append(measure(arguments.root, network, arguments.samples, seed))
                arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
                print(json.dumps({key: value for key, value in rows[-1].items() if key != "curve"}), flush=True)


if __name__ == "__main__":
    main()

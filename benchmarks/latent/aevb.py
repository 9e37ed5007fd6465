"""AEVB, algorithm 1, as the paper has it, on MNIST: the bound against samples seen, by the dimensions of the code.

    python -m benchmarks.latent.aevb MNIST_ROOT OUT.json --samples 100000

The task `vae` with its own recipe: M = 100, L = 1, Adagrad at .02, 500 tanh units a side, a standard normal prior on
the weights; N_z = 3, 5, 10, 20 and 200, as in figure 2, at a small fraction of its budget. While it learns: the bound
on training and on test images, drawn black or white anew. At the end -log p(x) of some test images by importance
sampling.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from pretask import Budget, Draws, Samples, Task
from pretask.pretext_score import HELD_OUT_EPOCH
from pretask.training import Visits, train
from pretask_plugins.evaluators.density.density import Density

from benchmarks.latent.planned import plan_task

DIMENSIONS = (3, 20, 200, 5, 10)
LOOKS, LOOKED_AT = 8, 1000  # looks while it learns, images in each
NUM_LATENTS, TEST_SIZE = 500, 200  # of the importance sampling


def bound(task: Task, samples: Samples) -> float:
    """Return the mean bound of the first images, in nats."""
    batch = samples.batch(torch.arange(LOOKED_AT), task.device)
    with torch.no_grad():
        return -float(task.loss(batch, Draws(batch.index, 0, HELD_OUT_EPOCH)).parts["negative_elbo"])


def measure(root: str, dimensions: int, samples: int) -> dict[str, Any]:
    """Train with so many dimensions, and return the curve and -log p(x)."""
    settings = {
        "data.name": "MNIST",
        "data.root": root,
        "recipe.samples": samples,
        "objective.latent_dim": dimensions,
    }
    task, data = plan_task("vae", "torchvision", settings)
    learned, held_out = data("train"), data("test")
    curve: list[dict[str, float]] = []

    def look(step: int) -> None:
        seen = step * task.recipe.batch
        curve.append(
            {"samples": seen, "train": round(bound(task, learned), 2), "test": round(bound(task, held_out), 2)}
        )

    start = time.process_time()
    train(task, learned, visits=Visits(task.recipe.steps // LOOKS, look))
    spent = time.process_time() - start
    found = dict(Density(num_latents=NUM_LATENTS, test_size=TEST_SIZE)(task, data, Budget()))
    return {
        "dimensions": dimensions,
        "samples": samples,
        "cpu_seconds": round(spent, 1),
        "negative_log_p": round(-float(found["iwae"]), 2),  # type: ignore[arg-type]
        "active_units": found["active_units"],
        "curve": curve,
    }


def main() -> None:
    """Measure what the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("out", type=Path)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, nargs="*", default=DIMENSIONS)
    parser.add_argument(
        "--limit", type=int, default=0, help="measures at most in this call; 0 for all that are missing"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    known = {(row["dimensions"], row["samples"]) for row in rows}
    missing = [count for count in arguments.dimensions if (count, arguments.samples) not in known]
    for count in missing[: arguments.limit or None]:
        rows.append(measure(arguments.root, count, arguments.samples))
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "curve"}), flush=True)


if __name__ == "__main__":
    main()

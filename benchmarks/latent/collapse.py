"""Collapse of a text VAE, and its cure: what codes tell while it learns to write sentences of the toy grammar.

    python -m benchmarks.latent.collapse OUT.json --seeds 3

Trained with annealing and word dropout, with one of the two, and with neither; everything else is the preset `small` of
text-vae. While it learns, every 50 steps: divergence, mutual information and active units on test sentences; at the end
the bounds, and the sentences of 100 paths and of 1,000 codes from the prior, which the grammar judges exactly.
"""

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from pretask import Budget
from pretask.training import Visits, train
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.evaluators.density.density import Density
from pretask_plugins.evaluators.density.interpolation import Interpolation
from pretask_plugins.evaluators.density.posterior import PosteriorEvaluator

from benchmarks.latent.planned import plan_task

EVERY = 50  # steps between two looks
VARIANTS: dict[str, dict[str, Any]] = {
    "both": {},
    "annealing": {"objective.word_dropout": 0.0},
    "word dropout": {"objective.annealing": "none"},
    "neither": {"objective.word_dropout": 0.0, "objective.annealing": "none"},
    "free bits": {"objective.word_dropout": 0.0, "objective.annealing": "none", "objective.free_bits": 0.25},
    "inputless": {"objective.word_dropout": 1.0},
    "transformer": {"objective.decoder": "transformer", "objective.hidden": (64, 64)},
}


def measure(name: str, seed: int, size: int) -> dict[str, Any]:
    """Train one variant and return its curve and its numbers at the end."""
    settings = {"data.size": size, "data.test_size": 1024, **VARIANTS[name]}
    task, data = plan_task("text-vae", "toy-grammar", settings, "small", seed)
    assert isinstance(data, ToyGrammar)
    start = time.process_time()
    curve: list[dict[str, float]] = []

    def look(step: int) -> None:
        numbers = dict(PosteriorEvaluator(num_latents=1, test_size=500)(task, data, Budget()))
        curve.append({"step": step, **{key: round(value, 3) for key, value in numbers.items()}})

    train(task, data("train"), seed=seed, visits=Visits(EVERY, look))
    spent = time.process_time() - start
    found = [PosteriorEvaluator(), Interpolation(), Density(num_latents=200)]
    numbers = {
        key: round(value, 4)
        for evaluator in found
        for key, value in evaluator(task, data, Budget())
        if isinstance(value, float)
    }
    entropy = data.entropy(first=True) * float(data("test").present.sum(1).float().mean())  # type: ignore[union-attr]
    return {
        "variant": name,
        "seed": seed,
        "cpu_seconds": round(spent, 1),
        "entropy": entropy,
        **numbers,
        "curve": curve,
    }


def main() -> None:
    """Measure every variant with every seed that the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=16_384, help="training sentences")
    parser.add_argument(
        "--limit", type=int, default=0, help="measures at most in this call; 0 for all that are missing"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    known = {(row["variant"], row["seed"]) for row in rows}
    missing = [pair for pair in product(range(arguments.seeds), VARIANTS) if pair[::-1] not in known]
    for seed, name in missing[: arguments.limit or None]:
        rows.append(measure(name, seed, arguments.size))
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "curve"}), flush=True)


if __name__ == "__main__":
    main()

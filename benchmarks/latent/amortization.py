"""Amortized inference beside per-sample inference: what the encoder loses, and how much sooner it answers.

    python -m benchmarks.latent.amortization MNIST_ROOT OUT.json --samples 300000

A VAE (preset `small`: 200 tanh units a side, 10 dimensions) is trained on MNIST. On test images, with the decoder as
it is: the bound of the encoder's q, of the best Gaussian for every image (searched from the encoder's on common codes),
and log p(x) by importance sampling from that one: log p - L[q] = approximation gap + amortization gap (Cremer 2018).

Speed: per-sample inference from the prior, Adam on mean and log-variance with few codes a step, is timed until its
bound is the encoder's; the encoder is timed on the same images. CPU time of one thread; the bounds are not in it.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from pretask import Budget, Draws, Samples, Targets, Task
from pretask.pretext_score import evaluation_mode
from pretask.training import train
from pretask_plugins.evaluators.density.density import best_posterior, bound, encode, take_first, weigh_codes
from pretask_plugins.shared.latent.gaussian import Posterior, log_mean_exp
from pretask_plugins.shared.latent.target_likelihoods import sum_over_targets

from benchmarks.latent.planned import plan_task

RATES = {1: 0.05, 8: 0.1}  # of Adam, by codes of a step
MAX_STEPS, EVERY, REPEATS = 200, 10, 20
SEARCH_STEPS = 150  # for the best Gaussian
NUM_WEIGHTED = 500  # codes for log p(x)


def make_task(root: str, samples: int) -> tuple[Task, Any]:
    """Return the trained task and its data."""
    settings = {"data.name": "MNIST", "data.root": root, "recipe.samples": samples}
    task, data = plan_task("vae", "torchvision", settings, "small")
    train(task, data("train"))
    return task, data


def search(task: Task, targets: Targets, draws: Draws, count: int, codes: int) -> list[dict[str, float]]:
    """Search every image's q from the prior; return the mean bound and the seconds so far every few steps."""
    model = task.objective
    free = [torch.zeros(count, model.latent_dim, requires_grad=True) for _ in range(2)]
    optimizer, spent, curve = torch.optim.Adam(free, RATES[codes]), 0.0, []
    for step in range(MAX_STEPS + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                value = float(bound(model, Posterior(*free), targets, draws).mean())
            curve.append({"step": step, "bound": round(value, 3), "seconds": round(spent, 4)})
        begin = time.process_time()
        q = Posterior(*free)
        code = q.draw(draws.normal(f"step {step}", codes, model.latent_dim))
        likelihood = sum_over_targets(model.log_likelihoods(model.decode_targets(code, targets), targets)).mean(1)
        loss = (q.divergences().sum(-1) - likelihood).sum()
        for parameter, gradient in zip(free, torch.autograd.grad(loss, free), strict=True):
            parameter.grad = gradient
        optimizer.step()
        spent += time.process_time() - begin
    return curve


def time_encoder(task: Task, samples: Samples) -> float:
    """Return the median CPU seconds to encode all samples at once."""
    batch, found = samples.batch(torch.arange(len(samples)), task.device), []
    inputs, _ = task.apply_split(batch, Draws(batch.index))
    with torch.no_grad():
        for _ in range(REPEATS):
            begin = time.process_time()
            task.objective.posterior(task.model(inputs))
            found.append(time.process_time() - begin)
    return statistics.median(found)


def main() -> None:
    """Train, split the gap, and time both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("out", type=Path)
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--test-size", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task, data = make_task(arguments.root, arguments.samples)
    samples = take_first(data("test"), arguments.test_size)
    found: dict[str, Any] = {"samples": arguments.samples, "test_size": len(samples)}
    with evaluation_mode(task):
        batch = samples.batch(torch.arange(len(samples)), task.device)
        with torch.no_grad():
            posterior, targets, draws = encode(task, batch, Budget().seed)
            amortized = float(bound(task.objective, posterior, targets, draws).mean())
        best = best_posterior(task.objective, posterior, targets, draws, SEARCH_STEPS)
        with torch.no_grad():
            reached = float(bound(task.objective, best, targets, draws).mean())
            weights, _ = weigh_codes(task.objective, best, targets, draws, NUM_WEIGHTED)
            log_p = float(log_mean_exp(weights).mean())
        found |= {
            "log_p": round(log_p, 3),
            "amortized_bound": round(amortized, 3),
            "best_bound": round(reached, 3),
            "approximation_gap": round(log_p - reached, 3),
            "amortization_gap": round(reached - amortized, 3),
            "encoder_seconds": time_encoder(task, samples),
        }
        for codes in RATES:
            curve = search(task, targets, draws, len(samples), codes)
            equal = next((point for point in curve if point["bound"] >= amortized), None)
            found[f"per_sample_{codes}"] = {
                "equal_step": None if equal is None else equal["step"],
                "ratio": None if equal is None else round(equal["seconds"] / found["encoder_seconds"], 1),
                "curve": curve,
            }
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: value for key, value in found.items() if not isinstance(value, dict)}))
    print({key: (value["equal_step"], value["ratio"]) for key, value in found.items() if isinstance(value, dict)})


if __name__ == "__main__":
    main()

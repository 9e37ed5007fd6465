"""Gradients of a bound by the score function beside reparameterization: means that agree, and variances by control.

    python -m benchmarks.latent.gradients OUT.json

The linear-Gaussian model y = W z + e of five numbers and two dimensions, whose posterior is known, away from its
optimum (mean and log-variance off by .3). Of every estimator with 1 to 10 codes for a sample: the variance of its
gradient by the mean and by the log-variance of q, over that of reparameterization with as many codes, and how many
standard errors its mean is from that of reparameterization with 10 codes over 100,000 samples. A learned baseline is
trained first, 300 steps on 64 samples.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from pretask import Draws, Features, FeatureSpec, Target, Values
from pretask_plugins.objectives.vae.elbo import Elbo
from torch import Tensor

COLUMNS = torch.tensor([[1.0, 1, -1, 0, 0], [0.5, -0.5, 0, 1, 2]]).T  # orthogonal, so that the posterior is diagonal
STD, LATENT, NUMBERS = 0.6, 2, 5
REPEATS, REFERENCE_REPEATS = 20_000, 100_000
CODES = (1, 2, 3, 5, 10)
ESTIMATORS: dict[str, dict[str, Any]] = {
    "reparameterized": {},
    "path": {"gradient": "path", "bound": "sampled"},
    "score": {"gradient": "score", "control": "none"},
    "score, control variate": {"gradient": "score", "control": "leave_one_out"},
    "score, baseline": {"gradient": "score", "control": "baseline"},
}


def plant(**options: Any) -> Elbo:
    """Return the objective with the model's decoder; its features are the parameters of q themselves."""
    torch.manual_seed(0)
    made = Elbo(FeatureSpec(2 * LATENT), {"y": Values(NUMBERS)}, latent_dim=LATENT, hidden=(), **options)
    with torch.no_grad():
        made.to_code.weight.copy_(torch.eye(2 * LATENT))
        made.to_code.bias.zero_()
        made.decoders["y"].body[0].weight.copy_(COLUMNS)
        made.decoders["y"].body[0].bias.zero_()
        made.likelihoods["y"].log_std.fill_(math.log(STD))
    return made


def start(y: Tensor, gradient: bool = False) -> Features:
    """Return features from which the wrong posterior is read."""
    precision = 1 + COLUMNS.square().sum(0) / STD**2
    mean = y @ COLUMNS / STD**2 / precision
    pooled = torch.cat([mean + 0.3, 0.3 - precision.log().expand_as(mean)], 1)[:, None].requires_grad_(gradient)
    return Features({"all": pooled[:, :, None]}, {"all": pooled})


def learn_baseline(model: Elbo, y: Tensor) -> None:
    """Train the baseline alone."""
    assert model.baseline is not None
    optimizer = torch.optim.Adam(model.baseline.parameters(), 0.02)
    for step in range(300):
        optimizer.zero_grad()
        draws = Draws(torch.arange(64), 1, step)
        torch.autograd.backward(model(start(y.expand(64, -1)), {"y": Target(y.expand(64, -1))}, draws).total)
        optimizer.step()


def gradients(model: Elbo, y: Tensor, count: int, seed: int) -> Tensor:
    """Return the gradient of each of many copies of a sample's loss by mean and log-variance, (count, 2 D)."""
    features = start(y.expand(count, -1), gradient=True)
    loss = model(features, {"y": Target(y.expand(count, -1))}, Draws(torch.arange(count), seed))
    (gradient,) = torch.autograd.grad(loss.total, features.pooled["all"])
    return gradient[:, 0].double() * count


def main() -> None:
    """Measure every estimator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    draws = Draws(torch.arange(1)).branch("observed")
    y = draws.normal("z", LATENT) @ COLUMNS.T + STD * draws.normal("e", NUMBERS)
    reference = gradients(plant(num_latents=10), y, REFERENCE_REPEATS, 1)
    rows = []
    for codes in CODES:
        plain = gradients(plant(num_latents=codes), y, REPEATS, 2).var(0)
        for name, options in ESTIMATORS.items():
            if codes == 1 and options.get("control") == "leave_one_out":
                continue
            model = plant(num_latents=codes, **options)
            if model.baseline is not None:
                learn_baseline(model, y)
            found = gradients(model, y, REPEATS, 2)
            error = (found.var(0) / REPEATS + reference.var(0) / REFERENCE_REPEATS).sqrt()
            ratio = found.var(0) / plain
            rows.append(
                {
                    "estimator": name,
                    "codes": codes,
                    "variance_by_mean": round(float(ratio[:LATENT].mean()), 3),
                    "variance_by_log_variance": round(float(ratio[LATENT:].mean()), 3),
                    "standard_errors": round(float(((found.mean(0) - reference.mean(0)) / error).abs().max()), 2),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

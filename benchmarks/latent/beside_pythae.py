"""The task vae beside pythae's VAE: the same network, first weights, batches and rate, on gray MNIST.

    python -m benchmarks.latent.beside_pythae MNIST_ROOT OUT.json --seeds 3      # where pythae is installed

500 tanh units a side, 20 dimensions, gray values as probabilities (`bce`), Adam at 1e-3, batches of 100 in one order.
First, some steps in which pythae's model is given the same noise: their losses should differ by rounding. Then both
train with noise of their own; the bound of both is that of 10,000 test images by the same codes, since pythae's weights
are put into the task that scores. Time is that of all steps on one thread, CPU, pythae's in the plainest loop that
there is, without its trainer.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from pretask import Draws, Samples, Task
from pretask.order import positions
from pretask.training import train
from torch import Tensor, nn

from benchmarks.latent.planned import plan_task

PIXELS, WIDTH, DIMENSIONS, RATE = 784, 500, 20, 1e-3
SHARED_STEPS = 100
SCORED_AT_ONCE = 1000
SCORED_EPOCH = 1 << 20  # whose draws no training makes


def make_task(root: str, samples: int, seed: int) -> tuple[Task, Any]:
    """Return the task with its first weights, and its data."""
    settings = {
        "data.name": "MNIST",
        "data.root": root,
        "split.binarize": False,
        "model.hidden": (WIDTH,),
        "objective.hidden": (WIDTH,),
        "objective.latent_dim": DIMENSIONS,
        "recipe.samples": samples,
        "recipe.optimizer": "adam",
        "recipe.lr": RATE,
        "recipe.weight_decay": 0.0,
    }
    return plan_task("vae", "torchvision", settings, seed=seed)


def weights_of(task: Task) -> list[Tensor]:
    """Return the weights in the order of pythae's: hidden layer, mean and log-variance, decoder."""
    return [*task.model.parameters(), *task.objective.parameters()]


def make_peer(task: Task) -> nn.Module:
    """Return pythae's VAE of the same network, with the task's weights."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.code = nn.Linear(PIXELS, WIDTH), nn.Linear(WIDTH, 2 * DIMENSIONS)

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.code(self.hidden(x.flatten(1)).tanh()).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.pixels = nn.Linear(DIMENSIONS, WIDTH), nn.Linear(WIDTH, PIXELS)

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.pixels(self.hidden(z).tanh()).sigmoid().view(-1, 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=DIMENSIONS, reconstruction_loss="bce")
    peer: nn.Module = VAE(config, Encoder(), Decoder())
    copy(weights_of(task), weights_of_peer(peer))
    return peer


def weights_of_peer(peer: nn.Module) -> list[Tensor]:
    """Return the weights of pythae's in the same order."""
    return [*peer.encoder.parameters(), *peer.decoder.parameters()]


def copy(source: list[Tensor], target: list[Tensor]) -> None:
    """Copy weights."""
    with torch.no_grad():
        for own, other in zip(source, target, strict=True):
            other.copy_(own)


def train_peer(peer: nn.Module, images: Samples, task: Task, seed: int, steps: int, shared: bool = False) -> None:
    """Train in the order in which the task is trained; with the task's own noise where it is shared."""
    optimizer = torch.optim.Adam(peer.parameters(), RATE, fused=True)
    batch = task.recipe.batch
    for step in range(steps):
        index, epoch = positions(seed, step * batch, batch, len(images))
        if shared:
            noise = task.objective.noise(Draws(index, seed, epoch).branch("objective"), 1)[:, 0]
            peer._sample_gauss = lambda mean, std, noise=noise: (mean + std * noise, noise)  # type: ignore[assignment]
        loss = peer({"data": images.data[index].float() / 255})["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def bound(task: Task, images: Samples) -> float:
    """Return the mean bound of all images by one code each, the same at every call."""
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(images), SCORED_AT_ONCE):
            batch = images.batch(torch.arange(first, min(first + SCORED_AT_ONCE, len(images))), task.device)
            loss = task.loss(batch, Draws(batch.index, 0, SCORED_EPOCH))
            total -= float(loss.parts["negative_elbo"]) * len(batch.index)
    return total / len(images)


def compare_shared(root: str) -> dict[str, float]:
    """Return by how much weights differ after some steps with the same noise, beside how far they moved."""
    task, data = make_task(root, SHARED_STEPS * 100, 0)
    peer, begun = make_peer(task), [weight.detach().clone() for weight in weights_of(task)]
    train(task, data("train"))
    train_peer(peer, data("train"), task, 0, SHARED_STEPS, shared=True)
    pairs = zip(weights_of(task), weights_of_peer(peer), begun, strict=True)
    found = [
        (float((one - other).detach().abs().max()), float((one - first).detach().abs().max()))
        for one, other, first in pairs
    ]
    return {"largest_difference": max(one for one, _ in found), "largest_move": max(move for _, move in found)}


def compare(root: str, samples: int, seed: int) -> dict[str, float]:
    """Train both with noise of their own; return bounds and CPU milliseconds of a step."""
    task, data = make_task(root, samples, seed)
    peer, steps = make_peer(task), task.recipe.steps
    begin = time.process_time()
    train(task, data("train"), seed=seed)
    own = time.process_time() - begin
    torch.manual_seed(seed)
    begin = time.process_time()
    train_peer(peer, data("train"), task, seed, steps)
    theirs = time.process_time() - begin
    found = {"seed": seed, "samples": samples, "bound": bound(task, data("test"))}
    copy(weights_of_peer(peer), weights_of(task))
    found |= {"bound_of_pythae": bound(task, data("test"))}
    return {**found, "step_ms": 1e3 * own / steps, "step_ms_of_pythae": 1e3 * theirs / steps}


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("out", type=Path)
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"shared": compare_shared(arguments.root)}
    print(json.dumps(found), flush=True)
    found["runs"] = []
    for seed in range(arguments.seeds):
        found["runs"].append(compare(arguments.root, arguments.samples, seed))
        print(json.dumps(found["runs"][-1]), flush=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""SGD probe speed: features once and the whole grid, beside 90 epochs of SGD that run the backbone again in each.

The usual linear probe trains one head by SGD, at one learning rate, and sends every image through the frozen backbone
in every epoch (SimCLR's: Nesterov momentum 0.9, rate 0.1 for 256 images, no decay; here with a cosine, and with batch
normalisation without scale before the head, as in Goyal et al. 2019). Ours sends every image through once, solves 45
regularisers, chooses one on a held-out tenth and solves it again on all. Both see the same images undisturbed, the
output layer of the same frozen network, and the same test part, whose one pass is left out of both times. With random
crops in every epoch, SGD would see more than ours does; the time would be the same.

One thread, CPU seconds, ours first and last: the ratio of these is the noise. Needs a folder of images by class.

    python benchmarks/speed/sgd_probe.py PHOTOS --samples 1000 --out benchmarks/speed/measured/probe-sgd.json   (10 min)

Expected: 50 times or more, at an accuracy within the noise of the test part or above.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import torch
from pretask import Budget, Samples, Task
from pretask.extraction import extract
from pretask.pooling import pool
from pretask.pretext_score import evaluation_mode
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.prepare import prepare_run
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.validation_split import LabeledFeatures, ProbeData, split_stratified
from pretask_registry import Registry
from report import report
from torch import Tensor, nn
from torch.nn import functional as F

EPOCHS, BATCH, RATE = 90, 256, 0.1


def subset(samples: Samples, count: int) -> Samples:
    """Return a random subset of the samples, the same one every time."""
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:count]
    labels = {name: replace(label, value=label.value[order]) for name, label in samples.labels.items()}
    seen = replace(samples.observed, samples=len(order))
    return replace(samples, observed=seen, data=samples.data[order], labels=labels, fingerprint="")


def classes_of(samples: Samples) -> Tensor:
    """Return the class of every sample."""
    return next(iter(samples.labels.values())).value


def train_sgd(task: Task, train: Samples, classes: int, width: int) -> nn.Module:
    """Train a head for 90 epochs, each with the backbone run again."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, classes))
    optimizer = torch.optim.SGD(head.parameters(), lr=RATE * BATCH / 256, momentum=0.9, nesterov=True)
    batches = -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * batches)
    answers = classes_of(train)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(train)).chunk(batches):
            with evaluation_mode(task), torch.no_grad():
                features = pool(task.encode(train.batch(index, task.device)))["mean"]
            loss = F.cross_entropy(head(features), answers[index])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return head.eval()


def train_grid(task: Task, train: Samples, classes: int) -> Callable[[Tensor, Tensor], float]:
    """Extract features once, solve all regularisers, choose one; return what scores features and answers."""
    layers = extract(task, train, Budget(batch=BATCH), ("mean",))
    name = list(layers)[-1]
    part = LabeledFeatures({name: layers[name]}, classes_of(train))
    probe = ProbeData(part, part, classes, split_stratified(part.labels, classes, 0.1, seed=0))
    choice = LinearProbe().choose(probe, name)

    def score(features: Tensor, answers: Tensor) -> float:
        tested = replace(probe, test=LabeledFeatures({name: features}, answers))
        predicted, _ = LinearProbe().refit(tested, name, choice)
        return float((predicted == answers).double().mean())

    return score


def time_cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of some work, and its result."""
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def compare(root: Path, model: str, size: int, samples: int, tests: int) -> dict[str, Any]:
    """Return seconds and accuracies of both."""
    settings = {"data.root": str(root), "data.image_size": size, "model.name": model}
    plan = make_plan(Registry.load(), "vae", parts={"data": "folder", "model": "timm"}, settings=settings)
    built = prepare_run(plan, torch.device("cpu"))
    task, train, test = built.compose(torch.device("cpu")), subset(built.train, samples), subset(built.test, tests)
    classes = len(next(iter(train.labels.values())).names)
    features, answers = list(extract(task, test, Budget(batch=BATCH), ("mean",)).values())[-1], classes_of(test)

    def ours() -> float:
        return train_grid(task, train, classes)(features, answers)

    first, accuracy = time_cpu(ours)
    seconds, head = time_cpu(lambda: train_sgd(task, train, classes, features.shape[1]))
    again, _ = time_cpu(ours)
    return {
        "SGD over features and grid": seconds / mean((first, again)),
        "grid over itself": first / again,
        "accuracy": {"ours": accuracy, "SGD": float((head(features).argmax(1) == answers).double().mean())},
        "seconds": {"ours": first, "SGD": seconds, "ours again": again},
        "what": f"{model}, random initialisation, {size} pixels, {len(train)} images to train on, {len(test)} to test",
    }


def main() -> None:
    """Compare, print, and write with versions and machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="Folder of images by class, or of tar files of these.")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="Pixels of a side.")
    parser.add_argument("--samples", type=int, default=1000, help="To train on.")
    parser.add_argument("--tests", type=int, default=1500)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = datetime.now(UTC)
    found = compare(options.root, options.model, options.size, options.samples, options.tests)
    report({**found, "epochs": EPOCHS}, started, options.out)


if __name__ == "__main__":
    main()

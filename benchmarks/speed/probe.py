"""Probe speed: the whole grid of 45 regularisers beside one fit, and 45 fits, of scikit-learn's LogisticRegression.

One thread, CPU seconds, every solver in a process of its own, in turn, ours first and last: the ratio of these is the
noise. Ours is timed from raw features, standardising and rotating included; scikit-learn gets standardised ones. Its
one fit (C = 1) is timed at its default tolerance, and at the loosest power of ten at which its objective is at most
1.001 of that at TIGHT; twelve of the grid are fitted at PARITY, to compare objectives and for the time of 45.

`mnist:FOLDER` has 50,000 real digits, as 512 rectified random directions of their pixels; `real:FOLDER` has the 512
features of a ResNet-18 (of random weights: none come with us) of photographs in folders or tar files by class.

bfloat16 is timed only on processors that multiply it themselves; elsewhere it is emulated, and says nothing.

    python benchmarks/speed/probe.py overlapping --out benchmarks/speed/measured/probe-overlapping.json    (5 minutes)

Expected: about 0.8 of one fit and 45 times faster than 45 on `overlapping` (50,000 x 512, 10 classes), 15 times faster
than 45 on `separable` (10,000 x 2,048, 100 classes); objectives at most 1.001 of scikit-learn's.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bfloat16 import multiplies_bfloat16
from report import report

SHAPES = {"overlapping": (50_000, 512, 10), "separable": (10_000, 2_048, 100), "small": (2_000, 64, 10)}
GRID = 10 ** np.linspace(-6, 5, 45)
PLACES = {"one": [24], "some": list(range(0, 45, 4))}  # what scikit-learn fits: C = 1, or twelve of the grid
TEST = 10_000
DEFAULT, PARITY, TIGHT = 1e-4, 1e-5, 1e-8  # tolerances of scikit-learn
LOOSE = tuple(10.0**-power for power in range(5))  # tried from 1 on, until one meets ENOUGH
ENOUGH_RATIO = 1.001  # of the lowest objective


def load_data(kind: str) -> tuple[np.ndarray, ...]:
    """Return training features and classes, then test."""
    source, _, folder = kind.partition(":")
    return {"mnist": load_digits, "real": encode_photographs}[source](folder) if folder else draw_clusters(kind)


def encode_photographs(folder: str) -> tuple[np.ndarray, ...]:
    """Return a ResNet-18's output features of photographs of 64 pixels; cached, so that all solvers see the same."""
    import torch
    from pretask import Budget
    from pretask.cache import cache_folder
    from pretask.extraction import extract
    from pretask_bench.runs.plan import make_plan
    from pretask_bench.runs.prepare import prepare_run
    from pretask_registry import Registry

    settings = {"data.root": folder, "data.image_size": 64, "model.name": "resnet18"}
    plan = make_plan(Registry.load(), "vae", parts={"data": "folder", "model": "timm"}, settings=settings)
    built, budget = prepare_run(plan, torch.device("cpu")), Budget(batch=128, cache=str(cache_folder()))
    task, found = built.compose(torch.device("cpu")), list[np.ndarray]()
    for samples in (built.train, built.test):
        layers = extract(task, samples, budget, ("mean",))
        found += [list(layers.values())[-1].numpy(), next(iter(samples.labels.values())).value.numpy()]
    return tuple(found)


def load_digits(folder: str) -> tuple[np.ndarray, ...]:
    """Return handwritten digits, as rectified random directions of their centred pixels."""
    from torchvision.datasets import MNIST

    random = np.random.default_rng(1)
    directions, shift = random.standard_normal((784, 512)) / 28, random.standard_normal(512) / 4
    found: list[np.ndarray] = []
    for part, count in ((True, 50_000), (False, TEST)):
        samples = MNIST(folder, train=part)
        pixels = samples.data[:count].numpy().reshape(count, -1) / 255 - 0.13
        found += [np.maximum(pixels @ directions + shift, 0).astype(np.float32), samples.targets[:count].numpy()]
    return tuple(found)


def draw_clusters(kind: str) -> tuple[np.ndarray, ...]:
    """Return rectified Gaussian clusters with 64 common directions: training features and classes, then test."""
    count, width, classes = SHAPES[kind]
    random = np.random.default_rng(1)
    centres = random.standard_normal((classes, width), dtype=np.float32) * 0.22
    scale = np.sqrt(np.arange(1, 65, dtype=np.float32))
    common = random.standard_normal((64, width), dtype=np.float32) / scale[:, None]
    label = random.integers(0, classes, count + TEST)
    shared = random.standard_normal((count + TEST, 64), dtype=np.float32) @ common
    features = np.maximum(centres[label] + shared + random.standard_normal(shared.shape, dtype=np.float32), 0)
    return features[:count], label[:count], features[count:], label[count:]


def objective(logits: np.ndarray, label: np.ndarray, weights: np.ndarray, c: float) -> float:
    """Return mean nats plus penalty, in double precision."""
    logits = logits.astype(np.float64) - logits.max(1, keepdims=True)
    nats = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(label)), label]
    return float(nats.mean() + (weights.astype(np.float64) ** 2).sum() / (2 * c * len(label)))


def fit_ours(kind: str, dtype: str = "float32") -> dict[str, Any]:
    """Fit the whole grid."""
    import torch
    from pretask_plugins.evaluators.probes.logistic import fit_grid

    torch.set_num_threads(1)
    train, label, test, answer = load_data(kind)
    features, begin = torch.from_numpy(train), time.process_time()
    precision, answers = getattr(torch, dtype), torch.from_numpy(label)
    solution = fit_grid(features, answers, int(label.max()) + 1, tuple(GRID), dtype=precision)
    seconds = time.process_time() - begin
    accuracy = (solution.predict(torch.from_numpy(test)).numpy() == answer).mean(1).max()
    rotated, weights = solution.basis(features).numpy(), solution.weights.numpy()
    nats = [objective((weights[at] @ rotated).T, label, weights[at, :, :-1], GRID[at]) for at in PLACES["some"]]
    return {"seconds": seconds, "accuracy": accuracy, "objective": nats}


def fit_theirs(kind: str, places: list[int], tolerance: float) -> dict[str, Any]:
    """Fit single regularisers by scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    train, label, test, answer = load_data(kind)
    mean, std = train.mean(0), train.std(0)
    std[std == 0] = 1
    train, test = (train - mean) / std, (test - mean) / std
    begin = time.process_time()
    fits = [LogisticRegression(C=GRID[at], tol=tolerance, max_iter=5000).fit(train, label) for at in places]
    seconds = time.process_time() - begin
    nats = [objective(fit.decision_function(train), label, fit.coef_, fit.C) for fit in fits]
    return {"seconds": seconds, "accuracy": max(fit.score(test, answer) for fit in fits), "objective": nats}


def run_solver(solver: str, kind: str, tolerance: float) -> dict[str, Any]:
    """Run one solver on the data."""
    if solver in PLACES:
        return fit_theirs(kind, PLACES[solver], tolerance)
    return fit_ours(kind, "bfloat16" if solver == "bfloat16" else "float32")


def run(solver: str, kind: str, tolerance: float = DEFAULT) -> dict[str, Any]:
    """Run one solver in a process of its own."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, __file__, kind, "--solver", solver, "--tolerance", str(tolerance)]
    done = subprocess.run(command, env=os.environ | one, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def find_loosest_tolerance(kind: str) -> float:
    """Return the loosest power of ten as tolerance at which scikit-learn's fit is as good as ENOUGH_RATIO."""
    enough = ENOUGH_RATIO * run("one", kind, TIGHT)["objective"][0]
    return next((loose for loose in LOOSE if run("one", kind, loose)["objective"][0] <= enough), PARITY)


def compare(kind: str, repeats: int) -> dict[str, Any]:
    """Return medians of ratios within a repeat, with the seconds they come from."""
    loose = find_loosest_tolerance(kind)
    plan = [("ours", DEFAULT), ("one", DEFAULT), ("one", loose), ("ours", DEFAULT)]
    rounds = [[run(solver, kind, tolerance) for solver, tolerance in plan] for _ in range(repeats)]
    some, mine = run("some", kind, PARITY), rounds[0][0]
    first, one, rough, last = ([timings[place]["seconds"] for timings in rounds] for place in range(4))
    pairs = zip(mine["objective"], some["objective"], strict=True)
    coarse = run("bfloat16", kind) if multiplies_bfloat16() else None
    return {
        "grid over one fit": median(a / b for a, b in zip(first, one, strict=True)),
        "grid over one loose fit": median(a / b for a, b in zip(first, rough, strict=True)),
        "loose tolerance": loose,
        "45 fits over grid": some["seconds"] * len(GRID) / len(PLACES["some"]) / median(first + last),
        "grid over itself": median(a / b for a, b in zip(first, last, strict=True)),
        "bfloat16 grid over one fit": coarse["seconds"] / median(one) if coarse else "emulated here, not timed",
        "worst objective over theirs, above 0.01 nats": max(a / b for a, b in pairs if b > 0.01),
        "accuracy of the best": {"ours": mine["accuracy"], "theirs": some["accuracy"]},
        "seconds": {"grid": first, "one fit": one, "loose fit": rough, "grid again": last, "12 fits": some["seconds"]},
    }


def main() -> None:
    """Compare, print, and write with versions and machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", help=f"{', '.join(SHAPES)}, mnist:FOLDER or real:FOLDER")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--solver", choices=("ours", "bfloat16", *PLACES))
    parser.add_argument("--tolerance", type=float, default=DEFAULT)
    options = parser.parse_args()
    if options.solver:
        print(json.dumps(run_solver(options.solver, options.kind, options.tolerance)))
        return
    started = datetime.now(UTC)
    report(compare(options.kind, options.repeats), started, options.out)


if __name__ == "__main__":
    main()

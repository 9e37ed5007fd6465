"""Splits of images, objectives and networks in all combinations that fit, on embedded pictures, small.

    python benchmarks/image_combinations.py WORK [RECORDS]
    pretask results RECORDS --group split --format md

WORK takes runs, RECORDS their records. Every cell sees as many samples of `shapes` at 32 pixels with the same recipe,
and is probed by nearest neighbors, beside the same network with random weights. Nothing was tuned. Running it again
goes on where it stopped.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pretask

DATA = {"data": "shapes", "data.image_size": 32, "data.size": 1024, "data.test_size": 512}
RECIPE = {"recipe.batch": 64, "recipe.lr": 2e-3, "recipe.optimizer": "adamw", "recipe.weight_decay": 0.05}
SAMPLES = 6_400
MODELS: Mapping[str, Mapping[str, Any]] = {
    "convnet": {"model": "convnet", "model.width": 16, "model.depth": 2},
    "resnet": {"model": "timm", "model.name": "resnet10t"},
    "vit": {"model": "vit", "model.width": 64, "model.depth": 2, "model.heads": 4, "model.patch": 4},
}
PATCHES = {"split.patch": 4}
# Split and objective, and their options.
PAIRS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("relative-position", "cross-entropy"): {"split.patch": 8, "split.gap": 2, "split.jitter": 1},
    ("colorization", "cross-entropy"): {},
    ("any-from-any", "regression"): PATCHES,
    ("occluded-from-visible", "regression"): PATCHES,
    ("exemplar-pair", "info-nce"): {"split.patch": 12},
    ("any-from-any", "elbo"): PATCHES,
    ("whole", "elbo"): {"objective.likelihood": "gaussian"},
}


def measure_all(work: Path) -> Iterator[Path]:
    """Train and measure every cell; yield its record."""
    for (split, objective), options in PAIRS.items():
        for model in MODELS.values():
            run = pretask.run(
                split=split,
                objective=objective,
                evaluate=("knn",),
                baselines="random-init",
                samples=SAMPLES,
                out=work,
                device="cpu",
                threads=1,
                pictures=False,
                **{**DATA, **RECIPE, **options, **model},
            )
            yield from (stored.path for stored in run.stored)


def main() -> None:
    """Write the records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("records", type=Path, nargs="?")
    options = parser.parse_args()
    for path in measure_all(options.work):
        print(path, flush=True)
        if options.records is not None:
            options.records.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, options.records / path.name)


if __name__ == "__main__":
    main()

"""The four methods of images on photographs, small: what each learns, and what its features are worth elsewhere.

    python benchmarks/image_methods.py PHOTOS BOXES WORK [--seeds 3]

PHOTOS is a folder of classes of photographs (train and val), BOXES one in the layout of PASCAL VOC; WORK takes runs and
records. One small network learns by relative position, colorization, exemplar and masked images, is probed on the
photographs' classes (linear, retrieval, few labels) beside random weights and raw pixels, and is the backbone of a
detector of objects (C4, trained further) beside random weights and, once, a network that was trained on the classes.
Running it again goes on where it stopped: what is recorded is not computed again.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pretask

NETWORK = {
    "model": "convnet",
    "model.width": 24,
    "recipe.optimizer": "adamw",
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.05,
    "recipe.augment": ("flip",),
}
PROBES = ("linear", "retrieval")
DETECTOR = {
    "on.height": 120,
    "on.width": 160,
    "voc-detection.steps": 200,
    "voc-detection.stride": 8,
    "voc-detection.width": 96,
    "voc-detection.anchors": (8, 16, 32, 64),
    "voc-detection.proposals": 64,
    "voc-detection.rate": 1e-3,
}


@dataclass(frozen=True)
class Method:
    """What learns from photographs.

    Args:
        task: Its name.
        samples: That it sees: about as many as half a minute allows.
        options: Of its parts.
        is_reference: Whether a network trained on the classes is measured beside it.
    """

    task: str
    samples: int
    options: Mapping[str, Any] = field(default_factory=dict)
    is_reference: bool = False


METHODS = (
    Method(
        "relative-position",
        51_200,
        {
            "recipe.batch": 128,
            "split.patch": 16,
            "split.gap": 4,
            "split.jitter": 2,
            "split.color": "project",
            "objective.hidden": (256,),
        },
        is_reference=True,
    ),
    Method(
        "masked-image",
        12_800,
        {
            "recipe.batch": 64,
            "split.patch": 8,
            "split.mask_ratio": 0.6,
            "objective.width": 64,
            "objective.depth": 1,
            "objective.heads": 4,
        },
    ),
    Method("exemplar", 38_400, {"recipe.batch": 128, "split.patch": 24}),
    Method("colorization", 8_000, {"recipe.batch": 32}),
)


@dataclass(frozen=True)
class Workspace:
    """Where all lies: photographs, images with boxes, and what is made of them."""

    photos: Path
    boxes: Path
    work: Path

    def run(self, method: Method, seed: int, *, evaluate: tuple[str, ...], baselines: str, **options: Any) -> Any:
        """Train a method, or find it trained, and measure it."""
        photos = {"data": "folder", "data.root": self.photos, "data.image_size": 64}
        return pretask.run(
            method.task,
            evaluate=evaluate,
            baselines=baselines,
            samples=method.samples,
            seed=seed,
            out=self.work,
            device="cpu",
            threads=1,
            pictures=False,
            **{**photos, **NETWORK, **method.options, **options},
        )

    def probe(self, method: Method, seed: int) -> None:
        """Measure features on the classes of the photographs."""
        means = {f"{name}.pooling": ("mean",) for name in PROBES}
        self.run(method, seed, evaluate=PROBES, baselines="random-init,raw-input", **means)
        self.run(method, seed, evaluate=("few-label",), baselines="random-init")

    def detect(self, method: Method, seed: int) -> None:
        """Measure the encoder as the backbone of a detector."""
        baselines = "random-init,supervised" if method.is_reference and seed == 0 else "random-init"
        boxes = {"on": "voc", "on.root": self.boxes, **DETECTOR}
        for frozen in ("nothing", "all"):  # what a backbone knew is forgotten where it is trained further
            trained = {"voc-detection.frozen": frozen}
            self.run(method, seed, evaluate=("voc-detection",), baselines=baselines, **boxes, **trained)


def main() -> None:
    """Measure everything, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    workspace = Workspace(options.photos, options.boxes, options.work)
    for seed in range(options.seeds):
        for method in METHODS:
            workspace.probe(method, seed)
        for method in METHODS:
            workspace.detect(method, seed)


if __name__ == "__main__":
    main()

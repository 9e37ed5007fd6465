"""The four methods of images on photographs, small: what each learns, and what its features are worth elsewhere.

    python benchmarks/image_methods.py PHOTOS BOXES WORK [--seeds 0 1 2] [--parts probe detect tune label]

PHOTOS is a folder of classes of photographs (train and val), BOXES one in the layout of PASCAL VOC; WORK takes runs and
records. One small network learns by relative position, colorization, exemplar and masked images, is probed on the
photographs' classes (linear, retrieval, few labels) beside random weights and raw pixels, and is the backbone of a
detector of objects (C4, frozen or trained further) beside random weights, which are shown what the method sees, and a
network that was trained on the classes. Running it again goes on where it stopped: what is recorded is not computed
again.
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
PARTS = ("probe", "detect", "tune", "label")
DETECTOR = {
    "on.height": 240,
    "on.width": 320,
    "voc-detection.steps": 200,
    "voc-detection.stride": 8,
    "voc-detection.width": 96,
    "voc-detection.anchors": (16, 32, 64, 128),
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
        is_reference: Whether a network trained on the classes is measured beside it, and random weights trained on.
        shown_as: Another method whose random weights are shown the same, so that its own need not be measured.
    """

    task: str
    samples: int
    options: Mapping[str, Any] = field(default_factory=dict)
    is_reference: bool = False
    shown_as: str = ""


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
        is_reference=True,
    ),
    Method("exemplar", 38_400, {"recipe.batch": 128, "split.patch": 24}, shown_as="masked-image"),
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
        self.run(method, seed, evaluate=PROBES, baselines="random-init" if seed else "random-init,raw-input", **means)

    def label(self, method: Method, seed: int) -> None:
        """Measure features with few labels."""
        self.run(method, seed, evaluate=("few-label",), baselines="random-init")

    def detect(self, method: Method, seed: int) -> None:
        """Measure the encoder as the backbone of a detector, as it is."""
        beside = "random-init,supervised" if method.is_reference else "random-init"
        self.run_detector(method, seed, "all", "" if method.shown_as else beside)

    def tune(self, method: Method, seed: int) -> None:
        """Measure it as a backbone that is trained further, which hides what it knew."""
        self.run_detector(method, seed, "nothing", "random-init,supervised" if method.is_reference else "")

    def run_detector(self, method: Method, seed: int, frozen: str, baselines: str) -> None:
        """Train a detector of objects on the encoder."""
        boxes = {"on": "voc", "on.root": self.boxes, **DETECTOR, "voc-detection.frozen": frozen}
        self.run(method, seed, evaluate=("voc-detection",), baselines=baselines, **boxes)


def main() -> None:
    """Measure everything, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--methods", nargs="*", default=[method.task for method in METHODS])
    options = parser.parse_args()
    workspace = Workspace(options.photos, options.boxes, options.work)
    for part in options.parts:
        for seed in options.seeds:
            for method in METHODS:
                if method.task in options.methods:
                    getattr(workspace, part)(method, seed)


if __name__ == "__main__":
    main()

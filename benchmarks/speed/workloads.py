"""Workloads: every built-in task twice, on a quick network and embedded data, and on a network that one would train.

The quick ones are those of the suites `quick`, with fewer samples of the same data. The larger ones are a ResNet-18 at
128 pixels, a transformer of 4 layers and 256 numbers a token on rows of 128 tokens of 8,192, r3d_18 or a ResNet-18
frame by frame on 16 frames of 64 pixels, and LSTMs of 512 and 1,024 numbers; on noise of those shapes, since what is in
a picture costs nothing. word2vec and GloVe are tables of vectors and have no larger network.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from pretask import Recipe, Samples, Vocabulary
from pretask.checkpoint import Progress
from pretask.composition import compose
from pretask.fitting import fit_split
from pretask.training import Run
from pretask_bench.runs.plan import make_plan
from pretask_registry import Registry
from pretask_registry.canned import ROLES, make_canned_samples

TOKENS = Vocabulary(8192, tuple((role, number) for number, role in enumerate(ROLES)))
SAMPLES = 512  # of larger workloads
FIT_BATCH = 64
ENDLESS = 1 << 30  # samples of the budget: no step is the last
IMAGES = {"data": "shapes", "data.image_size": 64, "data.size": 1024, "data.test_size": 64}
CLIPS = {"data": "sprites", "data.image_size": 32, "data.size": 512, "data.test_size": 64}
TEXTS = {"data": "toy-grammar"}
RESNET = {"model": "timm", "model.name": "resnet18"}
TRANSFORMER = {"model.width": 256, "model.depth": 4, "model.heads": 4}

# Task: preset and settings beside it.
QUICK: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "arrow-of-time": ("small", CLIPS),
    "causal-lm": ("small", TEXTS),
    "cbow": ("small", TEXTS),
    "colorization": ("small", IMAGES),
    "colorization-tracking": ("small", {**CLIPS, "data.image_size": 64}),
    "contrastive-predictive-coding": ("small", {"data": "tones"}),
    "elmo": ("small", TEXTS),
    "exemplar": ("small", {**IMAGES, "data.size": 400}),
    "exemplar-pair": ("small", {**IMAGES, "data.size": 400}),
    "glove": ("small", TEXTS),
    "masked-image": ("small", {**IMAGES}),
    "masked-lm": ("small", TEXTS),
    "masked-speech": ("small", {"data": "tones"}),
    "masked-units": ("small", {"data": "tones"}),
    "relative-position": ("demo", {**IMAGES, "model.stride": 2}),
    "sequence-verification": ("small", CLIPS),
    "text-vae": ("small", TEXTS),
    "vae": ("small", {}),
    "vq-vae": ("small", {}),
    "vq-vae-2": ("small", {}),
    "word2vec": ("small", TEXTS),
}
ON_BOOKS = ("cbow", "glove", "word2vec")  # whose preset `books` is for a million words of one's own

# Task: modality, samples of a step, and settings beside the task's own.
LARGER: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "arrow-of-time": (
        "video",
        2,
        {"model": "torchvision-video", "model.name": "r3d_18", "split.frames": 16, "split.stack": 1},
    ),
    "causal-lm": ("text", 8, TRANSFORMER),
    "colorization": ("image", 8, RESNET),
    "colorization-tracking": ("video", 4, {}),
    "elmo": ("text", 4, {"model.hidden_size": 512}),
    "exemplar": ("image", 32, RESNET),
    "masked-image": (
        "image",
        16,
        {
            "model.width": 192,
            "model.heads": 3,
            "model.depth": 6,
            "objective.width": 64,
            "objective.depth": 1,
            "objective.heads": 4,
        },
    ),
    "masked-lm": ("text", 8, {**TRANSFORMER, "objective.hidden": (256,)}),
    "masked-speech": ("audio", 8, {**TRANSFORMER, "objective.hidden": (256,)}),
    "masked-units": ("audio", 8, TRANSFORMER),
    "relative-position": ("image", 16, {**RESNET, "split.patch": 32, "split.gap": 8, "split.jitter": 4}),
    "sequence-verification": ("video", 8, {"split.nearest": 3, "split.farthest": 8}),
    "text-vae": ("text", 4, {}),
    "vae": (
        "image",
        8,
        {**RESNET, "split.binarize": False, "objective.likelihood": "gaussian", "objective.decoder": "convolution"},
    ),
}


@dataclass(frozen=True)
class Workload:
    """One task at one size.

    Args:
        task: Its name.
        size: `quick`, `larger` or `books`.
        folder: Of books, for their tables of vectors.
    """

    task: str
    size: str
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.task} ({self.size})"

    def build(self, registry: Registry, device: torch.device, **recipe: Any) -> Run:
        """Build a run that can take steps; its recipe has the given fields."""
        if self.size != "larger":
            preset, settings = QUICK[self.task] if self.size == "quick" else ("books", {"data.root": self.folder})
            plan = make_plan(registry, self.task, preset=preset, settings=settings)
            samples, batch = plan.build("data")("train"), plan.recipe.batch
        else:
            modality, batch, settings = LARGER[self.task]
            data = {"image": "shapes", "video": "sprites", "text": "toy-grammar", "audio": "tones"}[modality]
            plan = make_plan(registry, self.task, settings={"data": data, **settings})
            samples = make_noise(modality)
        batches = samples.batches(FIT_BATCH, torch.device("cpu"))
        split = fit_split(plan.build("split"), samples.observed, batches, None, name=self.task)
        wanted = replace(plan.recipe, batch=batch, samples=ENDLESS, **recipe)
        return build_run(samples, split, plan.build("model"), plan.build("objective"), wanted, device)


def list_workloads(
    tasks: tuple[str, ...] = (), sizes: tuple[str, ...] = ("quick", "larger"), folder: str = ""
) -> Iterator[Workload]:
    """Yield the workloads of some tasks, of all where none is named; where a folder of books is given, theirs alone."""
    if folder:
        yield from (Workload(task, "books", folder) for task in ON_BOOKS if not tasks or task in tasks)
        return
    for size, known in (("quick", QUICK), ("larger", LARGER)):
        yield from (Workload(task, size) for task in known if size in sizes and (not tasks or task in tasks))


def build_run(samples: Samples, split: Any, model: Any, objective: Any, recipe: Recipe, device: torch.device) -> Run:
    """Compose a task and return a run of it that stands at its first step, its networks in training mode."""
    task = compose(samples.observed, split, model, objective, recipe, device=device)
    run = Run(task, samples, 0, None, Progress(""))
    for network in run.networks.values():
        network.train()
    return run


def make_noise(modality: str) -> Samples:
    """Make samples of the larger shapes whose content does not matter."""
    scale = {"image": 4, "video": 2, "text": 8, "audio": 2}[modality]
    samples = make_canned_samples(modality, SAMPLES, scale=scale, frames=2)
    if modality != "text":
        return samples
    tokens = torch.randint(len(ROLES), TOKENS.size, samples.data.shape, generator=torch.Generator().manual_seed(0))
    return replace(samples, data=tokens, observed=replace(samples.observed, vocabulary=TOKENS))

"""Networks whose use of a GPU is known from elsewhere: ResNet-50, ViT-B, a GPT of 124 million weights and BERT-base."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pretask import Observed, Recipe, Samples, Vocabulary
from pretask.fitting import fit_split
from pretask.training import Run
from pretask_registry import Registry, build

from benchmarks.speed.peers_text import FIRST, ROLES, SIZE
from benchmarks.speed.workloads import ENDLESS, build_run

TINY_SIZE = 500  # of the vocabulary of a dry run
PARTS = ("split", "model", "objective")


@dataclass(frozen=True)
class Network:
    """A task on random data, large and tiny.

    Args:
        names: Of split, model and objective.
        options: Of each, in that order.
        tiny: Options that make it tiny.
        shape: Of a sample: pixels or tokens; and that of the tiny one.
        batch: Samples of a step; and of the tiny one.
    """

    names: Sequence[str]
    options: Sequence[Mapping[str, Any]]
    tiny: Sequence[Mapping[str, Any]]
    shape: tuple[tuple[int, ...], tuple[int, ...]]
    batch: tuple[int, int]

    def build(self, device: torch.device, *, dry: bool, **recipe: Any) -> Run:
        """Return a run that can take steps."""
        shape, batch = self.shape[dry], self.batch[dry]
        samples = make_samples(shape, 2 * batch if dry else 4 * batch, TINY_SIZE if dry else SIZE)
        chosen = [{**options, **(tiny if dry else {})} for options, tiny in zip(self.options, self.tiny, strict=True)]
        registry = Registry.load()
        split, model, objective = (
            build(registry.find(kind, name), options)
            for kind, name, options in zip(PARTS, self.names, chosen, strict=True)
        )
        split = fit_split(split, samples.observed, samples.batches(batch, torch.device("cpu")), None, name="gpu")
        return build_run(samples, split, model, objective, Recipe(batch=batch, samples=ENDLESS, **recipe), device)


NETWORKS: Mapping[str, Network] = {
    "ResNet-50, two views of 224 pixels": Network(
        ("exemplar-pair", "timm", "info-nce"),
        ({"patch": 224}, {"name": "resnet50"}, {"hidden": (2048,), "out_dim": 128}),
        ({"patch": 32}, {"name": "resnet18"}, {"hidden": (32,), "out_dim": 16}),
        ((3, 512, 512), (3, 80, 80)),
        (128, 4),
    ),
    "ViT-B, 224 pixels, masked patches": Network(
        ("any-from-any", "timm", "regression"),
        ({"patch": 16, "mask_ratio": 0.75}, {"name": "vit_base_patch16_224"}, {}),
        ({}, {"name": "vit_tiny_patch16_224"}, {}),
        ((3, 224, 224), (3, 64, 64)),
        (256, 2),
    ),
    "GPT of 124 M, 1,024 tokens": Network(
        ("next-token", "gpt2", "cross-entropy"),
        ({}, {"dropout": 0.0}, {}),
        ({}, {"width": 32, "depth": 1, "heads": 2}, {}),
        ((1024,), (32,)),
        (32, 4),
    ),
    "BERT-base, 512 tokens": Network(
        ("mask-tokens", "bert", "cross-entropy"),
        ({}, {"dropout": 0.0}, {"hidden": (768,)}),
        ({}, {"width": 32, "depth": 1, "heads": 2}, {"hidden": (32,)}),
        ((511,), (31,)),
        (64, 4),
    ),
}


def make_samples(shape: tuple[int, ...], count: int, size: int) -> Samples:
    """Return random photographs, or tokens of so many: zeros would be multiplied faster."""
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 1:
        tokens = torch.randint(FIRST, size, (count, *shape), generator=generator)
        return Samples(Observed("text", shape, "int64", count, Vocabulary(size, ROLES)), tokens)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return Samples(Observed("image", shape, samples=count), images)

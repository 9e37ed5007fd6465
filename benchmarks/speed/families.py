"""Families: networks of timm of many kinds under relative position: whether they fit, learn with every weight, and how
much of a step is theirs.

Patches have 96 pixels. A network whose images have one size only is given patches that it resizes. A weight counts as
reached where its gradient is other than 0 somewhere in one of the first steps: residual branches that begin as 0 pass
none on in the first. `share` is that of steps.py.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from pretask import Incompatible, Recipe
from pretask.convolutions import sound_convolutions
from pretask.training import Run
from pretask_plugins.methods.relative_position.split import CutPair
from pretask_plugins.models.image.timm import Timm
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_registry.canned import make_canned_samples

from benchmarks.speed.operations import score_and_differentiate
from benchmarks.speed.steps import measure_share
from benchmarks.speed.workloads import ENDLESS, SAMPLES, build_run

FAMILIES = (
    "resnet18",
    "resnext26ts",
    "regnetx_002",
    "densenet121",
    "efficientnet_b0",
    "mobilenetv3_small_050",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "mixer_s32_224",
    "poolformer_s12",
    "vgg11",
    "inception_v3",
    "xception41",
    "dla34",
    "ghostnet_050",
    "mobilevit_xxs",
    "efficientformer_l1",
    "repvgg_a0",
    "levit_128s",
    "cait_xxs24_224",
    "edgenext_xx_small",
    "fastvit_t8",
)
SPLIT = CutPair(patch=96, gap=4, jitter=2)
OWN_SIDE = 224  # pixels, of networks whose images have one size
BATCH = 4
SCALE = 10  # of canned images: 320 pixels
FIRST_STEPS, ROUNDS = 3, 3


def measure_families(device: torch.device, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return for every network whether it fits, how many weights a gradient reaches, and its step share."""
    measured = {}
    print(f"{'':32}resized  weights  reached  share (CPU)   step ms")
    for name in names or FAMILIES:
        measured[name] = found = measure_family(name, device)
        line = "{:32}{resized!s:7}{weights:9}{reached:9}{share:13.3f}{step_ms:10.1f}"
        print(line.format(name, **found), flush=True)
    return measured


def measure_family(name: str, device: torch.device) -> dict[str, Any]:
    """Measure one network."""
    run, resized = build(name, device)
    weights = [*run.task.model.parameters()]
    reached = torch.zeros(len(weights), dtype=torch.bool)
    with sound_convolutions(device, run.task.recipe.precision, run.networks.values()):
        for step in range(FIRST_STEPS):
            score_and_differentiate(run, run.make_micro_batches(run.fetch(step)))
            reached |= torch.tensor([weight.grad is not None and bool(weight.grad.any()) for weight in weights])
            run.update()
        count = sum(weight.numel() for weight in weights)
        facts = {"resized": resized, "parameters": count, "weights": len(weights), "reached": int(reached.sum())}
        return {**facts, **measure_share(run, ROUNDS)}


def build(name: str, device: torch.device) -> tuple[Run, bool]:
    """Return a run of a network, and whether it resizes patches since it reads one size only."""
    samples = make_canned_samples("image", SAMPLES // 8, scale=SCALE)
    recipe = Recipe(batch=BATCH, samples=ENDLESS, optimizer="sgd", lr=0.01)
    for resize in iterate_sides():
        try:
            model = partial(Timm, name=name, resize=resize)
            return build_run(samples, SPLIT, model, CrossEntropy, recipe, device), resize is not None
        except Incompatible as error:
            refusal = error
    raise refusal


def iterate_sides() -> Iterator[int | None]:
    """Yield what networks are asked to resize to: nothing, then the side that most of them have."""
    yield from (None, OWN_SIDE)

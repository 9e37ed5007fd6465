"""Three steps of relative position with a network of timm on several ranks: NAME FOLDER. Each writes its weights."""

import sys

import torch
from accelerate import PartialState
from pretask import Recipe, train
from pretask.composition import compose
from pretask_plugins.data.image.shapes import Shapes
from pretask_plugins.methods.relative_position.split import CutPair
from pretask_plugins.models.image.timm import Timm
from pretask_plugins.objectives.cross_entropy import CrossEntropy

NAME, FOLDER = sys.argv[1:]

if __name__ == "__main__":
    torch.set_num_threads(1)
    samples = Shapes(size=16, test_size=8, image_size=112)("train")
    recipe = Recipe(optimizer="adamw", lr=1e-3, batch=4, samples=12, warmup=0.0)
    split = CutPair(patch=32, gap=4, jitter=2)
    task = compose(samples.observed, split, lambda *specs: Timm(*specs, name=NAME), CrossEntropy, recipe)
    before = [weight.clone() for weight in task.model.parameters()]
    train(task, samples)
    after = [weight.detach() for weight in task.model.parameters()]
    moved = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    torch.save({"weights": after, "moved": moved}, f"{FOLDER}/{PartialState().process_index}")

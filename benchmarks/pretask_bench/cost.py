"""Cost: floating-point operations of training, counted by running one step."""

import torch
from pretask import Samples, Task
from pretask.order import draw_batch
from pretask.train import Step
from torch import nn


def training_flops(task: Task, samples: Samples, seed: int) -> float | None:
    """Operations of a whole training: those of the products and convolutions of one step, times the steps.

    None where there is a recurrent layer, whose products torch does not count.

    Args:
        task: Freshly composed; its gradients are used.
        samples: What it learns from.
        seed: Of the batch that is drawn.
    """
    from torch.utils.flop_counter import FlopCounterMode

    if any(isinstance(each, nn.RNNBase) for each in task.model.modules()):
        return None
    partners = getattr(task.split, "partners", 0)
    batch, epoch = draw_batch(samples, seed, 0, task.recipe.batch, task.device, partners)
    with FlopCounterMode(display=False) as counter, torch.random.fork_rng(devices=[]):
        Step(task)(batch, seed, epoch).total.backward()
    return float(counter.get_total_flops() * task.recipe.steps)

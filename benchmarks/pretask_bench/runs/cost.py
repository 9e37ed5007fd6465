"""Cost: floating-point operations of training, counted by running a small step."""

import torch
from pretask import Draws, Samples, Task
from pretask.order import draw_batch
from pretask.protocols import count_partners
from torch import nn

MAX_COUNTED_SAMPLES = 16  # samples at most in the step that is counted: memory is not what it asks for


def training_flops(task: Task, samples: Samples, seed: int) -> float | None:
    """Return the operations of a whole training, extrapolated from a step with a few samples.

    None where there is a recurrent layer, whose products torch does not count.

    Args:
        task: Freshly composed; its gradients are used.
        samples: What it learns from.
        seed: Seed of the batch that is drawn.
    """
    from torch.utils.flop_counter import FlopCounterMode

    if any(isinstance(module, nn.RNNBase) for module in task.model.modules()):
        return None
    partners = count_partners(task.split)
    size = min(task.recipe.batch, MAX_COUNTED_SAMPLES)
    batch, epoch = draw_batch(samples, seed, 0, size, task.device, partners)
    with FlopCounterMode(display=False) as counter, torch.random.fork_rng(devices=[]):
        torch.autograd.backward(task.loss(batch, Draws(batch.index, seed, epoch)).total)
    return float(counter.get_total_flops() * task.recipe.steps * task.recipe.batch / size)

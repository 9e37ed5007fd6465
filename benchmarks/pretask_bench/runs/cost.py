"""Cost: floating-point operations of training, counted by running a small step."""

from typing import Any

import torch
from pretask import Draws, Samples, Task
from pretask.order import draw_batch
from pretask.protocols import count_partners
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

MAX_COUNTED_SAMPLES = 16  # samples at most in the step that is counted: memory is not what it asks for


def training_flops(task: Task, samples: Samples, seed: int) -> float | None:
    """Return the operations of a whole training, extrapolated from a step with a few samples.

    None where there is a recurrent layer, whose products torch does not count.

    Args:
        task: Freshly composed; its gradients are used.
        samples: What it learns from.
        seed: Seed of the batch that is drawn.
    """
    if any(isinstance(module, nn.RNNBase) for module in task.model.modules()):
        return None
    partners = count_partners(task.split)
    size = min(task.recipe.batch, MAX_COUNTED_SAMPLES)
    batch, epoch = draw_batch(samples, seed, 0, size, task.device, partners)
    with CountFlops() as counter, torch.random.fork_rng(devices=[]):
        torch.autograd.backward(task.loss(batch, Draws(batch.index, seed, epoch)).total)
    return float(counter.total * task.recipe.steps * task.recipe.batch / size)


class CountFlops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count floating-point operations inside as FlopCounterMode does, which imports the compiler (a second)."""

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry

        super().__init__()  # type: ignore[no-untyped-call]
        self.formulas, self.total = flop_registry, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch wraps the method below into what imports the compiler

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry an operation out, after its decomposition where it has no formula, and add what its formula says."""
        kwargs = kwargs or {}
        formula = self.formulas.get(function.overloadpacket)
        if formula is None and function is not torch.ops.prim.device.default:
            with self:
                result = function.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = function(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result

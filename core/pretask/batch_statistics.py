"""Batch statistics: normalization over the batch of all ranks, so that a network learns what it learns on one.

torch.nn.SyncBatchNorm does the same on GPUs alone, and is another module; here the networks stay as they are, and their
batch normalization computes its mean and variance over all ranks while it is trained. Two sums are exchanged forward
and two backward: that of the values with their number, then that of squared deviations from the mean of all, which
loses no digits where that is large.

Source: Ioffe and Szegedy, ICML 2015 (batch normalization); Peng et al., CVPR 2018 (MegDet: across devices).
Axes: B batch, C channels.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from pretask.precision import upcast

BatchNorm = nn.modules.batchnorm._BatchNorm


@contextmanager
def share_batch_statistics(networks: Iterable[nn.Module], ranks: int) -> Iterator[None]:
    """Let batch normalization in training normalize over the batch of all ranks inside."""
    every = [module for network in networks for module in network.modules()] if ranks > 1 else []
    found = [module for module in every if isinstance(module, BatchNorm)]
    for module in found:
        module.forward = partial(normalize, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in found:
            del module.forward


def normalize(module: BatchNorm, inputs: Tensor) -> Tensor:
    """Return what a batch normalization gives of its rank's part of a batch.

    Args:
        module: In evaluation it does what it always does.
        inputs: (B, C, …).
    """
    if not module.training:
        return type(module).forward(module, inputs)
    axes = [axis for axis in range(inputs.ndim) if axis != 1]
    values = upcast(inputs)
    own = values.new_tensor([values.numel() / values.shape[1]])
    sums = sum_over_ranks(torch.cat([values.sum(axes), own]))
    count = sums[-1:].detach()
    mean = sums[:-1] / count
    centered = values - in_channels(mean, values)
    variance = sum_over_ranks(centered.square().sum(axes)) / count
    keep(module, mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
    normalized = centered * in_channels((variance + module.eps).rsqrt(), values)
    if module.affine:
        normalized = normalized * in_channels(module.weight, values) + in_channels(module.bias, values)
    return normalized.to(inputs.dtype)


def keep(module: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the statistics that a batch normalization has for evaluation towards those of a batch."""
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked.add_(1)
    step = module.momentum if module.momentum is not None else 1.0 / float(module.num_batches_tracked)
    module.running_mean.lerp_(mean.to(module.running_mean.dtype), step)
    module.running_var.lerp_(variance.to(module.running_var.dtype), step)


def in_channels(values: Tensor, like: Tensor) -> Tensor:
    """Return one value for each channel (C) in the shape in which it meets a batch (B, C, …)."""
    return values.reshape(1, -1, *(1 for _ in range(like.ndim - 2)))


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the sum over all ranks, whose gradient is the sum of the gradients of all."""
    from torch.distributed.nn.functional import all_reduce  # not every build of torch has it

    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total

"""One pass of a network on the meta device, which tells the shape of its features and computes nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import batch_norm, layer_norm
from torch.overrides import TorchFunctionMode

from pretask.specs import FeatureSpec, InputSpec, Sight
from pretask.values import Features, Inputs


def try_features(model: Any, spec: InputSpec, streams: tuple[Sight, ...] = ("all",)) -> FeatureSpec:
    """Find the FeatureSpec of a model whose arithmetic does not tell, by one pass on the meta device.

    Args:
        model: An nn.Module that keeps the Model protocol.
        spec: The inputs.
        streams: The sights that it offers.
    """
    on_meta = {name: value.to("meta") for name, value in [*model.named_parameters(), *model.named_buffers()]}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.device("meta"), KeepsNormalized():
            features: Features = functional_call(model, on_meta, (make_empty_inputs(spec),))
    finally:
        model.train(was_training)
    _, views, _, width = next(iter(features.streams.values())).shape
    return FeatureSpec(width, features.grid, views, streams)


def make_empty_inputs(spec: InputSpec, batch: int = 2, device: str = "meta") -> Inputs:
    """Make inputs of the given spec whose content does not matter."""
    dtype = torch.int64 if spec.vocabulary is not None else torch.float32
    return Inputs(torch.zeros((batch, spec.views, *spec.shape), dtype=dtype, device=device))


class KeepsNormalized(TorchFunctionMode):
    """Takes what is normalized for normal: torch works out its shape in Python, which takes longer than all else."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        kept = (func is batch_norm and counts_channels(*args[:3], kwargs.get("weight"))) or (
            func is layer_norm and ends_in_shape(*args[:2])
        )
        return torch.empty_like(args[0]) if kept else func(*args, **kwargs)


def counts_channels(values: Tensor, *statistics: Tensor | None) -> bool:
    """Return whether there is a number for every channel, (B, C, ...); where not, torch says what is wrong."""
    return values.dim() > 1 and all(given is None or given.numel() == values.shape[1] for given in statistics)


def ends_in_shape(values: Tensor, shape: Sequence[int]) -> bool:
    """Return whether the last axes are those that are normalized; where not, torch says what is wrong."""
    return tuple(values.shape[-len(shape) :]) == tuple(shape)

"""Timm models: an architecture of PyTorch Image Models by name, with random weights and without its classifier.

Source: Wightman 2019. Weights are never downloaded.
Axes: none.
"""

from typing import Any

import torch
from pretask import FeatureSpec, Incompatible, InputSpec, Unknown
from pretask.shape_pass import try_features
from pretask.specs import Sight
from pretask.values import iterate_tensors
from torch import nn
from torch.func import functional_call

UNUSED: dict[tuple[type[nn.Module], str], tuple[str, ...]] = {}  # names of modules, by holder and architecture


def create_timm(name: str, channels: int, sides: tuple[int, ...], output_stride: int = 0) -> Any:
    """Create an architecture, with the size of images where it wants to know.

    Args:
        name: As timm lists it.
        channels: Of an image.
        sides: Height and width, pixels.
        output_stride: Pixels from one position to the next; the architecture's own when 0.

    Raises:
        Unknown: timm has no such architecture, or it cannot be built for such images.
    """
    import timm

    if not timm.is_model(name):
        similar = timm.list_models(f"*{name[:6]}*")[:5]
        raise Unknown(
            f"timm has no architecture '{name}'." + (f" Did you mean {', '.join(similar)}?" if similar else "")
        )
    wanted: dict[str, Any] = {"pretrained": False, "in_chans": channels, "num_classes": 0}
    wanted |= {"output_stride": output_stride} if output_stride else {}
    for size in ({"img_size": sides, "dynamic_img_size": True}, {"img_size": sides}, {}):
        try:
            return timm.create_model(name, **wanted, **size)
        except TypeError:  # architectures differ in which of the arguments of a size they take
            continue
        except (NotImplementedError, AssertionError):  # of networks that have a stride of their own
            break
    if output_stride:
        raise Unknown(f"timm's '{name}' has no output_stride of {output_stride}. Leave model.output_stride out.")
    raise Unknown(f"timm's '{name}' takes no {', '.join(wanted)}. Choose another model.name.")


def drop_unused(network: nn.Module, name: str, *arguments: Any) -> None:
    """Drop the modules that features do not depend on: those between features and classifier, which nothing trains.

    Args:
        network: Holds an architecture.
        name: Of the architecture; what is unused in one network is in all that hold it in the same way.
        arguments: What the network is called with, on any device; where they cannot be read, nothing is dropped.
    """
    key = (type(network), name)
    if key not in UNUSED:
        try:
            UNUSED[key] = find_unused(network, *arguments)
        except (RuntimeError, AssertionError, ValueError):
            return  # `features` says why
    for module in UNUSED[key]:
        owner, _, attribute = module.rpartition(".")
        setattr(network.get_submodule(owner), attribute, nn.Identity())


def find_unused(network: nn.Module, *arguments: Any) -> tuple[str, ...]:
    """Name the modules that no output depends on, by the gradient of one pass on the meta device."""
    weights = {name: value.detach().to("meta").requires_grad_() for name, value in network.named_parameters()}
    buffers = {name: value.to("meta") for name, value in network.named_buffers()}
    with torch.device("meta"):
        made = functional_call(network, {**weights, **buffers}, arguments)
    total = torch.stack([tensor.sum() for _, tensor in iterate_tensors(made)]).sum()
    gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    used = {name for name, gradient in zip(weights, gradients, strict=True) if gradient is not None}
    inside = {
        name: {f"{name}.{weight}" for weight, _ in module.named_parameters()}
        for name, module in network.named_modules()
    }
    unused = [name for name, within in inside.items() if within and not within & used]
    return tuple(name for name in unused if name.rpartition(".")[0] not in unused)


def largest_sides(spec: InputSpec, whole_spec: InputSpec) -> tuple[int, ...]:
    """Return the height and width that cover x and the undivided sample, pixels."""
    return tuple(max(pair) for pair in zip(spec.shape[1:], whole_spec.shape[1:], strict=True))


def features_of_readable(
    model: nn.Module, spec: InputSpec, streams: tuple[Sight, ...], *, who: str, needs: str, do: str
) -> FeatureSpec:
    """Return the spec of a model's features, from one pass on the meta device.

    Args:
        model: Whose architecture alone knows what sizes it reads.
        spec: Of the inputs.
        streams: The sights that it offers.
        who: The model, for the error.
        needs: What it reads, for the error.
        do: What to do, for the error.

    Raises:
        Incompatible: The pass fails: the architecture cannot read images of this size.
    """
    try:
        return try_features(model, spec, streams)
    except (RuntimeError, AssertionError, ValueError) as error:
        got = f"{spec.modality} of shape {spec.shape} ({str(error).splitlines()[0]})"
        raise Incompatible(who, needs, got, do) from error

"""What a model promises that has parameters for every training sample; of other models these checks ask nothing.

Axes: B batch.
"""

from dataclasses import replace

import torch
from pretask import Features
from pretask.protocols import HasSampleParameters
from torch import Tensor

from pretask_registry.conformance import ambient
from pretask_registry.conformance.check import check, require
from pretask_registry.conformance.checks.models import CLOSE, encode_inputs, name_streams, take_rows
from pretask_registry.conformance.checks.splits import check_refusal
from pretask_registry.conformance.kinds import ModelCase
from pretask_registry.conformance.tensors import describe_difference, map_tensors

MORE = 3  # samples that are allocated beyond those of a case
UNSEEN = ("encoded", "refused")


@check("model")
def sample_parameters_are_their_samples_own(case: ModelCase) -> None:
    """Check that parameters of each sample are allocated, found by its number, and moved by no other sample."""
    if not isinstance(case.model, HasSampleParameters):
        return
    count, numbers = len(case.inputs.data), torch.tensor([3, 1])
    tables = find_tables(case, count)
    require(tables, f"allocate({count}) must make parameters with a row for each of {count} samples; it made none.")
    model = case.make().train()
    features = model(map_tensors(case.inputs, lambda tensor: tensor[numbers]))
    weigh_features(features).backward()  # type: ignore[no-untyped-call]
    for name, axis in tables.items():
        moved = find_moved_rows(model.get_parameter(name), axis)
        require(moved == [1, 3], f"Of '{name}' the samples 1 and 3 of a batch must get a gradient; {moved} get one.")
    turned = encode_inputs(case, map_tensors(case.inputs, lambda tensor: tensor.flip(0)))
    back = {name: stream.flip(0) for name, stream in name_streams(turned).items()}
    change = describe_difference(name_streams(encode_inputs(case, case.inputs)), back, CLOSE)
    require(not change, f"Parameters must be found by Inputs.index, not by place in the batch; reversed, {change}.")


def weigh_features(features: Features) -> Tensor:
    """Return one number that all features are a part of."""
    weighted = [stream * torch.linspace(0.5, 1.5, stream.shape[-1]).cos() for stream in name_streams(features).values()]
    return torch.stack([stream.sum() for stream in weighted]).sum()


def find_tables(case: ModelCase, count: int) -> dict[str, int]:
    """Find the parameters that grow with the number of samples, and the axis along which they do."""
    few, many = case.make(), case.make()
    many.allocate(count + MORE)
    larger = dict(many.named_parameters())
    return {
        name: axis
        for name, parameter in few.named_parameters()
        for axis, size in enumerate(parameter.shape)
        if size == count and larger[name].shape[axis] == count + MORE
    }


def find_moved_rows(parameter: Tensor, axis: int) -> list[int]:
    """Find the rows along an axis that have a gradient."""
    if parameter.grad is None:
        return []
    gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
    return gradient.movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0].tolist()


@check("model")
def unseen_samples_are_what_it_says(case: ModelCase) -> None:
    """Check that samples without a number are encoded, each by itself, or refused: as `unseen` says."""
    model = case.model
    if not isinstance(model, HasSampleParameters):
        return
    require(model.unseen in UNSEEN, f"unseen must be one of {', '.join(UNSEEN)}; it is {model.unseen!r}.")
    unseen = replace(case.inputs, index=None)
    if model.unseen == "refused":
        check_refusal(lambda: encode_inputs(case, unseen), "A sample without a number")
        return
    made, promised = encode_inputs(case, unseen), model.features(case.spec)  # type: ignore[attr-defined]
    for name in promised.streams:
        wanted, shape = (len(unseen.data), promised.views, promised.positions, promised.width), made.streams[name].shape
        require(tuple(shape) == wanted, f"Of samples without a number '{name}' must be {wanted}; it is {tuple(shape)}.")
    finite = all(bool(stream.isfinite().all()) for stream in name_streams(made).values())
    require(finite, "Features of samples without a number must be finite; NaN or infinity came.")
    ambient.seed_everything(1)
    ours = {name: stream[:3] for name, stream in name_streams(made).items()}
    change = describe_difference(ours, name_streams(encode_inputs(case, take_rows(unseen, slice(0, 3)))), CLOSE)
    require(
        not change, f"A sample without a number must be encoded by itself and not by chance; with 3 of 8, {change}."
    )

"""What every model promises: true specs, no look where none is allowed, and the same answer in any company.

Axes: B batch, V views, N positions, D width.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from pretask import Features, Inputs, InputSpec
from pretask.convolutions import find_padded_in_time, watch_narrow_maps
from pretask.pooling import mean_over
from pretask.shape_pass import make_empty_inputs
from pretask.values import iterate_tensors
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_registry.canned import OBSERVED, make_canned_inputs
from pretask_registry.conformance import ambient
from pretask_registry.conformance.check import Failure, Inapplicable, check, require
from pretask_registry.conformance.checks.splits import check_refusal
from pretask_registry.conformance.kinds import ModelCase
from pretask_registry.conformance.tensors import (
    are_equal,
    copy_parameters,
    copy_tensors,
    describe_difference,
    map_tensors,
)

CLOSE = 2e-3  # of features around 1: sums run in another order in another batch
STEPS, RATE = 80, 3e-3  # to learn eight samples by heart
LEARNED = 0.5  # of the nats of a uniform prediction


@check("model")
def features_match_their_spec(case: ModelCase) -> None:
    """Check that streams, width, grid and views are those of features(spec), finite; the last layer is the output."""
    promised, made = case.model.features(case.spec), encode_inputs(case, case.inputs, layers=True)
    require(set(promised.streams) <= set(made.streams), f"It offers {promised.streams}; it made {tuple(made.streams)}.")
    declared = case.component.traits["streams"]
    require(
        set(promised.streams) <= declared, f"It declares the streams {set(declared)}; it offers {promised.streams}."
    )
    require(
        tuple(made.grid) == tuple(promised.grid), f"The grid must be {promised.grid}, as it says; it is {made.grid}."
    )
    wanted = (len(case.inputs.data), promised.views, promised.positions, promised.width)
    for name in promised.streams:
        shape, pooled = tuple(made.streams[name].shape), tuple(made.pooled[name].shape)
        require(shape == wanted, f"The stream '{name}' must have the shape {wanted}, as it says; it has {shape}.")
        where = (*wanted[:2], wanted[3])
        require(pooled == where, f"The pooled vector '{name}' must have the shape {where}; it has {pooled}.")
        require(bool(made.streams[name].isfinite().all()), f"The stream '{name}' must be finite; NaN or infinity came.")
    require(made.layers, "layers=True must give every layer; it gave none.")
    other = describe_difference(name_streams(made.layers[-1]), name_streams(made), CLOSE)
    require(not other, f"The last layer must be the output; {other}.")
    plain = describe_difference(name_streams(encode_inputs(case, case.inputs)), name_streams(made), CLOSE)
    require(not plain, f"layers=True must not change the output; {plain}.")


@check("model")
def summary_of_positions_or_its_own(case: ModelCase) -> None:
    """Check that every layer's pooled vector is the mean or one of its positions, unless `own_pooled` is set."""
    made = encode_inputs(case, case.inputs, layers=True)
    for number, layer in enumerate(made.layers, start=1):
        for sight, pooled in layer.pooled.items():
            vectors = layer.streams[sight]
            ways = torch.cat([vectors, mean_over(vectors, layer.present)[:, :, None]], 2)
            apart = (ways - pooled[:, :, None]).abs().amax(3).amin(2)  # (B, V)
            promised = layer.own_pooled or bool((apart <= CLOSE * (1 + pooled.abs().max())).all())
            require(
                promised,
                f"The pooled vector '{sight}' of layer {number} must be the mean or one of its positions; it is "
                "Give Features own_pooled=True, or probes will not try it.",
            )


def encode_inputs(case: ModelCase, inputs: Inputs, layers: bool = False) -> Features:
    """Compute the features of inputs in evaluation, by a model that no check changes."""
    with torch.no_grad():
        features: Features = case.model(inputs, layers=layers)
    return features


def name_streams(features: Features) -> dict[str, Tensor]:
    """Return streams and pooled vectors by name."""
    return dict(iterate_tensors({"stream": features.streams, "summary": features.pooled}))


@check("model")
def reads_every_view_size_of_the_whole(case: ModelCase) -> None:
    """Check that it can be built from the specs of x and of undivided samples, without memory, with equal specs."""
    with torch.device("meta"):
        model = case.built(case.spec, case.spec)
        promised = model.features(case.spec)
    require(promised == case.model.features(case.spec), f"On the meta device it says {promised}, else something else.")


@check("model")
def runs_on_the_meta_device(case: ModelCase) -> None:
    """Check that it runs where there are shapes but no numbers, so everything that it makes is where its inputs are."""
    with torch.device("cpu"):
        model = case.make().to("meta").eval()
    with torch.no_grad():
        made = model(map_tensors(case.inputs, lambda tensor: tensor.to("meta")))
    for name, tensor in iterate_tensors(made.streams):
        require(tensor.device.type == "meta", f"The stream '{name}' must be where x is; it is on {tensor.device}.")


@check("model")
def a_sample_stands_alone(case: ModelCase) -> None:
    """Check that, at evaluation, the features of a sample do not depend on what else is in its batch, nor on chance."""
    whole, few = encode_inputs(case, case.inputs), encode_inputs(case, take_rows(case.inputs, slice(0, 3)))
    ours = {name: stream[:3] for name, stream in name_streams(whole).items()}
    other = describe_difference(ours, name_streams(few), CLOSE)
    require(not other, f"In evaluation, features must not depend on the rest of the batch; with 3 of 8, {other}.")
    ambient.seed_everything(1)
    again = describe_difference(name_streams(whole), name_streams(encode_inputs(case, case.inputs)), 1e-6)
    require(not again, f"In evaluation, features must not depend on chance (dropout?); a second time, {again}.")


def take_rows(inputs: Inputs, pick: slice) -> Inputs:
    """Take some samples."""
    made: Inputs = map_tensors(inputs, lambda tensor: tensor[pick])
    return made


@check("model")
def inputs_are_not_changed(case: ModelCase) -> None:
    """Check that the inputs are as they were afterwards."""
    before = copy_tensors(case.inputs)
    encode_inputs(case, case.inputs)
    other = describe_difference(before, dict(iterate_tensors(case.inputs)), 0.0)
    require(not other, f"A model must not write into its inputs; afterwards, {other}.")


@check("model")
def sees_no_more_than_it_says(case: ModelCase) -> None:
    """Check that features of the past follow nothing later, of the future nothing earlier, of the present neither."""
    narrow = [sees for sees in case.model.features(case.spec).streams if sees != "all"]
    line = count_places(case)
    if not narrow or line < 2:
        return
    before = encode_inputs(case, case.inputs).streams
    for place in {0, line // 2, line - 1}:
        after = encode_inputs(case, change_place(case, place)).streams
        for sight in narrow:
            for where in iterate_allowed(sight, place, line):
                same = are_equal(pick_place(case, before[sight], where), pick_place(case, after[sight], where), 1e-5)
                unit = "position" if case.spec.views == 1 else "view"
                require(
                    same, f"The stream '{sight}' at {unit} {where} must not see {unit} {place}; it changes with it."
                )


def count_places(case: ModelCase) -> int:
    """Count the places along the ordered axis: views of a clip, positions of a sequence."""
    if case.spec.ordered and case.spec.views > 1:
        return case.spec.views
    return case.spec.shape[0] if case.spec.modality in ("text", "audio") else 1


def iterate_allowed(sight: str, place: int, line: int) -> Iterator[int]:
    """Yield the places whose features must not change with one place of x."""
    past, future = range(place), range(place + 1, line)
    yield from {"past": past, "future": future, "present": (*past, *future)}[sight]


def change_place(case: ModelCase, place: int) -> Inputs:
    """Return the inputs with other content at one place of the ordered axis."""
    data = case.inputs.data.clone()
    if case.spec.views > 1:
        data[:, place] = data[:, place].roll(1, 0)
    else:
        data[:, :, place] = (data[:, :, place] + 1) % 60 if data.dtype == torch.int64 else data[:, :, place] + 1
    return replace(case.inputs, data=data)


def pick_place(case: ModelCase, stream: Tensor, place: int) -> Tensor:
    """Return the features at one place of the ordered axis."""
    return stream[:, place] if case.spec.views > 1 else stream[:, :, place]


@check("model", when=lambda component: bool({"text", "audio"} & component.traits["modality"]))
def padding_is_not_read(case: ModelCase) -> None:
    """Check that what stands where `present` is False changes no feature of what is present, nor the pooled vector."""
    if case.where not in ("text", "audio"):
        return
    line = case.spec.shape[0]
    present = (torch.arange(line) < line - line // 4).expand(len(case.inputs.data), 1, -1)
    shape = (*present.shape, *[1] * (case.inputs.data.ndim - 3))
    noise = case.inputs.data.roll(1, 0)
    ours, theirs = (
        encode_inputs(case, replace(case.inputs, data=data, present=present))
        for data in (case.inputs.data, case.inputs.data.where(present.view(shape), noise))
    )
    for sight in case.model.features(case.spec).streams:
        if ours.streams[sight].shape[2] == line:
            kept = present[..., None].expand_as(ours.streams[sight])
            same = are_equal(ours.streams[sight][kept], theirs.streams[sight][kept])
            require(same, f"Padding must not be read; the stream '{sight}' of what is present changes with it.")
        same = are_equal(ours.pooled[sight], theirs.pooled[sight])
        require(same, f"Padding must not be read; the pooled vector '{sight}' changes with it.")


@check("model")
def gradient_reaches_every_parameter(case: ModelCase) -> None:
    """Check that every parameter that wants a gradient gets one."""
    model = nudge_weights(case.make().train())
    made = model(case.inputs)
    weights = [
        torch.linspace(0.5, 1.5, stream.numel()).view(stream.shape).cos() for stream in name_streams(made).values()
    ]
    total = sum((stream * weight).sum() for stream, weight in zip(name_streams(made).values(), weights, strict=True))
    total.backward()  # type: ignore[union-attr]
    dead = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and not has_gradient(parameter)
    ]
    require(not dead, f"A gradient must reach every parameter; none reaches {', '.join(dead[:5])}.")


def nudge_weights(model: nn.Module) -> nn.Module:
    """Return the model a step away from where it began: a residual branch that begins at 0 passes no gradient on."""
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(0.01 * torch.arange(parameter.numel()).add(number).cos().view(parameter.shape))
    return model


def has_gradient(parameter: nn.Parameter) -> bool:
    """Return whether a gradient has come that is not all 0."""
    return parameter.grad is not None and bool(parameter.grad.any())


@check("model")
def learns_eight_samples_by_heart(case: ModelCase) -> None:
    """Check that, with a linear head on its pooled vector, it learns a label for each of eight samples soon."""
    model = case.make().train()
    width = sum(vectors.flatten(1).shape[1] for vectors in encode_inputs(case, case.inputs).pooled.values())
    torch.manual_seed(case.seed)
    head, label = nn.Linear(width, 4), torch.arange(len(case.inputs.data)) % 4
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], RATE)
    lost = uniform = float(torch.tensor(4.0).log())
    for _ in range(STEPS):
        pooled = torch.cat([vectors.flatten(1) for vectors in model(case.inputs).pooled.values()], 1)
        loss = F.cross_entropy(head(pooled), label)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        lost = float(loss.detach())
        if lost < LEARNED * uniform:
            return
    raise Failure(
        f"It must learn 8 samples in {STEPS} steps to below {LEARNED * uniform:.2f} nats; it is at {lost:.2f}."
    )


@check("model")
def finite_in_bfloat16(case: ModelCase) -> None:
    """Check that features and gradients are finite under bfloat16 autocast."""
    model, narrow = case.make().train(), list[str]()
    with watch_narrow_maps(model, narrow.append), torch.autocast("cpu", torch.bfloat16):
        made = model(take_rows(case.inputs, slice(0, 2)))
    for name, stream in name_streams(made).items():
        require(bool(stream.isfinite().all()), f"The {name} must be finite in bfloat16; NaN or infinity came.")
    if narrow:  # training in bfloat16 on a CPU is refused
        return
    sum(stream.float().square().mean() for stream in name_streams(made).values()).backward()  # type: ignore[union-attr]
    wrong = {f"{name}.weight" for name in find_padded_in_time(model)}
    bad = [
        n
        for n, parameter in model.named_parameters()
        if n not in wrong and parameter.grad is not None and not parameter.grad.isfinite().all()
    ]
    require(not bad, f"Gradients must be finite in bfloat16; NaN or infinity came for {', '.join(bad[:5])}.")


@check("model")
def weights_can_be_saved(case: ModelCase) -> None:
    """Check that another model that loads its state_dict gives the same features: nothing else matters."""
    trained = case.make().train()
    trained(case.inputs)  # moves running statistics
    for parameter in trained.parameters():
        parameter.data.add_(0.01)
    fresh = case.make(more=1)
    fresh.load_state_dict(trained.state_dict())
    other = compare(trained.eval(), fresh.eval(), case.inputs)
    require(not other, f"The state_dict must hold all that matters; after loading it, {other}.")


def compare(one: nn.Module, two: nn.Module, inputs: Inputs) -> str:
    """Return what differs between the features of two models."""
    with torch.no_grad():
        return describe_difference(name_streams(one(inputs)), name_streams(two(inputs)), CLOSE)


@check("model")
def same_seed_same_weights(case: ModelCase) -> None:
    """Check that initial weights follow from the ambient seed, as compose sets it."""
    other = describe_difference(copy_parameters(case.make()), copy_parameters(case.make()), 0.0)
    require(not other, f"The same seed must give the same weights; {other}.")


@check("model", once=True)
def refuses_with_reasons(case: ModelCase) -> None:
    """Check that unreadable inputs raise Incompatible, which says what was needed, what came and what to do."""
    foreign = [modality for modality in OBSERVED if modality not in case.component.traits["modality"]]
    if not foreign:
        raise Inapplicable("It reads every modality that there is tiny data of, so none can be refused.")
    refused: list[Callable[[], object]] = []
    for modality in foreign:
        spec, _ = make_canned_inputs(modality)
        strange = replace(spec, ordered=False) if modality == "video" else spec
        refused.append(lambda spec=strange: tried(case, spec))  # type: ignore[misc]
    for modality, attempt in zip(foreign, refused, strict=True):
        check_refusal(attempt, f"x of the modality {modality}")


def tried(case: ModelCase, spec: InputSpec) -> None:
    """Build it for such inputs, and run it on them without memory."""
    with torch.device("meta"):
        model = case.built(spec, spec)
        model.features(spec)
        model.eval()(make_empty_inputs(spec))


@check("model")
def hidden_patches_are_not_encoded(case: ModelCase) -> None:
    """Check that a model that says which positions it encoded reads no others, and takes whole patches only."""
    if case.spec.modality != "image" or len(case.spec.shape) != 3:
        return
    side = largest_patch(case)
    spec = replace(case.spec, patch=(side, side), shown=3)  # one of four is hidden
    model = case.built(spec, spec).eval()
    visible = hide_patches(case.inputs.data, side)
    ours, theirs = (
        model(replace(case.inputs, data=data, visible=visible))
        for data in (case.inputs.data, case.inputs.data.where(visible[:, :, None], 1 - case.inputs.data))
    )
    if ours.visible is None:
        return  # it encodes every position, whatever is hidden
    change = describe_difference(name_streams(ours), name_streams(theirs), CLOSE)
    require(
        not change, f"What is hidden must not be read where Features.visible is given; with other pixels, {change}."
    )
    expected = visible[..., :: visible.shape[-2] // ours.grid[0], :: visible.shape[-1] // ours.grid[1]].flatten(2)
    require(
        torch.equal(ours.visible, expected), "Features.visible must be True at the positions whose patch is visible."
    )
    cell = case.spec.shape[-1] // ours.grid[-1]
    if cell > 1:
        smaller = replace(spec, patch=(cell // 2, cell // 2))
        check_refusal(
            lambda: case.built(smaller, smaller).features(smaller), "A split with smaller patches than its own"
        )


def largest_patch(case: ModelCase) -> int:
    """Return the side of patches, of which there are four."""
    return int(min(case.spec.shape[-2:]) // 2)


def hide_patches(images: Tensor, side: int) -> Tensor:
    """Return which pixels (B, V, H, W) are visible where the first patch of every image is hidden."""
    visible = torch.ones(*images.shape[:2], *images.shape[3:], dtype=torch.bool)
    visible[..., :side, :side] = False
    return visible

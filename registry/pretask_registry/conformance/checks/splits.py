"""What every split promises: that its specs are true, that its draws are keyed, and that it runs anywhere.

What it must hide is in checks_hiding.py.
Axes: B batch, V views, K candidates; `...` the shape of one view or the grid of a target.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from pretask import (
    Batch,
    Categories,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Reference,
    Representation,
    Target,
    TargetSpec,
    Unknown,
    Values,
)
from pretask.values import iterate_tensors
from torch import Tensor

from pretask_registry.canned import OBSERVED
from pretask_registry.conformance import ambient
from pretask_registry.conformance.check import Failure, Skip, check, require
from pretask_registry.conformance.kinds import BATCH, SplitCase
from pretask_registry.conformance.material import pad_second_half
from pretask_registry.conformance.tensors import (
    copy_tensors,
    describe,
    describe_difference,
    name_halves,
    shapes_are_checked,
    take_rows,
)

SEED = 12_345  # that no plugin would choose by itself
KNOWN = ("categories", "values", "reference", "agreement")
ROOM = 3.0  # by which an image may leave [0, 1]: a patch may be brought to its own mean; bytes are far beyond


@check("split")
def declares_what_it_makes(case: SplitCase) -> None:
    """Check that the declared kinds of targets, sights, views, x's modality and `hidden` are those of the specs."""
    (spec, targets), traits = case.specs, case.component.traits
    kinds = {spec.kind for spec in targets.values()}
    require(
        kinds == traits["targets"][case.where],
        describe_mismatch(case, "targets", set(traits["targets"][case.where]), kinds),
    )
    sees = {spec.sees for spec in targets.values()}
    require(sees <= traits["sees"], describe_mismatch(case, "sees", set(traits["sees"]), sees))
    gives = traits["gives"] or case.where
    require(spec.modality == gives, describe_mismatch(case, "gives", gives, spec.modality))
    require(traits["views"] in (None, spec.views), describe_mismatch(case, "views", traits["views"], spec.views))
    hidden = all(spec.hidden for spec in targets.values())
    require(hidden == traits["hidden"], describe_mismatch(case, "hidden", traits["hidden"], hidden))


def describe_mismatch(case: SplitCase, trait: str, declared: object, found: object) -> str:
    """Format the message for a trait that is not true."""
    return f"{case.id} declares {trait} = {declared}; its spec says {found}. Correct the declaration."


@check("split")
def x_is_what_spec_says(case: SplitCase) -> None:
    """Check that the shape, views and type of x are those of its InputSpec, finite, and images are in [0, 1]."""
    batch = case.batch()
    check_inputs(case(batch)[0], case.specs[0], "x")


@check("split")
def whole_is_what_spec_says(case: SplitCase) -> None:
    """Check that what the encoder is shown at evaluation is what whole_spec says."""
    batch = case.batch()
    check_inputs(case.split.whole(batch), case.split.whole_spec(case.observed), "whole(batch)")


def check_inputs(inputs: Inputs, spec: InputSpec, who: str) -> None:
    """Raise Failure unless inputs are what a spec says, in every group of views."""
    groups = dict(spec.groups)
    require(inputs.groups.keys() == groups.keys(), f"{who} must have the groups {sorted(groups)} of its spec.")
    for name, group in inputs.groups.items():
        check_inputs(group, groups[name], f"{who}.groups['{name}']")
    wanted = (BATCH, spec.views, *spec.shape)
    require(tuple(inputs.data.shape) == wanted, f"{who} must have the shape {wanted}; it is {describe(inputs.data)}.")
    if spec.vocabulary is not None:
        require(inputs.data.dtype == torch.int64, f"{who} must be int64 tokens; it is {describe(inputs.data)}.")
        low, high = int(inputs.data.min()), int(inputs.data.max())
        require(low >= 0 and high < spec.vocabulary.size, f"{who} must be ids of the vocabulary; {low} to {high} came.")
        return
    require(inputs.data.dtype == torch.float32, f"{who} must be float32; it is {describe(inputs.data)}.")
    require(bool(inputs.data.isfinite().all()), f"{who} must be finite; NaN or infinity came.")
    if spec.modality in ("image", "video"):
        least, most = float(inputs.data.min()), float(inputs.data.max())
        require(least >= -ROOM and most <= 1 + ROOM, f"{who} must be images in [0, 1]; {least:.3g} to {most:.3g} came.")


@check("split")
def y_is_what_spec_says(case: SplitCase) -> None:
    """Check that every target has the shape, the type and the range of its spec, and some position is valid."""
    targets, specs = case(case.batch())[1], case.specs[1]
    require(targets.keys() == specs.keys(), f"y must hold {sorted(specs)}; it holds {sorted(targets)}.")
    for name, spec in specs.items():
        check_target(name, targets[name], spec)


def check_target(name: str, target: Target, spec: TargetSpec, size: int = BATCH) -> None:
    """Raise Failure unless a target of so many samples is what its spec says."""
    places = (size, *(() if spec.views is None else (spec.views,)), *spec.grid)
    candidates = () if target.probability is None else (target.probability.shape[-1],)
    last = (spec.channels,) if isinstance(spec, Values) else candidates
    wanted = (*places, *last)
    shape = tuple(target.value.shape)
    own = spec.kind not in KNOWN and shape[: len(places)] == places  # what follows is the business of a plugin's kind
    require(shape == wanted or own, f"'{name}' must have the shape {wanted}; it is {describe(target.value)}.")
    require(bool(target.value.isfinite().all()), f"'{name}' must be finite; NaN or infinity came.")
    if target.weight is not None:
        fits = tuple(target.weight.shape) == places and target.weight.is_floating_point()
        require(fits, f"The weight of '{name}' must be floats of shape {places}; it is {describe(target.weight)}.")
        require(bool((target.weight > 0).any()), f"'{name}' must be valid somewhere; all its weights are 0.")
        require(bool((target.weight >= 0).all()), f"The weights of '{name}' must not be negative.")
    if isinstance(spec, Representation):
        views = target.inputs
        require(views is not None, f"'{name}' must hold the views that are encoded, in Target.inputs.")
        assert views is not None
        check_inputs(views, spec.inputs, f"The views of '{name}'")
    elif isinstance(spec, Categories | Reference):
        check_classes(name, target.value, spec.classes)
    elif isinstance(spec, Values):
        require(target.value.dtype == torch.float32, f"'{name}' must be float32; it is {describe(target.value)}.")
    if spec.scored is not None and target.weight is not None:
        most = int((target.weight > 0).view(*places[: -len(spec.grid)], -1).sum(-1).max())
        require(most <= spec.scored, f"'{name}' has weight at {most} positions; its spec has scored = {spec.scored}.")


def check_classes(name: str, value: Tensor, classes: int) -> None:
    """Raise Failure unless values are class numbers."""
    require(value.dtype == torch.int64, f"'{name}' must be int64 class numbers; it is {describe(value)}.")
    low, high = int(value.min()), int(value.max())
    require(low >= 0 and high < classes, f"'{name}' must be from 0 to {classes - 1}; {low} to {high} came.")


@check("split")
def same_output_in_any_batch(case: SplitCase) -> None:
    """Check that what is drawn for a sample is the same in any order and any size of batch."""
    batch = case.batch()
    whole = name_halves(case(batch))
    order = torch.arange(BATCH).flip(0)
    other = describe_difference(take_rows(whole, order), name_halves(case(pick_samples(batch, order))))
    require(not other, f"A sample must not change with the order of its batch; reversed, {other}.")
    few = torch.arange(5)
    other = describe_difference(take_rows(whole, few), name_halves(case(pick_samples(batch, few))))
    require(not other, f"A sample must not change with the size of its batch; with 5 samples of {BATCH}, {other}.")


def pick_samples(batch: Batch, order: Tensor) -> Batch:
    """Take some samples of a batch."""
    return Batch(
        batch.data[order],
        batch.index[order],
        None if batch.present is None else batch.present[order],
        None if batch.partners is None else batch.partners[order],
    )


@check("split")
def draws_follow_the_seed(case: SplitCase) -> None:
    """Check that all randomness comes from its Draws: another seed, or another epoch, gives another output."""
    batch = case.batch(32)
    with ambient.watch_draws() as made:
        first = name_halves(case(batch, more=SEED))
    if not made:
        return  # it draws nothing; that it does not draw elsewhere, other checks say
    foreign = sorted({draws.name for draws in made if draws.seed != case.seed + SEED})
    require(not foreign, f"Draws must have the run's seed; '{', '.join(foreign)}' has one of its own.")
    other = describe_difference(first, name_halves(case(batch, more=SEED + 1)))
    require(other, "Another seed must give another output; it is the same.")
    other = describe_difference(first, name_halves(case(batch, epoch=1, more=SEED)))
    require(other, "Another epoch must give another output, or every epoch repeats the first; it is the same.")


@check("split")
def ambient_randomness_is_left_alone(case: SplitCase) -> None:
    """Check that the generators of torch, numpy and random are neither read nor moved."""
    batch, made = case.batch(), []
    case(batch)
    for seed in (1, 2):
        ambient.seed_everything(seed)
        before = ambient.read_states()
        made.append(name_halves(case(batch)))
        moved = ambient.name_moved(before)
        require(not moved, f"A split must draw from Draws only; it moved the generator of {moved}.")
    other = describe_difference(made[0], made[1])
    require(not other, f"A split must draw from Draws only; with other ambient seeds, {other}.")


@check("split")
def batch_is_not_changed(case: SplitCase) -> None:
    """Check that the batch that it is given is as it was afterwards."""
    batch = case.batch()
    before = copy_tensors(batch)
    case(batch)
    case.split.whole(batch)
    other = describe_difference(before, dict(iterate_tensors(batch)), 0.0)
    require(not other, f"A split must not write into its batch; afterwards, {other}.")


@check("split")
def runs_on_the_meta_device(case: SplitCase) -> None:
    """Check that it runs where there are shapes but no numbers, so all that it makes is on the batch's device."""
    batch = case.batch()
    case(batch)
    there = batch.to("meta")
    for name, tensor in [
        *name_halves(case.split(there, Draws(there.index, case.seed))).items(),
        *iterate_tensors(case.split.whole(there), "whole"),
    ]:
        require(tensor.device.type == "meta", f"'{name}' must be on the batch's device; it is on {tensor.device}.")


@check("split", once=True)
def compiles(case: SplitCase) -> None:
    """Check that it is one graph for torch.compile (fullgraph), and gives the same."""
    if shapes_are_checked():
        raise Skip("What checks the shapes of this process cannot be traced: pretask check compiles it in its own.")
    batch = case.batch()
    seed, epoch = torch.tensor(case.seed), torch.zeros(BATCH, dtype=torch.int64)

    def step(batch: Batch, seed: Tensor, epoch: Tensor) -> object:
        return case.split(batch, Draws(batch.index, seed, epoch))

    eager = name_halves(step(batch, seed, epoch))
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer's own
        other = describe_difference(
            eager, name_halves(torch.compile(step, backend="eager", fullgraph=True)(batch, seed, epoch))
        )
    require(not other, f"A compiled split must give the same; {other}.")


@check("split", when=lambda component: bool({"text", "audio"} & component.traits["modality"]))
def padding_is_never_valid(case: SplitCase) -> None:
    """Check that what stands where `present` is False changes neither x that is present nor a valid answer."""
    if case.where not in ("text", "audio"):
        return
    batch = pad_second_half(case.batch(), case.observed)
    assert batch.present is not None
    noise = batch.data.roll(1, 0) if case.where == "audio" else batch.data.flip(1)
    ours, theirs = (case(given) for given in (batch, replace(batch, data=batch.data.where(batch.present, noise))))
    if ours[0].present is not None:
        shown = ours[0].present.view(*ours[0].present.shape, *[1] * (ours[0].data.ndim - ours[0].present.ndim))
        same = ((ours[0].data.float() - theirs[0].data.float()).abs() * shown).max() < 1e-3
        require(same, "x must not hold what padding is; where x is present, it changes with what stands there.")
    for name, target in ours[1].items():
        other = theirs[1][name]
        trial = torch.ones(target.value.shape[:2]) if target.weight is None else target.weight
        while trial.ndim < target.value.ndim:
            trial = trial[..., None]
        same = ((target.value.float() - other.value.float()).abs() * (trial > 0)).max() < 1e-3
        require(same, f"'{name}' must not be valid at padding; what is valid changes with what stands there.")


@check("split", once=True)
def refuses_with_reasons(case: SplitCase) -> None:
    """Check that data that cannot be split raise Incompatible, which says what was needed, what came and what to do."""
    modality = next((modality for modality in OBSERVED if modality not in case.component.traits["modality"]), "")
    wrong = OBSERVED[modality] if modality else Observed("smell", (3,), "float32")
    check_refusal(lambda: case.built.spec(wrong), f"{wrong.modality} data, which {case.id} does not declare,")


def check_refusal(
    attempt: Callable[[], object], what: str, wanted: type[PretaskError] | tuple[type[PretaskError], ...] = Incompatible
) -> None:
    """Raise Failure unless an attempt is refused with the wanted error, in three parts."""
    try:
        attempt()
    except PretaskError as error:
        require(isinstance(error, wanted), f"{what} must raise Incompatible; {type(error).__name__} came: {error}")
        parts = () if isinstance(error, Unknown) else ("who", "needs", "got", "do")
        missing = [part for part in parts if not getattr(error, part, "")]
        require(not missing, f"An error must say who, needs, got and do; '{error}' lacks {' and '.join(missing)}.")
        require(str(error).rstrip().endswith("."), f"An error must end in a sentence of what to do; '{error}'.")
        return
    except Exception as error:
        raise Failure(f"{what} must raise Incompatible, with reason; {type(error).__name__} came: {error}") from error
    raise Failure(f"{what} must be refused, with the reason; it was taken.")

"""What every objective promises: a mean over the right axis, nothing read that may not be seen, gradients everywhere.

Each is tried on targets that installed splits ask for, with the features of a small model.
Axes: B batch, V views, N positions, D width.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from pretask import Draws, Features, FeatureSpec, Loss, Rewrites, Target, Targets, TargetSpec
from pretask.protocols import chance_of
from pretask.values import iterate_tensors
from torch import Tensor

from pretask_registry.conformance import ambient
from pretask_registry.conformance.check import Inapplicable, check, require
from pretask_registry.conformance.checks.models import has_gradient, nudge_weights
from pretask_registry.conformance.checks.splits import check_refusal
from pretask_registry.conformance.kinds import ObjectiveCase, Trial
from pretask_registry.conformance.material import split_numbered
from pretask_registry.conformance.tensors import are_equal, copy_tensors, describe_difference, map_tensors

CLOSE = 1e-3  # of losses: means run in another order
COMPARES = ("agreement",)  # kinds whose answers are the other samples of the batch
POINTS = ("reference",)  # kinds of which what weighs 0 is given, and may be pointed at


def scores_samples_alone(component: Any) -> bool:
    """Return whether an objective scores a sample by itself, as far as it declares."""
    return not component.traits["targets"] & set(COMPARES) and not component.traits.get("depends_on_batch", False)


def compute_loss(trial: Trial, features: Features | None = None, targets: Targets | None = None, seed: int = 0) -> Loss:
    """Compute the objective's score, of the batch unless something else is given."""
    return replace(trial, features=features or trial.features, targets=targets or trial.targets).score(seed)


@check("objective")
def loss_is_a_number(case: ObjectiveCase) -> None:
    """Check that the total is one finite float32, parts are finite numbers, and chance names some of them."""
    for trial in case.tasks:
        loss = compute_loss(trial)
        fits = loss.total.shape == () and loss.total.dtype == torch.float32 and bool(loss.total.isfinite())
        require(fits, f"The total must be one finite float32 number; it is {loss.total}.")
        for name, part in loss.parts.items():
            require(part.shape == () and part.isfinite(), f"The part '{name}' must be a finite number; it is {part}.")
            require(not part.requires_grad, f"The part '{name}' must be detached: it is reported, not differentiated.")
        unknown = set(chance_of(trial.task.objective)) - set(loss.parts)
        require(not unknown, f"`chance` must name parts of the loss; {sorted(unknown)} are none of {list(loss.parts)}.")


@check("objective")
def same_draws_same_loss(case: ObjectiveCase) -> None:
    """Check that the loss follows from features, targets and Draws; ambient generators are neither read nor moved."""
    for trial in case.tasks:
        found = []
        for seed in (1, 2):
            ambient.seed_everything(seed)
            before = ambient.read_states()
            found.append(compute_loss(trial).total.detach())
            moved = ambient.name_moved(before)
            require(not moved, f"An objective must draw from Draws only; it moved the generator of {moved}.")
        require(are_equal(found[0], found[1], 1e-6), f"The same draws must give the same loss; {found} came.")


@check("objective")
def nothing_is_changed(case: ObjectiveCase) -> None:
    """Check that features and targets are as they were afterwards."""
    for trial in case.tasks:
        before = copy_tensors((trial.features, trial.targets))
        compute_loss(trial)
        trial.task.objective.predict(trial.features)
        other = describe_difference(before, dict(iterate_tensors((trial.features, trial.targets))), 0.0)
        require(not other, f"An objective must not write into what it is given; afterwards, {other}.")


@check("objective")
def gradient_reaches_every_parameter(case: ObjectiveCase) -> None:
    """Check that a gradient reaches every parameter of the objective, and the features that it reads."""
    for trial in case.tasks:
        objective = nudge_weights(trial.task.objective)
        objective.zero_grad(set_to_none=True)
        features = make_leaves(trial.features)
        compute_loss(trial, features).total.backward()  # type: ignore[no-untyped-call]
        if isinstance(objective, Rewrites):  # what makes x has its gradient through the targets that it rewrites
            draws = Draws(trial.batch.index)
            halves = split_numbered(trial.task, trial.batch, draws)
            trial.task.score(*halves, draws).total.backward()  # type: ignore[no-untyped-call]
        dead = [
            name
            for name, parameter in objective.named_parameters()
            if parameter.requires_grad and not has_gradient(parameter)
        ]
        require(not dead, f"A gradient must reach every parameter; none reaches {', '.join(dead[:5])}.")
        gradients = [tensor.grad for _, tensor in iterate_tensors((features.streams, features.pooled))]
        require(
            any(gradient is not None and bool(gradient.any()) for gradient in gradients),
            "No gradient reaches the features.",
        )


def make_leaves(features: Features) -> Features:
    """Return the same features, as leaves that take gradients."""
    streams, pooled = (
        map_tensors(tensors, lambda tensor: tensor.detach().clone().requires_grad_())
        for tensors in (features.streams, features.pooled)
    )
    return replace(features, streams=streams, pooled=pooled)


def compute_gradients(trial: Trial, features: Features, targets: Targets | None = None) -> dict[str, Tensor]:
    """Return the gradient of the total by every feature."""
    mine = make_leaves(features)
    compute_loss(trial, mine, targets).total.backward()  # type: ignore[no-untyped-call]
    every = iterate_tensors((mine.streams, mine.pooled))
    return {name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for name, tensor in every}


@check("objective", when=scores_samples_alone)
def a_batch_twice_costs_the_same(case: ObjectiveCase) -> None:
    """Check that the loss is a mean over samples: a batch with every sample twice costs what it did."""
    for trial in case.tasks:
        values = (trial.features, trial.targets, trial.inputs, trial.batch)
        features, targets, inputs, batch = map_tensors(values, lambda tensor: torch.cat([tensor, tensor]))
        once = compute_loss(trial).total.detach()
        doubled = replace(trial, features=features, targets=targets, inputs=inputs, batch=batch)
        again = doubled.score().total.detach()
        require(
            are_equal(once, again, CLOSE), f"A batch twice must cost the same; {float(once):.4g}, {float(again):.4g}."
        )


@check("objective")
def order_of_the_batch_does_not_matter(case: ObjectiveCase) -> None:
    """Check that a batch in another order costs the same, whatever else of the batch the loss depends on."""
    for trial in case.tasks:
        values = (trial.features, trial.targets, trial.inputs, trial.batch)
        features, targets, inputs, batch = map_tensors(values, lambda tensor: tensor.flip(0) if tensor.ndim else tensor)
        other = replace(trial, features=features, targets=targets, inputs=inputs, batch=batch)
        ours, theirs = trial.score().total.detach(), other.score().total.detach()
        message = f"A batch in another order must cost the same; {float(ours):.4g} before, {float(theirs):.4g} after."
        require(are_equal(ours, theirs, CLOSE), message)


@check("objective", when=scores_samples_alone)
def a_sample_is_scored_by_itself(case: ObjectiveCase) -> None:
    """Check that what a sample's loss pulls at does not depend on the other samples of the batch."""
    for trial in case.tasks:
        size = len(trial.batch)
        other = map_tensors(trial.features, change_others)
        ours, theirs = (
            {name: gradient[0] for name, gradient in compute_gradients(trial, features).items()}
            for features in (trial.features, other)
        )
        change = describe_difference(ours, theirs, CLOSE / size)
        require(not change, f"A sample must be scored by itself; with other samples beside it, its gradient {change}.")


def change_others(tensor: Tensor) -> Tensor:
    """Return the same with other floats in all rows but the first."""
    return torch.cat([tensor[:1], 1.5 * tensor[1:].flip(-1)]) if tensor.is_floating_point() else tensor


@check("objective", when=lambda component: not component.traits["targets"] & {*COMPARES, *POINTS})
def what_weighs_nothing_does_not_matter(case: ObjectiveCase) -> None:
    """Check that an answer of weight 0 changes neither loss nor gradient, and what weighs more pulls more."""
    for trial in case.tasks:
        kept = torch.arange(len(trial.batch)) % 2
        halves = {name: weigh_half(trial.targets[name], spec, kept) for name, spec in trial.specs.items()}
        targets = {**trial.targets, **halves}
        wrong = {name: change_unweighted(target, kept) for name, target in targets.items()}
        ours, theirs = (compute_gradients(trial, trial.features, answers) for answers in (targets, wrong))
        change = describe_difference(ours, theirs, 1e-6)
        require(not change, f"Answers of weight 0 must not matter; with others in their place, the gradient {change}.")
        idle = float(sum(gradient[kept == 0].abs().sum() for gradient in ours.values()))
        whole = float(sum(gradient.abs().sum() for gradient in ours.values()))
        require(
            idle < 1e-3 * whole or has_latent(trial), "Samples all of whose answers weigh 0 must not pull at features."
        )


def has_latent(trial: Trial) -> bool:
    """Return whether something besides the answers is scored, such as a code's length, or its entropy."""
    return any("kl" in name or name == "entropy" for name in compute_loss(trial).parts)


def weigh_half(target: Target, spec: TargetSpec, kept: Tensor) -> Target:
    """Return the target with weight 0 on every second sample."""
    places = (len(kept), *(() if spec.views is None else (spec.views,)), *spec.grid)
    weight = torch.ones(places) if target.weight is None else target.weight
    return replace(target, weight=weight * kept.view(-1, *[1] * (weight.ndim - 1)))


def change_unweighted(target: Target, kept: Tensor) -> Target:
    """Return the target with other answers wherever the weight is 0."""
    if target.inputs is not None:
        changed = map_tensors(target.inputs, lambda tensor: tensor.where(spread(kept, tensor), tensor.roll(1, 0)))
        return replace(target, value=changed.data, inputs=changed)
    return replace(target, value=target.value.where(spread(kept, target.value), target.value.roll(1, 0).flip(-1)))


def spread(kept: Tensor, over: Tensor) -> Tensor:
    """Return which samples are kept, as a mask that can be broadcast over a tensor."""
    return kept.view(-1, *[1] * (over.ndim - 1)) > 0


@check("objective")
def reads_no_wider_than_allowed(case: ObjectiveCase) -> None:
    """Check that a target that may see the past only is never read from a stream that sees more."""
    for trial in case.tasks:
        spec = next(iter(trial.specs.values()))
        if not spec.grid or len(spec.grid) != 1 or len(trial.specs) > 1:
            continue
        for sees, wider in (("past", ("all", "future")), ("present", ("all", "past", "future"))):
            name, narrow = next(iter(trial.specs)), replace(spec, sees=sees)  # type: ignore[arg-type]
            features, offered = poison_wider(trial.features, sees, wider)
            made = make_spec(trial, features, offered)
            if isinstance(made, FeatureSpec):
                check_blind(case, trial, made, features, {name: narrow})


def poison_wider(features: Features, sees: str, wider: tuple[str, ...]) -> tuple[Features, tuple[str, ...]]:
    """Return features with a stream for the allowed sight, and with NaN in all streams that see more."""
    stream, pooled = next(iter(features.streams.values())), next(iter(features.pooled.values()))
    nan = float("nan")
    streams = {sees: stream, **{sight: torch.full_like(stream, nan) for sight in wider}}
    every = {sees: pooled, **{sight: torch.full_like(pooled, nan) for sight in wider}}
    return replace(features, streams=streams, pooled=every), (*wider, sees)


def make_spec(trial: Trial, features: Features, offered: tuple[str, ...]) -> FeatureSpec | None:
    """Return the spec of features with these streams."""
    stream = next(iter(features.streams.values()))
    return FeatureSpec(stream.shape[-1], tuple(features.grid), stream.shape[1], offered)  # type: ignore[arg-type]


def check_blind(
    case: ObjectiveCase, trial: Trial, spec: FeatureSpec, features: Features, specs: Mapping[str, TargetSpec]
) -> None:
    """Raise Failure unless the loss is finite although all wider streams are NaN, or the target is refused."""
    from pretask import Incompatible

    try:
        other = trial.replace_objective(case.built(spec, specs))
    except Incompatible:
        return
    total = replace(other, features=features).score().total
    sees = next(iter(specs.values())).sees
    require(
        bool(total.isfinite()),
        f"A target that may see at most '{sees}' must not be read from wider streams; one that was NaN came through.",
    )


@check("objective", when=lambda component: not component.traits["bottleneck"])
def refuses_what_x_shows(case: ObjectiveCase) -> None:
    """Check that, without a bottleneck, a target that x still shows is refused, with the reason."""
    for trial in case.tasks:
        shown = {name: replace(spec, hidden=False) for name, spec in trial.split_specs.items()}
        check_refusal(partial(case.built, trial.feature_spec, shown), "A target that x shows")


@dataclass(frozen=True)
class Smell(TargetSpec):
    """A kind of target that nobody scores."""

    kind: ClassVar[str] = "smell"


@check("objective", once=True)
def refuses_with_reasons(case: ObjectiveCase) -> None:
    """Check that an unknown kind of target raises Incompatible, saying what was needed, what came and what to do."""
    check_refusal(lambda: case.built(FeatureSpec(8), {"smell": Smell()}), "A target of an unknown kind")


@check("objective")
def runs_on_the_meta_device(case: ObjectiveCase) -> None:
    """Check that it runs where there are shapes but no numbers, so all that it makes is where the features are."""
    for trial in case.tasks:
        made = trial.replace_objective(case.built(trial.feature_spec, trial.split_specs))
        networks = {name: copy.deepcopy(network).to("meta") for name, network in made.task.networks.items()}
        values = map_tensors((made.features, made.targets, made.inputs), lambda tensor: tensor.to("meta"))
        there = replace(made, task=replace(made.task, **networks), batch=made.batch.to("meta"))
        loss = replace(there, features=values[0], targets=values[1], inputs=values[2]).score()
        require(loss.total.device.type == "meta", f"The loss must be where features are; it is on {loss.total.device}.")


@check("objective")
def finite_in_bfloat16(case: ObjectiveCase) -> None:
    """Check that the loss is finite, and float32, under bfloat16 autocast."""
    for trial in case.tasks:
        with torch.autocast("cpu", torch.bfloat16):
            loss = compute_loss(
                trial, map_tensors(trial.features, lambda t: t.bfloat16() if t.is_floating_point() else t)
            )
        fits = loss.total.dtype == torch.float32 and bool(loss.total.isfinite())
        require(fits, f"The loss must be a finite float32 in bfloat16, too; it is {loss.total}.")


@check("objective")
def weights_can_be_saved(case: ObjectiveCase) -> None:
    """Check that another objective that loads its state_dict gives the same loss."""
    for trial in case.tasks:
        nudge_weights(trial.task.objective)
        fresh = trial.replace_objective(case.built(trial.feature_spec, trial.split_specs))
        for name, network in trial.task.networks.items():
            fresh.task.networks[name].load_state_dict(network.state_dict())
        ours, theirs = trial.score().total.detach(), fresh.score().total.detach()
        require(are_equal(ours, theirs), f"The state_dict must hold all that matters; {ours} before, {theirs} after.")


@check("objective")
def predicts_every_target(case: ObjectiveCase) -> None:
    """Check that `predict` gives a finite prediction of every target, a row for each sample."""
    for trial in case.tasks:
        with torch.no_grad():
            predictions = trial.task.objective.predict(trial.features)
        missing = set(trial.specs) - set(predictions)
        if missing == set(trial.specs) and not predictions:
            raise Inapplicable("predict returns nothing.")
        require(not missing, f"predict must cover every target; {', '.join(sorted(missing))} is missing.")
        for name, prediction in predictions.items():
            fits = len(prediction) == len(trial.batch) and bool(prediction.isfinite().all())
            require(fits, f"The prediction of '{name}' must be finite, a row for each of {len(trial.batch)} samples.")

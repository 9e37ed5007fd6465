"""Readout: how an answer is read out of features, and what may not be read.

A target is read from the widest stream on offer that sees no more than the target allows. One answer per sample is read
from the views side by side (a mean over views could not tell the direction of time); an answer per position from that
position, resampled where the target's grid is another.
Axes: B batch, V views, N positions, D width, K what the objective makes of D.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.nn import functional as F

from pretask.errors import Incompatible
from pretask.specs import SEES_AT_MOST, FeatureSpec, Sight, TargetSpec, TargetSpecs
from pretask.values import Features

SMOOTH = {1: "linear", 2: "bilinear", 3: "trilinear"}  # F.interpolate's mode by the number of axes


@dataclass(frozen=True)
class Readout:
    """The way from features to one target.

    Args:
        stream: Which stream it is read from.
        width: Size of the vector that is read.
        per_position: False where the pooled vector is read.
        per_view: Whether every view has an answer of its own.
        grid: The positions of the features.
        target_grid: The positions of the target.
    """

    stream: Sight
    width: int
    per_position: bool
    per_view: bool
    grid: tuple[int, ...]
    target_grid: tuple[int, ...]

    def __call__(self, features: Features, /) -> Tensor:
        """Read the vectors to answer from: (B, D), (B, V, D), (B, N, D) or (B, V, N, D); else V is inside D."""
        if not self.per_position:
            pooled = features.pooled[self.stream]
            return pooled if self.per_view else pooled.flatten(1)
        tokens = features.streams[self.stream]
        return tokens if self.per_view else tokens.transpose(1, 2).flatten(2)

    def place(self, answers: Tensor, /) -> Tensor:
        """Bring answers (..., N, K) onto the target's grid: (..., *grid, K). Others pass unchanged."""
        if not self.per_position:
            return answers
        lead, last = answers.shape[:-2], answers.shape[-1]
        if self.grid == self.target_grid:
            return answers.reshape(*lead, *self.grid, last)
        flat = answers.reshape(prod(lead), *self.grid, last).movedim(-1, 1)
        smooth = F.interpolate(flat, self.target_grid, mode=SMOOTH[len(self.grid)], align_corners=False)
        return smooth.movedim(1, -1).reshape(*lead, *self.target_grid, last)


def widest_stream(who: str, name: str, features: FeatureSpec, sees: Sight) -> Sight:
    """Find the widest stream on offer that sees no more than allowed; raise Incompatible where there is none."""
    for stream in SEES_AT_MOST[sees]:
        if stream in features.streams:
            return stream
    raise Incompatible(
        who,
        f"a stream of features that sees at most '{sees}', for the target '{name}'",
        "only " + ", ".join(f"'{stream}'" for stream in features.streams),
        "Choose a model that offers it (causal or bidirectional), or another split.",
    )


def find_readout(
    who: str, name: str, features: FeatureSpec, target: TargetSpec, *, bottleneck: bool = False
) -> Readout:
    """Find how `who` reads the target `name` from such features.

    Args:
        who: The objective, for the error.
        name: The target's name.
        features: What the model offers.
        target: What is predicted.
        bottleneck: Whether the objective limits what passes, so that a target which x shows is no giveaway.

    Raises:
        Incompatible: x shows the answer, no stream is blind enough, or the positions do not correspond.
    """
    if not target.hidden and not bottleneck:
        raise Incompatible(
            who,
            f"a hidden target, since it has no bottleneck; '{name}' can be copied from x",
            "a split that hides nothing",
            "Choose the objective elbo, or a split that hides something.",
        )
    stream = widest_stream(who, name, features, target.sees)
    if target.views is not None and target.views != features.views:
        raise Incompatible(
            who,
            f"features of {target.views} views, one answer each, for the target '{name}'",
            f"features of {features.views}",
            "Choose a model that keeps the views apart (an image model, or frames).",
        )
    per_view = target.views is not None
    width = features.width if per_view else features.width * features.views
    per_position = target.grid != ()
    if per_position:
        check_positions(who, name, features, target)
    num_merged = 1 if per_view else features.views * (1 if per_position else features.positions)
    if num_merged > 1 and target.sees != "all":
        raise Incompatible(
            who,
            f"an answer per position and view for the target '{name}', which may see at most '{target.sees}'",
            f"one answer for {num_merged} of them, and pooling sees them all",
            "Let the split give the target a grid or views.",
        )
    return Readout(stream, width, per_position, per_view, features.grid, target.grid)


def check_positions(who: str, name: str, features: FeatureSpec, target: TargetSpec) -> None:
    """Raise Incompatible unless features have the target's positions, or can be resampled to them blindly."""
    if len(features.grid) == len(target.grid) and (features.grid == target.grid or target.sees == "all"):
        return
    raise Incompatible(
        who,
        f"features at the positions {target.grid} of the target '{name}'"
        + ("" if target.sees == "all" else f" exactly, since it may see at most '{target.sees}'"),
        f"features at {features.grid}" if features.grid else "a pooled vector without positions",
        "Choose a model that keeps positions, or a split with one answer per sample.",
    )


def check_kinds(who: str, targets: TargetSpecs, kinds: Collection[str]) -> None:
    """Raise Incompatible unless every target is of a kind that `who` scores."""
    for name, target in targets.items():
        if target.kind not in kinds:
            raise Incompatible(
                who,
                "targets of the kind " + " or ".join(sorted(kinds)),
                f"'{name}', which is {target.kind or type(target).__name__}",
                "Choose an objective that scores it: pretask list objective.",
            )


def take_only_target(who: str, targets: TargetSpecs) -> tuple[str, TargetSpec]:
    """Return the name and the spec of the one target; raise Incompatible where there are several."""
    if len(targets) != 1:
        names = ", ".join(f"'{name}'" for name in targets)
        raise Incompatible(who, "one target", f"{len(targets)}: {names}", "Choose a split that asks for one thing.")
    ((name, spec),) = targets.items()
    return name, spec


class Heads(Module):
    """Modules by target name. nn.ModuleDict refuses names such as `forward` or `type`; this takes any identifier."""

    def __init__(self, heads: Mapping[str, Module]) -> None:
        super().__init__()
        for name, head in heads.items():
            self.add_module(f"head_{name}", head)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, f"head_{name}")

"""What every split promises of what it hides: that x, as far as an answer may see it, does not hold the answer.

Small pieces of t are changed, one at a time, in copies of a sample that all have the same draws. An answer is hidden
where some change moves it and leaves what it may see of x as it was; if whatever moves it shows in x, it can be read
off there. A change is another sample's content or, since color is hidden by showing lightness, other colors of the
same lightness.
Axes: B samples, E changes of each, P positions of a target, `...` the shape of a sample or view.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from pretask import Batch, Incompatible, Inputs, Samples, Target, TargetSpec
from torch import Tensor

from pretask_registry.canned import OBSERVED, make_neutral_samples
from pretask_registry.conformance.check import Failure, Skip, check, require
from pretask_registry.conformance.evaluating import take_first
from pretask_registry.conformance.kinds import SplitCase
from pretask_registry.conformance.material import fit_split
from pretask_registry.shortcut import measure_shortcuts, select_targets

SAMPLES, FEWER = 6, 2  # fewer of clips
MOST = 0.5  # of the answers that depend on t must be hidden: BERT leaves one in ten of the valid tokens as they were
SHOWS = 0.1  # of the std of x: less is the trace of a mean that was taken out, not the answer
SMALL = 0.02  # of the std of an answer: less is no other answer


@check("split", when=lambda component: component.traits["hidden"])
def hidden_stays_hidden(case: SplitCase) -> None:
    """Check that what moves an answer does not all show in what that answer may see of x."""
    for name, spec in case.specs[1].items():
        trial = hidden = torch.zeros((), dtype=torch.bool)
        for moved in measure_movements(case):
            depends, unseen = moved.find_answers(name, spec)
            trial, hidden = trial | depends, hidden | unseen
            if hidden.sum() >= MOST * trial.sum():
                break
        else:
            shown = int(trial.sum() - hidden.sum())
            raise Failure(
                f"'{name}' must not follow from what it may see of x; of {int(trial.sum())} answers that depend on t, "
                f"{shown} move only where x moves, too (at most '{spec.sees}' is seen). "
                "Erase it from x, or let the target see less."
            )


@check("split", when=lambda component: component.traits["hidden"])
def what_is_erased_holds_nothing(case: SplitCase) -> None:
    """Check that where `visible` is False, x does not change with the hidden content of t."""
    moved = next(measure_movements(case))
    for name, spec in case.specs[1].items():
        leak = moved.count_leaks(name, spec)
        require(not leak, f"x must be erased where `visible` is False; at {leak} places it changes with '{name}'.")


@dataclass(frozen=True)
class Movement:
    """What E changes of each of B samples do.

    Args:
        x: How much x moved, in its own standard deviations, (B, E, V, ...), the channels of images and frames put
            together.
        answers: Of every target, whether it moved where it is valid, (B, E, V or 1, *grid).
        visible: Where x is not erased, (B, 1, V, ...), where the split says so.
        ordered: Whether the views are ordered in time.
        groups: Whether any of the further groups of views moved, (B, E).
    """

    x: Tensor
    answers: dict[str, Tensor]
    visible: Tensor | None
    ordered: bool
    groups: Tensor

    @classmethod
    def measure(cls, case: SplitCase, batch: Batch, changed: Tensor) -> "Movement":
        """Return what changed samples (B, E, ...) give, beside what they gave before."""
        size, count = changed.shape[:2]
        before, after = case(batch), case(repeat_batch(batch, changed))
        spec = case.specs[0]
        x = find_moved_x(before[0], after[0], size, count, spec.vocabulary is not None)
        answers = {
            name: find_moved_answer(target, after[1][name], case.specs[1][name], size, count)
            for name, target in before[1].items()
        }
        visible = before[0].visible
        groups = torch.zeros(size, count, dtype=torch.bool)
        for name, group in before[0].groups.items():
            moved = find_moved_x(group, after[0].groups[name], size, count, spec.vocabulary is not None)
            groups = groups | moved.flatten(2).any(2)
        return cls(x, answers, None if visible is None else visible[:, None], spec.ordered, groups)

    def find_answers(self, name: str, spec: TargetSpec) -> tuple[Tensor, Tensor]:
        """Return at which answers (B, V or 1, *grid) a change moves the answer, and one leaves what it sees."""
        moved = self.answers[name]
        unseen = ~self.find_seen(spec, moved)
        return moved.any(1), (moved & unseen).any(1)

    def find_seen(self, spec: TargetSpec, moved: Tensor) -> Tensor:
        """Return whether a change moves what each answer may see of x, in the answers' shape or broadcast to it."""
        groups = self.groups.view(*self.groups.shape, *[1] * (moved.ndim - 2))
        if spec.sees == "all":
            return self.x.flatten(2).any(2).view(*self.x.shape[:2], *[1] * (moved.ndim - 2)) | groups
        line = self.x.any(2) if spec.grid else self.x.flatten(3).any(3)  # (B, E, L), or (B, E, V) of ordered views
        line = line.flatten(3).any(3) if line.ndim > 3 else line
        before, after = line.cummax(2).values, line.flip(2).cummax(2).values.flip(2)
        sight = {"present": line, "past": before, "future": after}[spec.sees]
        places = sight[:, :, None] if spec.grid else sight
        return places.view(*places.shape, *[1] * (moved.ndim - places.ndim)) | groups

    def count_leaks(self, name: str, spec: TargetSpec) -> int:
        """Count the places that are not visible, where the same change moves x and the answer at that place."""
        moved = self.answers[name]
        visible = self.visible
        if visible is None or moved.shape[3:] != self.x.shape[3:] or spec.sees != "all":
            return 0
        return int((moved & self.x & ~visible).any(1).sum())


def find_moved_x(before: Inputs, after: Inputs, size: int, count: int, tokens: bool) -> Tensor:
    """Return where x moved noticeably, (B, E, V, ...): positions of tokens or sound, pixels of images."""
    one, other = before.data[:, None].float(), after.data.view(size, count, *after.data.shape[1:]).float()
    moved = (other - one).abs()
    moved = moved > 0 if tokens else moved > SHOWS * before.data.float().std().clamp(min=1e-6)
    if before.data.ndim == 5:
        return moved.any(3)
    return moved.any(-1) if before.data.ndim == 4 else moved


def find_moved_answer(before: Target, after: Target, spec: TargetSpec, size: int, count: int) -> Tensor:
    """Return where an answer moved that is valid before and after, (B, E, V or 1, *grid)."""
    one, other = before.value[:, None].float(), after.value.view(size, count, *after.value.shape[1:]).float()
    moved = (other - one).abs()
    scale = before.value.float().std().clamp(min=1e-6) if before.value.is_floating_point() else 0.0
    moved = moved > SMALL * scale
    places = (1 if spec.views is None else 2) + len(spec.grid)
    if before.value.ndim > places:
        moved = moved.flatten(2 + places - 1).any(-1) if before.value.ndim > places else moved
    for target, lead in ((before, (size, 1)), (after, (size, count))):
        if target.weight is not None:
            moved = moved & (target.weight.view(*lead, *target.weight.shape[1:]) > 0)
    return moved if spec.views is not None else moved[:, :, None]


def repeat_batch(batch: Batch, changed: Tensor) -> Batch:
    """Make a batch of changed samples: B times E of them, with the number, padding and partners of the original."""
    count = changed.shape[1]
    return Batch(
        changed.flatten(0, 1),
        batch.index.repeat_interleave(count),
        None if batch.present is None else batch.present.repeat_interleave(count, 0),
        None if batch.partners is None else batch.partners.repeat_interleave(count, 0),
    )


def measure_movements(case: SplitCase) -> Iterator[Movement]:
    """Yield what changes do, one kind of change after the other; remembered for the next check."""
    known: list[Movement] = case.memory.setdefault("moves", [])
    yield from known
    batch = case.batch(FEWER if case.samples.data.ndim == 5 else SAMPLES)
    for number, changed in enumerate(iterate_changes(case, batch)):
        if number >= len(known):
            known.append(Movement.measure(case, batch, changed))
            yield known[-1]


def iterate_changes(case: SplitCase, batch: Batch) -> Iterator[Tensor]:
    """Yield samples (B, E, ...) with one piece changed in each: by another sample's content, then in color alone."""
    masks = make_piece_masks(tuple(batch.data.shape[1:]), batch.data.ndim > 3)  # (E, ...)
    other = case.samples.data[(batch.index + 7) % len(case.samples)]
    yield torch.where(masks[None], other[:, None], batch.data[:, None])
    if batch.data.ndim > 3 and batch.data.shape[-3] == 3 and batch.data.dtype == torch.uint8:
        yield torch.where(masks[None], find_metamers(batch.data)[:, None], batch.data[:, None])


def make_piece_masks(shape: tuple[int, ...], pictures: bool) -> Tensor:
    """Return masks (E, ...) of a sample's pieces: places of a sequence, squares of an image or of each frame."""
    axes = (*range(len(shape) - 3), len(shape) - 2, len(shape) - 1) if pictures else (0,)
    masks = torch.ones(1, *shape, dtype=torch.bool)
    for axis in axes:
        parts = min(shape[axis], 32 if not pictures else 8 if len(shape) == 3 or axis == 0 else 4)
        edges = torch.linspace(0, shape[axis], parts + 1).round().long().tolist()
        line = torch.zeros(parts, shape[axis], dtype=torch.bool)
        for number, (begin, end) in enumerate(pairwise(edges)):
            line[number, begin:end] = True
        along = line.view(parts, *[shape[axis] if other == axis else 1 for other in range(len(shape))])
        masks = (masks[:, None] & along[None]).flatten(0, 1)
    return masks


def find_metamers(images: Tensor) -> Tensor:
    """Find other colors of nearly equal lightness for every pixel (..., 3, H, W): the nearest in luminance of 4,096."""
    palette = torch.cartesian_prod(*[torch.arange(8, 256, 16)] * 3).to(torch.uint8)
    found, order = luminance(palette.float(), -1).sort()
    wanted = luminance(images.float(), -3).contiguous()
    near = torch.searchsorted(found, wanted.flatten()).clamp(max=len(order) - 1).view(wanted.shape)
    return palette[order[near]].movedim(-1, -3)


def luminance(colors: Tensor, axis: int) -> Tensor:
    """Return Y of sRGB colors, bytes along an axis: what lightness is a function of."""
    linear = ((colors / 255 + 0.055) / 1.055).clamp(min=0.04) ** 2.4
    red, green, blue = linear.unbind(axis)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@check("split", when=lambda component: any("categories" in kinds for kinds in component.traits["targets"].values()))
def no_shortcut_solves_it(case: SplitCase) -> str | None:
    """Check that low-level statistics of x do not solve the pretext task; how far they come is shown beside chance."""
    if not list(select_targets(case.specs[1])):
        return None
    try:
        train, test = find_neutral_samples(case)
        split = fit_split(case.built, train)
        found = measure_shortcuts(split, train, test, case.seed)
    except Incompatible as reason:
        raise Skip(f"The data on which shortcuts are looked for cannot be split: {reason}") from None
    for name, result in found.items():
        require(
            not result.solved,
            f"'{name}' must not follow from edges, colors, brightness, energy or counts of x; they reach {result}. "
            "Take out of x what gives it away: a gap, a crop, gray, jitter.",
        )
    return ", ".join(f"{name} {result}" for name, result in found.items())


def find_neutral_samples(case: SplitCase) -> tuple[Samples, Samples]:
    """Return samples to look for shortcuts on: canned where there are some, else the tiny data of the modality."""
    if case.where in OBSERVED:
        return make_neutral_samples(case.where, 192), make_neutral_samples(case.where, 96, 1_000_000)
    half = len(case.samples) // 2
    return take_first(case.samples, half), case.samples

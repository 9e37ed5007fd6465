"""How many operations a step has beside those of its network: bounds that no load of the machine changes."""

from functools import cache
from typing import Any

import pytest
import torch
from pretask import Recipe, ahead
from pretask.order import epoch_order
from pretask.unread_clips import UnreadClips
from pretask_registry import Registry, build
from pretask_registry.canned import share_canned_samples
from pretask_registry.conformance.material import declared_parts, find_modality, fit_split

from benchmarks.speed.operations import count, count_split, count_step
from benchmarks.speed.workloads import QUICK, build_run

MAX_MORE = dict.fromkeys(QUICK, 40) | {"sequence-verification": 45}  # of data, draws, split and bookkeeping
# Of a split, where what is one operation of ours on a CPU is many: exemplar's seeds and colors.
MAX_ELSEWHERE = MAX_MORE | {"exemplar": 80, "exemplar-pair": 80, "sequence-verification": 48}
CPU = torch.device("cpu")


@cache
def registry() -> Registry:
    return Registry.load()


def make_run(task: str, **recipe: Any) -> Any:
    """A run of a task's parts at their small sizes; its augmentations are the task's."""
    found = registry().find("task", task)
    parts = declared_parts(registry(), found)
    samples = share_canned_samples(find_modality(registry(), parts))
    built = {kind: build(part, part.component.small) for kind, part in parts.items()}
    augment = found.component.traits["recipe"].get("augment", ())
    wanted = Recipe(batch=8, samples=1 << 20, channels_last=False, augment=tuple(augment), **recipe)
    return build_run(samples, fit_split(built["split"], samples), built["model"], built["objective"], wanted, CPU)


def test_every_built_in_task_has_a_bound() -> None:
    built_in = {found.name for found in registry().current("task") if found.namespace == "pretask"}
    assert set(MAX_MORE) == built_in


@pytest.mark.parametrize("task", MAX_MORE)
def test_a_step_has_few_operations_beside_those_of_its_network(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together = count_more(task)
    monkeypatch.setattr(ahead, "MAX_STEPS", 1)
    alone = count_more(task)
    assert 0 < alone <= MAX_MORE[task], f"{alone} operations more, bound {MAX_MORE[task]}"
    # Of a task whose step has hardly one by itself, what is left is the order of the canned samples' short epochs.
    assert 0 < together <= max(0.75, alone / 3), f"{together} operations more of steps that are split together"


@pytest.mark.parametrize("task", MAX_ELSEWHERE)
def test_a_split_issues_few_operations_on_other_devices(task: str) -> None:
    found = count_split(make_run(task), torch.device("meta"))
    assert found <= MAX_ELSEWHERE[task], f"{found} operations, bound {MAX_ELSEWHERE[task]}"


def count_more(task: str) -> float:
    """The operations of a step that are not its network's; the order of its epochs is drawn anew."""
    epoch_order.cache_clear()
    whole, model_only = count_step(make_run(task))
    return sum(whole.values()) - model_only.total()


def test_views_and_allocations_are_not_counted_and_copies_are() -> None:
    tensor = torch.ones(3, 4)
    assert count(lambda: tensor.t().unsqueeze(0)[..., :2]).total() == 0
    assert count(lambda: torch.empty(3)).total() == 0
    assert count(lambda: tensor.t().contiguous() + 1) == {"clone": 1, "add": 1}


@pytest.mark.parametrize("task", ["sequence-verification", "arrow-of-time", "colorization-tracking"])
def test_tasks_that_show_some_frames_never_read_whole_clips(task: str) -> None:
    run = make_run(task)
    ((batch, epoch),) = run.fetch(0)
    run.apply_split(batch, 0, epoch)
    assert isinstance(batch, UnreadClips)
    assert "data" not in vars(batch)

"""Figures: the kit looks at those that a split or an objective offers, and finds what is broken about them."""

from collections.abc import Iterator

import pytest
import torch
from pretask import Batch, Figure, Task
from pretask_plugins.splits.masking import Masking
from pretask_registry import Registry
from pretask_registry.conformance.kinds import iterate_cases
from pretask_registry.conformance.kit import run_cases
from pretask_registry.conformance.outcomes import Outcome

REGISTRY = Registry.load()
PNG = b"\x89PNG\r\n\x1a\n"


def outcomes(kind: str, name: str, only: str) -> dict[str, Outcome]:
    cases = [case for case in iterate_cases(REGISTRY, REGISTRY.find(kind, name)) if case.where == only]
    return {outcome.where: outcome for outcome in run_cases(REGISTRY, cases, {"figures-are-png-with-captions"})}


def test_the_figures_of_built_in_splits_pass_and_none_is_no_fault() -> None:
    drawn, none = outcomes("split", "any-from-any", "image")["image"], outcomes("objective", "regression", "values")
    assert (drawn.state, drawn.number) == ("passed", "1 figures")
    assert [(outcome.state, outcome.number) for outcome in none.values()] == [("passed", "offers none")]


def moving(task: Task) -> Figure:
    torch.rand(1)
    return Figure(PNG, "A picture.")


def changing(task: Task) -> Figure:
    next(task.model.parameters()).data += 1
    return Figure(PNG, "A picture.")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda task: Figure(b"GIF89a", "A picture."), "must be the bytes of a PNG file"),
        (lambda task: Figure(PNG, " "), "must have a caption"),
        (lambda task: PNG, "must yield Figures; bytes came"),
        (moving, "moved the generator of torch"),
        (changing, "must leave the weights alone"),
    ],
)
def test_a_broken_figure_is_found(made: object, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def figures(self: Masking, task: Task, batch: Batch) -> Iterator[Figure]:
        yield made(task)  # type: ignore[operator]

    monkeypatch.setattr(Masking, "figures", figures)
    outcome = outcomes("split", "top-from-bottom", "image")["image"]
    assert outcome.state == "failed"
    assert message in outcome.message

"""Every installed split, objective and model together: what is accepted trains, what is refused has a reason.

Every two of them are tried together here, with some third; all three in `make test-all`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from pretask import Draws, Recipe
from pretask.composition import compose
from pretask_registry import Registry, Row, build, build_matrix, explain_trial
from pretask_registry.canned import make_canned_samples
from pretask_registry.conformance.material import split_numbered

REGISTRY = Registry.load()
ROWS = list(build_matrix(REGISTRY))
FITTING = [row for row in ROWS if not row.reason]
COUNTS: Counter[str] = Counter()
EVERY = 20  # accepted combinations of which one is trained here beside its trial
RECIPE = Recipe(batch=8, lr=0.01, channels_last=False)


def named(row: Row) -> str:
    return f"{row.modality}-{row.split.name}-{row.objective.name}-{row.model.name}"


def list_pairs(row: Row) -> set[tuple[str, ...]]:
    """Return every two of the three parts, of a modality."""
    parts = {"split": row.split.name, "objective": row.objective.name, "model": row.model.name}
    return {(row.modality, *one, *other) for one, other in combinations(parts.items(), 2)}


def cover_pairs(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield rows that have every pair of any: at each turn those of most pairs that were not there yet."""
    missing = set().union(*map(list_pairs, rows))
    for most in (3, 2, 1):
        for row in rows:
            new = list_pairs(row) & missing
            if len(new) >= most:
                missing -= new
                yield row


PAIRED = {id(row) for row in cover_pairs(FITTING)}
OTHERS = [row for row in FITTING if id(row) not in PAIRED]
SOME = {
    id(row) for row in OTHERS[::3]
}  # of test-all, where all would take a quarter of its time; the rest is slower yet


def find_marks(row: Row) -> tuple[pytest.MarkDecorator, ...]:
    """When a combination is tried: always, in test-all, or in test-compiled."""
    if id(row) in PAIRED:
        return ()
    return (pytest.mark.exhaustive if id(row) in SOME else pytest.mark.compiled,)


TRIED = [pytest.param(row, id=named(row), marks=find_marks(row)) for row in FITTING]


def train_one_step(row: Row) -> None:
    """Compose at the small sizes that the parts declare, and take one step on canned data."""
    samples = make_canned_samples(row.modality, 32)
    split, objective, model = (build(part, part.component.small) for part in (row.split, row.objective, row.model))
    if hasattr(split, "fit"):
        split = split.fit(samples.observed, samples.batches(16, torch.device("cpu")))
    task = compose(samples.observed, split, model, objective, RECIPE)
    partners = getattr(split, "partners", 0)
    batch = next(samples.batches(8, torch.device("cpu"), partners))
    parameters = [*task.model.parameters(), *task.objective.parameters()]
    before = [parameter.detach().clone() for parameter in parameters]
    draws = Draws(batch.index)
    loss = task.score(*split_numbered(task, batch, draws), draws)  # as training does
    loss.total.backward()
    assert loss.total.isfinite()
    assert loss.total.dtype is torch.float32
    replace(RECIPE, weight_decay=0.0).make_optimizer(parameters).step()
    assert any(not torch.equal(one, two) for one, two in zip(before, parameters, strict=True))


@pytest.mark.parametrize("row", TRIED)
def test_what_no_declaration_refuses_trains_one_step_or_is_refused_by_specs_with_a_reason(row: Row) -> None:
    reason = explain_trial(row.modality, row.split, row.objective, row.model)
    if not reason:
        if COUNTS["accepted, and trained a step"] % EVERY == 0:  # the trial has trained a step of all of them
            train_one_step(row)
        COUNTS["accepted, and trained a step"] += 1
    else:
        assert "do not train" not in reason
        COUNTS["refused by specs"] += 1
        check_reason(reason)


def test_what_declarations_refuse_has_a_reason() -> None:
    refused = [row.reason for row in ROWS if row.reason]
    assert len(refused) > len(ROWS) / 2
    for reason in refused:
        check_reason(reason)


def check_reason(reason: str) -> None:
    assert len(reason) > 20
    assert reason.rstrip().endswith((".", "]", ")"))


def test_every_two_parts_are_tried_together_wherever_declarations_let_them() -> None:
    tried = [row for row in FITTING if id(row) in PAIRED]
    assert set().union(*map(list_pairs, tried)) == set().union(*map(list_pairs, FITTING))
    assert len(tried) < 0.7 * len(FITTING)


def test_the_counts_are_printed_and_nothing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{sum(COUNTS.values())} of {len(FITTING)} combinations that declarations let pass: {dict(COUNTS)}")
    assert sum(row.fits for row in ROWS) >= 2
    assert sum(not row.fits for row in ROWS) >= 2

"""A compiled run is refused where it would not compute what the eager one does."""

from pathlib import Path

import pytest
import torch
from pretask.compiled import find_difference, keep_buffers, name_outputs
from pretask.draw_kernels import mix
from pretask.miscompilations import MISCOMPILATIONS, Miscompilation, find_suspects, is_of_this_torch
from pretask.values import Inputs, Target
from processes import run_python
from torch import nn

LABELS = torch.arange(4000) % 16


def nearest(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    return torch.cdist(points, centers).argmin(1)


def test_one_integer_in_a_thousand_may_be_flipped_by_rounding_and_no_more() -> None:
    flipped = LABELS.clone()
    flipped[:4] += 1
    assert find_difference({"y": LABELS}, {"y": flipped}, 1e-3) == ""
    flipped[4] += 1
    assert find_difference({"y": LABELS}, {"y": flipped}, 1e-3) == "y that differs at 5 of 4000 places"
    assert find_difference({"y": LABELS}, {"y": LABELS // 8 * 8}, 1e-3) == "y that differs at 3500 of 4000 places"


def test_floats_may_be_rounded_otherwise_and_nan_is_a_difference_unless_both_have_it() -> None:
    values = torch.linspace(-2, 2, 50)
    assert find_difference({"x": values}, {"x": values + 5e-7}, 0.0) == ""
    assert find_difference({"x": values}, {"x": values + 1e-2}, 0.0) == "x that differs at 50 of 50 places"
    broken = values.where(values < 1.9, float("nan"))
    assert "places" in find_difference({"x": values}, {"x": broken}, 0.0)
    assert find_difference({"x": broken}, {"x": broken.clone()}, 0.0) == ""


def test_an_output_that_is_missing_or_of_another_type_is_told() -> None:
    assert "['x']" in find_difference({"x": LABELS, "y": LABELS}, {"x": LABELS}, 0.0)
    assert "torch.int32" in find_difference({"x": LABELS}, {"x": LABELS.int()}, 0.0)


def test_x_and_every_target_are_compared_with_value_weight_and_probability() -> None:
    value = torch.zeros(2, 3)
    made = name_outputs(Inputs(value[:, None]), {"color": Target(value.long(), value[:, 0], value)})
    assert sorted(made) == ["x.data", "y.color.probability", "y.color.value", "y.color.weight"]


def test_buffers_are_what_they_were_before() -> None:
    norm = nn.BatchNorm1d(3)
    with keep_buffers(norm):
        norm(torch.arange(12.0).view(4, 3))
        assert bool(norm.running_mean.any())
    assert not bool(norm.running_mean.any())
    assert int(norm.num_batches_tracked) == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("entry", MISCOMPILATIONS, ids=lambda entry: entry.name)
def test_every_known_miscompilation_still_happens_or_its_entry_is_taken_out(entry: Miscompilation) -> None:
    assert is_of_this_torch(entry), (
        f"torch is {torch.__version__}: try {entry.name} with it, then date it or delete it."
    )
    program = (
        "import torch\n"
        f"operands = {entry.operands}\n"
        f"function = {entry.expression}\n"
        "print(torch.equal(function(*operands), torch.compile(function)(*operands)))\n"
    )
    wrong = run_python("-c", program).out.strip() == "False"
    assert wrong or not entry.certain, f"{entry.name} is mended in torch {torch.__version__}: delete its entry."


def test_a_component_is_suspected_by_the_source_of_its_module() -> None:
    assert [entry.name for entry in find_suspects(nearest)] == ["index-of-a-strided-extreme"]
    assert find_suspects(find_difference) == []
    assert find_suspects(object()) == []
    assert [entry.name for entry in find_suspects(mix)] == ["corruption-by-hashed-counters"]


REFUSED = """
import sys; sys.path.insert(0, {here!r})
from dataclasses import dataclass, replace
import torch
from tiny import *
from pretask import PretaskError
from pretask.compiled import check_compiled
from pretask.training import ApplySplit, Score

class Sized(Halves):
    wrong: bool = False
    def __call__(self, batch, draws, /):
        x, y = super().__call__(batch, draws)
        pairs = x.data.flatten(2).view(len(batch), 32, 2)
        number = torch.arange(32, device=batch.device)
        tones = torch.stack([number % 6, number // 6], 1) / 5
        near = (tones.square().sum(1) - 2 * pairs @ tones.T).argmin(-1)
        sound = torch.cdist(pairs.flatten(0, 1), tones).argmin(-1).view(len(batch), 32)
        return x, {{"brighter": Target((near if {wrong} else sound).sum(1) % 2)}}

made = task(replace(RECIPE, compile=True))
made = replace(made, split=Sized())
made.model.dropout.p = 0.0
apply_split, score = ApplySplit(made), Score(made)
apply_split.compile(); score.compile(); score.train()
before = [parameter.clone() for parameter in score.parameters()]
batch = samples().batch(torch.arange(12), torch.device("cpu"))
try:
    check_compiled(apply_split, score, batch, torch.tensor(7), torch.zeros(12, dtype=torch.int64))
except PretaskError as error:
    print("refused:", error)
else:
    print("taken")
assert all(map(torch.equal, before, score.parameters()))
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize(("wrong", "outcome"), [(True, "refused: recipe.compile needs"), (False, "taken")])
def test_a_step_that_is_compiled_wrongly_is_refused_before_it_trains_and_a_sound_one_is_taken(
    wrong: bool, outcome: str
) -> None:
    program = REFUSED.format(here=str(Path(__file__).parent), wrong=wrong)
    out = run_python("-c", program).out
    assert out.startswith(outcome), out
    if wrong:
        assert "y.brighter.value" in out
        assert out.strip().endswith("Set recipe.compile=false.")


UNCOMPILED = """
import sys
sys.modules["torch._dynamo"] = None  # what imports it fails
sys.path.insert(0, {here!r})
from dataclasses import replace

from pretask.training import train
from tiny import RECIPE, samples, task

for optimizer in ("adam", "adamw", "sgd", "adagrad"):  # timm, of which lars is, imports it itself
    print(train(task(replace(RECIPE, optimizer=optimizer, samples=24, batch=12)), samples()).steps)
"""


def test_a_run_that_is_not_compiled_does_not_import_the_compiler() -> None:
    assert run_python("-c", UNCOMPILED.format(here=str(Path(__file__).parent))).out.split() == ["2"] * 4

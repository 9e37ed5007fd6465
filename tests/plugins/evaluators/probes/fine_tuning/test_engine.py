"""Promises of fine-tuning: a copy is trained, layer by layer at its rate, at the point that held-out samples choose."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import (
    Batch,
    Budget,
    Choice,
    Draws,
    Features,
    Inputs,
    InputSpec,
    Items,
    Labels,
    Observed,
    PretaskError,
    Recipe,
    Samples,
    Task,
)
from pretask_plugins.evaluators.probes.fine_tuning.engine import Trainer
from pretask_plugins.evaluators.probes.fine_tuning.fine_tune import FineTune
from pretask_plugins.evaluators.probes.fine_tuning.forms import ClassForm
from pretask_plugins.evaluators.probes.fine_tuning.rates import find_depths, group_weights
from pretask_plugins.models.text.lstm import BiLstm
from pretask_plugins.models.text.transformer import Transformer
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from planted import Whole

OBSERVED = Observed("image", (1, 2, 2), "float32")
QUICK: dict[str, Any] = {"rates": (1e-2,), "epochs": (12,), "dropout": 0.0}


class Blind(nn.Module):
    """A layer that looks at one pixel, and one above it: what tells the class is in another pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(4, 8)
        self.above = nn.Linear(8, 8)
        with torch.no_grad():
            self.look.weight.zero_()
            self.look.weight[:, 3] = torch.linspace(-1, 1, 8)

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        below = self.look(inputs.data.flatten(2)).tanh()
        both = [Features({"all": each[:, :, None]}, {"all": each}) for each in (below, self.above(below))]
        return replace(both[1], layers=tuple(both)) if layers else both[1]


def data(part: str) -> Samples:
    """The class is the sign of the first pixel."""
    count = {"train": 200, "test": 100}[part]
    pixels = Draws(torch.arange(count)).branch(part).normal("pixel", 4)
    labels = Labels((pixels[:, 0] > 0).long(), ("minus", "plus"))
    return Samples(replace(OBSERVED, samples=count), pixels.view(-1, 1, 2, 2), {"sign": labels})


def make_task() -> Task:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Blind()
    return Task("blind", Whole(), model, nn.Identity(), Recipe(), OBSERVED, torch.device("cpu"))  # type: ignore[arg-type]


def measure(task: Task, evaluator: FineTune, source: Any = data, seed: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in evaluator(task, source, Budget(seed)):
        found[f"{name}.items" if isinstance(value, Items) else name] = value
    return found


def test_the_whole_network_learns_what_its_frozen_features_do_not_hold() -> None:
    frozen = measure(make_task(), FineTune(**QUICK, frozen=True))
    tuned = measure(make_task(), FineTune(**QUICK))
    assert frozen["accuracy"] < 0.65  # chance is a half, of 100 items within 0.15
    assert tuned["accuracy"] > 0.9
    assert float(tuned["accuracy.items"].correct.float().mean()) == pytest.approx(tuned["accuracy"])


def test_the_task_is_left_as_it_was_and_the_same_seed_gives_the_same_numbers() -> None:
    task = make_task()
    before = {name: weight.clone() for name, weight in task.model.state_dict().items()}
    state = torch.get_rng_state()
    ones = [measure(task, FineTune(**QUICK), seed=seed) for seed in (3, 3)]
    assert ones[0]["accuracy"] == ones[1]["accuracy"]
    assert torch.equal(ones[0]["accuracy.items"].correct, ones[1]["accuracy.items"].correct)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weight, before[name]) for name, weight in task.model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in task.model.parameters())


def test_the_point_of_the_grid_is_chosen_without_the_test_part() -> None:
    grid = FineTune(rates=(1e-6, 1e-2), epochs=(1, 12), dropout=0.0)

    def swapped(part: str) -> Samples:
        made = data(part)
        labels = made.labels["sign"]
        wrong = replace(labels, value=1 - labels.value) if part == "test" else labels
        return replace(made, labels={"sign": wrong})

    found, opposite = (measure(make_task(), grid, source) for source in (data, swapped))
    assert (found["rate"], found["epochs"]) == (Choice("0.01"), Choice("12"))
    assert (opposite["rate"], opposite["epochs"]) == (Choice("0.01"), Choice("12"))
    assert opposite["accuracy"] == pytest.approx(1 - found["accuracy"])
    assert found["accuracy"] == measure(make_task(), FineTune(**QUICK))["accuracy"]  # trained anew on all of it


def test_a_weight_belongs_to_the_first_layer_that_depends_on_it() -> None:
    depths = find_depths(make_task().model, Inputs(data("train").data[:2, None]))
    assert depths == {"look.weight": 0, "look.bias": 0, "above.weight": 1, "above.bias": 1}


def test_parallel_directions_are_equally_deep_and_rates_fall_by_the_factor() -> None:
    from pretask import Vocabulary

    spec = InputSpec("text", (4,), vocabulary=Vocabulary(9))
    inputs = Inputs(torch.randint(0, 9, (2, 1, 4), generator=torch.Generator().manual_seed(0)))
    depths = find_depths(BiLstm(spec, spec, width=4, depth=2), inputs)
    assert depths["forward_layers.layers.1.bias_ih_l0"] == depths["backward_layers.layers.1.bias_ih_l0"] == 2
    assert depths["embedding.weight"] == 0
    model, head = Transformer(spec, spec, width=8, depth=2, heads=2), nn.Linear(8, 2)
    groups = group_weights(model.eval(), [head], find_depths(model, inputs), 0.5, 0.1)
    scale_of = {id(weight): group["scale"] for group in groups for weight in group["params"]}
    assert scale_of[id(head.weight)] == 1.0
    scales = {scale_of[id(weight)] for weight in model.parameters()}
    assert scales <= {0.5, 0.25, 0.125, 0.0625}
    assert len(scales) > 2
    assert sum(len(group["params"]) for group in groups) == len([*model.parameters(), *head.parameters()])
    assert all(group["weight_decay"] == (0.1 if group["params"][0].ndim > 1 else 0.0) for group in groups)


def test_rates_epochs_and_labels_are_refused_where_they_are_none() -> None:
    with pytest.raises(PretaskError, match=r"of above 0|above 0"):
        FineTune(rates=(0.0,))
    with pytest.raises(PretaskError, match="a rate and a number of epochs"):
        FineTune(rates=())
    with pytest.raises(PretaskError, match="labels called 'mood'; got sign"):
        measure(make_task(), FineTune(label="mood"))
    with pytest.raises(PretaskError, match="finite features to begin with"):
        measure(make_task(), FineTune(**QUICK), lambda part: replace(data(part), data=data(part).data / 0))


class Thrice(Whole):
    """Shows three versions of a sample."""

    shows_versions = True

    def whole(self, batch: Batch) -> Inputs:
        shown = super().whole(batch)
        return replace(shown, data=torch.cat([shown.data, shown.data + 1, shown.data - 1], 1))


def test_the_head_reads_the_mean_of_the_versions_of_a_sample() -> None:
    task, samples = replace(make_task(), split=Thrice()), data("train")
    form = ClassForm(samples.labels["sign"].value, 2, task.split.whole)
    trainer = Trainer("fine-tune", task, form, samples, FineTune(**QUICK), 0, 64)
    network = trainer.build(samples, torch.arange(64))
    batch = samples.batch(torch.arange(64), task.device)
    said, features, shown = trainer.run(network, batch)
    assert shown.data.shape[1] == 3
    assert features.pooled["all"].shape == (64, 1, 8)
    assert torch.allclose(features.pooled["all"], task.model(shown).pooled["all"].mean(1, keepdim=True))
    assert said.shape == (64, 2)

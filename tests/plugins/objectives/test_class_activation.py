"""Promises of the objective class-activation."""

import pytest
import torch
from pretask import Categories, Draws, Features, FeatureSpec, Incompatible, Target
from pretask_plugins.objectives.class_activation import ClassActivation, take_evidence
from pretask_plugins.shared.activation_maps import paint_evidence, pick_channels

MAPS = FeatureSpec(3, (6, 6), views=2, streams=("all",))
INDEX = torch.arange(64)


def maps_with_a_mark(label: torch.Tensor, place: torch.Tensor) -> Features:
    """Maps of noise, in whose second view one position (row, column) holds 1 or -1 by the label."""
    tokens = 0.1 * Draws(torch.arange(len(label))).normal("noise", 2, 6, 6, 3)
    tokens[torch.arange(len(label)), 1, place[:, 0], place[:, 1], 0] = 3.0 * (2 * label.float() - 1)
    tokens = tokens.flatten(2, 3)
    return Features({"all": tokens}, {"all": tokens.mean(2)}, (6, 6))


def test_the_mean_of_a_map_is_the_logit_of_the_sample() -> None:
    objective = ClassActivation(MAPS, {"kind": Categories(4)}, width=5, depth=2)
    features = maps_with_a_mark(INDEX % 2, torch.zeros(64, 2, dtype=torch.long))
    logits = objective.activation_maps(features, "kind").mean((2, 3))
    assert torch.allclose(logits.log_softmax(1), objective.predict(features)["kind"], atol=1e-5)


def test_the_map_shows_where_the_answer_stands_though_training_never_said() -> None:
    label, place = INDEX % 2, Draws(INDEX).integers("place", 0, 6, 2)
    features = maps_with_a_mark(label, place)
    objective = ClassActivation(MAPS, {"kind": Categories(2)}, width=8, depth=1)
    optimizer = torch.optim.Adam(objective.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(features, {"kind": Target(label)}, Draws(INDEX))
        loss.total.backward()
        optimizer.step()
    assert float(loss.parts["kind.accuracy"]) == 1
    evidence = take_evidence(objective.activation_maps(features, "kind"), label).flatten(1)
    found = torch.stack([evidence.argmax(1) // 6, evidence.argmax(1) % 6], 1)
    assert float(((found - place).abs().amax(1) <= 1).float().mean()) > 0.9  # convolutions reach one position far


def test_evidence_for_a_label_is_red_and_against_it_blue() -> None:
    painted = paint_evidence(torch.zeros(1, 3, 1, 2, dtype=torch.uint8), torch.tensor([[[1.0, -1.0]]]))
    assert painted[0, 0, 0, 0] > painted[0, 2, 0, 0]
    assert painted[0, 2, 0, 1] > painted[0, 0, 0, 1]


def test_of_pictures_joined_as_channels_the_first_and_the_last_are_drawn() -> None:
    views = torch.arange(6.0).view(1, 6, 1, 1)
    assert pick_channels(views, 0).flatten().tolist() == [0, 1, 2]
    assert pick_channels(views, -1).flatten().tolist() == [3, 4, 5]
    assert pick_channels(views[:, :4], -1).flatten().tolist() == [3]


def test_features_without_maps_and_labels_with_positions_are_refused() -> None:
    with pytest.raises(Incompatible, match="rows and columns"):
        ClassActivation(FeatureSpec(4, (7,)), {"kind": Categories(3)})
    with pytest.raises(Incompatible, match="one hidden label per sample"):
        ClassActivation(MAPS, {"kind": Categories(3, grid=(6, 6))})

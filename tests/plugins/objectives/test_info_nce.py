"""Promises of the objective info-nce, held against a loop over pairs."""

import math
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch
from pretask import Agreement, Categories, Draws, Features, FeatureSpec, Incompatible, Target
from pretask_plugins.objectives.info_nce import InfoNce, contrast_across_ranks
from processes import SERVER, start_server
from torch import distributed as dist
from torch import nn
from torch.nn import functional as F

DRAWS = Draws(torch.arange(4))


def rows(*shape: int, name: str = "row") -> torch.Tensor:
    return Draws(torch.arange(1)).normal(name, *shape)[0]


def loop(embedded: torch.Tensor, identity: torch.Tensor, temperature: float) -> list[tuple[float, bool] | None]:
    """Nats and whether the nearest is a positive, pair by pair; None where there is no positive."""
    unit = [vector / vector.norm() for vector in embedded]
    found: list[tuple[float, bool] | None] = []
    for anchor in range(len(unit)):
        scores = {
            other: float(unit[anchor] @ unit[other]) / temperature for other in range(len(unit)) if other != anchor
        }
        total = math.log(sum(math.exp(score) for score in scores.values()))
        positives = [other for other in scores if identity[other] == identity[anchor]]
        if not positives:
            found.append(None)
            continue
        nats = sum(total - scores[other] for other in positives) / len(positives)
        found.append((nats, max(scores, key=lambda other: scores[other]) in positives))
    return found


@pytest.mark.parametrize("views", [1, 2, 3])
def test_the_loss_is_that_of_a_loop_over_pairs_with_duplicates_and_lonely_ones(views: int) -> None:
    embedded = rows(6, views, 5)
    identity = torch.tensor([4, 9, 4, 2, 9, 7])[:, None].expand(-1, views)  # with one view, 2 and 7 are alone
    nats, correct, weight, negatives = contrast_across_ranks(embedded, Target(identity), 0.3)
    expected = loop(embedded.flatten(0, 1), identity.flatten(), 0.3)
    assert negatives == 6 * views - 1
    assert weight.tolist() == [float(pair is not None) for pair in expected]
    for ours, hit, theirs in zip(nats.tolist(), correct.tolist(), expected, strict=True):
        if theirs is not None:
            assert (ours, hit) == (pytest.approx(theirs[0], abs=1e-5), float(theirs[1]))


def test_two_views_score_as_the_normalised_temperature_scaled_cross_entropy() -> None:
    embedded = rows(5, 2, 8)
    unit = F.normalize(embedded.transpose(0, 1).flatten(0, 1), dim=1)  # first views, then second views
    similarity = (unit @ unit.T / 0.5).fill_diagonal_(-torch.inf)
    expected = F.cross_entropy(similarity, (torch.arange(10) + 5) % 10)
    nats, _, _, _ = contrast_across_ranks(embedded, Target(torch.arange(5)[:, None].expand(-1, 2)), 0.5)
    assert float(nats.mean()) == pytest.approx(float(expected), abs=1e-6)


def test_what_is_not_asked_for_neither_scores_nor_competes() -> None:
    embedded, identity = rows(5, 2, 4), torch.arange(5)[:, None].expand(-1, 2)
    valid = torch.ones(5, 2)
    valid[3] = 0
    nats, correct, weight, _ = contrast_across_ranks(embedded, Target(identity, valid), 0.2)
    kept = torch.tensor([0, 1, 2, 4])
    alone, hits, _, _ = contrast_across_ranks(embedded[kept], Target(identity[kept]), 0.2)
    assert torch.allclose(nats.view(5, 2)[kept].flatten(), alone, atol=1e-6)
    assert torch.equal(correct.view(5, 2)[kept].flatten(), hits)
    assert weight.view(5, 2)[3].tolist() == [0.0, 0.0]


def of_views(views: torch.Tensor) -> Features:
    """Features whose pooled are given, (B, V, D)."""
    return Features({"all": views[:, :, None]}, {"all": views})


def plain(width: int, dimensions: int, views: int = 2, temperature: float = 0.1) -> InfoNce:
    spec = {"same": Agreement(views=views)}
    return InfoNce(FeatureSpec(width, views=views), spec, hidden=(), out_dim=dimensions, temperature=temperature)


def test_views_that_are_all_alike_score_what_chance_says() -> None:
    objective = plain(4, 3)
    nn.init.zeros_(objective.heads["same"][-1].weight)
    assert objective.chance == {"same.mutual_information": 0.0}  # until a batch was seen, its size is not known
    loss = objective(of_views(rows(8, 2, 4)), {"same": Target(torch.arange(8)[:, None].expand(-1, 2))}, DRAWS)
    assert objective.chance == {"same": math.log(15), "same.accuracy": 1 / 15, "same.mutual_information": 0.0}
    assert float(loss.parts["same"]) == pytest.approx(math.log(15), abs=1e-5)
    assert float(loss.parts["same.mutual_information"]) == pytest.approx(0, abs=1e-5)


def test_random_embeddings_are_right_as_often_as_chance_says() -> None:
    objective = plain(64, 64)
    objective.heads["same"][-1].weight.data = torch.eye(64)
    loss = objective(of_views(rows(400, 2, 64)), {"same": Target(torch.arange(400)[:, None].expand(-1, 2))}, DRAWS)
    assert float(loss.parts["same.accuracy"]) < objective.chance["same.accuracy"] + 4 * math.sqrt(1 / 799 / 800)


def test_perfect_embeddings_lose_nothing_and_know_everything() -> None:
    unit = torch.eye(8)[:, None].expand(-1, 2, -1)
    loss = plain(8, 8).score({"same": unit * 7}, {"same": Target(torch.arange(8)[:, None].expand(-1, 2))})
    assert float(loss.parts["same"]) == pytest.approx(math.log(1 + 14 * math.exp(-10)), abs=1e-6)
    assert float(loss.parts["same.accuracy"]) == 1.0
    assert float(loss.parts["same.mutual_information"]) == pytest.approx(math.log(15), abs=1e-2)


def test_embeddings_have_length_one_and_a_place_for_every_position() -> None:
    objective = InfoNce(FeatureSpec(6, (2, 3), views=2), {"place": Agreement(views=2, grid=(2, 3))}, out_dim=5)
    tokens = rows(4, 2, 6, 6)
    features = Features({"all": tokens}, {"all": tokens.mean(2)}, (2, 3))
    embedded = objective.predict(features)["place"]
    assert embedded.shape == (4, 2, 2, 3, 5)
    assert torch.allclose(embedded.norm(dim=-1), torch.ones(4, 2, 2, 3), atol=1e-5)
    identity = torch.arange(24).view(4, 1, 2, 3).expand(-1, 2, -1, -1)
    assert objective(features, {"place": Target(identity)}, DRAWS).total.isfinite()
    assert objective.negatives == 47


def test_one_lonely_sample_has_a_loss_of_zero_and_finite_gradients() -> None:
    objective = InfoNce(FeatureSpec(4), {"same": Agreement()}, hidden=(6,), out_dim=3)
    loss = objective(of_views(rows(1, 1, 4)), {"same": Target(torch.tensor([5]))}, DRAWS)
    loss.total.backward()
    assert float(loss.total.detach()) == 0
    assert all(parameter.grad.isfinite().all() for parameter in objective.parameters())


def test_reduced_precision_does_not_reach_the_cosines() -> None:
    embedded, target = rows(16, 2, 32), Target(torch.arange(16)[:, None].expand(-1, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced, _, _, _ = contrast_across_ranks(embedded, target, 0.05)
    assert torch.equal(reduced, contrast_across_ranks(embedded, target, 0.05)[0])


def test_a_batch_without_content_is_compared_where_it_is() -> None:
    embedded, target = rows(4, 2, 3).to("meta"), Target(torch.arange(4, device="meta")[:, None].expand(-1, 2))
    assert {tensor.device.type for tensor in contrast_across_ranks(embedded, target, 0.1)[:3]} == {"meta"}


def test_targets_of_another_kind_are_refused() -> None:
    with pytest.raises(Incompatible, match="agreement"):
        InfoNce(FeatureSpec(4), {"kind": Categories(3)})


def on_one_rank(rank: int, ranks: int, file: str, embedded: torch.Tensor, answers: "Queue[Any]") -> None:
    """The loss of this rank's share, and its gradient."""
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=ranks)
    share = embedded.chunk(ranks)[rank].clone().requires_grad_()
    identity = torch.arange(len(embedded)).chunk(ranks)[rank][:, None].expand(-1, 2) // 2  # a sample twice in a batch
    loss = plain(4, 4).score({"same": share}, {"same": Target(identity)})
    loss.total.backward()
    answers.put((rank, loss.total.item(), share.grad.numpy()))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_score_and_differentiate_as_one_does(tmp_path: Path) -> None:
    embedded = rows(6, 2, 4)
    whole = embedded.clone().requires_grad_()
    identity = torch.arange(6)[:, None].expand(-1, 2) // 2
    loss = plain(4, 4).score({"same": whole}, {"same": Target(identity)})
    loss.total.backward()
    start_server()
    answers = SERVER.Queue()
    for rank in range(2):
        SERVER.Process(target=on_one_rank, args=(rank, 2, str(tmp_path / "meet"), embedded, answers)).start()
    found = {rank: (value, grad) for rank, value, grad in (answers.get(timeout=120) for _ in range(2))}
    assert sum(value for value, _ in found.values()) / 2 == pytest.approx(float(loss.total.detach()), abs=1e-6)
    gradient = torch.cat([torch.from_numpy(found[rank][1]) for rank in range(2)]) / 2  # ranks' gradients are averaged
    assert torch.allclose(gradient, whole.grad, atol=1e-6)

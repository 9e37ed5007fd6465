"""Promises of tagging: the linear probe on single positions, held out by sentence, with nothing written twice."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from pretask import (
    Budget,
    Choice,
    Draws,
    Features,
    Inputs,
    Items,
    Labels,
    Observed,
    PretaskError,
    Recipe,
    Samples,
    Task,
)
from pretask.extraction import extract, extract_positions, pick_positions
from pretask.pooling import join_widest
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.tagging import Tagging, draw_sentences, lexical_accuracy, split_sentences
from pretask_plugins.evaluators.probes.validation_split import LayerChoice, build_probe_data
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from planted import Whole

LENGTH, CLASSES = 6, 3


class Numbers(nn.Module):
    """Two layers: a vector for every token, and it with the vector of the token before."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.eye(CLASSES * CLASSES + 1))

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        own = self.table[inputs.data]  # (B, V, L, D)
        before = torch.cat([torch.zeros_like(own[:, :, :1]), own[:, :, :-1]], 2)
        made = [
            Features({"past": vectors}, {"past": vectors.mean(2)}) for vectors in (own, torch.cat([own, before], -1))
        ]
        return replace(made[-1], layers=tuple(made)) if layers else made[-1]


def task() -> Task:
    observed = Observed("text", (LENGTH,), "int64")
    return Task("planted", Whole(), Numbers(), nn.Identity(), Recipe(), observed, torch.device("cpu"))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Tagged:
    """Random tokens; the class of a word is a third of its number, or of that before; one in 30 is wrong."""

    context: bool = False
    train: int = 200
    test: int = 100
    length: int = LENGTH

    def __call__(self, part: str, /) -> Samples:
        draws = Draws(torch.arange(self.train if part == "train" else self.test)).branch(part)
        tokens = 1 + draws.integers("token", 0, CLASSES * CLASSES, self.length)
        tags = (tokens - 1) // CLASSES
        tags = tags.where(~draws.bernoulli("is wrong", 0.05, self.length), draws.integers("any", 0, 3, self.length))
        if self.context:
            tags = torch.cat([torch.full_like(tags[:, :1], -1), tags[:, :-1]], 1)
        tags = tags.where(draws.bernoulli("has a label", 0.8, self.length), -1)
        labels = {"tag": Labels(tags, ("a", "b", "c"))}
        seen = Observed("text", (self.length,), "int64", len(tokens))
        return Samples(seen, tokens, labels, fingerprint=f"{self}{part}")


def measure(data: object, probe: Tagging | None = None, budget: Budget | None = None) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in (probe or Tagging())(task(), data, budget or Budget()):  # type: ignore[arg-type]
        found[f"{name}.items" if isinstance(value, Items) else name] = value
    return found


def test_a_class_that_every_token_shows_is_found_without_context() -> None:
    found = measure(Tagged())
    for name in ("accuracy", "layer1.accuracy", "layer2.accuracy", "lexical"):
        assert float(found[name]) > 0.9  # type: ignore[arg-type]  # one in thirty labels is wrong
    assert 0.25 < float(found["majority"]) < 0.45  # type: ignore[arg-type]


def test_a_class_that_only_the_word_before_shows_needs_the_layer_that_saw_it() -> None:
    found = measure(Tagged(context=True))
    assert found["layer2.accuracy"] == found["accuracy"]
    assert float(found["accuracy"]) > 0.9  # type: ignore[arg-type]
    assert found["layer"] == Choice("layer2")
    for blind in ("layer1.accuracy", "lexical", "majority"):
        assert float(found[blind]) < 0.5  # type: ignore[arg-type]  # a third, within 0.16


def test_items_are_the_labelled_test_positions_in_order() -> None:
    data = Tagged(context=True)
    found = measure(data, Tagging(max_positions=200))
    correct = found["accuracy.items"].correct  # type: ignore[attr-defined]
    assert len(correct) == int((data("test").labels["tag"].value >= 0).sum())
    assert float(correct.float().mean()) == pytest.approx(float(found["accuracy"]))  # type: ignore[arg-type]


def test_rows_of_one_word_are_answered_as_samples_are() -> None:
    data = Tagged(train=300, length=1)

    def per_sample(part: str) -> Samples:
        made = data(part)
        return replace(made, labels={"tag": Labels(made.labels["tag"].value[:, 0], ("a", "b", "c"))})

    one = Tagging().build_probe_data(task(), data("train"), data("test"), "tag", Budget())
    two = build_probe_data("linear", task(), per_sample, Budget(), "", 0.1)
    assert torch.equal(one.train.labels, two.train.labels)
    for layer in ("layer1", "layer2"):
        pairs = ((one, layer), (two, f"{layer}.mean"))
        scores = [LinearProbe().refit(probe, name, LayerChoice(24, 0.0))[0] for probe, name in pairs]
        assert torch.equal(*scores)


def test_whole_sentences_are_held_out() -> None:
    data = Tagged()
    probe = Tagging(val_fraction=0.25).build_probe_data(task(), data("train"), data("test"), "tag", Budget(seed=1))
    sentence = (data("train").labels["tag"].value >= 0).nonzero()[:, 0]
    validation, fitted = sentence[probe.validation].unique(), sentence[~probe.validation].unique()
    assert not set(validation.tolist()) & set(fitted.tolist())
    assert len(validation) == 50
    keep_labeled = torch.tensor([True, False] * 50)
    assert not bool((split_sentences(keep_labeled, 0.1, 0) & ~keep_labeled).any())


@pytest.mark.parametrize("batch", [7, 256])
def test_vectors_of_positions_are_those_of_a_loop_and_come_from_the_cache_by_position(
    tmp_path: Path, batch: int
) -> None:
    samples, budget = Tagged()("test"), Budget(batch=batch, cache=str(tmp_path))
    at = samples.labels["tag"].value >= 0
    found = extract_positions(task(), samples, budget, at)["layer2"]
    every = task().model(Inputs(samples.data[:, None])).streams["past"][:, 0]
    loop = [every[row, place] for row in range(len(at)) for place in range(LENGTH) if at[row, place]]
    assert torch.equal(found, torch.stack(loop))
    assert torch.equal(extract_positions(task(), samples, budget, at)["layer2"], found)
    assert len(extract_positions(task(), samples, budget, ~at)["layer2"]) == int((~at).sum())
    assert torch.allclose(extract(task(), samples, budget)["layer2.mean"], every.mean(1))


def test_past_and_future_count_side_by_side_where_nothing_has_seen_both() -> None:
    past, future, both = (Draws(torch.arange(2)).normal(name, 1, 3, 4) for name in "pfb")
    assert torch.equal(join_widest({"past": past, "future": future}), torch.cat([past, future], -1))
    assert torch.equal(join_widest({"past": past, "future": future, "all": both}), both)
    assert torch.equal(join_widest({"present": past, "future": future}), future)


def test_no_more_positions_than_asked_are_learned_from_and_the_seed_draws_them() -> None:
    samples = Tagged()("train")
    some = [draw_sentences(samples, "tag", 100, seed) for seed in (0, 0, 1)]
    counts = [int((subset.labels["tag"].value >= 0).sum()) for subset in some]
    assert all(100 - LENGTH < count <= 100 for count in counts)
    assert torch.equal(some[0].data, some[1].data)
    assert some[0].fingerprint == some[1].fingerprint != some[2].fingerprint
    rows = {tuple(row) for row in torch.cat([samples.data, samples.labels["tag"].value], 1).tolist()}
    assert all(tuple(row) in rows for row in torch.cat([some[2].data, some[2].labels["tag"].value], 1).tolist())
    assert draw_sentences(samples, "tag", 0, 0) is samples


def test_a_new_token_is_given_the_commonest_class_of_all() -> None:
    known, labels = torch.tensor([3, 3, 3, 8, 8]), torch.tensor([0, 2, 2, 1, 1])
    tokens: Tensor = torch.tensor([3, 8, 9])
    assert lexical_accuracy(known, labels, tokens, torch.tensor([2, 1, 1]), 3) == 1.0


def test_data_and_models_without_positions_are_refused() -> None:
    def flat(part: str) -> Samples:
        made = Tagged()(part)
        return replace(made, labels={"class": Labels(made.labels["tag"].value[:, 0], ("a", "b", "c"))})

    with pytest.raises(PretaskError, match="one class per position; got none"):
        measure(flat)
    with pytest.raises(PretaskError, match="labels called 'upos'; got tag"):
        measure(Tagged(), Tagging(label="upos"))
    with pytest.raises(PretaskError, match=r"val_fraction needs"):
        measure(Tagged(), Tagging(val_fraction=1.0))
    with pytest.raises(PretaskError, match="at all 6 positions of a sample; got features at 1"):
        pick_positions("it", Features({"all": torch.zeros(2, 1, 1, 4)}, {}), torch.ones(2, 6, dtype=torch.bool))
    with pytest.raises(PretaskError, match="at least two classes"):
        measure(lambda part: replace(Tagged()(part), labels={"tag": Labels(torch.full((200, 6), 1), ("a", "b"))}))

"""Promises of edge probes: measures by hand and by the paper's numbers, a network that knows, one that does not."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pretask
import pytest
import torch
from pretask import (
    Budget,
    Choice,
    Draws,
    Features,
    Figure,
    Inputs,
    Items,
    Labels,
    Observed,
    PretaskError,
    Samples,
    Task,
)
from pretask_bench.records.verify import RECOMPUTED, verify
from pretask_plugins.evaluators.probes.edge_probing.control import draw_control_classes
from pretask_plugins.evaluators.probes.edge_probing.edge_probe import EdgeProbe
from pretask_plugins.evaluators.probes.edge_probing.learning import EdgeSet, Learner, compute_logits, fit_probes
from pretask_plugins.evaluators.probes.edge_probing.measures import (
    center_of_gravity,
    defined_layer,
    differential_scores,
    divergence_from_uniform,
    expected_layer,
    is_defined,
)
from pretask_plugins.evaluators.probes.edge_probing.network import AttentivePools, EdgeNetworks
from pretask_plugins.evaluators.probes.edge_probing.scores import gain_error, tally
from pretask_plugins.evaluators.probes.edge_probing.tokens import draw_edges, read_tokens
from pretask_plugins.shared.edges import Edges
from small_runs import take_tasks
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))

from planted import task_of

# Micro-F1 of cumulative probes of BERT-large, layers 0 to 24, from the notebook that the authors released with jiant.
POS = """88.5125 91.6603 93.1812 93.7355 94.7419 95.1395 95.3522 95.6536 95.8179 95.8860 96.0748 96.3911 96.6274 96.8306
96.8053 96.6902 96.7856 96.6949 96.7164 96.7759 96.7220 96.7209 96.7089 96.7005 96.6928"""
COREFERENCE = """80.4676 81.8555 82.3207 82.5202 83.8175 84.1711 84.1341 84.5196 85.2824 85.6027 86.2860 87.3380 87.4892
88.5364 89.2062 90.3020 90.7447 91.3851 91.9886 91.9993 91.7607 91.9689 92.1066 92.0903 91.9394"""

LENGTH, WORDS = 6, 12
PROBE = EdgeProbe(projection=16, steps=100, interval=50, lr=1e-2)


@pytest.mark.parametrize("count", [3, 13, 25])
def test_uniform_weights_lie_in_the_middle_and_diverge_by_nothing(count: int) -> None:
    weights = [1 / count] * count
    assert center_of_gravity(weights) == pytest.approx((count - 1) / 2)
    assert divergence_from_uniform(weights) == pytest.approx(0.0, abs=1e-12)
    assert divergence_from_uniform([1.0, *[0.0] * (count - 1)]) == pytest.approx(math.log2(count))


@pytest.mark.parametrize("layer", [1, 4, 7])
def test_a_score_that_rises_at_one_layer_is_expected_there(layer: int) -> None:
    assert expected_layer([0.3] * layer + [0.8] * (8 - layer)) == pytest.approx(layer)


@pytest.mark.parametrize(("scores", "expected"), [(POS, 3.39), (COREFERENCE, 9.47)], ids=["POS", "coreference"])
def test_the_papers_scores_give_the_papers_expected_layers(scores: str, expected: float) -> None:
    found = expected_layer([float(score) for score in scores.split()])
    assert found == pytest.approx(expected, abs=0.005)


def test_steps_down_are_not_clipped_so_that_a_small_gain_leaves_the_layers_and_is_called_undefined() -> None:
    scores = [0.50, 0.60, 0.55, 0.51]
    assert differential_scores(scores) == pytest.approx([0.1, -0.05, -0.04])
    assert expected_layer(scores) == pytest.approx((0.1 - 2 * 0.05 - 3 * 0.04) / 0.01)  # -12: none of 1 to 3
    assert not is_defined(0.01, 0.006)
    assert not is_defined(-0.10, 0.006)
    assert is_defined(0.01, 0.005)
    assert expected_layer([0.5, 0.6, 0.5]) is None
    assert defined_layer(scores, 0.001) is None  # ten standard errors, and no layer
    assert defined_layer([0.50, 0.60, 0.65], 0.02) == pytest.approx((0.1 + 2 * 0.05) / 0.15)
    assert defined_layer([0.50, 0.60, 0.65], 0.10) is None


def test_f1_counts_decisions_over_all_edges_and_classes() -> None:
    named = torch.tensor([[True, True, False], [False, False, False], [False, True, False]])
    true = torch.tensor([[True, False, False], [False, False, True], [False, True, False]])
    found = tally(named, true)
    assert found.f1 == pytest.approx(2 * 2 / (3 + 3))
    assert found.correct.tolist() == [False, False, True]


def test_the_error_of_a_gain_is_that_of_independent_sentences() -> None:
    count = 400
    true = torch.ones(count, 1, dtype=torch.bool)
    better = torch.arange(count)[:, None] % 10 > 0  # nine in ten
    lower, upper = tally(better & (torch.arange(count)[:, None] % 2 > 0), true), tally(better, true)
    recalls = (lower.hits.double(), upper.hits.double())
    f1 = [2 * hits.mean() / (hits.mean() + 1) for hits in recalls]
    slopes = [2 / (hits.mean() + 1) ** 2 for hits in recalls]  # of F1 by recall, at a precision of 1
    influence = slopes[1] * recalls[1] - slopes[0] * recalls[0]
    assert upper.f1 - lower.f1 == pytest.approx(float(f1[1] - f1[0]))
    wanted = float(influence.std()) / count**0.5
    assert gain_error(lower, upper, torch.arange(count), 0) == pytest.approx(wanted, rel=0.25)  # of 200 resamples


def test_attention_counts_present_tokens_alone() -> None:
    pool, tokens = AttentivePools(2, 3, 4), torch.randn(2, 1, 3, 3)
    present = torch.tensor([[True, True, False]])
    other = tokens.clone()
    other[:, 0, 2] = 100.0
    assert torch.allclose(pool(tokens, present), pool(other, present))
    first = torch.tensor([[True, False, False]])
    assert torch.allclose(pool(tokens[:, :, :1], present[:, :1]), pool(tokens, first), atol=1e-6)


def test_a_probe_begins_with_the_mean_of_the_layers_that_it_sees_and_never_sees_others() -> None:
    networks, tokens = EdgeNetworks([1, 3], 2, 1, 2, 4, 0.0), torch.randn(5, 1, 1, 3, 2)
    assert torch.allclose(networks.weights, torch.tensor([[1.0, 0.0, 0.0], [1 / 3] * 3]))
    present, other = torch.ones(5, 1, 1, dtype=torch.bool), tokens.clone()
    other[..., 1:, :] = 9.0
    moved = networks(tokens, present) != networks(other, present)
    assert not bool(moved[0].any())
    assert bool(moved[1].all())
    mean = tokens.mean(3, keepdim=True).expand_as(tokens)
    assert torch.allclose(networks(tokens, present)[1], networks(mean, present)[1], atol=1e-6)


def test_probes_that_are_trained_at_once_are_those_that_are_trained_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(60, 2, 3, generator=generator)
    places = torch.stack([torch.arange(60), torch.arange(60) + 1], 1)[:, None]
    marks = F.one_hot((vectors[:, 0, 0] > 0).long(), 2).bool()
    learner = Learner(4, 0.0, 0.01, 0.01, 8, 30, 10, 0)
    both = EdgeSet(vectors, places, torch.stack([marks, marks]))
    alone = EdgeSet(vectors, places, marks[None])
    together = compute_logits(fit_probes(learner, both, both, [1, 2]), both)
    assert torch.allclose(together[1], compute_logits(fit_probes(learner, alone, alone, [2]), alone)[0], atol=1e-4)


def test_a_control_task_gives_equal_spans_equal_classes_in_the_proportions_of_the_real_ones() -> None:
    tokens = Draws(torch.arange(400)).integers("token", 0, 900, 5)
    rows = torch.arange(400)
    spans = torch.tensor([[[1, 3]]]).expand(400, 1, 2)
    edges = Edges(rows, spans, torch.zeros(400, 1, dtype=torch.int64), ("a", "b"))
    classes = draw_control_classes(tokens, edges, torch.tensor([300, 100]), 0)
    moved = draw_control_classes(tokens.roll(1, 1), replace(edges, spans=spans + 1), torch.tensor([300, 100]), 0)
    assert torch.equal(classes, moved)  # the same tokens elsewhere
    assert classes.sum(1).unique().tolist() == [1]
    assert float(classes[:, 0].double().mean()) == pytest.approx(0.75, abs=0.09)  # 4 standard errors


@dataclass(frozen=True)
class Neighbors:
    """Rows of words; the class of a word is whether it is a large number, or whether the word before it is."""

    context: bool = False

    def __call__(self, part: str, /) -> Samples:
        draws = Draws(torch.arange(120 if part == "train" else 80)).branch(part)
        tokens = draws.integers("token", 0, WORDS, LENGTH)
        told = tokens.roll(1, 1) if self.context else tokens
        label = (told >= WORDS // 3).long()  # two in three
        label[:, 0] = -1
        labels = {"size": Labels(label, ("small", "large"))}
        return Samples(Observed("text", (LENGTH,), "int64", len(tokens)), tokens, labels, fingerprint=f"{self}{part}")


class Layers(nn.Module):
    """Token vectors; the same again; and those with the vector of the word before in the other half."""

    def __init__(self, random: bool = False) -> None:
        super().__init__()
        self.random = random
        self.table = nn.Parameter(Draws(torch.arange(WORDS)).normal("table", 8))

    def extra_repr(self) -> str:
        return f"random={self.random}"

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        own = self.table[inputs.data]  # (B, V, L, D)
        if self.random:
            own = Draws(inputs.data.flatten(1).sum(1)).normal("noise", *own.shape[1:])
        before, empty = own.roll(1, 2), torch.zeros_like(own)
        made = [torch.cat([own, half], -1) for half in (empty, empty, empty if self.random else before)]
        each = [Features({"all": vectors}, {"all": vectors.mean(2)}) for vectors in made]
        return replace(each[-1], layers=tuple(each)) if layers else each[-1]


def task(random: bool = False) -> Task:
    return task_of(Layers(random), Observed("text", (LENGTH,), "int64"))


def measure(task: Task, context: bool, probe: EdgeProbe = PROBE) -> dict[str, object]:
    return {name: value for name, value in probe(task, Neighbors(context), Budget()) if not isinstance(value, Items)}


@pytest.fixture(scope="module")
def contextual() -> dict[str, object]:
    return measure(task(), context=True)


def number(found: dict[str, object], name: str) -> float:
    value = found[name]
    assert isinstance(value, float)
    return value


def test_what_needs_context_is_found_at_the_layer_that_has_it(contextual: dict[str, object]) -> None:
    assert number(contextual, "size.l2.f1") > 0.95
    assert number(contextual, "size.lexical_f1") == number(contextual, "size.l0.f1") < 0.8
    assert number(contextual, "size.expected_layer") == pytest.approx(2.0, abs=0.15)
    assert number(contextual, "size.gain") > 5 * number(contextual, "size.gain_error")
    weights = [number(contextual, f"size.l{layer}.weight") for layer in range(3)]
    assert sum(weights) == pytest.approx(1.0, abs=1e-6)
    assert weights[2] == max(weights)
    assert number(contextual, "size.center_of_gravity") == pytest.approx(weights[1] + 2 * weights[2])
    slow = measure(task(), context=True, probe=replace(PROBE, mix_lr=1e-3, control=False))
    assert number(slow, "size.l2.weight") < 0.4 < 0.6 < weights[2]  # a hundred steps of 1e-3 leave it where it began
    assert isinstance(contextual["layers"], Figure)


def test_a_task_of_single_words_needs_no_further_layer_and_is_not_selective_of_few_words() -> None:
    probed, untouched = task(), task()
    found = measure(probed, context=False)
    assert number(found, "size.lexical_f1") > 0.95
    assert found["size.expected_layer"] == Choice("undefined")  # nothing is gained
    assert number(found, "size.control_f1") > 0.85  # twelve words are memorized
    assert number(found, "size.selectivity") == pytest.approx(number(found, "f1") - number(found, "size.control_f1"))
    for own, other in zip(probed.model.parameters(), untouched.model.parameters(), strict=True):
        assert torch.equal(own, other)


def test_random_vectors_reach_the_most_frequent_class_and_no_more() -> None:
    found = measure(task(random=True), context=True, probe=replace(PROBE, control=False))
    majority = number(found, "size.majority_f1")
    assert majority == pytest.approx(2 / 3, abs=0.1)
    assert number(found, "size.f1") <= majority + 4 * (2 / 9 / 400) ** 0.5  # 4 standard errors
    assert "size.control_f1" not in found


def test_sentences_are_drawn_whole_and_tokens_of_spans_are_found_again() -> None:
    rows = torch.arange(50).repeat_interleave(3)
    begin = torch.arange(3).repeat(50)
    edges = Edges(rows, torch.stack([begin, begin + 2], 1)[:, None], torch.zeros(150, 1, dtype=torch.int64), ("a",))
    drawn = draw_edges(edges, 50, 31, 0)
    assert len(drawn) == 30
    assert bool((torch.bincount(drawn.rows)[drawn.rows] == 3).all())
    samples = Neighbors()("train")
    tokens = read_tokens(task(), samples, {"spans": drawn}, Budget(), "some")
    table = dict(task().model.named_parameters())["table"].detach()
    places = tokens.places(tokens.edges["spans"])[:, 0]
    for edge in range(0, 30, 7):
        ids = samples.data[drawn.rows[edge], drawn.spans[edge, 0, 0] : drawn.spans[edge, 0, 1]]
        assert torch.equal(tokens.vectors[places[edge, 0] : places[edge, 1], 0, :8], table[ids])


def test_tasks_that_are_not_there_and_data_without_labels_are_refused() -> None:
    with pytest.raises(PretaskError, match="needs the tasks color; got size"):
        list(EdgeProbe(tasks=("color",))(task(), Neighbors(), Budget()))
    with pytest.raises(PretaskError, match="labeled spans or positions"):
        list(EdgeProbe()(task(), lambda part: replace(Neighbors()(part), labels={}), Budget()))


def test_records_hold_what_their_items_say_also_where_a_probe_is_not_selective(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    size = {"model.width": 8, "data.size": 96, "data.test_size": 48, "recipe.batch": 32}
    probe = {"edge-probe.steps": 20, "edge-probe.interval": 10, "edge-probe.projection": 8}
    words: dict[str, Any] = {
        "preset": "small",
        "evaluate": "edge-probe",
        "baselines": (),
        "device": "cpu",
        **size,
        **probe,
    }
    with take_tasks():
        trained = pretask.run("word2vec", samples=32, **words)
        again = pretask.run("word2vec", samples=0, init=trained.folder, **words)
    results = [run.record.results[0] for run in (trained, again)]
    assert [len(result.items) for result in results] == [2, 2]  # of both tasks of toy-grammar
    assert min(result.metrics["tag.selectivity"] for result in results) < 0
    found = verify([tmp_path / "runs" / "records"])
    assert found.faults == []
    assert found.checked[RECOMPUTED] == 4

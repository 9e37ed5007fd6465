"""Edge probe: what spans of words and pairs of them are, read from frozen features, and at which layer. Version 3.

For every task a probe (network.py) is trained on layers 0 … l, for every l from 0 to the output L: layer 0, the tokens'
own vectors, is the lexical row; the difference of two probes is what a layer adds; the probe of all layers says how
much it mixes in of each. From these come the expected layer and the center of gravity (measures.py). The expected layer
is said to be undefined where the whole gain is less than two of its standard errors, by resampled test sentences, and
where steps down put it outside of the layers. A control task of the same edges (control.py) tells how much the probe
memorizes by itself; the random encoder is the harness's. Layers here have the paper's numbers, from 0, where other
probes count from `layer1`.

Edges are those of the data `spans`, or every labeled position of other data, one token each. A probe is kept as it was
best on held-out sentences of the training part; the test part is scored once.

Source: Tenney et al., ICLR 2019; Tenney, Das and Pavlick, ACL 2019; Hewitt and Liang, EMNLP 2019.
Differs: see network.py, learning.py and control.py; micro-F1 of the test part, where the second paper has the
development set.
Axes: M edges, S spans, J layers, C classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from pretask import Budget, Choice, Data, Figure, Items, PretaskError, Task, source_of
from pretask.options import FractionBelowOne, InnerFraction, NonNegativeInt, PositiveFloat, PositiveInt, Size
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.edge_probing.control import draw_control_classes
from pretask_plugins.evaluators.probes.edge_probing.figure import TaskLayers, draw_layers
from pretask_plugins.evaluators.probes.edge_probing.learning import EdgeSet, Learner, compute_logits, fit_probes
from pretask_plugins.evaluators.probes.edge_probing.measures import (
    center_of_gravity,
    defined_layer,
    divergence_from_uniform,
)
from pretask_plugins.evaluators.probes.edge_probing.network import EdgeNetworks
from pretask_plugins.evaluators.probes.edge_probing.scores import Tally, gain_error, tally
from pretask_plugins.evaluators.probes.edge_probing.tokens import CoveredTokens, draw_edges, read_tokens
from pretask_plugins.evaluators.probes.tagging import split_sentences
from pretask_plugins.shared.edges import Edges, LabelsEdges, edges_of_positions

WHO = "edge-probe"
UNDEFINED = "undefined"
Yielded = Iterator[tuple[str, float | Items | Choice | Figure]]


@dataclass(frozen=True, kw_only=True)
class EdgeProbe:
    """A probe of spans and pairs of spans for every prefix of the layers.

    Args:
        tasks: Names of those to probe, such as upos; all that the data have where it is left out.
        projection: Width that tokens are projected to.
        dropout: Fraction of the hidden layer that is dropped in training.
        lr: Learning rate at the beginning; 1e-4 in the paper, with a hundred times the steps.
        mix_lr: That of the scores by which layers are mixed.
        batch: Edges of a step.
        steps: Optimizer steps of a probe.
        interval: Steps between two validations.
        max_edges: Training edges of a task at most, of whole sentences drawn by the seed; 0 for all.
        val_fraction: Fraction of the training sentences that are validated on.
        control: Whether the control task is probed as well.
    """

    tasks: tuple[str, ...] = ()
    projection: Size = 256
    dropout: FractionBelowOne = 0.3
    lr: PositiveFloat = 1e-3
    mix_lr: PositiveFloat = 3e-2
    batch: PositiveInt = 32
    steps: PositiveInt = 3000
    interval: PositiveInt = 100
    max_edges: NonNegativeInt = 20_000
    val_fraction: InnerFraction = 0.1
    control: bool = True

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labeled spans."""
        self.find_edges(data, "train"), self.find_edges(data, "test")

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `f1`, the mean over tasks, and of every task what `probe_task` yields; then a picture of all.

        Raises:
            PretaskError: There are no labeled spans, too few, or the encoder does not keep positions.
        """
        train, test = self.find_edges(data, "train"), self.find_edges(data, "test")
        drawn = {
            name: draw_edges(edges, len(data("train")), self.max_edges, budget.seed) for name, edges in train.items()
        }
        check_edges(drawn, test)
        tokens = read_tokens(task, data("train"), drawn, budget, "edges to train on")
        tested = read_tokens(task, data("test"), test, budget, "edges to test on")
        center = tokens.vectors.mean(0)  # of every layer
        scale = (tokens.vectors - center).square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        tokens, tested = (replace(part, vectors=(part.vectors - center) / scale) for part in (tokens, tested))
        scores, shown = [], []
        for name in drawn:
            probe = TaskProbe(self, name, tokens, tested, budget.seed)
            found = list(probe.measure())
            yield from ((f"{name}.{metric}", value) for metric, value in found)
            scores.append(next(value for metric, value in found if metric == "f1" and isinstance(value, float)))
            shown += [TaskLayers.of(name, dict(found))] if probe.layers > 1 else []
        yield "f1", sum(scores) / len(scores)
        if shown:
            yield "layers", draw_layers(shown)

    def find_edges(self, data: Data, part: str) -> dict[str, Edges]:
        """Return the edges of a part by task; raise PretaskError where there are none of a task."""
        source, samples = source_of(data), data(part)
        found = dict(source.edges(part)) if isinstance(source, LabelsEdges) else edges_of_positions(samples)
        found = {name: edges.select(edges.rows < len(samples)) for name, edges in found.items()}
        wanted = self.tasks or tuple(found)
        if not wanted or not {*wanted} <= {*found}:
            raise PretaskError(
                WHO,
                f"the tasks {', '.join(self.tasks)}" if self.tasks else "labeled spans or positions",
                ", ".join(found) or "none",
                "Use the data spans, which reads .conllu, .conll and .jsonl files.",
            )
        return {name: found[name] for name in wanted}

    def learner(self, seed: int) -> Learner:
        """Return how probes are trained."""
        return Learner(self.projection, self.dropout, self.lr, self.mix_lr, self.batch, self.steps, self.interval, seed)


@dataclass(frozen=True)
class TaskProbe:
    """The probes of one task.

    Args:
        options: Of the evaluator.
        name: Of the task.
        train: Tokens of the training part.
        test: Of the test part.
        seed: Of all that is drawn.
    """

    options: EdgeProbe
    name: str
    train: CoveredTokens
    test: CoveredTokens
    seed: int

    @property
    def layers(self) -> int:
        """How many there are."""
        return self.train.vectors.shape[1]

    def measure(self) -> Yielded:
        """Yield what there is to say of the task.

        `f1` is of all layers, and so is `accuracy`, with items: the fraction of edges of which every class is decided
        correctly. `lexical_f1` is of layer 0, `majority_f1` of predicting the most frequent class for all edges;
        `control_f1` is of the control task, and `selectivity` what `f1` is above it. Of encoders of several layers,
        `lN.f1` is of the layers up to N, and `lN.weight`, `gamma`, `center_of_gravity` and `divergence` are of the mix
        of all of them; `gain` is what all layers add to layer 0, `gain_error` its standard error, and `expected_layer`
        where they add it.
        """
        train, test = self.train.edges[self.name], self.test.edges[self.name]
        classes = train.one_hot(), test.one_hot()
        networks, tallies = self.probe(classes)
        found = tallies[: self.layers]
        yield "f1", found[-1].f1
        yield "accuracy", float(found[-1].correct.double().mean())
        yield "accuracy", Items(found[-1].correct)
        yield "lexical_f1", found[0].f1
        most = classes[0].sum(0).argmax()
        constant = F.one_hot(most, classes[0].shape[1]).bool().expand_as(classes[1])
        yield "majority_f1", tally(constant, classes[1]).f1
        if self.options.control:
            yield "control_f1", tallies[-1].f1
            yield "selectivity", found[-1].f1 - tallies[-1].f1
        if self.layers > 1:
            yield from self.place(found, test, networks.weights[self.layers - 1].tolist())
            yield "gamma", networks.gamma[self.layers - 1].item()

    def probe(self, classes: tuple[Tensor, Tensor]) -> tuple[EdgeNetworks, list[Tally]]:
        """Train a probe for every prefix of the layers, and one of the control task, and count what they decide."""
        train, test = self.train.edges[self.name], self.test.edges[self.name]
        tasks = [classes] * self.layers
        layers = [*range(1, self.layers + 1)]
        if self.options.control:
            tasks.append(self.draw_control(train, test, classes[0]))
            layers.append(self.layers)
        known, tested = (
            EdgeSet(tokens.vectors, tokens.places(tokens.edges[self.name]), torch.stack(marks))
            for tokens, marks in zip((self.train, self.test), zip(*tasks, strict=True), strict=True)
        )
        held_out = self.hold_out(train)
        learner = self.options.learner(self.seed)
        networks = fit_probes(learner, known.select(~held_out), known.select(held_out), layers)
        decided = compute_logits(networks, tested) > 0
        return networks, [tally(predicted, true) for predicted, true in zip(decided, tested.classes, strict=True)]

    def place(self, tallies: list[Tally], test: Edges, weights: list[float]) -> Yielded:
        """Yield where in the network the task is solved."""
        scores = [found.f1 for found in tallies]
        for layer, (score, weight) in enumerate(zip(scores, weights, strict=True)):
            yield f"l{layer}.f1", score
            yield f"l{layer}.weight", weight
        yield "center_of_gravity", center_of_gravity(weights)
        yield "divergence", divergence_from_uniform(weights)
        gain, error = scores[-1] - scores[0], gain_error(tallies[0], tallies[-1], test.rows, self.seed)
        yield "gain", gain
        yield "gain_error", error
        expected = defined_layer(scores, error)
        yield "expected_layer", Choice(UNDEFINED) if expected is None else expected

    def hold_out(self, train: Edges) -> Bool[Tensor, " M"]:
        """Return which edges are of sentences that are held out."""
        has_edges = torch.zeros(len(self.train.samples), dtype=torch.bool)
        has_edges[train.rows] = True
        return split_sentences(has_edges, self.options.val_fraction, self.seed)[train.rows]

    def draw_control(self, train: Edges, test: Edges, classes: Bool[Tensor, "M C"]) -> tuple[Tensor, Tensor]:
        """Return the classes of the control task, of both parts."""
        frequency = classes.sum(0)
        first, second = (
            draw_control_classes(tokens.samples.take(slice(None)), edges, frequency, self.seed)
            for tokens, edges in ((self.train, train), (self.test, test))
        )
        return first, second


def check_edges(train: Mapping[str, Edges], test: Mapping[str, Edges]) -> None:
    """Raise PretaskError unless every task has two sentences to train on, an edge to test on, and as many spans."""
    for name, edges in train.items():
        sentences, other = len(torch.unique(edges.rows)), test.get(name)
        if other is None or sentences < 2 or not len(other) or other.spans.shape[1] != edges.spans.shape[1]:
            raise PretaskError(
                WHO,
                f"at least two sentences with {name} to train on, and one to test on, with as many spans",
                f"{sentences} and {0 if other is None else len(other)} edges",
                "Use more data, or name other tasks (edge-probe.tasks).",
            )

"""Engine: a network trained further with a head on it, best of a small grid, as all fine-tuning evaluators do.

The task's network is copied: what was trained stays as it was. A tenth of the training part is held out, on which every
point of the grid (rate and epochs) is scored; the best one, of equals that of the lowest loss, is trained again on the
whole training part, and the test part is predicted once. One point needs no choice, and none is made. The head reads
features that are divided by one number, their root mean square before training, so that one grid suits encoders of any
scale.

Rates rise over the first tenth of the steps and fall to 0, with AdamW and gradients clipped at 1. Order and dropout
follow from the seed; the head begins at 0.

Source: Devlin et al., NAACL 2019, appendix A.3 (a grid of rates and epochs, AdamW, warm-up, linear decay); Radford et
al. 2018 (dropout before the head, auxiliary loss); Clark et al., ICLR 2020 (rates by layer).
Differs: features are scaled, and the head begins at 0, see above; bias correction, which the released BERT leaves out;
the point is chosen on held-out training samples, where they choose on the development set.
Axes: N samples, U units (samples, or several that are judged together), B batch, D width, O numbers of a head.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, Choice, Features, Inputs, PretaskError, Recipe, Samples, Task
from pretask.composition import join_versions, seed_ambient, seed_randomness
from pretask.options import (
    FractionAboveZero,
    FractionBelowOne,
    InnerFraction,
    Interval,
    NonNegativeFloat,
    PositiveFloat,
    SampleCount,
    require_range,
)
from pretask.order import positions
from torch import Tensor, nn

from pretask_plugins.evaluators.probes.fine_tuning.rates import find_depths, group_weights

Epochs = Annotated[int, Interval(ge=1, le=10_000)]
CLIP = 1.0  # norm of the gradient, at most
SCALED_ON = 512  # units whose features tell the head their scale
TRIED_ON = 2  # samples on which the depth of every weight is found


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Options that all fine-tuning evaluators share.

    Args:
        rates: Learning rates of the head to choose from.
        epochs: Passes over the training part to choose from.
        batch: Samples of an optimizer step, or of what is judged together.
        layer_decay: The rate of every layer over that of the one above it; 1 for one rate.
        weight_decay: Of matrices.
        warmup: Fraction of the steps in which the rate rises.
        dropout: Fraction of the features that are dropped before the head in training.
        frozen: Whether the head alone is trained.
        val_fraction: Fraction of the training part on which the point of the grid is chosen.
    """

    rates: tuple[PositiveFloat, ...] = (1e-4, 3e-4, 1e-3)
    epochs: tuple[Epochs, ...] = (3,)
    batch: SampleCount = 32
    layer_decay: FractionAboveZero = 0.8
    weight_decay: NonNegativeFloat = 0.01
    warmup: FractionBelowOne = 0.1
    dropout: FractionBelowOne = 0.1
    frozen: bool = False
    val_fraction: InnerFraction = 0.1

    def __post_init__(self) -> None:
        require_range("fine-tuning", "fine-tuning", self)
        if not (self.rates and self.epochs):
            needs, got = "a rate and a number of epochs", f"rates={self.rates}, epochs={self.epochs}"
            raise PretaskError("fine-tuning", needs, got, "Leave them out, or name one of either.", exit_code=2)

    def points(self) -> list["Point"]:
        """List the points of the grid."""
        return [Point(rate, epochs) for epochs in self.epochs for rate in self.rates]


@dataclass(frozen=True)
class Point:
    """A point of the grid."""

    rate: float
    epochs: int


@runtime_checkable
class Form(Protocol):
    """What differs between evaluators: what the network is shown, what the head reads and says, loss and score.

    Labels are found by `Batch.index`; they are those of the training part.
    """

    @property
    def outputs(self) -> int:
        """How many numbers the head says of a vector."""
        ...

    @property
    def rows_per_unit(self) -> int:
        """How many samples, one after the other, are judged together."""
        ...

    def show(self, batch: Batch, /) -> Inputs:
        """Return what the network is shown."""
        ...

    def read(self, features: Features, batch: Batch, /) -> Float[Tensor, "B ... D"]:
        """Return the vectors that the head reads."""
        ...

    def scored(self, vectors: Float[Tensor, "B ... D"], batch: Batch, /) -> Float[Tensor, "M D"]:
        """Return those of the vectors that have a label."""
        ...

    def loss(self, outputs: Float[Tensor, "B ... O"], batch: Batch, /) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        ...

    def predict(self, outputs: Float[Tensor, "B ... O"], batch: Batch, /) -> Tensor:
        """Return what is kept of every sample, one row each."""
        ...

    def score(self, predictions: Tensor, units: Int[Tensor, " U"], /) -> float:
        """Return how good predictions of some units of the training part are; higher is better."""
        ...


@runtime_checkable
class AuxiliaryLoss(Protocol):
    """A further loss of the features, with weights of its own."""

    @property
    def weight(self) -> float:
        """By which it is multiplied."""
        ...

    @property
    def network(self) -> nn.Module:
        """What has the weights."""
        ...

    def __call__(self, features: Features, inputs: Inputs, /) -> Float[Tensor, ""]:
        """Return the loss."""
        ...


class Head(nn.Module):
    """A line on features that are divided by their root mean square before training.

    They keep their mean: of single tokens it would be an offset that no bias could follow.
    """

    scale: Tensor

    def __init__(self, vectors: Float[Tensor, "M D"], outputs: int, dropout: float) -> None:
        super().__init__()
        scale = vectors.square().mean().sqrt()
        self.register_buffer("scale", scale.where(scale > 0, 1.0))
        self.dropout = nn.Dropout(dropout)
        self.line = nn.Linear(vectors.shape[-1], outputs, device=vectors.device)
        nn.init.zeros_(self.line.weight)  # so that a feature which training never had says nothing
        nn.init.zeros_(self.line.bias)

    def forward(self, vectors: Float[Tensor, "B ... D"]) -> Float[Tensor, "B ... O"]:
        """Return what the head says of every vector."""
        outputs: Tensor = self.line(self.dropout(vectors.float() / self.scale))
        return outputs


@dataclass(frozen=True)
class Network:
    """A copy of the task's network, and its head."""

    model: nn.Module
    head: nn.Module
    auxiliary: AuxiliaryLoss | None = None

    def modules(self) -> list[nn.Module]:
        """List what has weights."""
        return [self.model, self.head, *([self.auxiliary.network] if self.auxiliary is not None else [])]


@dataclass(frozen=True)
class Fitted:
    """A network that was trained at the chosen point of the grid."""

    network: Network
    point: Point

    def choices(self) -> Iterator[tuple[str, Choice]]:
        """Yield the point under the names of its options."""
        yield "rate", Choice(f"{self.point.rate:g}")
        yield "epochs", Choice(f"{self.point.epochs}")


@dataclass(frozen=True)
class Trainer:
    """What a form is trained with.

    Args:
        who: The evaluator, for errors.
        task: Whose network is copied.
        form: What is learned.
        samples: The training part.
        options: The grid, and how a step is made.
        seed: Of order and dropout.
        batch: Samples of a forward pass without gradient.
        auxiliary: A further loss, if any; copied as well.
    """

    who: str
    task: Task
    form: Form
    samples: Samples
    options: Tuning
    seed: int
    batch: int
    auxiliary: AuxiliaryLoss | None = None

    def fit_best(self, units: Int[Tensor, " U"], validation: Bool[Tensor, " U"]) -> Fitted:
        """Choose the point of the grid on held-out units, and train on all of them as chosen.

        Args:
            units: Numbers of those to learn from.
            validation: Which of them are held out.
        """
        points = self.options.points()
        best = points[0]
        if points[1:]:
            held_out = units[validation]
            ratings = [self.rate(self.fit(units[~validation], point), held_out) for point in points]
            best = points[ratings.index(max(ratings))]
        return Fitted(self.fit(units, best), best)

    def rate(self, network: Network, units: Int[Tensor, " U"]) -> tuple[float, float]:
        """Return score and negative loss on units of the training part; both are better when higher."""
        predictions, losses = [], []
        for outputs, batch in self.iterate_outputs(network, self.samples, units):
            predictions.append(self.form.predict(outputs, batch).cpu())
            losses.append(float(self.form.loss(outputs, batch)) * len(batch))
        loss = sum(losses) / max(self.form.rows_per_unit * len(units), 1)
        return self.form.score(torch.cat(predictions), units), -loss

    def predict(self, network: Network, samples: Samples, units: Int[Tensor, " U"]) -> Tensor:
        """Return what is predicted of units of a part, a row for every sample."""
        made = [
            self.form.predict(outputs, batch).cpu() for outputs, batch in self.iterate_outputs(network, samples, units)
        ]
        return torch.cat(made)

    def iterate_outputs(
        self, network: Network, samples: Samples, units: Int[Tensor, " U"]
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Yield what the head says of units of a part, batch by batch, in their order."""
        samples, size = samples.resident(self.task.device), max(1, self.batch // self.form.rows_per_unit)
        for part in network.modules():
            part.eval()
        with torch.no_grad():
            for some in torch.split(units, size):
                batch = samples.batch(self.rows(some), self.task.device)
                outputs, _, _ = self.run(network, batch)
                yield outputs, batch

    def rows(self, units: Int[Tensor, " U"]) -> Int[Tensor, " N"]:
        """Return the samples of units."""
        count = self.form.rows_per_unit
        return units if count == 1 else (units[:, None] * count + torch.arange(count)).flatten()

    def run(self, network: Network, batch: Batch) -> tuple[Tensor, Features, Inputs]:
        """Return what the head says, with the features it read and what the network was shown."""
        inputs = self.form.show(batch)
        features = join_versions(self.task.split, network.model(inputs))
        return network.head(self.form.read(features, batch)), features, inputs

    def fit(self, units: Int[Tensor, " U"], point: Point) -> Network:
        """Train a copy of the network with a new head on some units of the training part."""
        samples = self.samples.resident(self.task.device)
        recipe = Recipe(
            lr=point.rate,
            batch=self.options.batch,
            samples=max(point.epochs * len(units), self.options.batch),
            warmup=self.options.warmup,
            schedule="linear",
        )
        with seed_randomness(self.seed):
            network = self.build(samples, units)
            optimizer = self.make_optimizer(network, samples.batch(self.rows(units[:TRIED_ON]), self.task.device))
            self.prepare(network)
            for step in range(recipe.steps):
                batch = samples.batch(self.rows(self.draw(units, step, recipe.batch)), self.task.device)
                seed_ambient(self.seed, step)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.rate(step) * group["scale"]
                self.step(network, optimizer, batch)
        return network

    def build(self, samples: Samples, units: Int[Tensor, " U"]) -> Network:
        """Copy the network, and put a head on it that knows the scale of its features."""
        model = copy.deepcopy(self.task.model).requires_grad_(not self.options.frozen).eval()
        vectors = []
        with torch.no_grad():
            for some in torch.split(units[:SCALED_ON], max(1, self.batch // self.form.rows_per_unit)):
                batch = samples.batch(self.rows(some), self.task.device)
                features = join_versions(self.task.split, model(self.form.show(batch)))
                vectors.append(self.form.scored(self.form.read(features, batch), batch).float())
        head = Head(require_finite(self.who, torch.cat(vectors)), self.form.outputs, self.options.dropout)
        auxiliary = None if self.options.frozen else self.auxiliary
        return Network(model, head, copy.deepcopy(auxiliary))

    def make_optimizer(self, network: Network, batch: Batch) -> torch.optim.Optimizer:
        """Make the optimizer, with rates by layer."""
        options = self.options
        depths = {} if options.frozen else find_depths(network.model, self.form.show(batch))
        heads = network.modules()[1:]
        groups = group_weights(network.model, heads, depths, options.layer_decay, options.weight_decay)
        return torch.optim.AdamW(groups, lr=0.0)

    def prepare(self, network: Network) -> None:
        """Put the network in training mode; a frozen one stays in evaluation."""
        for part in network.modules():
            part.train()
        network.model.train(not self.options.frozen)

    def draw(self, units: Int[Tensor, " U"], step: int, size: int) -> Int[Tensor, " B"]:
        """Draw the units of a step, every one once before any comes again."""
        return units[positions(self.seed, step * size, size, len(units))[0]]

    def step(self, network: Network, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
        """Make one optimizer step."""
        outputs, features, inputs = self.run(network, batch)
        loss = self.form.loss(outputs, batch)
        if network.auxiliary is not None:
            loss = loss + network.auxiliary.weight * network.auxiliary(features, inputs)
        optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # a batch without any label teaches nothing
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_([weight for part in network.modules() for weight in part.parameters()], CLIP)
            optimizer.step()


def require_finite(who: str, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
    """Return the vectors; raise PretaskError where one is not a finite number."""
    if not bool(vectors.isfinite().all()):
        count = int((~vectors.isfinite()).any(1).sum())
        needs, got = "finite features to begin with", f"{count} of {len(vectors)} vectors without"
        raise PretaskError(who, needs, got, "Train with a smaller recipe.lr, or in fp32.")
    return vectors

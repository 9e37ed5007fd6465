"""Logistic: multinomial logistic regression with l2, for a whole grid of regularisers as one problem.

Minimised for each C of the grid, with lambda = 1 / (C N), over weights W (one row per class) and biases:

    f(W) = mean_n -log softmax(W z_n)[y_n] + lambda / 2 |W|^2         (C multiplies the sum of losses, as scikit-learn)

z are the standardised features in the eigenbasis of their covariance, which leaves |W| as it is and makes the Hessian
nearly diagonal: along axis j it is at most e_j / 2 + lambda (Boehning 1992), so 1 / (e_j / 4 + lambda) preconditions
L-BFGS. Regularisers go from strong to weak in small blocks. Each block starts where the one before ended, and keeps its
curvature pairs: along s the gradient of another lambda changes by y' = y + (lambda' - lambda) s. Logits are laid out
class-major, (…, C, N), because a softmax over a short inner axis of classes is slow.

Source: Boehning 1992; Liu and Nocedal 1989; Oquab et al. 2023 (the grid 10^linspace(-6, 5, 45)).
Axes: N samples, D features, R basis vectors plus one for the bias, G regularisers, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

GRID = tuple(10 ** np.linspace(-6, 5, 45))
BLOCK_COLUMNS = 30  # classes times regularisers that are solved together
MEMORY = 10  # curvature pairs kept
CHUNK = 8192  # samples whose logits are held at once
STEPS = 500  # of L-BFGS, at most, for one block
FLOOR = 0.01  # nats: below it a relative gap is taken of this
ARMIJO = 1e-4
GRAIN = {torch.float32: 1e-7, torch.float64: 1e-14}  # of a loss: smaller falls are rounding


@dataclass(frozen=True)
class Basis:
    """Standardisation and rotation, fitted on training features.

    Args:
        mean: Of every feature.
        deviation: Of every feature; 1 where it is constant.
        rotation: Eigenvectors of the covariance of standardised features, those of no variance left out.
        variance: Their eigenvalues.
    """

    mean: Float[Tensor, " D"]
    deviation: Float[Tensor, " D"]
    rotation: Float[Tensor, "D R"]
    variance: Float[Tensor, " R"]

    def __call__(self, features: Float[Tensor, "N D"], /) -> Float[Tensor, "R1 N"]:
        """Features in the basis, with a row of ones for the bias."""
        rotated = self.rotation.T @ ((features.to(self.mean.dtype) - self.mean) / self.deviation).T
        return torch.cat([rotated, torch.ones_like(rotated[:1])])


@dataclass(frozen=True)
class Solution:
    """The minimum for every regulariser.

    Args:
        basis: In which the weights are.
        weights: The bias last.
        loss: The objective, nats.
        gradient: Norm of the gradient over its norm at the start, where every class has its share.
    """

    basis: Basis
    weights: Float[Tensor, "G C R1"]
    loss: Float[Tensor, " G"]
    gradient: Float[Tensor, " G"]

    def predict(self, features: Float[Tensor, "N D"]) -> Int[Tensor, "G N"]:
        """The likeliest class of every sample by every regulariser's weights."""
        rotated = self.basis(features)
        return torch.stack([(weights @ rotated).argmax(0) for weights in self.weights])


def fit_basis(features: Float[Tensor, "N D"], dtype: torch.dtype = torch.float32) -> Basis:
    """Standardise, and turn into the eigenbasis of the covariance."""
    features = features.to(dtype)
    deviation, mean = torch.std_mean(features, 0, correction=0)
    deviation = torch.where(deviation > 1e-6 * (1 + mean.abs()), deviation, 1.0)
    even = (features - mean) / deviation
    variance, rotation = torch.linalg.eigh(even.T @ even / len(even))
    kept = variance > variance[-1].clamp(min=1e-12) * (1e-6 if dtype == torch.float32 else 1e-10)
    return Basis(mean, deviation, rotation[:, kept], variance[kept])


def fit_grid(
    features: Float[Tensor, "N D"],
    labels: Int[Tensor, " N"],
    classes: int,
    grid: Sequence[float] = GRID,
    *,
    dtype: torch.dtype = torch.float32,
    tolerance: float = 1e-4,
) -> Solution:
    """Solve for every C of the grid, which must rise.

    Args:
        features: Of the training samples.
        labels: 0 … classes - 1.
        classes: How many there are.
        grid: Inverse strengths of regularisation, strongest first.
        dtype: float32, or float64.
        tolerance: A block ends when the expected fall of every loss is below this share of it.
    """
    basis = fit_basis(features, dtype)
    problem = Problem(basis(features), labels, classes, basis.variance)
    strengths = torch.tensor([1 / (each * len(labels)) for each in grid], dtype=dtype, device=features.device)
    block = max(1, BLOCK_COLUMNS // classes)
    state, solved = State.at_prior(problem), []
    for start in range(0, len(grid), block):
        state = minimise(problem, state.moved_to(strengths[start : start + block]), tolerance)
        solved.append(state)
    weights = torch.cat([each.weights for each in solved])
    relative = torch.cat([each.gradient.flatten(1).norm(dim=1) for each in solved]) / problem.first_gradient
    return Solution(basis, weights, torch.cat([each.loss for each in solved]), relative)


class Problem:
    """The data of the regression: loss and gradient of any weights."""

    def __init__(
        self, rotated: Float[Tensor, "R1 N"], labels: Int[Tensor, " N"], classes: int, variance: Float[Tensor, " R"]
    ) -> None:
        self.rotated, self.labels, self.classes = rotated, labels, classes
        self.count = len(labels)
        self.penalised = torch.cat([torch.ones_like(variance), torch.zeros_like(variance[:1])])  # the bias is free
        self.curvature = torch.cat([variance, torch.ones_like(variance[:1])]) / 4
        self.prior = torch.bincount(labels, minlength=classes).to(rotated.dtype) / self.count
        start = torch.zeros(1, classes, len(self.penalised), dtype=rotated.dtype, device=rotated.device)
        start[0, :, -1] = self.prior.clamp(min=1e-6).log()
        self.start = start
        self.first_gradient = self.data_terms(start)[1].norm()

    def data_terms(self, weights: Float[Tensor, "G C R1"]) -> tuple[Float[Tensor, " G"], Float[Tensor, "G C R1"]]:
        """Mean loss and its gradient, without the penalty."""
        loss = torch.zeros(len(weights), dtype=torch.float64, device=weights.device)
        gradient = torch.zeros_like(weights).flatten(0, 1)
        for begin in range(0, self.count, CHUNK):
            rotated, labels = self.rotated[:, begin : begin + CHUNK], self.labels[begin : begin + CHUNK]
            logits = (weights.flatten(0, 1) @ rotated).view(*weights.shape[:2], -1)  # (G, C, n)
            logits -= logits.amax(1, keepdim=True)
            answer = labels.expand(len(weights), 1, -1)
            loss -= logits.gather(1, answer).sum((1, 2))
            total = logits.exp_().sum(1, keepdim=True)
            loss += total.log().sum((1, 2))
            excess = logits.div_(total).scatter_add_(1, answer, -torch.ones_like(total))
            gradient += excess.flatten(0, 1) @ rotated.T
        return loss / self.count, gradient.view_as(weights) / self.count


@dataclass
class State:
    """Where the minimisation of a block stands.

    Args:
        problem: What is minimised.
        strength: lambda of every member.
        weights: The current point.
        data_loss: Without the penalty.
        data_gradient: Without the penalty.
        pairs: (s, y) of the last steps, newest last.
    """

    problem: Problem
    strength: Float[Tensor, " G"]
    weights: Float[Tensor, "G C R1"]
    data_loss: Float[Tensor, " G"]
    data_gradient: Float[Tensor, "G C R1"]
    pairs: list[tuple[Tensor, Tensor]]

    @classmethod
    def at_prior(cls, problem: Problem) -> "State":
        """Weights of 0 and biases that give every class its share."""
        return cls(problem, torch.zeros_like(problem.prior[:1]), problem.start, *problem.data_terms(problem.start), [])

    def moved_to(self, strength: Float[Tensor, " G"]) -> "State":
        """The last member's point and pairs, for other strengths; nothing is computed of the data."""
        count = len(strength)
        change = self.penalty_of(strength) - self.penalty[-1:]
        pairs = [(last(s, count), last(y, count) + change * last(s, count)) for s, y in self.pairs]
        weights, loss, gradient = (last(each, count) for each in (self.weights, self.data_loss, self.data_gradient))
        return State(self.problem, strength, weights, loss, gradient, pairs)

    def penalty_of(self, strength: Float[Tensor, " G"]) -> Float[Tensor, "G 1 R1"]:
        """lambda along every axis: 0 along the bias."""
        return strength[:, None, None] * self.problem.penalised

    @property
    def penalty(self) -> Float[Tensor, "G 1 R1"]:
        """Of this block's strengths."""
        return self.penalty_of(self.strength)

    @property
    def loss(self) -> Float[Tensor, " G"]:
        """The objective."""
        return self.data_loss + dot(self.penalty * self.weights, self.weights).double() / 2

    @property
    def gradient(self) -> Float[Tensor, "G C R1"]:
        """Of the objective."""
        return self.data_gradient + self.penalty * self.weights


def last(values: Tensor, count: int) -> Tensor:
    """The last member, `count` times."""
    return values[-1:].expand(count, *values.shape[1:]).clone()


def dot(one: Tensor, two: Tensor) -> Float[Tensor, " G"]:
    """Scalar product of every member."""
    return (one * two).sum((1, 2))


def minimise(problem: Problem, state: State, tolerance: float) -> State:
    """L-BFGS until every member's expected fall is a small share of its loss."""
    inverse = 1 / (problem.curvature + state.penalty)
    for _ in range(STEPS):
        direction = descent(state, inverse)
        slope = dot(state.gradient, direction).double()
        if bool((-slope / 2 < tolerance * state.loss.clamp(min=FLOOR)).all()):
            break
        stepped = line_search(problem, state, direction, slope)
        if stepped is None or not bool((state.loss - stepped.loss > GRAIN[direction.dtype] * state.loss).any()):
            return stepped or state  # the arithmetic can tell no lower point from this one
        state = stepped
    return state


def descent(state: State, inverse: Float[Tensor, "G 1 R1"]) -> Float[Tensor, "G C R1"]:
    """The two-loop recursion of L-BFGS (Liu and Nocedal 1989) about a diagonal inverse Hessian."""
    vector, shares = state.gradient.clone(), []
    for s, y in reversed(state.pairs):
        curvature = dot(s, y)
        share = torch.where(curvature > 0, dot(s, vector) / curvature.clamp(min=1e-30), 0)[:, None, None]
        vector -= share * y
        shares.append(share)
    vector *= inverse
    for (s, y), share in zip(state.pairs, reversed(shares), strict=True):
        curvature = dot(s, y)
        back = torch.where(curvature > 0, dot(y, vector) / curvature.clamp(min=1e-30), 0)[:, None, None]
        vector += torch.where((curvature > 0)[:, None, None], share - back, 0) * s
    return -vector


def line_search(
    problem: Problem, state: State, direction: Float[Tensor, "G C R1"], slope: Float[Tensor, " G"]
) -> State | None:
    """The point after a step that lowers every member's loss enough; None where no step does.

    A member that cannot fall, being at its minimum, stays where it is.
    """
    step = torch.ones_like(slope)
    before = state.loss
    for _ in range(12):
        weights = state.weights + step[:, None, None].to(direction.dtype) * direction
        trial = State(problem, state.strength, weights, *problem.data_terms(weights), state.pairs)
        enough = trial.loss <= before + ARMIJO * step * slope + GRAIN[weights.dtype] * before
        if bool(enough.all()):
            s, y = weights - state.weights, trial.gradient - state.gradient
            trial.pairs = [*state.pairs, (s, y)][-MEMORY:]
            return trial
        step = torch.where(enough, step, step * 0.4)
    return None


def mean_loss(solution: Solution, features: Float[Tensor, "N D"], labels: Int[Tensor, " N"]) -> Float[Tensor, " G"]:
    """Mean nats of every regulariser on other samples."""
    rotated = solution.basis(features)
    return torch.stack([F.cross_entropy((weights @ rotated).T, labels) for weights in solution.weights])

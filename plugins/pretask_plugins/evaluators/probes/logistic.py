"""Logistic: multinomial logistic regression with l2, for a whole grid of regularizers as one problem.

Minimized for each C of the grid, with lambda = 1 / (C N), over weights W (one row per class) and biases:

    f(W) = mean_n -log softmax(W z_n)[y_n] + lambda / 2 |W|^2         (C multiplies the sum of losses, as scikit-learn)

z are the standardized features in the eigenbasis of their covariance, which leaves |W| as it is and makes the Hessian
nearly diagonal. At W = 0, where every class has its frequency p, it is e_j p_c (1 - p_c) + lambda along axis j of class
c; with h, the mean of p_c (1 - p_c), M = 1 / (h e_j + lambda) preconditions L-BFGS, and the first step, -M times the
gradient, is the closed-form ridge solution. Elsewhere the data's curvature is another multiple of e_j: M is scaled by
(s y) / (y M y) of the newest pair.

The problems, one for each regularization lambda, are solved from strong to weak in small blocks, the problems of a
block together. A block is warm-started where the one before ended, and keeps its curvature pairs (s, y), step and
change of gradient: along s the gradient of another lambda changes by y' = y + (lambda' - lambda) s. So nothing of the
data is read to see that a problem had converged before it began. Otherwise the first step extrapolates the path, and
ends where the loss is lower; its pair is kept in both cases. Logits are class-major, (…, C, N), because a softmax over
a short inner axis is slow.

A problem has converged when its suboptimality gap, what its objective still exceeds the minimum by, is small. Two
measures: |gradient|^2 / (2 lambda) is a bound always (f is strongly convex; it is also the duality gap at the dual
point of the current probabilities), but with weak regularization it is loose by orders of magnitude. There half of g' H
g is taken, g the gradient and H the inverse Hessian of the curvature pairs, with M divided by the least curvature
s y / s M^-1 s of any pair along directions that no pair covers. L-BFGS itself scales by the newest pair, which is the
stiffest as a rule: good steps, but half of -gradient times direction is then a tenth of the gap, or less. Curvature is
known along steps alone, and some directions show theirs late (that of an outlier, whose probability has long been 1),
so this estimate counts only together with the change of the objective by the last step, that of the extrapolation
included, which must be as small.

Source: Liu and Nocedal 1989; Byrd, Nocedal and Schnabel 1994 (its compact form); Friedman, Hastie and Tibshirani 2010
(paths); Oquab et al. 2023 (the grid); Boyd and Vandenberghe 2004, section 9.1.2 (strong convexity).
Differs: two classes have a row of weights each, so C here is 2 C of a single row's.
Axes: N samples, D features, R basis vectors plus one for the bias, G regularizations (problems), C classes, M curvature
pairs, oldest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.basis import Basis, Columns, build_columns, fit_basis
from pretask_plugins.evaluators.probes.moments import CHUNK_ROWS, Rows, as_rows
from pretask_plugins.evaluators.probes.products import multiply

GRID = tuple(10 ** np.linspace(-6, 5, 45))
BLOCK_COLUMNS = 20  # classes times regularizers that are solved together
MAX_PAIRS = 10  # curvature pairs kept
MAX_STEPS = 500  # of L-BFGS, at most, for one block
MIN_LOSS = 0.01  # nats: below it a relative gap is taken of this
MIN_FREQUENCY = 1e-6  # of a class that no sample has: its bias would be minus infinity
MAX_BACKTRACKS = 12  # shorter steps that are tried
ARMIJO = 1e-4  # fraction of the expected decrease that a step must achieve
SHRINKAGE = 0.4  # of a step that did not
LOSS_ROUNDING = {
    torch.bfloat16: 1e-4,
    torch.float32: 1e-7,
    torch.float64: 1e-14,
}  # relative: a smaller decrease of a loss is rounding


@dataclass(frozen=True)
class Solution:
    """The minimum for every regularizer.

    Args:
        basis: In which the weights are.
        weights: The bias last.
        loss: The objective, nats.
        gradient: Norm of the gradient over its norm at the start, where every class has its frequency.
        gap: The suboptimality gap: by how much the objective may exceed the minimum, nats.
    """

    basis: Basis
    weights: Float[Tensor, "G C R1"]
    loss: Float[Tensor, " G"]
    gradient: Float[Tensor, " G"]
    gap: Float[Tensor, " G"]

    def predict(self, features: Float[Tensor, "N D"] | Rows) -> Int[Tensor, "G N"]:
        """Predict the most likely class of every sample by every regularizer's weights."""
        rotated = (self.basis(chunk) for chunk in as_rows(features).chunks())
        return torch.cat(
            [torch.stack([(weights @ columns).argmax(0) for weights in self.weights]) for columns in rotated], 1
        )

    def nats(self, features: Float[Tensor, "N D"] | Rows, labels: Int[Tensor, " N"]) -> Float[Tensor, " G"]:
        """Return the mean cross-entropy of samples, in nats, by every regularizer's weights."""
        total = torch.zeros(len(self.weights), dtype=torch.float64, device=self.weights.device)
        for chunk, chunk_labels in zip(as_rows(features).chunks(), torch.split(labels, CHUNK_ROWS), strict=True):
            rotated = self.basis(chunk)
            for index, weights in enumerate(self.weights):
                total[index] += F.cross_entropy((weights @ rotated).T.double(), chunk_labels, reduction="sum")
        return total / len(labels)


def fit_grid(
    features: Float[Tensor, "N D"] | Rows,
    labels: Int[Tensor, " N"],
    classes: int,
    grid: Sequence[float] = GRID,
    *,
    dtype: torch.dtype = torch.float32,
    tolerance: float = 1e-4,
    std: Float[Tensor, " D"] | None = None,
) -> Solution:
    """Solve for every C of the grid, which must rise.

    Args:
        features: Of the training samples; or some rows of features, one for each label.
        labels: 0 … classes - 1.
        classes: How many there are.
        grid: Values of C, the inverse of regularization, ascending.
        dtype: float32, float64, or bfloat16: products of matrices in bfloat16, all else in float32; the objectives are
            then within two thousandths of the lowest. A gain only where the processor multiplies bfloat16 faster.
        tolerance: A problem has converged when its suboptimality gap is below this fraction of its objective.
        std: What features are divided by; their own std where it is left out.
    """
    rows = as_rows(features)
    basis = fit_basis(rows, torch.float32 if dtype == torch.bfloat16 else dtype, std)
    regression = Regression(build_columns(rows, basis, dtype), labels, classes, basis.variance)
    regularizations = basis.variance.new_tensor([1 / (inverse * len(labels)) for inverse in grid])  # lambda of each C
    block_size = max(1, BLOCK_COLUMNS // classes)
    state = SolverState.at_class_frequencies(regression)
    path: list[Tensor] = []
    found: list[tuple[Tensor, Tensor, Tensor]] = []  # of every block the objectives, norms of gradients and gaps
    for start in range(0, len(grid), block_size):
        state = state.warm_start(regularizations[start : start + block_size])
        state, gap = minimize(state, tolerance, path[-1] - path[-2] if len(path) > 1 else None)
        found.append((state.loss, state.gradient.flatten(1).norm(dim=1), gap))
        path += state.weights
    loss, gradient_norm, gap = (torch.cat(values) for values in zip(*found, strict=True))
    return Solution(basis, torch.stack(path), loss, gradient_norm / regression.initial_gradient_norm, gap)


class Regression:
    """The data of the regression: loss and gradient of any weights."""

    def __init__(
        self, columns: Columns, labels: Int[Tensor, " N"], classes: int, variance: Float[Tensor, " R"]
    ) -> None:
        self.columns, self.labels, self.classes = columns, labels, classes
        self.count = len(labels)
        self.is_penalized = torch.cat([torch.ones_like(variance), variance.new_zeros(1)])  # the bias is not
        self.frequencies = torch.bincount(labels, minlength=classes).to(variance.dtype) / self.count
        mean_variance = (self.frequencies * (1 - self.frequencies)).mean()
        self.hessian_diagonal = torch.cat([variance, variance.new_ones(1)]) * mean_variance  # of the loss, at the start
        start = torch.zeros(1, classes, len(self.is_penalized), dtype=variance.dtype, device=variance.device)
        start[0, :, -1] = self.frequencies.clamp(min=MIN_FREQUENCY).log()
        self.start = start
        tiny = torch.finfo(variance.dtype).tiny  # where features are constant it is 0 from the start
        self.initial_gradient_norm = self.loss_and_gradient(start)[1].norm().clamp(min=tiny)

    def loss_and_gradient(
        self, weights: Float[Tensor, "G C R1"]
    ) -> tuple[Float[Tensor, " G"], Float[Tensor, "G C R1"]]:
        """Compute the mean loss and its gradient, without the penalty."""
        loss = torch.zeros(len(weights), dtype=torch.float64, device=weights.device)
        rotated = self.columns.rotate_weights(weights.flatten(0, 1))
        gradient = torch.zeros_like(rotated)
        for columns, labels in zip(self.columns.chunks(), torch.split(self.labels, CHUNK_ROWS), strict=True):
            logits = multiply(rotated, columns).view(*weights.shape[:2], len(labels))  # (G, C, n)
            logits -= logits.amax(1, keepdim=True)
            true_class = labels.expand(len(weights), 1, -1)
            loss -= logits.gather(1, true_class).sum((1, 2))
            exp_sum = logits.exp_().sum(1, keepdim=True)
            loss += exp_sum.log().sum((1, 2))
            residual = logits.div_(exp_sum).scatter_add_(1, true_class, -torch.ones_like(exp_sum))  # softmax - one-hot
            gradient += multiply(residual.flatten(0, 1), columns.T)
        return loss / self.count, self.columns.rotate_gradient(gradient).view_as(weights) / self.count

    @property
    def loss_rounding(self) -> float:
        """The fraction of a loss below which a decrease is rounding."""
        return LOSS_ROUNDING[self.columns.dtype]


@dataclass(frozen=True)
class CurvaturePairs:
    """The last steps s and the changes y of the gradient along them, oldest first.

    Args:
        s: Changes of the weights.
        y: Changes of the gradient.
    """

    s: Float[Tensor, "G M C R1"]
    y: Float[Tensor, "G M C R1"]

    def followed_by(self, s: Float[Tensor, "G C R1"], y: Float[Tensor, "G C R1"]) -> "CurvaturePairs":
        """Return these and a newer pair; the oldest is left out where there are more than are kept."""
        return CurvaturePairs(
            torch.cat([self.s[:, 1 - MAX_PAIRS :], s[:, None]], 1),
            torch.cat([self.y[:, 1 - MAX_PAIRS :], y[:, None]], 1),
        )

    def of_other_problems(self, change: Float[Tensor, "G 1 R1"]) -> "CurvaturePairs":
        """Return the pairs of the last problem for others, whose lambda along every axis is larger by `change`."""
        s, y = (repeat_last(values, len(change)) for values in (self.s, self.y))
        return CurvaturePairs(s, y + change[:, None] * s)


class SolverState:
    """The current point of the minimization of a block.

    Args:
        regression: Loss and gradient of any weights.
        regularization: lambda of every problem.
        weights: The current weights.
        data_loss: Their loss without the penalty.
        data_gradient: Its gradient.
        pairs: Curvature pairs of the last steps.
    """

    def __init__(
        self,
        regression: Regression,
        regularization: Float[Tensor, " G"],
        weights: Float[Tensor, "G C R1"],
        data_loss: Float[Tensor, " G"],
        data_gradient: Float[Tensor, "G C R1"],
        pairs: CurvaturePairs,
    ) -> None:
        self.regression, self.regularization, self.weights, self.pairs = regression, regularization, weights, pairs
        self.data_loss, self.data_gradient = data_loss, data_gradient

    @classmethod
    def at_class_frequencies(cls, regression: Regression) -> "SolverState":
        """Start at weights of 0 and biases that give every class its frequency."""
        regularization, start = torch.zeros_like(regression.frequencies[:1]), regression.start
        none = start.new_empty(1, 0, *start.shape[1:])
        return cls(regression, regularization, start, *regression.loss_and_gradient(start), CurvaturePairs(none, none))

    def warm_start(self, regularization: Float[Tensor, " G"]) -> "SolverState":
        """Start a block of other lambdas at the last problem's weights and pairs; nothing is computed of the data."""
        change = self.penalty_for(regularization) - self.penalty[-1:]
        weights, loss, gradient = (
            repeat_last(values, len(regularization)) for values in (self.weights, self.data_loss, self.data_gradient)
        )
        pairs = self.pairs.of_other_problems(change)
        return SolverState(self.regression, regularization, weights, loss, gradient, pairs)

    def penalty_for(self, regularization: Float[Tensor, " G"]) -> Float[Tensor, "G 1 R1"]:
        """Return lambda along every axis: 0 along the bias."""
        return regularization[:, None, None] * self.regression.is_penalized

    @cached_property
    def penalty(self) -> Float[Tensor, "G 1 R1"]:
        """The penalty along every axis, (G, 1, R1), by this block's lambdas."""
        return self.penalty_for(self.regularization)

    @cached_property
    def loss(self) -> Float[Tensor, " G"]:
        """The objective of every problem."""
        return self.data_loss + dot(self.penalty * self.weights, self.weights).double() / 2

    @cached_property
    def gradient(self) -> Float[Tensor, "G C R1"]:
        """The gradient of the objective."""
        return self.data_gradient + self.penalty * self.weights


def repeat_last(values: Tensor, count: int) -> Tensor:
    """Repeat the last entry `count` times."""
    return values[-1:].expand(count, *values.shape[1:]).clone()


def dot(one: Tensor, two: Tensor) -> Float[Tensor, " G"]:
    """Return the scalar product for every problem."""
    return (one * two).sum((1, 2))


def choose_lower(first: SolverState, second: SolverState) -> SolverState:
    """Choose for every problem the state whose loss is lower; the curvature pairs are those of the second."""
    is_lower = second.loss < first.loss
    by_axis = is_lower[:, None, None]
    return SolverState(
        first.regression,
        first.regularization,
        torch.where(by_axis, second.weights, first.weights),
        torch.where(is_lower, second.data_loss, first.data_loss),
        torch.where(by_axis, second.data_gradient, first.data_gradient),
        second.pairs,
    )


def minimize(
    state: SolverState, tolerance: float, last_change: Float[Tensor, "C R1"] | None = None
) -> tuple[SolverState, Float[Tensor, " G"]]:
    """Run L-BFGS until every problem has converged, or its loss decreases by no more than rounding.

    Args:
        state: Where to start.
        tolerance: A problem has converged when its suboptimality gap is below this fraction of its objective.
        last_change: Of the weights from one regularization to the next: the first step, once more for every problem.

    Returns:
        The last state, and the gap of every problem.
    """
    preconditioner = 1 / (state.regression.hessian_diagonal + state.penalty)
    active = torch.ones_like(state.regularization, dtype=torch.bool)  # problems that have not converged
    change_of_loss = torch.full_like(state.loss, torch.inf)  # by the last step
    for step in range(MAX_STEPS + 1):
        direction, slope, estimated_gap = compute_descent(state, preconditioner)
        max_gap, gap_bound = tolerance * state.loss.clamp(min=MIN_LOSS), bound_gap(state)
        active &= (gap_bound > max_gap) & ((estimated_gap > max_gap) | (change_of_loss > max_gap))
        if step == MAX_STEPS or not bool(active.any()):
            break
        before = state.loss
        if step == 0 and last_change is not None and bool(last_change.any()):
            extrapolated = extrapolate(state, last_change, active)
            change_of_loss = (extrapolated.loss - before).abs()
            state = choose_lower(state, extrapolated)
        else:
            state = backtrack(state, direction, slope, active)
            change_of_loss = before - state.loss
            active &= change_of_loss > state.regression.loss_rounding * before
    return state, torch.minimum(gap_bound, estimated_gap)


def extrapolate(state: SolverState, last_change: Float[Tensor, "C R1"], active: Bool[Tensor, " G"]) -> SolverState:
    """Extrapolate the regularization path: the last change of the weights once more for every problem."""
    repeats = torch.arange(1, len(active) + 1, device=active.device) * active
    return take_step(state, repeats[:, None, None] * last_change, active)


def bound_gap(state: SolverState) -> Float[Tensor, " G"]:
    """Return |gradient|^2 / (2 lambda): the gap is no larger (Boyd and Vandenberghe 2004, equation 9.9).

    The bias is not penalized: there the Hessian is taken to be diag(p) - p p', as where every class has its frequency
    p.
    """
    gradient = state.gradient.double()
    weights = gradient[..., :-1].square().sum((1, 2)) / state.regularization
    bias = (gradient[..., -1].square() / state.regression.frequencies.clamp(min=MIN_FREQUENCY)).sum(1)
    return (weights + bias) / 2


def compute_descent(
    state: SolverState, preconditioner: Float[Tensor, "G 1 R1"]
) -> tuple[Float[Tensor, "G C R1"], Float[Tensor, " G"], Float[Tensor, " G"]]:
    """Multiply the gradient g by the inverse Hessian of L-BFGS about a scaled diagonal, in the compact form.

    With the pairs as rows of S and Y, U the upper triangle of S Y' and D its diagonal, which holds the curvatures:
    a = U^-1 S g are the coefficients of the first of the two loops, q = g - Y' a is what it leaves, and the second loop
    ends with diagonal q + S' U'^-1 (D a - Y diagonal q) (Byrd, Nocedal and Schnabel 1994, theorem 2.2).

    Returns:
        The direction, the slope along it, and an estimate of the gap: half of gradient times inverse Hessian times
        gradient, q' diagonal q + a' D a, where the diagonal is divided by the least curvature of any pair.
    """
    s, y = state.pairs.s.flatten(2), state.pairs.y.flatten(2)
    gradient = state.gradient.flatten(1)[..., None]
    upper, curvature = triangle(s, y)
    first = torch.linalg.solve_triangular(upper, is_used(curvature) * (s @ gradient).double(), upper=True)
    left = (gradient - y.mT @ first.to(y.dtype)).view_as(state.gradient)  # q
    of_pairs = (first.square() * curvature).sum((1, 2))  # a' D a
    of_diagonal = dot(left * preconditioner, left).double()  # q' diagonal q, before it is scaled
    step_scale, gap_scale = scale_preconditioner(state.pairs, curvature, preconditioner)
    scaled = preconditioner * step_scale * left
    against = first * curvature - (y @ scaled.flatten(1)[..., None]).double()
    second = torch.linalg.solve_triangular(upper.mT, is_used(curvature) * against, upper=False)
    direction = -(scaled + (s.mT @ second.to(s.dtype)).view_as(scaled))
    slope = -(of_pairs + step_scale[:, 0, 0] * of_diagonal)
    return direction, slope, (of_pairs + gap_scale[:, 0, 0] * of_diagonal) / 2


def triangle(
    s: Float[Tensor, "G M K"], y: Float[Tensor, "G M K"]
) -> tuple[Float[Tensor, "G M M"], Float[Tensor, "G M 1"]]:
    """Return the upper triangle of S Y', and the curvatures on its diagonal.

    A pair without curvature, as of a problem that has converged, is left out: its row and column are those of an
    identity, and its curvature is 0.
    """
    products = (s @ y.mT).double()
    curvature = products.diagonal(dim1=1, dim2=2)[..., None].clamp(min=0)
    used = is_used(curvature)
    upper = products.triu() * used * used.mT + torch.diag_embed(1 - used[..., 0])
    return upper, curvature


def is_used(curvature: Float[Tensor, "G M 1"]) -> Float[Tensor, "G M 1"]:
    """Return 1 for every pair that has curvature, else 0."""
    return (curvature > 0).to(curvature.dtype)


def scale_preconditioner(
    pairs: CurvaturePairs, curvature: Float[Tensor, "G M 1"], preconditioner: Float[Tensor, "G 1 R1"]
) -> tuple[Float[Tensor, "G 1 1"], Float[Tensor, "G 1 1"]]:
    """Return what multiplies the diagonal inverse Hessian: by the newest pair, and by that of least curvature."""
    if not pairs.s.shape[1]:
        return torch.ones_like(preconditioner[..., :1]), torch.ones_like(preconditioner[..., :1])
    newest_y = pairs.y[:, -1]
    newest = divide_positive(curvature[:, -1:], dot(newest_y * preconditioner, newest_y)[:, None, None], empty=1.0)
    predicted = (pairs.s / preconditioner[:, None] * pairs.s).sum((2, 3))[..., None]  # curvature by the diagonal alone
    ratios = divide_positive(predicted, curvature)
    newest, least = newest.to(preconditioner.dtype), ratios.amax(1, keepdim=True).to(preconditioner.dtype)
    return newest, torch.maximum(least, newest)


def divide_positive(
    numerator: Float[Tensor, "G M 1"], denominator: Float[Tensor, "G M 1"], empty: float = 0.0
) -> Float[Tensor, "G M 1"]:
    """Divide where the denominator is positive, which the curvature of a problem that has converged is not."""
    tiny = torch.finfo(denominator.dtype).tiny
    return torch.where(denominator > 0, numerator / denominator.clamp(min=tiny), empty)


def backtrack(
    state: SolverState, direction: Float[Tensor, "G C R1"], slope: Float[Tensor, " G"], active: Bool[Tensor, " G"]
) -> SolverState:
    """Take a step that satisfies Armijo's condition in every active problem; one that finds none stays where it is."""
    step_size, loss = active.to(slope.dtype), state.loss
    rounding = state.regression.loss_rounding * loss
    for _ in range(MAX_BACKTRACKS):
        trial = take_step(state, step_size[:, None, None].to(direction.dtype) * direction, step_size > 0)
        is_lower = trial.loss <= loss + ARMIJO * step_size * slope + rounding
        if bool(is_lower.all()):
            return trial
        step_size = torch.where(is_lower, step_size, step_size * SHRINKAGE)
    return take_step(state, (step_size * is_lower)[:, None, None].to(direction.dtype) * direction, is_lower & active)


def take_step(state: SolverState, change: Float[Tensor, "G C R1"], active: Bool[Tensor, " G"]) -> SolverState:
    """Change the weights and compute the new state; nothing is computed of problems that are not active."""
    weights, loss, gradient = state.weights + change, state.data_loss.clone(), state.data_gradient.clone()
    loss[active], gradient[active] = state.regression.loss_and_gradient(weights[active])
    new = SolverState(state.regression, state.regularization, weights, loss, gradient, state.pairs)
    new.pairs = state.pairs.followed_by(change, new.gradient - state.gradient)
    return new

"""Logistic: multinomial logistic regression with l2, for a whole grid of regularizers as one problem.

Minimized for each C of the grid, with lambda = 1 / (C N), over weights W (one row per class) and biases:

    f(W) = mean_n -log softmax(W z_n)[y_n] + lambda / 2 |W|^2         (C multiplies the sum of losses, as scikit-learn)

z are the standardized features in the eigenbasis of their covariance, which leaves |W| as it is and makes the Hessian
nearly diagonal. At W = 0, where every class has its frequency p, it is e_j p_c (1 - p_c) + lambda along axis j of class
c; with h, the mean of p_c (1 - p_c), M = 1 / (h e_j + lambda) preconditions L-BFGS, and the first step, -M times the
gradient, is the closed-form ridge solution. Elsewhere the data's curvature is another multiple of e_j: M is scaled by
(s y) / (y M y) of the newest pair.

Regularizers go from strong to weak in small blocks. A block starts where the one before ended or where the path points,
whichever is lower, and keeps its curvature pairs: along s the gradient of another lambda changes by
y' = y + (lambda' - lambda) s. Logits are class-major, (…, C, N), because a softmax over a short inner axis is slow.

A member is not computed any more when its gap, what its objective still exceeds the minimum by, is small. Two measures:
|gradient|^2 / (2 lambda) is a bound always (f is strongly convex; it is also the duality gap at the dual point of the
current probabilities), but with a weak regularizer it is loose by orders of magnitude. There half of g' H g is taken,
g the gradient and H the inverse Hessian of the curvature pairs, with M divided by the least curvature s y / s M^-1 s
of any pair where no pair tells. L-BFGS itself scales by the newest pair, which is the stiffest as a rule: good steps,
but half of -gradient times direction is then a tenth of the gap, or less. Curvature is known of steps alone, and some
directions show theirs late (that of an outlier, whose probability has long been 1), so this estimate counts from the
fifth step of a block on, and together with the observed fall of the last five.

Source: Liu and Nocedal 1989; Friedman, Hastie and Tibshirani 2010 (paths); Oquab et al. 2023 (the grid); Boyd and
Vandenberghe 2004, section 9.1.2 (strong convexity).
Differs: two classes have a row of weights each, so C here is 2 C of a single row's.
Axes: N samples, D features, R basis vectors plus one for the bias, G regularizers, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.basis import Basis, Columns, build_columns, fit_basis
from pretask_plugins.evaluators.probes.moments import PIECE_ROWS, Rows, as_rows

GRID = tuple(10 ** np.linspace(-6, 5, 45))
BLOCK_COLUMNS = 30  # classes times regularizers that are solved together
MAX_PAIRS = 10  # curvature pairs kept
MAX_STEPS = 500  # of L-BFGS, at most, for one block
MIN_LOSS = 0.01  # nats: below it a relative gap is taken of this
MIN_PRIOR = 1e-6  # of a class that no sample has: its bias would be minus infinity
MAX_TRIALS = 12  # of a shorter step, at most
ARMIJO = 1e-4
WINDOW = 5  # steps of a block over which the fall is watched, before which its curvature is not trusted
LOSS_ROUNDING = {
    torch.bfloat16: 1e-4,
    torch.float32: 1e-7,
    torch.float64: 1e-14,
}  # of a loss: smaller falls are rounding


@dataclass(frozen=True)
class Solution:
    """The minimum for every regularizer.

    Args:
        basis: In which the weights are.
        weights: The bias last.
        loss: The objective, nats.
        gradient: Norm of the gradient over its norm at the start, where every class has its frequency.
        gap: By how much the objective may exceed the minimum, nats.
    """

    basis: Basis
    weights: Float[Tensor, "G C R1"]
    loss: Float[Tensor, " G"]
    gradient: Float[Tensor, " G"]
    gap: Float[Tensor, " G"]

    def predict(self, features: Float[Tensor, "N D"] | Rows) -> Int[Tensor, "G N"]:
        """Predict the most likely class of every sample by every regularizer's weights."""
        rotated = (self.basis(piece) for piece in as_rows(features).pieces())
        return torch.cat(
            [torch.stack([(weights @ columns).argmax(0) for weights in self.weights]) for columns in rotated], 1
        )

    def nats(self, features: Float[Tensor, "N D"] | Rows, labels: Int[Tensor, " N"]) -> Float[Tensor, " G"]:
        """Return the mean cross-entropy of samples, in nats, by every regularizer's weights."""
        total = torch.zeros(len(self.weights), dtype=torch.float64, device=self.weights.device)
        for piece, answer in zip(as_rows(features).pieces(), torch.split(labels, PIECE_ROWS), strict=True):
            rotated = self.basis(piece)
            for place, weights in enumerate(self.weights):
                total[place] += F.cross_entropy((weights @ rotated).T.double(), answer, reduction="sum")
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
        grid: Inverse strengths of regularization, strongest first.
        dtype: float32, float64, or bfloat16: products of matrices in bfloat16, all else in float32; the objectives are
            then within two thousandths of the lowest. A gain only where the processor multiplies bfloat16 faster.
        tolerance: A member is done when its gap is below this fraction of its objective.
        std: What features are divided by; their own std where it is left out.
    """
    rows = as_rows(features)
    basis = fit_basis(rows, torch.float32 if dtype == torch.bfloat16 else dtype, std)
    problem = Problem(build_columns(rows, basis, dtype), labels, classes, basis.variance)
    strengths = basis.variance.new_tensor([1 / (strength * len(labels)) for strength in grid])
    block = max(1, BLOCK_COLUMNS // classes)
    state, solved, gaps = State.at_prior(problem), [], []
    path: list[Tensor] = []
    for start in range(0, len(grid), block):
        state = state.move_to(strengths[start : start + block])
        if len(path) > 1:
            state = choose_lower(state, state.extrapolate(path[-1] - path[-2]))
        state, gap = minimize(state, tolerance)
        solved.append(state)
        gaps.append(gap)
        path += state.weights
    weights = torch.stack(path)
    relative = torch.cat([state.gradient.flatten(1).norm(dim=1) for state in solved]) / problem.first_gradient
    return Solution(basis, weights, torch.cat([state.loss for state in solved]), relative, torch.cat(gaps))


class Problem:
    """The data of the regression: loss and gradient of any weights."""

    def __init__(
        self, columns: Columns, labels: Int[Tensor, " N"], classes: int, variance: Float[Tensor, " R"]
    ) -> None:
        self.columns, self.labels, self.classes = columns, labels, classes
        self.count = len(labels)
        self.penalized = torch.cat([torch.ones_like(variance), variance.new_zeros(1)])  # the bias is free
        self.prior = torch.bincount(labels, minlength=classes).to(variance.dtype) / self.count
        scale = (self.prior * (1 - self.prior)).mean()
        self.curvature = torch.cat([variance, variance.new_ones(1)]) * scale
        start = torch.zeros(1, classes, len(self.penalized), dtype=variance.dtype, device=variance.device)
        start[0, :, -1] = self.prior.clamp(min=MIN_PRIOR).log()
        self.start = start
        tiny = torch.finfo(variance.dtype).tiny  # where features are constant it is 0 from the start
        self.first_gradient = self.data_terms(start)[1].norm().clamp(min=tiny)

    def data_terms(self, weights: Float[Tensor, "G C R1"]) -> tuple[Float[Tensor, " G"], Float[Tensor, "G C R1"]]:
        """Compute the mean loss and its gradient, without the penalty."""
        loss = torch.zeros(len(weights), dtype=torch.float64, device=weights.device)
        rotated = self.columns.rotate_weights(weights.flatten(0, 1))
        gradient = torch.zeros_like(rotated)
        for begin in range(0, self.count, PIECE_ROWS):
            columns, labels = self.columns.some(begin, begin + PIECE_ROWS), self.labels[begin : begin + PIECE_ROWS]
            logits = self.product(rotated, columns).view(*weights.shape[:2], len(labels))  # (G, C, n)
            logits -= logits.amax(1, keepdim=True)
            answer = labels.expand(len(weights), 1, -1)
            loss -= logits.gather(1, answer).sum((1, 2))
            total = logits.exp_().sum(1, keepdim=True)
            loss += total.log().sum((1, 2))
            excess = logits.div_(total).scatter_add_(1, answer, -torch.ones_like(total))
            gradient += self.product(excess.flatten(0, 1), columns.T)
        return loss / self.count, self.columns.rotate_gradient(gradient).view_as(weights) / self.count

    def product(self, left: Tensor, correct: Tensor) -> Tensor:
        """Multiply two matrices in the precision of the data."""
        return (left.to(correct.dtype) @ correct).to(left.dtype)

    @property
    def grain(self) -> float:
        """The smallest fraction of a loss by which a fall is more than rounding."""
        return LOSS_ROUNDING[self.columns.dtype]


@dataclass
class State:
    """Where the minimization of a block stands.

    Args:
        problem: What is minimized.
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
        """Start at weights of 0 and biases that give every class its frequency."""
        return cls(problem, torch.zeros_like(problem.prior[:1]), problem.start, *problem.data_terms(problem.start), [])

    def move_to(self, strength: Float[Tensor, " G"]) -> "State":
        """Start other strengths at the last member's point and pairs; nothing is computed of the data."""
        count = len(strength)
        change = self.penalty_of(strength) - self.penalty[-1:]
        pairs = [(repeat_last(s, count), repeat_last(y, count) + change * repeat_last(s, count)) for s, y in self.pairs]
        weights, loss, gradient = (
            repeat_last(member, count) for member in (self.weights, self.data_loss, self.data_gradient)
        )
        return State(self.problem, strength, weights, loss, gradient, pairs)

    def extrapolate(self, change: Float[Tensor, "C R1"]) -> "State":
        """Extrapolate the path: the last change of the weights once more for every member."""
        weights = self.weights + change * torch.arange(1, len(self.strength) + 1, device=change.device)[:, None, None]
        return State(self.problem, self.strength, weights, *self.problem.data_terms(weights), self.pairs)

    def penalty_of(self, strength: Float[Tensor, " G"]) -> Float[Tensor, "G 1 R1"]:
        """Return lambda along every axis: 0 along the bias."""
        return strength[:, None, None] * self.problem.penalized

    @property
    def penalty(self) -> Float[Tensor, "G 1 R1"]:
        """The penalty of every axis, (G, 1, R1), by this block's strengths."""
        return self.penalty_of(self.strength)

    @property
    def loss(self) -> Float[Tensor, " G"]:
        """The objective of every member."""
        return self.data_loss + dot(self.penalty * self.weights, self.weights).double() / 2

    @property
    def gradient(self) -> Float[Tensor, "G C R1"]:
        """The gradient of the objective."""
        return self.data_gradient + self.penalty * self.weights


def repeat_last(values: Tensor, count: int) -> Tensor:
    """Repeat the last member `count` times."""
    return values[-1:].expand(count, *values.shape[1:]).clone()


def dot(one: Tensor, two: Tensor) -> Float[Tensor, " G"]:
    """Return the scalar product of every member."""
    return (one * two).sum((1, 2))


def choose_lower(one: State, two: State) -> State:
    """Choose for every member the state whose loss is lower; the pairs are those of the first."""
    better = two.loss < one.loss
    wide = better[:, None, None]
    return State(
        one.problem,
        one.strength,
        torch.where(wide, two.weights, one.weights),
        torch.where(better, two.data_loss, one.data_loss),
        torch.where(wide, two.data_gradient, one.data_gradient),
        one.pairs,
    )


def minimize(state: State, tolerance: float) -> tuple[State, Float[Tensor, " G"]]:
    """Run L-BFGS until every member's gap is a small part of its objective, or its fall too small for the arithmetic.

    Returns:
        The last state, and the gap of every member.
    """
    inverse = 1 / (state.problem.curvature + state.penalty)
    moving = torch.ones_like(state.strength, dtype=torch.bool)
    losses = [state.loss]
    for step in range(MAX_STEPS + 1):
        direction, slope, estimate = compute_descent(state, inverse)
        enough, bound = tolerance * state.loss.clamp(min=MIN_LOSS), convexity_bound(state)
        done = bound <= enough
        if step >= WINDOW:
            done |= (estimate <= enough) & (losses[-1 - WINDOW] - losses[-1] <= enough)
        moving &= ~done
        if step == MAX_STEPS or not bool(moving.any()):
            break
        state = search_line(state, direction, slope, moving)
        losses.append(state.loss)
        moving &= losses[-2] - losses[-1] > state.problem.grain * losses[-2]
    return state, torch.minimum(bound, estimate)


def convexity_bound(state: State) -> Float[Tensor, " G"]:
    """Return |gradient|^2 / (2 lambda): the gap is no larger (Boyd and Vandenberghe 2004, equation 9.9).

    The bias is not penalized: there the Hessian is taken to be diag(p) - p p', as where every class has its frequency
    p.
    """
    gradient = state.gradient.double()
    weights = gradient[..., :-1].square().sum((1, 2)) / state.strength
    bias = (gradient[..., -1].square() / state.problem.prior.clamp(min=MIN_PRIOR)).sum(1)
    return (weights + bias) / 2


def compute_descent(
    state: State, inverse: Float[Tensor, "G 1 R1"]
) -> tuple[Float[Tensor, "G C R1"], Float[Tensor, " G"], Float[Tensor, " G"]]:
    """Run the two-loop recursion of L-BFGS (Liu and Nocedal 1989) about a scaled diagonal inverse Hessian.

    Returns:
        The direction, the slope along it, and an estimate of the gap: half of gradient times inverse Hessian times
        gradient, where the diagonal is divided by the least curvature of any pair. With q what the first loop leaves of
        the gradient, gradient times inverse Hessian times gradient is q' diagonal q + sum coefficient^2 (s y).
    """
    vector, coefficients = state.gradient.clone(), []
    curved = [dot(s, y) for s, y in state.pairs]
    known = torch.zeros_like(state.loss)
    for (s, y), along in zip(reversed(state.pairs), reversed(curved), strict=True):
        coefficient = divide_positive(dot(s, vector), along)
        vector -= coefficient * y
        coefficients.append(coefficient)
        known += coefficient[:, 0, 0].double().square() * along
    unknown = dot(vector * inverse, vector).double()
    newest, widest = compute_scales(state.pairs, curved, inverse)
    vector *= inverse * newest
    for (s, y), along, coefficient in zip(state.pairs, curved, reversed(coefficients), strict=True):
        vector += (coefficient - divide_positive(dot(y, vector), along)) * s
    return -vector, -(known + newest[:, 0, 0] * unknown), (known + widest[:, 0, 0] * unknown) / 2


def compute_scales(
    pairs: list[tuple[Tensor, Tensor]], curved: list[Float[Tensor, " G"]], inverse: Float[Tensor, "G 1 R1"]
) -> tuple[Float[Tensor, "G 1 1"], Float[Tensor, "G 1 1"]]:
    """Return what multiplies the diagonal inverse Hessian: by the newest pair, and by that of least curvature."""
    if not pairs:
        return torch.ones_like(inverse[..., :1]), torch.ones_like(inverse[..., :1])
    y = pairs[-1][1]
    newest = divide_positive(curved[-1], dot(y * inverse, y), empty=1.0)
    stretched = [dot(s / inverse, s) for s, _ in pairs]
    slack = [divide_positive(length, along) for length, along in zip(stretched, curved, strict=True)]
    return newest, torch.maximum(torch.stack(slack).amax(0), newest)


def divide_positive(
    above: Float[Tensor, " G"], below: Float[Tensor, " G"], empty: float = 0.0
) -> Float[Tensor, "G 1 1"]:
    """Divide one number by another where that is positive, which the pair of a member that stood still is not."""
    return torch.where(below > 0, above / below.clamp(min=torch.finfo(below.dtype).tiny), empty)[:, None, None]


def search_line(
    state: State, direction: Float[Tensor, "G C R1"], slope: Float[Tensor, " G"], moving: Bool[Tensor, " G"]
) -> State:
    """Search a step that lowers the loss of every moving member enough; one that finds none stays where it is."""
    step, before = moving.to(slope.dtype), state.loss
    allowance = state.problem.grain * before
    for _ in range(MAX_TRIALS):
        trial = take_step(state, step[:, None, None].to(direction.dtype) * direction, step > 0)
        enough = trial.loss <= before + ARMIJO * step * slope + allowance
        if bool(enough.all()):
            return trial
        step = torch.where(enough, step, step * 0.4)
    return take_step(state, (step * enough)[:, None, None].to(direction.dtype) * direction, enough & moving)


def take_step(state: State, change: Float[Tensor, "G C R1"], moving: Bool[Tensor, " G"]) -> State:
    """Change the weights and compute the new state; of members that do not move nothing is computed."""
    weights, loss, gradient = state.weights + change, state.data_loss.clone(), state.data_gradient.clone()
    loss[moving], gradient[moving] = state.problem.data_terms(weights[moving])
    after = State(state.problem, state.strength, weights, loss, gradient, [])
    after.pairs = [*state.pairs, (change, after.gradient - state.gradient)][-MAX_PAIRS:]
    return after

"""Scalar mix: one vector of those of all layers, with weights that a probe learns.

    mix_k = gamma * sum_j softmax(s)_j h_kj          (s begins at 0, equal weights, and gamma at 1)

For linear probes, s and gamma are learned together with a logistic regression on the mixed vectors, by L-BFGS on the
training rows that nothing is chosen on; the mixed vectors then are one more layer, `mix`, which is measured as the
others are. Vectors are divided by one number, their root mean square over all layers, which leaves the weights alone.

Source: Peters et al., NAACL 2018, equation 1, and section 5.3 (weights by task).
Differs: layers are not normalized one by one, and s has no penalty, both of which they leave open.
Axes: N rows, J layers, D features, C classes; `...` any.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from pretask import Draws, PretaskError
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.validation_split import LabeledFeatures, ProbeData, layer_name

MIX = "mix"  # what stands in the place of a layer's name
MAX_ROWS = 20_000  # of the training part, by which weights are learned
MAX_STEPS = 100  # of L-BFGS
INVERSE_REGULARIZATION = 1.0  # C of the regression by which weights are learned


class ScalarMix(nn.Module):
    """The learned sum of layers.

    Args:
        layers: How many there are.

    >>> float(ScalarMix(2)(torch.tensor([[[1.0], [3.0]]])))
    2.0
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    @property
    def weights(self) -> Float[Tensor, " J"]:
        """How much every layer counts; their sum is 1."""
        return self.scores.softmax(0)

    def forward(self, layers: Float[Tensor, "... J D"]) -> Float[Tensor, "... D"]:
        """Return the mixed vectors."""
        return self.gamma * torch.einsum("...jd,j->...d", layers, self.weights)


@dataclass(frozen=True)
class Mixed:
    """What was learned of the layers that are pooled in one way.

    Args:
        weights: By the name of the layer.
        gamma: Their common factor.
    """

    weights: dict[str, float]
    gamma: float


def add_mixes(who: str, probe: ProbeData, seed: int) -> tuple[ProbeData, dict[str, Mixed]]:
    """Add the mix of all layers to the features of both parts, for every pooling that all layers offer.

    Returns:
        The features, and what was learned by the name of the mix, such as `mix.mean`.

    Raises:
        PretaskError: Layers differ in width, or in the poolings that they offer.
    """
    groups = group_poolings(who, probe)
    known: dict[str, Mixed] = {}
    train, test = dict(probe.train.features), dict(probe.test.features)
    for pooling, names in groups.items():
        mix = learn_mix(probe, names, seed)
        name = MIX + (f".{pooling}" if pooling else "")
        for features in (train, test):
            features[name] = apply_mix(mix, [features[layer] for layer in names])
        weights = {layer_name(layer): float(weight) for layer, weight in zip(names, mix.weights, strict=True)}
        known[name] = Mixed(weights, float(mix.gamma))
    return replace(probe, train=with_features(probe.train, train), test=with_features(probe.test, test)), known


def with_features(part: LabeledFeatures, features: dict[str, Tensor]) -> LabeledFeatures:
    """Return the same samples with other features."""
    return replace(part, features=features)


def group_poolings(who: str, probe: ProbeData) -> dict[str, list[str]]:
    """Return the names of features by pooling, one of every layer; raise PretaskError where none can be mixed."""
    count = len(probe.layers())
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, features in probe.train.features.items():
        groups.setdefault(name.partition(".")[2], []).append((name, features.shape[1]))
    fitting = {
        pooling: [name for name, _ in members]
        for pooling, members in groups.items()
        if len(members) == count and len({width for _, width in members}) == 1
    }
    if not fitting:
        widths = sorted({features.shape[1] for features in probe.train.features.values()})
        raise PretaskError(
            f"{who}.readout",
            "layers of one width to be mixed",
            f"the widths {', '.join(map(str, widths))}",
            f"Set {who}.readout to layer.",
            exit_code=2,
        )
    return fitting


def learn_mix(probe: ProbeData, names: list[str], seed: int) -> ScalarMix:
    """Learn how much every layer counts, from training rows that are not held out."""
    parts = [probe.fit_and_validation(name)[0] for name in names]
    labels = parts[0].labels
    rows = torch.arange(len(labels))
    if len(rows) > MAX_ROWS:
        rows = Draws(rows, seed).branch("mix").uniform("row").argsort()[:MAX_ROWS].sort().values
    layers = torch.stack([part.rows.all()[rows] for part in parts], 1)
    return fit_mix(layers, labels[rows], probe.classes)


def fit_mix(layers: Float[Tensor, "N J D"], labels: Int[Tensor, " N"], classes: int) -> ScalarMix:
    """Fit weights, common factor and a logistic regression on the mixed vectors together; return the former two."""
    scale = layers.square().mean().sqrt()
    scaled = layers / scale.where(scale > 0, 1.0)
    mix, matrix = ScalarMix(layers.shape[1]), torch.zeros(classes, layers.shape[2], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    penalty = 1 / (2 * INVERSE_REGULARIZATION * len(labels))
    weights = [*mix.parameters(), matrix, bias]
    solver = torch.optim.LBFGS(weights, max_iter=MAX_STEPS, line_search_fn="strong_wolfe")

    def compute_loss() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(mix(scaled) @ matrix.T + bias, labels) + penalty * matrix.square().sum()
        torch.autograd.backward(loss)
        return loss

    with torch.enable_grad():
        solver.step(compute_loss)  # type: ignore[no-untyped-call]
    return mix.requires_grad_(False)


def apply_mix(mix: ScalarMix, layers: list[Tensor]) -> Float[Tensor, "N D"]:
    """Return the mixed vectors of all rows."""
    found = torch.zeros_like(layers[0])
    for weight, layer in zip(mix.weights, layers, strict=True):
        found.add_(layer, alpha=float(weight * mix.gamma))
    return found


def report_mix(mixed: Mixed) -> Iterator[tuple[str, float]]:
    """Yield the weight of every layer, and gamma."""
    for layer, weight in mixed.weights.items():
        yield f"{layer}.weight", weight
    yield "gamma", mixed.gamma

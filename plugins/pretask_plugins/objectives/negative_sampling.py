"""Negative sampling: tell the label from noise by the product of its vector with the features.

    nats = sum over labels of p * -log s(u . v) + sum over noise of -log s(-u . v)        s(x) = 1 / (1 + exp(-x))

With k noise classes drawn from P_n for every label, the best product is log P(class | x) - log(k P_n(class)): with the
classes' own frequencies for noise, the pointwise mutual information less log k.

Source: Mikolov et al., NIPS 2013, equation 4; Levy and Goldberg, NIPS 2014, section 3.1 (the optimum).
Differs: noise that is the label by chance stays noise, as in the equation; the released code leaves it out.
Axes: B batch, K candidates, C classes, D width; `...` is (), (V,), (*grid) or (V, *grid).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Loss,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    upcast,
    weighted_mean,
)
from pretask.options import SizeOrZero
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.bags import multiply_candidates

MAX_LOOKED_UP = 1 << 22  # numbers: more no longer fit the cache
Terms = tuple[Tensor, Tensor]  # nats and ranking accuracy, position by position


class NegativeSampling(nn.Module):
    """The sum over targets of the mean nats of each.

    Args:
        features: What the model offers.
        targets: Categories, any number of them.
        negatives: Noise classes drawn evenly for every label, beside those that a target brings; 0 for a target that
            brings all of its own.

    Raises:
        Incompatible: A target is not Categories, is not hidden, or cannot be read from the features.
    """

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, negatives: SizeOrZero = 5) -> None:
        super().__init__()
        who = "negative-sampling"
        check_kinds(who, targets, {"categories"})
        if negatives < 0:
            raise Incompatible(who, "objective.negatives of 0 or more", f"{negatives}", "Set it to 5.")
        self.negatives = negatives
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Categories)}
        self.readouts = {name: find_readout(who, name, features, spec) for name, spec in targets.items()}
        self.tables = Heads({name: build_table(size, self.readouts[name].width) for name, size in self.classes.items()})
        self.chance = {f"{name}.ranking_accuracy": 0.5 for name in targets}

    def vectors(self, features: Features, name: str) -> Float[Tensor, "B ... D"]:
        """Return what is multiplied with the classes' vectors, at the target's positions."""
        readout = self.readouts[name]
        return upcast(readout.place(readout(features)))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return the products of every target, (B, ..., C): log-odds against noise, not a distribution."""
        return {name: self.vectors(features, name) @ upcast(self.tables[name].weight).T for name in self.classes}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean loss of every target, in nats, and how often the label ranks above noise."""
        terms = {}
        for name, target in targets.items():
            value, probability = self.candidates(name, target, draws)
            products = multiply(self.vectors(features, name), self.tables[name].weight, value)
            terms[name] = binary_cross_entropy(products, probability), ranking_accuracy(products.detach(), probability)
        return average(terms, targets)

    def candidates(self, name: str, target: Target, draws: Draws) -> tuple[Int[Tensor, "B ... K"], Tensor]:
        """Return labels and noise, and the probability of each: 0 for noise."""
        value, probability = labels_of(name, target, self.negatives)
        if not self.negatives:
            return value, probability
        noise = draws.integers(f"{name} noise", 0, self.classes[name], *value.shape[1:-1], self.negatives)
        return torch.cat([value, noise], -1), torch.cat([probability, probability.new_zeros(noise.shape)], -1)

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for products (B, ..., C) by target, with the expectation over noise that is drawn here."""
        terms = {}
        for name, target in targets.items():
            value, probability = labels_of(name, target, self.negatives)
            products = upcast(predictions[name]).gather(-1, value)
            expected = self.negatives * F.softplus(upcast(predictions[name])).mean(-1) if self.negatives else 0.0
            candidates = upcast(predictions[name]) if target.probability is None else products
            labels = F.one_hot(target.value, self.classes[name]).float() if target.probability is None else probability
            terms[name] = binary_cross_entropy(products, probability) + expected, ranking_accuracy(candidates, labels)
        return average(terms, targets)


def multiply(
    vectors: Float[Tensor, "B ... D"], table: Float[Tensor, "C D"], candidates: Int[Tensor, "B ... K"]
) -> Float[Tensor, "B ... K"]:
    """Return the products of vectors with their candidates' rows of a table; many on a CPU without looking them up."""
    size = candidates.numel() * table.shape[1]
    if size > MAX_LOOKED_UP and vectors.device.type == "cpu" and not torch.compiler.is_compiling():
        flat = multiply_candidates(vectors.flatten(0, -2), table, candidates.flatten(0, -2))
        return flat.view(candidates.shape)
    return (vectors[..., None, :] * F.embedding(candidates, table)).sum(-1)


def build_table(classes: int, width: int) -> nn.Embedding:
    """Build a small vector for every class."""
    embedding = nn.Embedding(classes, width)
    nn.init.uniform_(embedding.weight, -0.5 / width, 0.5 / width)
    return embedding


def labels_of(name: str, target: Target, negatives: int) -> tuple[Int[Tensor, "B ... K"], Tensor]:
    """Return the candidates that a target brings, with their probabilities; of a single label, that one."""
    if target.probability is not None:
        return target.value, target.probability
    if not negatives:
        raise Incompatible(
            "negative-sampling with objective.negatives=0",
            f"noise among the candidates of the target '{name}'",
            "its label alone",
            "Set objective.negatives=5.",
        )
    return target.value[..., None], torch.ones_like(target.value[..., None], dtype=torch.float32)


def binary_cross_entropy(
    products: Float[Tensor, "B ... K"], probability: Float[Tensor, "B ... K"]
) -> Float[Tensor, "B ..."]:
    """Return the nats of telling labels (probability above 0) from noise (probability 0); equation 4.

    >>> binary_cross_entropy(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])).item() / torch.tensor(2.0).log().item()
    3.0
    """
    return (probability * F.softplus(-products) + (probability == 0) * F.softplus(products)).sum(-1)


def ranking_accuracy(
    products: Float[Tensor, "B ... K"], probability: Float[Tensor, "B ... K"]
) -> Float[Tensor, "B ..."]:
    """Return the fraction of noise that ranks below a label, ties for a half; 1/2 where there is no noise.

    >>> ranking_accuracy(torch.tensor([[2.0, 1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])).item()
    0.5
    """
    noise = (probability == 0).float()
    total = probability.sum(-1) * noise.sum(-1)
    ahead = [
        probability[..., label] * ((products[..., label, None] - products).sign() * noise).sum(-1)  # less those behind
        for label in list_labels(probability)
    ]
    return 0.5 + 0.5 * sum(ahead, torch.zeros_like(total)) / total.clamp(min=1e-12)


def list_labels(probability: Float[Tensor, "B ... K"]) -> list[int]:
    """List the candidates that are a label somewhere; where it takes long to ask, all of them."""
    count = probability.shape[-1]
    if probability.device.type != "cpu" or torch.compiler.is_compiling():
        return list(range(count))
    return probability.flatten(0, -2).any(0).nonzero()[:, 0].tolist()


def average(terms: Mapping[str, Terms], targets: Targets) -> Loss:
    """Return the means by the targets' weights."""
    costs, reports = {}, {}
    for name, (cost, rank) in terms.items():
        weight, denominator = targets[name].weight, targets[name].denominator
        costs[name] = weighted_mean(cost, weight, denominator)
        reports[f"{name}.ranking_accuracy"] = weighted_mean(rank, weight, denominator)
    return build_loss(costs, reports)

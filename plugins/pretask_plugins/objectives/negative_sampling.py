"""Against noise: every class has a vector; its product with the features says whether it is an answer.

    nats = sum over answers of share * -log s(u . v) + sum over noise of -log s(-u . v)        s(x) = 1 / (1 + exp(-x))

With k noise classes drawn from P_n for every answer, the best product is log P(class | x) - log(k P_n(class)): with the
classes' own frequencies for noise, the pointwise mutual information less log k.

Source: Mikolov et al., NIPS 2013, equation 4; Levy and Goldberg, NIPS 2014, section 3.1 (the optimum).
Differs: noise that is the answer by chance stays noise, as in the equation; the released code leaves it out.
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
from torch import Tensor, nn
from torch.nn import functional as F

Terms = tuple[Tensor, Tensor]  # nats and the share of noise below the answers, position by position


class NegativeSampling(nn.Module):
    """The sum over targets of the mean nats of each.

    Args:
        features: What the model offers.
        targets: Categories, any number of them.
        negatives: Noise classes drawn evenly for every answer, beside those that a target brings; 0 for a target that
            brings all of its own.

    Raises:
        Incompatible: A target is not Categories, is not hidden, or cannot be read from the features.
    """

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, negatives: int = 5) -> None:
        super().__init__()
        who = "negative-sampling"
        check_kinds(who, targets, {"categories"})
        if negatives < 0:
            raise Incompatible(who, "objective.negatives of 0 or more", f"{negatives}", "Set it to 5.")
        self.negatives = negatives
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Categories)}
        self.readouts = {name: find_readout(who, name, features, spec) for name, spec in targets.items()}
        self.tables = Heads({name: table(size, self.readouts[name].width) for name, size in self.classes.items()})
        self.chance = {f"{name}.ranking_accuracy": 0.5 for name in targets}

    def vectors(self, features: Features, name: str) -> Float[Tensor, "B ... D"]:
        """What is multiplied with the classes' vectors, at the target's positions."""
        read = self.readouts[name]
        return upcast(read.place(read(features)))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """The products of every target, (B, ..., C): log-odds against noise, which do not add up to a distribution."""
        return {name: self.vectors(features, name) @ upcast(self.tables[name].weight).T for name in self.classes}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Mean nats of every target, and how often the answer is ahead of noise."""
        terms = {}
        for name, target in targets.items():
            value, share = self.candidates(name, target, draws)
            products = (self.vectors(features, name)[..., None, :] * self.tables[name](value)).sum(-1)
            terms[name] = nats(products, share), ranked(products.detach(), share)
        return as_loss(terms, targets)

    def candidates(self, name: str, target: Target, draws: Draws) -> tuple[Int[Tensor, "B ... K"], Tensor]:
        """Answers and noise, and the share of each: 0 for noise."""
        value, share = answers(name, target, self.negatives)
        if not self.negatives:
            return value, share
        drawn = draws.integers(f"{name} noise", 0, self.classes[name], *value.shape[1:-1], self.negatives)
        return torch.cat([value, drawn], -1), torch.cat([share, share.new_zeros(drawn.shape)], -1)

    def score(self, guess: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """The same for products (B, ..., C) by target; for noise that is drawn here, its expectation."""
        terms = {}
        for name, target in targets.items():
            value, share = answers(name, target, self.negatives)
            products = upcast(guess[name]).gather(-1, value)
            expected = self.negatives * F.softplus(upcast(guess[name])).mean(-1) if self.negatives else 0.0
            seen = upcast(guess[name]) if target.probability is None else products
            known = F.one_hot(target.value, self.classes[name]).float() if target.probability is None else share
            terms[name] = nats(products, share) + expected, ranked(seen, known)
        return as_loss(terms, targets)


def table(classes: int, width: int) -> nn.Embedding:
    """A small vector for every class."""
    made = nn.Embedding(classes, width)
    nn.init.uniform_(made.weight, -0.5 / width, 0.5 / width)
    return made


def answers(name: str, target: Target, negatives: int) -> tuple[Int[Tensor, "B ... K"], Tensor]:
    """The candidates that a target brings, with their shares; of a single answer, that one."""
    if target.probability is not None:
        return target.value, target.probability
    if not negatives:
        raise Incompatible(
            "negative-sampling with objective.negatives=0",
            f"noise among the candidates of the target '{name}'",
            "its answer alone",
            "Set objective.negatives=5.",
        )
    return target.value[..., None], torch.ones_like(target.value[..., None], dtype=torch.float32)


def nats(products: Float[Tensor, "B ... K"], share: Float[Tensor, "B ... K"]) -> Float[Tensor, "B ..."]:
    """The cost of telling answers (share above 0) from noise (share 0).

    >>> nats(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])).item() / torch.tensor(2.0).log().item()
    3.0
    """
    return (share * F.softplus(-products) + (share == 0) * F.softplus(products)).sum(-1)


def ranked(products: Float[Tensor, "B ... K"], share: Float[Tensor, "B ... K"]) -> Float[Tensor, "B ..."]:
    """The share of noise that is behind an answer, ties for a half; 1/2 where there is no noise.

    >>> ranked(torch.tensor([[2.0, 1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])).item()
    0.5
    """
    ahead = products[..., :, None] - products[..., None, :]  # answer, noise
    behind = ((ahead > 0).float() + (ahead >= 0).float()) / 2
    noise = (share == 0).float()
    pairs = share[..., :, None] * noise[..., None, :]
    total = pairs.sum((-1, -2))
    return torch.where(total > 0, (behind * pairs).sum((-1, -2)) / total.clamp(min=1e-12), 0.5)


def as_loss(terms: Mapping[str, Terms], targets: Targets) -> Loss:
    """Means of what was found, by the targets' weights."""
    costs, reports = {}, {}
    for name, (cost, rank) in terms.items():
        weight, denominator = targets[name].weight, targets[name].denominator
        costs[name] = weighted_mean(cost, weight, denominator)
        reports[f"{name}.ranking_accuracy"] = weighted_mean(rank, weight, denominator)
    return build_loss(costs, reports)

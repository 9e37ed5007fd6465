"""A sound objective, and what goes wrong in it."""

import math
from collections.abc import Mapping

import torch
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Loss,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    gather_over_ranks,
    take_only_target,
    weighted_mean,
)
from torch import Tensor, nn


class Vote(nn.Module):
    """Cross-entropy by a linear head."""

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        if fault != "any-kind-taken":
            check_kinds("vote", targets, {"categories"})
        self.classes = {name: target.classes for name, target in targets.items() if isinstance(target, Categories)}
        blind = fault == "shown-answers-taken"
        self.readouts = {
            name: find_readout("vote", name, features, targets[name], bottleneck=blind) for name in self.classes
        }
        if fault == "widest-stream-read":
            for read in self.readouts.values():
                object.__setattr__(read, "stream", features.streams[0])
        self.chance = {name: math.log(count) for name, count in self.classes.items()}
        self.heads = Heads({name: nn.Linear(read.width, self.classes[name]) for name, read in self.readouts.items()})
        self.kept = torch.randn(()).to("cpu") if fault == "weights-kept-elsewhere" else None

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        if self.fault == "guess-missing":
            return {"something-else": torch.zeros(1)}
        return {name: self.logits(features, name).float().log_softmax(-1) for name in self.classes}

    def logits(self, features: Features, name: str) -> Tensor:
        read = self.readouts[name]
        vectors = read(features)
        if self.fault == "gradient-cut":
            vectors = vectors.detach()
        logits: Tensor = read.place(self.heads[name](vectors))
        if self.fault == "ambient-noise":
            logits = logits + torch.randn_like(logits)
        if self.fault == "device-forgotten":
            logits = logits + torch.zeros(self.classes[name])
        return logits if self.kept is None else logits * self.kept

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        terms = {}
        for name in self.classes:
            axis = 0 if self.fault == "softmax-over-the-batch" else -1
            said = self.logits(features, name).float().log_softmax(axis)
            value, share = targets[name].value, targets[name].probability
            nats = -said.gather(-1, value if share is not None else value[..., None])
            nats = nats[..., 0] if share is None else (nats * share).sum(-1)
            weight = None if self.fault == "weights-ignored" else targets[name].weight
            terms[name] = weighted_mean(nats, weight, targets[name].denominator)
            if self.fault == "mean-of-each-part" and weight is not None:
                terms[name] = (nats * weight).sum() / weight.sum(), weight.sum().detach()
            if self.fault == "sum-for-mean":
                terms[name] = nats.sum(), terms[name][1]
        loss = build_loss(terms, {})
        return Loss(loss.total.bfloat16(), loss.parts) if self.fault == "half-precision" else loss


class Recall(nn.Module):
    """Tell the other view from what was shown in earlier steps."""

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, fault: str = "") -> None:
        super().__init__()
        check_kinds("recall", targets, {"agreement"})
        self.name, spec = take_only_target("recall", targets)
        self.read, self.fault = find_readout("recall", self.name, features, spec), fault
        self.head = nn.Linear(self.read.width, 8)
        self.register_buffer("queue", torch.arange(256.0).cos().view(32, 8))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        return {self.name: self.head(self.read(features))}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        one, two = self.predict(features)[self.name].unbind(1)
        self.keys = two.detach()
        logits = torch.cat([(one * two).sum(-1, keepdim=True), one @ self.queue.T], 1).float()
        return build_loss({self.name: weighted_mean(-logits.log_softmax(-1)[:, 0])}, {})

    def after_step(self, model: nn.Module, progress: float, /) -> None:
        keys = self.keys if self.fault == "queue-of-one-rank" else gather_over_ranks(self.keys)
        self.queue.copy_(torch.cat([keys, self.queue])[: len(self.queue)])

"""Future contrast: know the latents of later frames among others, by what was heard so far.

Source: van den Oord, Li and Vinyals 2018, section 2.3 and equation 4. Differs: see the folder's header.
Axes: B batch, T frames, D width, K steps, N negatives.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Loss,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    full_precision,
    upcast,
    weighted_mean,
)
from pretask.options import Size
from torch import Tensor, nn


class FutureContrast(nn.Module):
    """The sum over targets of the mean InfoNCE loss over frames and steps.

    Args:
        features: What the model offers: the streams `present` and `past`, with positions on one axis.
        targets: Latents, any number of them.
        steps: K, frames ahead that are predicted; 12 in the paper.
        negatives: N, other frames that each is told from; frames that are the true one, or padding, do not count.

    Raises:
        Incompatible: Features have not both streams, or not one axis of positions with more than one of them; a target
            may see less or more than the past, or x shows it.
    """

    def __init__(
        self, features: FeatureSpec, targets: TargetSpecs, /, *, steps: Size = 12, negatives: Size = 128
    ) -> None:
        super().__init__()
        check_kinds("future-contrast", targets, {"latents"})
        sights = {find_readout("future-contrast", name, features, spec).stream for name, spec in targets.items()}
        if (
            sights != {"past"}
            or not {"present", "past"} <= {*features.streams}
            or len(features.grid) != 1
            or features.grid[0] < 2
        ):
            raise Incompatible(
                "future-contrast",
                "the streams present and past of two frames or more, and a target that may see the past",
                f"{', '.join(features.streams)} at positions {features.grid}, for a target that is read from "
                f"{', '.join(sorted(sights))}",
                "Choose the model frame-lstm, and longer recordings.",
            )
        self.names, self.steps, self.negatives = tuple(targets), min(steps, features.grid[0] - 1), negatives
        maps = {name: nn.Linear(features.width, self.steps * features.width, bias=False) for name in targets}
        self.predictions = Heads(maps)

    @property
    def chance(self) -> dict[str, float]:
        """Return the value of each part where all latents are equal."""
        chance = {name: math.log(1 + self.negatives) for name in self.names}
        chance |= {f"{name}.accuracy": 1 / (1 + self.negatives) for name in self.names}
        return chance | {f"{name}.mutual_information": 0.0 for name in self.names}

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return the latents that are predicted from every frame for the frames after it, (B, T, K, D), by target."""
        heard = features.streams["past"][:, 0]
        return {name: self.predictions[name](heard).unflatten(-1, (self.steps, -1)) for name in self.names}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean loss, in nats, the fraction of frames that are known, and a bound.

        `NAME.mutual_information` is log(1 + N) - loss, a lower bound on what the past and a later frame share.
        """
        latents = upcast(features.streams["present"][:, 0])
        terms, reports = {}, {}
        for name, predicted in self.predict(features).items():
            target = targets[name]
            weight = torch.ones_like(latents[..., 0]) if target.weight is None else target.weight.float()
            chosen = draws.integers(f"{name} negatives", 0, weight.numel(), self.negatives)  # (B, N)
            valid = (weight.flatten()[chosen] > 0)[:, None] & (
                target.value.flatten()[chosen][:, None] != target.value[..., None]
            )  # (B, T, N): of a later frame, by its own name
            with full_precision(latents.device):
                nats, correct = contrast_steps(upcast(predicted), latents, latents.flatten(0, 1)[chosen], valid)
            counts = torch.stack([weight * shift(weight, step) for step in range(1, self.steps + 1)], 2)
            terms[name] = weighted_mean(nats, counts)
            reports[f"{name}.accuracy"] = weighted_mean(correct, counts)
            reports[f"{name}.mutual_information"] = weighted_mean(math.log(1 + self.negatives) - nats, counts)
        return build_loss(terms, reports)


def contrast_steps(
    predicted: Float[Tensor, "B T K D"],
    latents: Float[Tensor, "B T D"],
    negatives: Float[Tensor, "B N D"],
    valid: Bool[Tensor, "B T N"],
) -> tuple[Float[Tensor, "B T K"], Float[Tensor, "B T K"]]:
    """Return -log f_k / sum f_k of the frame k steps later, and whether its product is the largest.

    Args:
        predicted: W_k c_t.
        latents: z_t.
        negatives: Other latents, for each recording.
        valid: Which of these are others than the frame t.
    """
    nats, correct = [], []
    for step in range(1, predicted.shape[2] + 1):
        made = predicted[:, :, step - 1]
        own = (made * shift(latents, step)).sum(-1, keepdim=True)
        others = (made @ negatives.transpose(1, 2)).masked_fill(~shift(valid, step), torch.finfo(made.dtype).min)
        products = torch.cat([own, others], 2)
        nats.append(-products.log_softmax(2)[..., 0])
        correct.append((products.argmax(2) == 0).float())
    return torch.stack(nats, 2), torch.stack(correct, 2)


def shift(values: Tensor, steps: int) -> Tensor:
    """Return what is so many frames later along the second axis, and zeros where nothing is.

    >>> shift(torch.tensor([[1, 2, 3]]), 1).tolist()
    [[2, 3, 0]]
    """
    return torch.cat([values[:, steps:], torch.zeros_like(values[:, :steps])], 1)

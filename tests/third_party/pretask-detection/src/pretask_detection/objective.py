"""Replaced token detection, with the generator that makes the replacements.

Source: Clark et al., ICLR 2020, section 2.
Axes: B batch, L tokens, K vocabulary.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Inputs,
    InputSpec,
    Loss,
    PositiveFloat,
    Size,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    take_only_target,
    weighted_mean,
)
from torch import Tensor, nn
from torch.nn import functional as F

WHO, REPLACED = "replaced-tokens", "replaced"


class ReplacedTokens(nn.Module):
    """A generator of one block over the masked tokens, and a head that tells replaced tokens.

    Args:
        features: What the model offers.
        targets: The tokens.
        hidden: Width of the generator.
        importance: Factor of the discriminator's loss; the paper's is 50.
    """

    def __init__(
        self, features: FeatureSpec, targets: TargetSpecs, /, *, hidden: Size = 64, importance: PositiveFloat = 50.0
    ) -> None:
        super().__init__()
        check_kinds(WHO, targets, {"categories"})
        self.name, spec = take_only_target(WHO, targets)
        self.replaced = Categories(2, grid=spec.grid, sees=spec.sees, hidden=spec.hidden)
        self.read = find_readout(WHO, REPLACED, features, self.replaced)
        self.generator = nn.Sequential(
            nn.Embedding(spec.classes, hidden),
            nn.TransformerEncoderLayer(hidden, 4, 4 * hidden, 0.0, batch_first=True),
            nn.Linear(hidden, spec.classes),
        )
        self.head, self.importance = nn.Linear(self.read.width, 2), importance

    def rewritten_targets(self, inputs: InputSpec, targets: TargetSpecs, /) -> TargetSpecs:
        """Return one answer for every token: replaced or not."""
        if inputs.vocabulary is None or self.replaced.grid != inputs.shape or self.replaced.sees != "all":
            got = f"{inputs.modality}, and answers at {self.replaced.grid} that may see '{self.replaced.sees}'"
            raise Incompatible(WHO, "tokens of which some are hidden, each an answer", got, "Use mask-tokens.")
        return {REPLACED: self.replaced}

    def rewrite(self, inputs: Inputs, targets: Targets, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the tokens with the generator's in place of the hidden ones, and which of them differ."""
        tokens, target = inputs.data[:, 0], targets[self.name]
        hidden = torch.ones_like(tokens, dtype=torch.bool) if target.weight is None else target.weight > 0
        logits = self.generator(tokens).float()
        gumbel = -(-draws.uniform("gumbel", *logits.shape[1:]).clamp(1e-9).log()).log()
        made = tokens.where(~hidden, (logits + gumbel).argmax(-1))
        nats = F.cross_entropy(logits.movedim(-1, 1), target.value, reduction="none")
        asked = None if inputs.present is None else inputs.present[:, 0].float()
        differs = ((made != target.value) & hidden).long()
        answers = {REPLACED: Target(differs, asked), "generator": replace(target, value=nats)}
        return replace(inputs, data=made[:, None], visible=None), answers

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return log-probabilities of the original and of a replacement, (B, L, 2)."""
        return {REPLACED: self.read.place(self.head(self.read(features))).float().log_softmax(-1)}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the sum of both losses, the discriminator's over all tokens."""
        prediction, target, generated = self.predict(features)[REPLACED], targets[REPLACED], targets["generator"]
        nats = -prediction.gather(-1, target.value[..., None])[..., 0]
        correct = (prediction.argmax(-1) == target.value).float()
        terms = {
            REPLACED: weighted_mean(nats, target.weight, target.denominator),
            "generator": weighted_mean(generated.value, generated.weight, generated.denominator),
        }
        reports = {f"{REPLACED}.accuracy": weighted_mean(correct, target.weight, target.denominator)}
        return build_loss(terms, reports, {REPLACED: self.importance})

"""Vector quantization: decode the target from codes, numbers of codebook entries on one grid or several.

What is lowered is -log p(y | codes), in nats per sample, plus `commitment` times the squared distance of the encoder's
vectors from the entries that they are replaced by. With a uniform prior over K entries at N positions, q being certain,
the divergence is the constant N log K: it is reported, and trains nothing. A prior that is learned afterwards lowers
it.

Source: van den Oord, Vinyals and Kavukcuoglu, NIPS 2017, equations 2 and 3, with the moving averages of appendix A.1;
Razavi, van den Oord and Vinyals, NeurIPS 2019, section 3.1. Differs: both terms are sums over positions, per sample.
Axes: B batch, N positions, D width of an entry.
"""

import math
from collections.abc import Mapping

import torch
from pretask import Draws, Features, FeatureSpec, Loss, Targets, TargetSpecs, weighted_mean
from pretask.options import InnerFraction, NonNegativeFloat, Size
from torch import Tensor, nn

from pretask_plugins.shared.latent.discrete_model import DiscreteModel
from pretask_plugins.shared.latent.latent_model import LikelihoodName
from pretask_plugins.shared.latent.quantizer import perplexity
from pretask_plugins.shared.latent.target_likelihoods import (
    build_vae_loss,
    reconstruction_reports,
    sum_over_targets,
)


class VectorQuantization(DiscreteModel):
    """Codes on a grid, and decoders of the targets.

    Args:
        features: What the model offers: a map.
        targets: Categories or Values on rows and columns, hidden or not.
        levels: Grids of codes: 1 as in VQ-VAE, 2 as in VQ-VAE-2.
        codebook_size: Entries of every level (K in the paper).
        code_dim: Width of an entry.
        channels: Of the decoder's maps.
        likelihood: Of Values: bernoulli, gaussian, or logistic for 8-bit gray levels; auto is gaussian.
        commitment: Factor of the squared distance of vectors from their entries (beta in the paper).
        decay: Of the moving averages that entries are.
        min_usage: Vectors per step, on average, below which an entry begins anew; 0 keeps all.

    Raises:
        Incompatible: There is no map to quantize, or a target is on none.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        levels: Size = 1,
        codebook_size: Size = 512,
        code_dim: Size = 64,
        channels: Size = 128,
        likelihood: LikelihoodName = "auto",
        commitment: NonNegativeFloat = 0.25,
        decay: InnerFraction = 0.99,
        min_usage: NonNegativeFloat = 0.1,
    ) -> None:
        super().__init__(
            "vector-quantization",
            features,
            targets,
            levels=levels,
            size=codebook_size,
            width=code_dim,
            channels=channels,
            likelihood=likelihood,
            decay=decay,
            min_usage=min_usage,
        )
        self.commitment = commitment

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Move the codebooks towards the vectors of the step."""
        for quantizer in self.codebooks:
            quantizer.update()

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the loss, its terms, the bound, and how many entries of every level the batch uses evenly."""
        vectors, quantized, codes = self.quantize(features)
        outputs = self.decode(quantized)
        log_likelihoods = self.log_likelihoods(outputs, targets)
        total = sum_over_targets(log_likelihoods)[:, 0]
        distances = torch.stack(
            [
                (one - nearest.detach()).square().flatten(1).sum(1)
                for one, nearest in zip(vectors, quantized, strict=True)
            ]
        ).sum(0)
        if self.training:
            self.note(vectors, codes, draws)
        rate = torch.full_like(total, self.uniform_nats)
        means = {name: self.likelihoods[name].mean(output[:, 0].detach()) for name, output in outputs.items()}
        used = {
            f"{name}.perplexity": perplexity(index, self.size) for name, index in zip(self.names, codes, strict=True)
        }
        return build_vae_loss(
            self.commitment * distances - total,
            {
                "negative_elbo": weighted_mean(rate - total),
                **reconstruction_reports(log_likelihoods),
                "kl": weighted_mean(rate),
                "commitment": weighted_mean(distances),
                **{name: (value, torch.ones_like(value)) for name, value in used.items()},
                **self.metrics(means, targets),
            },
        )

    def note(self, vectors: list[Tensor], codes: list[Tensor], draws: Draws) -> None:
        """Note the step's vectors for the codebooks."""
        for name, quantizer, one, index in zip(self.names, self.codebooks, vectors, codes, strict=True):
            quantizer.note(one, index.flatten(1), draws.uniform(f"restart {name}", one.shape[1]))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return what is decoded from the codes: values (B, ..., C), or log-probabilities."""
        return self.means(self.quantize(features)[2])

    @property
    def names(self) -> list[str]:
        """The levels' names, the top one first."""
        return [f"level{number}" for number in range(len(self.quantizers))]

    @property
    def uniform_nats(self) -> float:
        """The nats of a sample's codes where all entries are equally likely."""
        return sum(math.prod(grid) for grid in self.grids) * math.log(self.size)

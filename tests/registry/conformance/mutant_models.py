"""A sound model of tokens that sees the past, and what goes wrong in it."""

import torch
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 16


class Reader(nn.Module):
    """The mean of all tokens so far, and two layers."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        if spec.vocabulary is None:
            if fault == "refused-with-valueerror":
                raise ValueError("no tokens")
            raise Incompatible("reader", "tokens", spec.modality, "Choose a split of text.")
        self.embedding = nn.Embedding(spec.vocabulary.size, WIDTH)
        self.inner, self.outer = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH, track_running_stats=False)
        self.norm.requires_grad_(fault == "batch-norm-at-evaluation")
        if fault == "parameter-unused":
            self.mask = nn.Parameter(torch.zeros(WIDTH))
        if fault == "weights-kept-elsewhere":
            self.kept = [nn.Parameter(torch.randn(WIDTH))]
        if fault == "weights-unseeded":
            generator = torch.Generator()
            generator.seed()
            self.inner.weight.data.normal_(generator=generator)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        if spec.vocabulary is None:
            raise Incompatible("reader", "tokens", spec.modality, "Choose a split of text.")
        width = WIDTH + 1 if self.fault == "width-untrue" else WIDTH
        return FeatureSpec(width, spec.shape, spec.views, ("past",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        tokens = inputs.data
        if self.fault == "input-changed-in-place":
            tokens += 0 * tokens + (tokens == 7)
        vectors = self.embedding(tokens)
        if self.fault == "times-nothing":
            vectors = 0 * vectors
        if self.fault == "gradient-cut":
            vectors = vectors.detach()
        present = torch.ones_like(tokens, dtype=torch.bool) if inputs.present is None else inputs.present
        if self.fault == "reads-padding":
            present = torch.ones_like(present)
        weight = present[..., None].float()
        sofar = (vectors * weight).cumsum(2) / weight.cumsum(2).clamp(min=1)
        if self.fault == "sees-the-future":
            sofar = sofar + 0.1 * vectors.mean(2, keepdim=True)
        found = self.spoiled(self.outer(F.gelu(self.inner(sofar)) + vectors))
        last = present.sum(2).clamp(min=1) - 1
        pooled = found.gather(2, last[..., None, None].expand(*last.shape, 1, WIDTH))[:, :, 0]
        if self.fault == "summary-unsaid":
            pooled = self.inner(pooled)
        output = Features({"past": found}, {"past": pooled}, tuple(tokens.shape[2:]), inputs.present)
        return Features(output.streams, output.pooled, output.grid, output.present, (output,) if layers else ())

    def spoiled(self, found: Tensor) -> Tensor:
        """What each fault does to the features."""
        fault = self.fault
        if fault == "weights-kept-elsewhere":
            return found + self.kept[0]
        if fault == "dropout-at-evaluation":
            return F.dropout(found, 0.3, training=True)
        if fault == "batch-norm-at-evaluation":
            normed: Tensor = self.norm(found.flatten(0, 2)).view(found.shape)
            return normed
        if fault == "device-forgotten":
            return found + torch.zeros(WIDTH)
        if fault == "infinite-in-bfloat16":
            return found / (1 + found.sigmoid() * 2.0**-10 - 1) * 1e-3
        return found * 1e-7 if fault == "deaf" else found


class Nose(nn.Module):
    """Two layers over a smell."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, fault: str = "") -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(spec.shape[0], WIDTH), nn.Linear(WIDTH, WIDTH)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        return FeatureSpec(WIDTH, (), spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        found = self.outer(F.gelu(self.inner(inputs.data)))
        output = Features({"all": found[:, :, None]}, {"all": found})
        return Features(output.streams, output.pooled, layers=(output,) if layers else ())

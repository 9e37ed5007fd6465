"""Discrete model: p(y | codes) of one level of codes on a grid or several, each half as wide as the one below it.

From the features' map upwards, every level halves the map. From the top downwards, each level's map is joined with what
the level above was quantized to, projected and quantized; the decoder is given the codes of all levels.

Source: van den Oord, Vinyals and Kavukcuoglu, NIPS 2017, section 3; Razavi, van den Oord and Vinyals, NeurIPS 2019,
section 3.1. Differs: the features' map comes from whatever model the task has.
Axes: B batch, h w a level's map, W channels, D width of an entry, K entries, C outputs per position.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from pretask import (
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    TargetSpec,
    TargetSpecs,
    check_kinds,
    find_readout,
    upcast,
)
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.latent.decoders import DecoderBlock, as_outputs
from pretask_plugins.shared.latent.likelihoods import build_likelihood
from pretask_plugins.shared.latent.quantizer import Quantizer
from pretask_plugins.shared.latent.target_likelihoods import TargetLikelihoods

Codes = list[Tensor]  # (B, h, w) numbers of entries, the top level first


class DiscreteModel(TargetLikelihoods):
    """Codes of a map of features, and decoders of the targets.

    Args:
        who: The objective, for errors.
        features: What the encoder offers: one view on a grid of rows and columns.
        targets: What is decoded, on such grids.
        levels: Of codes.
        size: Entries of every level's codebook.
        width: Of an entry.
        channels: Of the maps of the decoder.
        likelihood: Of Values; `auto` is Gaussian for them and categorical for Categories.
        decay: Of the moving averages of entries.
        min_usage: Vectors per step below which an entry begins anew.

    Raises:
        Incompatible: There is no grid to quantize, or a target is on none.
    """

    def __init__(
        self,
        who: str,
        features: FeatureSpec,
        targets: TargetSpecs,
        *,
        levels: int,
        size: int,
        width: int,
        channels: int,
        likelihood: str,
        decay: float,
        min_usage: float,
    ) -> None:
        super().__init__()
        check_kinds(who, targets, {"categories", "values"})
        check_grids(who, features, targets)
        self.targets, self.size = dict(targets), size
        self.readout = find_readout(who, next(iter(targets)), features, next(iter(targets.values())), bottleneck=True)
        self.grids = level_grids(features.grid, levels)[::-1]  # the top level first
        self.down = nn.ModuleList(HalvingBlock(features.width) for _ in range(levels - 1))
        self.project = nn.ModuleList(
            nn.Conv2d(features.width + (width if level else 0), width, 1) for level in range(levels)
        )
        self.lift = nn.ModuleList(DecoderBlock(nn.Conv2d, width, width) for _ in range(levels - 1))
        self.quantizers = nn.ModuleList(Quantizer(size, width, decay, min_usage) for _ in range(levels))
        self.likelihoods = Heads(
            {name: build_likelihood(who, name, spec, likelihood) for name, spec in targets.items()}
        )
        self.decoders = Heads(
            {
                name: MapDecoder(features.grid, levels * width, channels, spec, self.likelihoods[name].num_outputs)
                for name, spec in targets.items()
            }
        )

    def quantize(self, features: Features) -> tuple[list[Tensor], list[Tensor], Codes]:
        """Return every level's vectors (B, h w, D), what they are quantized to, and its codes; the top level first."""
        vectors, quantized, codes = [], [], Codes()
        context: Tensor | None = None
        for level, below in enumerate(self.bottom_up(features)[::-1]):
            made = self.project_level(level, below, context)
            nearest, index = self.quantizers[level](made)
            context = self.as_map(nearest, level)
            vectors.append(made)
            quantized.append(nearest)
            codes.append(index.view(-1, *self.grids[level]))
        return vectors, quantized, codes

    def project_level(
        self, level: int, below: Float[Tensor, "B W h w"], above: Float[Tensor, "B D h2 w2"] | None
    ) -> Float[Tensor, "B N D"]:
        """Return a level's vectors, of its own map and of what the level above was quantized to."""
        if above is not None:
            below = torch.cat([below, F.interpolate(self.lift[level - 1](above), below.shape[2:])], 1)
        return upcast(self.project[level](below)).flatten(2).transpose(1, 2)

    @property
    def codebooks(self) -> list[Quantizer]:
        """The codebooks of all levels, the top one first."""
        return [quantizer for quantizer in self.quantizers if isinstance(quantizer, Quantizer)]

    def bottom_up(self, features: Features) -> list[Float[Tensor, "B W h w"]]:
        """Return the features' map, and the smaller ones that are made of it."""
        tokens = features.streams[self.readout.stream][:, 0]
        maps = [tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grids[-1])]
        for block in self.down:
            maps.append(block(maps[-1]))
        return maps

    def as_map(self, vectors: Float[Tensor, "B N D"], level: int) -> Float[Tensor, "B D h w"]:
        """Return a level's vectors as a map."""
        return vectors.transpose(1, 2).reshape(len(vectors), -1, *self.grids[level])

    def decode(self, quantized: Sequence[Float[Tensor, "B N D"]]) -> dict[str, Float[Tensor, "B 1 ... C"]]:
        """Decode the entries of all levels into the parameters of every target's likelihood."""
        maps = [F.interpolate(self.as_map(one, level), self.grids[-1]) for level, one in enumerate(quantized)]
        joined = torch.cat(maps, 1)
        return {name: upcast(self.decoders[name](joined))[:, None] for name in self.targets}

    def means(self, codes: Sequence[Int[Tensor, "B h w"]]) -> Mapping[str, Float[Tensor, "B ... C"]]:
        """Return the expected value of every target for such codes, or the log-probabilities of its classes."""
        entries = [quantizer.look_up(index.flatten(1)) for quantizer, index in zip(self.codebooks, codes, strict=True)]
        return {name: self.likelihoods[name].mean(output[:, 0]) for name, output in self.decode(entries).items()}


class HalvingBlock(nn.Module):
    """A convolution of stride 2 and a residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(width, width, 3, 2, 1)
        self.refine = DecoderBlock(nn.Conv2d, width, width)

    def forward(self, maps: Float[Tensor, "B W h w"]) -> Float[Tensor, "B W h2 w2"]:
        """Return maps of half the sides, rounded up."""
        refined: Tensor = self.refine(self.halve(maps))
        return refined


class MapDecoder(nn.Module):
    """A map that is refined and doubled until it is as large as the target."""

    def __init__(
        self, grid: tuple[int, ...], in_channels: int, channels: int, target: TargetSpec, num_outputs: int
    ) -> None:
        super().__init__()
        self.views, self.num_outputs = target.views, num_outputs
        self.sides = sides_between(grid, target.grid)
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList(DecoderBlock(nn.Conv2d, channels, channels) for _ in self.sides)
        self.last = nn.Conv2d(channels, (target.views or 1) * num_outputs, 3, padding=1)

    def forward(self, maps: Float[Tensor, "B D h w"]) -> Float[Tensor, "B ... C"]:
        """Decode a map into the outputs of every position."""
        maps = self.first(maps)
        for block, sides in zip(self.blocks, self.sides, strict=True):
            maps = block(F.interpolate(maps, sides))
        return as_outputs(self.last(F.gelu(maps)), self.views, self.num_outputs)


def sides_between(grid: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the sides of maps from a grid, itself first, to the target's, each at most twice the one before.

    >>> sides_between((7, 7), (28, 28)), sides_between((4, 4), (4, 4))
    ([(7, 7), (14, 14), (28, 28)], [(4, 4)])
    """
    sides = [grid]
    while sides[-1] != target:
        sides.append(
            tuple(min(2 * side, most) if side < most else most for side, most in zip(sides[-1], target, strict=True))
        )
    return sides


def level_grids(grid: tuple[int, ...], levels: int) -> list[tuple[int, ...]]:
    """Return the grids of levels from the bottom up, each of half the sides, rounded up.

    >>> level_grids((7, 8), 2)
    [(7, 8), (4, 4)]
    """
    grids = [grid]
    for _ in range(levels - 1):
        grids.append(tuple(-(-side // 2) for side in grids[-1]))
    return grids


def check_grids(who: str, features: FeatureSpec, targets: TargetSpecs) -> None:
    """Raise Incompatible unless features and targets are on rows and columns."""
    if len(features.grid) != 2 or features.views != 1 or features.skips_hidden:
        raise Incompatible(
            who,
            "features of one view on a grid of rows and columns, all of them encoded",
            f"features of {features.views} views on the grid {features.grid}",
            "Choose the model convnet, or another that keeps a map.",
        )
    for name, spec in targets.items():
        if len(spec.grid) != 2:
            raise Incompatible(
                who, f"rows and columns for the target '{name}'", f"the grid {spec.grid}", "Choose the split whole."
            )

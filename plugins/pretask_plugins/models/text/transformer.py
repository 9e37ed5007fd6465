"""Transformer: for tokens of text or frames of sound, causal or not.

Source: Vaswani et al., NeurIPS 2017; layer normalization before each part (Xiong et al., ICML 2020); rotary positions
(Su et al. 2021); initialization as Radford et al. 2019.
Differs: a frame enters by one linear map. A learned vector in the place of what is hidden is that of wav2vec 2.0
(Baevski, Zhou, Mohamed and Auli, NeurIPS 2020). A segment has an embedding, as in BERT, where the data are tokens.
Axes: R rows (views of samples), L positions, D width, E width of one head, M channels of a frame.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Depth, FractionBelowOne, Size
from torch import Tensor, nn

from pretask_plugins.models.text.sequence import (
    as_features,
    causal_mask,
    check_heads,
    check_length,
    check_tokens,
    check_vocabulary,
    context_length,
    flatten_views,
    last_present,
    mean_present,
    sight_mask,
    with_layers,
)
from pretask_plugins.shared.attention import INITIAL_STD, Block, Pair, initialize, rotary_angles

Memory = list[Pair]  # of every block


class Transformer(nn.Module):
    """Blocks of attention and perceptron over embedded tokens or frames.

    Args:
        spec: Of x: tokens (L,), or frames (L, M).
        whole_spec: Of the undivided sample.
        width: Of every vector.
        depth: Blocks.
        heads: Of attention; they share the width.
        hidden: Width of the perceptron, as a multiple of the model's.
        causal: Whether a position sees the past only.
        position: Rotary positions work at any length, learned ones up to the context.
        context: Positions to learn; those of the longest input where it is left out.
        segments: How many joined pieces an input may have.
        dropout: Fraction of activations that are dropped in training.
        mask_vector: Whether a learned vector stands in the place of every position that the split hides, whatever it
            left there (Baevski et al. 2020).

    Raises:
        Incompatible: The inputs are neither tokens nor frames, or the heads cannot share the width.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        width: Size = 256,
        depth: Depth = 4,
        heads: Size = 4,
        hidden: Size = 4,
        causal: bool = False,
        position: Literal["rotary", "learned"] = "rotary",
        context: Size | None = None,
        segments: Size = 2,
        dropout: FractionBelowOne = 0.1,
        mask_vector: bool = False,
    ) -> None:
        super().__init__()
        rotary = position == "rotary"
        check_heads("transformer", width, heads, 2 if rotary else 1)
        self.width, self.heads, self.causal = width, heads, causal
        self.context = context if rotary else context_length(context, spec, whole_spec)
        self.embedding: nn.Embedding | None = None
        if spec.vocabulary is not None:
            self.embedding = nn.Embedding(check_tokens("transformer", spec, whole_spec), width)
            self.segment = nn.Embedding(segments, width)
        else:
            self.frame = nn.Linear(check_frames(spec, whole_spec), width)
        self.position = None if rotary else nn.Embedding(self.context or 0, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, hidden * width, causal, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        initialize(self, depth)
        self.mask = nn.Parameter(nn.init.normal_(torch.empty(width), std=INITIAL_STD)) if mask_vector else None

    def extra_repr(self) -> str:
        """Return the settings that no weight shows."""
        return f"heads={self.heads}, causal={self.causal}"

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position."""
        if self.embedding is not None:
            check_vocabulary("transformer", spec, self.embedding.num_embeddings)
        elif check_frames(spec) != self.frame.in_features:
            raise Incompatible(
                "transformer",
                f"frames of {self.frame.in_features} channels, for which it was built",
                f"{spec.shape[1]}",
                "Let the split's whole() show what x shows.",
            )
        check_length("transformer", spec, self.context)
        return FeatureSpec(self.width, spec.shape[:1], spec.views, ("past",) if self.causal else ("all",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view: the embeddings, what each block makes of them, and the normalized last."""
        vectors, present = self.embed(inputs), flatten_views(inputs.present)
        mask, angles = sight_mask(present, self.causal), self.angles(vectors)
        found = [vectors]
        for block in self.blocks:
            found.append(block(found[-1], mask, angles)[0])
        found[-1] = self.norm(found[-1])
        wanted = found if layers else found[-1:]
        return with_layers([self.build_features(vectors, present, inputs) for vectors in wanted], layers)

    def step(self, inputs: Inputs, memory: Memory | None, /) -> tuple[Features, Memory]:
        """Return features of positions that follow what is remembered: keys and values by block; None at first.

        All positions are present.

        Raises:
            Incompatible: The model sees the future, so that a new position would change those before it.
        """
        if not self.causal:
            raise Incompatible(
                "transformer",
                "model.causal=true to go on from what it has read",
                "false",
                "Set model.causal=true, or generation.use_memory=false.",
            )
        start = 0 if memory is None else memory[0][0].shape[2]
        vectors = self.embed(inputs, start)
        mask, angles = causal_mask(start, vectors), self.angles(vectors, start)
        new_memory = []
        for number, block in enumerate(self.blocks):
            vectors, pair = block(vectors, mask, angles, None if memory is None else memory[number])
            new_memory.append(pair)
        return self.build_features(self.norm(vectors), None, inputs), new_memory

    def embed(self, inputs: Inputs, start: int = 0) -> Float[Tensor, "R L D"]:
        """Embed tokens or frames, with their segment and, where it is learned, their position from `start` on."""
        data = inputs.data.flatten(0, 1)
        if self.embedding is not None:
            segment = flatten_views(inputs.segment)
            vectors = self.embedding(data) + self.segment(torch.zeros_like(data) if segment is None else segment)
        else:
            vectors = self.frame(data)
        visible = flatten_views(inputs.visible)
        if self.mask is not None and visible is not None:
            vectors = torch.where(visible[..., None], vectors, self.mask.to(vectors.dtype))
        if self.position is not None:
            vectors = vectors + self.position.weight[start : start + vectors.shape[1]]
        dropped: Tensor = self.dropout(vectors)
        return dropped

    def angles(self, vectors: Float[Tensor, "R L D"], start: int = 0) -> Float[Tensor, "L half"] | None:
        """Return by how much the pairs of a head are turned at every position from `start` on."""
        if self.position is not None:
            return None
        return rotary_angles(start + vectors.shape[1], self.width // self.heads, vectors.device)[start:]

    def build_features(
        self, vectors: Float[Tensor, "R L D"], present: Bool[Tensor, "R L"] | None, inputs: Inputs
    ) -> Features:
        """Return the one stream; it is pooled by the last present vector where it is causal, else by the mean."""
        sight, pooled = ("past", last_present) if self.causal else ("all", mean_present)
        return as_features({sight: vectors}, {sight: pooled(vectors, present)}, inputs)


def check_frames(*specs: InputSpec) -> int:
    """Return the channels of a frame; raise Incompatible unless all specs are frames of equally many."""
    for spec in specs:
        if len(spec.shape) != 2 or spec.vocabulary is not None:
            raise Incompatible(
                "transformer",
                "tokens (length,) of a vocabulary, or frames (length, channels)",
                f"{spec.modality} of shape {spec.shape}",
                "Choose a split that gives one of the two, such as masked-speech.",
            )
    channels = {spec.shape[1] for spec in specs}
    if len(channels) > 1:
        raise Incompatible(
            "transformer",
            "as many channels in x as in the whole sample",
            " and ".join(map(str, sorted(channels))),
            "Let the split's whole() show what x shows.",
        )
    return channels.pop()

"""GPT-2: a causal transformer of any size, built from its configuration and never downloaded.

Source: Radford et al. 2019, as in the transformers library (attention through SDPA).
Differs: the context is as long as the longest input unless it is set (1,024 in the paper). Blocks are called one by
one: the library's own pass looks at the content of positions, which waits for the device and fails without one.
Segments are not marked: what separates pieces is a token.
Axes: R rows (views of samples), L positions, D width.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.exporting import ExportedNetwork
from pretask.options import Depth, FractionBelowOne, Size
from torch import Tensor, nn
from torch.nn import functional as F

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
    sight_mask,
    with_layers,
)

Pair = tuple[Tensor, Tensor]  # keys and values of all positions so far, (R, heads, T, E)
Memory = tuple[Pair, ...]  # of every block


class Gpt2(nn.Module):
    """GPT-2 without its softmax.

    Args:
        spec: Of x: tokens.
        whole_spec: Of the undivided sample.
        width: Of every vector; 768, 1024, 1280 and 1600 in the paper.
        depth: Blocks; 12, 24, 36 and 48.
        heads: Of attention; 12, 16, 20 and 25.
        context: Positions; those of the longest input where it is left out.
        dropout: Fraction of activations that are dropped in training.

    Raises:
        Incompatible: The inputs are no tokens, or the heads cannot share the width.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        width: Size = 768,
        depth: Depth = 12,
        heads: Size = 12,
        context: Size | None = None,
        dropout: FractionBelowOne = 0.1,
    ) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2Model

        check_heads("gpt2", width, heads)
        size, self.context = check_tokens("gpt2", spec, whole_spec), context_length(context, spec, whole_spec)
        configuration = GPT2Config(
            vocab_size=size,
            n_positions=self.context,
            n_embd=width,
            n_layer=depth,
            n_head=heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation="sdpa",
        )
        self.width, self.heads = width, heads
        self.body = GPT2Model(configuration)

    def extra_repr(self) -> str:
        """Return the settings that no weight shows."""
        return f"heads={self.heads}"

    @property
    def embedding(self) -> nn.Embedding:
        """The tokens' vectors, for a softmax that shares them."""
        found: nn.Embedding = self.body.wte
        return found

    def export(self, library: str, /) -> ExportedNetwork | None:
        """Return the library's GPT-2."""
        if library != "transformers":
            return None
        return ExportedNetwork(self.body.state_dict(), {**self.body.config.to_dict(), "architectures": ["GPT2Model"]})

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position, that has seen what came before."""
        check_vocabulary("gpt2", spec, self.embedding.num_embeddings)
        check_length("gpt2", spec, self.context)
        return FeatureSpec(self.width, spec.shape, spec.views, ("past",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view: the embeddings, what each block makes of them, and the normalized last.

        The pooled vector is the last present token's vector, even where that is an end token, which packed rows never
        train; probes pool content instead.
        """
        present = flatten_views(inputs.present)
        mask = sight_mask(present, causal=True)
        found = [self.embed(inputs.data.flatten(0, 1))]
        for block in self.body.h:
            found.append(block(found[-1], attention_mask=mask))
        found[-1] = self.body.ln_f(found[-1])
        wanted = found if layers else found[-1:]
        return with_layers(
            [as_features({"past": v}, {"past": last_present(v, present)}, inputs) for v in wanted], layers
        )

    def step(self, inputs: Inputs, memory: Memory | None, /) -> tuple[Features, Memory]:
        """Return features of positions that follow what is remembered: keys and values by block; None at first.

        All positions are present.
        """
        start = 0 if memory is None else memory[0][0].shape[2]
        vectors = self.embed(inputs.data.flatten(0, 1), start)
        mask, pairs = causal_mask(start, vectors), list[Pair]()
        for number, block in enumerate(self.body.h):
            vectors, pair = self.step_block(block, vectors, mask, None if memory is None else memory[number])
            pairs.append(pair)
        vectors = self.body.ln_f(vectors)
        return as_features({"past": vectors}, {"past": vectors[:, -1]}, inputs), tuple(pairs)

    def step_block(
        self, block: Any, vectors: Float[Tensor, "R L D"], mask: Bool[Tensor, "1 1 L T"] | None, before: Pair | None
    ) -> tuple[Float[Tensor, "R L D"], Pair]:
        """Return what a block makes of new positions without dropout, and its keys and values so far.

        The library's own cache changes in place, and takes longer than the arithmetic of one position.
        """
        three = block.attn.c_attn(block.ln_1(vectors)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = three.unbind(0)  # (R, heads, L, E)
        if before is not None:
            key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
        taken = F.scaled_dot_product_attention(query, key, value, mask)
        vectors = vectors + block.attn.c_proj(taken.transpose(1, 2).flatten(2))
        hidden = F.gelu(block.mlp.c_fc(block.ln_2(vectors)), approximate="tanh")  # in one operation, theirs is eight
        return vectors + block.mlp.c_proj(hidden), (key, value)

    def embed(self, tokens: Tensor, start: int = 0) -> Float[Tensor, "R L D"]:
        """Embed tokens and their positions, counted from `start`, as vectors."""
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        vectors: Tensor = self.body.drop(self.body.wte(tokens) + self.body.wpe(positions))
        return vectors

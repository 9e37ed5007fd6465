"""BERT: a transformer that sees everything, built from its configuration and never downloaded.

Source: Devlin, Chang, Lee and Toutanova, NAACL 2019, as in the transformers library (attention through SDPA).
Differs: the model itself puts the class token in front, so that positions are those of the text; its vector is the
pooled, without the pooler's further layer (an objective may have one). The context is as long as the longest input
unless it is set (512 in the paper).
Axes: R rows (views of samples), L positions, K = 1 + L with the class token, D width.
"""

import torch
from jaxtyping import Float
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.exporting import ExportedNetwork
from pretask.options import Depth, FractionBelowOne, Size
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.models.text.sequence import (
    as_features,
    check_heads,
    check_length,
    check_tokens,
    check_vocabulary,
    context_length,
    flatten_views,
    sight_mask,
    with_layers,
)


class Bert(nn.Module):
    """The encoder of BERT, without its heads.

    Args:
        spec: Of x: tokens of a vocabulary with a class token.
        whole_spec: Of the undivided sample.
        width: Of every vector; 768 and 1024 in the paper.
        depth: Blocks; 12 and 24.
        heads: Of attention; 12 and 16.
        context: Positions, the class token not counted; those of the longest input where it is left out.
        segments: How many joined pieces an input may have.
        dropout: Fraction of activations that are dropped in training.

    Raises:
        Incompatible: The inputs are no tokens, there is no class token, or the heads cannot share the width.
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
        segments: Size = 2,
        dropout: FractionBelowOne = 0.1,
    ) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        check_heads("bert", width, heads)
        size, self.context = check_tokens("bert", spec, whole_spec), context_length(context, spec, whole_spec)
        self.class_token = class_token(spec)
        configuration = BertConfig(
            vocab_size=size,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=self.context + 1,
            type_vocab_size=segments,
            pad_token_id=None,
            attn_implementation="sdpa",
        )
        self.width, self.heads = width, heads
        self.body = BertModel(configuration, add_pooling_layer=False)

    def extra_repr(self) -> str:
        """Return the settings that no weight shows."""
        return f"heads={self.heads}, class_token={self.class_token}"

    @property
    def embedding(self) -> nn.Embedding:
        """The tokens' vectors, for a softmax that shares them."""
        found: nn.Embedding = self.body.embeddings.word_embeddings
        return found

    def export(self, library: str, /) -> ExportedNetwork | None:
        """Return the library's BERT; its pooler, which nothing trained, hands on the class token's vector."""
        if library != "transformers":
            return None
        pooler = {"pooler.dense.weight": torch.eye(self.width), "pooler.dense.bias": torch.zeros(self.width)}
        config = {**self.body.config.to_dict(), "architectures": ["BertModel"]}
        return ExportedNetwork({**self.body.state_dict(), **pooler}, config, before=("class",))

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position, that has seen all others."""
        check_vocabulary("bert", spec, self.embedding.num_embeddings)
        check_length("bert", spec, self.context)
        return FeatureSpec(self.width, spec.shape, spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view: the embeddings, and what each block makes of them."""
        present = flatten_views(inputs.present)
        mask = sight_mask(None if present is None else with_class(present, 1), causal=False)
        found = [self.embed(inputs)]
        for block in self.body.encoder.layer:
            found.append(block(found[-1], mask))
        wanted = found if layers else found[-1:]
        return with_layers(
            [as_features({"all": v[:, 1:]}, {"all": v[:, 0]}, inputs, own_pooled=True) for v in wanted], layers
        )

    def embed(self, inputs: Inputs) -> Float[Tensor, "R K D"]:
        """Embed the class token and the text as vectors that tell token, position and segment."""
        tokens = with_class(inputs.data.flatten(0, 1), self.class_token)
        segment = flatten_views(inputs.segment)
        kinds = torch.zeros_like(tokens) if segment is None else with_class(segment, 0)
        vectors: Tensor = self.body.embeddings(input_ids=tokens, token_type_ids=kinds)
        return vectors


def with_class(of_tokens: Tensor, of_class: int) -> Tensor:
    """Put one more number in front of every row (R, L).

    >>> with_class(torch.tensor([[False, True]]), 1).tolist()
    [[True, False, True]]
    """
    return F.pad(of_tokens, (1, 0), value=of_class)


def class_token(spec: InputSpec) -> int:
    """Return the id of the class token; raise Incompatible where the vocabulary has none."""
    found = spec.vocabulary.id("class") if spec.vocabulary is not None else None
    if found is None:
        raise Incompatible(
            "bert",
            "a vocabulary with a class token, whose vector sums up the text",
            "one without the role 'class'",
            "Give the data's vocabulary that role, or choose the model transformer.",
        )
    return found

"""Embedding: one vector for every token, the same in any company.

Source: Mikolov et al. 2013; initialized as in the released word2vec.
Axes: B batch, V views, L positions, D width.
"""

from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.options import Size
from torch import nn

from pretask_plugins.models.text.sequence import (
    as_features,
    check_tokens,
    check_vocabulary,
    flatten_views,
    mean_present,
    with_layers,
)


class Embedding(nn.Module):
    """A table of vectors, and nothing else.

    Args:
        spec: Of x: tokens.
        whole_spec: Of the undivided sample.
        width: Of a vector; 300 in the paper.

    Raises:
        Incompatible: The inputs are no tokens.
    """

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 300) -> None:
        super().__init__()
        self.embedding = nn.Embedding(check_tokens("embedding", spec, whole_spec), width)
        nn.init.uniform_(self.embedding.weight, -0.5 / width, 0.5 / width)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position, that has seen nothing but its own token."""
        check_vocabulary("embedding", spec, self.embedding.num_embeddings)
        return FeatureSpec(self.embedding.embedding_dim, spec.shape, spec.views, ("present",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return the tokens' vectors; the only layer there is. The pooled vector is their mean over what is present."""
        vectors = self.embedding(inputs.data.flatten(0, 1))
        pooled = mean_present(vectors, flatten_views(inputs.present))
        return with_layers([as_features({"present": vectors}, {"present": pooled}, inputs)], layers)

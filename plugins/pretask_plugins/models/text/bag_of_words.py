"""Bag of words: one vector for every token, averaged over the views of a place, as CBOW reads its windows.

Source: Mikolov, Chen, Corrado and Dean, ICLR workshop 2013, section 3.1; initialized as in the released word2vec.
Axes: B batch, V views, L positions, D width.
"""

import torch
from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.options import Size
from torch import nn

from pretask_plugins.models.text.sequence import check_tokens, check_vocabulary, mean_present, with_layers
from pretask_plugins.shared.bags import sum_bags


class BagOfWords(nn.Module):
    """The mean of the vectors of all views, place by place; of one view its own vectors.

    Args:
        spec: Of x: rows of tokens.
        whole_spec: Of the undivided sample.
        width: Of a vector.

    Raises:
        Incompatible: The inputs are no tokens.
    """

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 300) -> None:
        super().__init__()
        self.embedding = nn.Embedding(check_tokens("bag-of-words", spec, whole_spec), width)
        nn.init.uniform_(self.embedding.weight, -0.5 / width, 0.5 / width)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position, of all views together."""
        check_vocabulary("bag-of-words", spec, self.embedding.num_embeddings)
        return FeatureSpec(self.embedding.embedding_dim, spec.shape, 1, ("present",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return the means; 0 where no view is present."""
        present = torch.ones_like(inputs.data, dtype=torch.bool) if inputs.present is None else inputs.present
        weights = present.to(self.embedding.weight.dtype)
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1)
        bags, weights = (rows.transpose(1, 2).flatten(0, 1) for rows in (inputs.data, weights))  # (B L, V)
        means = sum_bags(self.embedding.weight, bags, weights)
        vectors = means.view(len(inputs.data), -1, means.shape[1])
        is_any = present.any(1)
        pooled = mean_present(vectors, is_any)
        features = Features(
            {"present": vectors[:, None]},
            {"present": pooled[:, None]},
            (vectors.shape[1],),
            None if inputs.present is None else is_any[:, None],
        )
        return with_layers([features], layers)

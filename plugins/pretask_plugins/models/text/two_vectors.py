"""Two vectors for every word: one where it is a center, one where it is a neighbor; their sum is the feature.

Source: Pennington, Socher and Manning, EMNLP 2014, section 4.2 ("we choose to use the sum W + W~ as our word vectors").
Axes: B batch, V views, L positions, D width, C size of the vocabulary.
"""

import torch
from jaxtyping import Float
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Size
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.models.text.sequence import as_features, check_tokens, check_vocabulary, mean_present, with_layers


class TwoVectors(nn.Module):
    """A table of vectors of centers and, below them, of neighbors, each with its bias as the last number.

    Args:
        spec: Of x: rows of tokens, or two of them: centers, and their neighbors place by place.
        whole_spec: Of the undivided sample.
        width: Of a vector; 300 in the paper.

    Raises:
        Incompatible: The inputs are no tokens, or of more than two views.
    """

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 300) -> None:
        super().__init__()
        self.vocabulary_size, self.width = check_tokens("glove", spec, whole_spec), width
        self.table = nn.Parameter(torch.empty(2 * self.vocabulary_size, width + 1))
        nn.init.uniform_(self.table, -0.5 / width, 0.5 / width)  # biases too, as in the released code
        self.features(spec)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of vectors with biases of two views, of sums without biases of one."""
        check_vocabulary("glove", spec, self.vocabulary_size)
        if spec.views > 2:
            raise Incompatible("glove", "one row of tokens, or two", f"{spec.views}", "Choose the model embedding.")
        return FeatureSpec(self.width + (spec.views - 1), spec.shape, spec.views, ("present",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return the vectors of both views, or the sums of both vectors of one view."""
        if inputs.data.shape[1] == 2:
            below = torch.tensor([0, self.vocabulary_size], device=inputs.data.device)
            vectors = F.embedding(inputs.data + below[:, None], self.table).flatten(0, 1)
        else:
            vectors = F.embedding(inputs.data[:, 0], self.sum_tables())
        present = None if inputs.present is None else inputs.present.flatten(0, 1)
        pooled = mean_present(vectors, present)
        return with_layers([as_features({"present": vectors}, {"present": pooled}, inputs)], layers)

    def sum_tables(self) -> Float[Tensor, "C D"]:
        """Return W + W~, without biases."""
        centers, neighbors = self.table[: self.vocabulary_size], self.table[self.vocabulary_size :]
        return (centers + neighbors)[:, :-1]

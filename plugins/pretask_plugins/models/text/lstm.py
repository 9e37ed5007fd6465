"""LSTM: layers that read from left to right, or others from right to left beside them.

Source: Hochreiter and Schmidhuber 1997; both directions, projected cells and shortcuts as in ELMo (Peters et al.,
NAACL 2018).
Differs: tokens have vectors of their own, where ELMo composes them of characters (char_bilstm.py does); nothing is
clipped. The two directions share the tokens' vectors and nothing else. Features of one direction leave the other one's
half empty, since all streams are of one width; `all` has both halves, as ELMo hands them on.
Padding may stand anywhere: present tokens are read one after the other.
Axes: R rows (views of samples), L positions, D width of one direction.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, runtime_checkable
from warnings import catch_warnings, filterwarnings

import torch
from jaxtyping import Bool, Float, Int
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Depth, FractionBelowOne, Size
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.models.text.sequence import (
    as_features,
    check_tokens,
    check_vocabulary,
    first_present,
    flatten_views,
    last_present,
    with_layers,
)


@runtime_checkable
class TokenVectors(Protocol):
    """The layer below both directions: a vector for every token."""

    @property
    def num_embeddings(self) -> int:
        """How many tokens it knows."""
        ...

    def __call__(self, tokens: Int[Tensor, "R L"], /) -> Float[Tensor, "R L D"]:
        """Return the vectors of tokens."""
        ...


Memory = list[tuple[Tensor, Tensor]]  # output and cells of every layer, (R, 1, D)


class Lstm(nn.Module):
    """Layers from left to right.

    Args:
        spec: Of x: tokens.
        whole_spec: Of the undivided sample.
        width: Of every vector.
        depth: Layers.
        hidden_size: Cells of every layer, projected to the width; as many as the width, and not projected, where it
            is left out.
        dropout: Fraction of activations that are dropped between layers in training.

    Raises:
        Incompatible: The inputs are no tokens.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        width: Size = 512,
        depth: Depth = 2,
        hidden_size: Size | None = None,
        dropout: FractionBelowOne = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(check_tokens("lstm", spec, whole_spec), width)
        self.dropout = nn.Dropout(dropout)
        self.forward_layers = Direction(width, depth, hidden_size, dropout)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position, that has seen what came before."""
        check_vocabulary("lstm", spec, self.embedding.num_embeddings)
        return FeatureSpec(self.width, spec.shape, spec.views, ("past",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view: the tokens' vectors, and what each layer makes of them.

        The pooled vector is the last present token's vector, even where that is an end token, which packed rows never
        train; probes pool content instead.
        """
        present = flatten_views(inputs.present)
        vectors = self.dropout(self.embedding(inputs.data.flatten(0, 1)))
        found = [vectors, *self.forward_layers(vectors, reading_order(vectors, present, backward=False))]
        wanted = found if layers else found[-1:]
        return with_layers(
            [as_features({"past": v}, {"past": last_present(v, present)}, inputs) for v in wanted], layers
        )

    def step(self, inputs: Inputs, memory: Memory | None, /) -> tuple[Features, Memory]:
        """Return features of positions that follow what is remembered: the state of every layer; None at first.

        All positions are present.
        """
        vectors = self.dropout(self.embedding(inputs.data.flatten(0, 1)))
        found, memory = self.forward_layers.step(vectors, memory)
        return as_features({"past": found[-1]}, {"past": found[-1][:, -1]}, inputs), memory


class TwoDirections(nn.Module, ABC):
    """Layers from left to right, and others from right to left, over the same vectors of tokens.

    Args:
        embedding: The layer below both.
        width: Of every vector of one direction.
        depth: Layers of each direction.
        hidden_size: Cells of every layer, projected to the width; as many as the width, and not projected, where it
            is left out.
        dropout: Fraction of activations that are dropped between layers in training.
    """

    name: ClassVar[str]  # for errors

    def __init__(
        self, embedding: TokenVectors, width: int, depth: int, hidden_size: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = embedding
        self.dropout = nn.Dropout(dropout)
        self.forward_layers = Direction(width, depth, hidden_size, dropout)
        self.backward_layers = Direction(width, depth, hidden_size, dropout)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position and direction."""
        check_vocabulary(self.name, spec, self.embedding.num_embeddings)
        return FeatureSpec(2 * self.width, spec.shape, spec.views, ("past", "future", "all"))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view: the tokens' vectors in both halves, and what each layer makes of them."""
        present = flatten_views(inputs.present)
        vectors = self.dropout(self.embedding(inputs.data.flatten(0, 1)))
        past = [vectors, *self.forward_layers(vectors, reading_order(vectors, present, backward=False))]
        future = [vectors, *self.backward_layers(vectors, reading_order(vectors, present, backward=True))]
        pairs = list(zip(past, future, strict=True))
        return with_layers(
            [self.build_features(*pair, present, inputs) for pair in (pairs if layers else pairs[-1:])], layers
        )

    def build_features(
        self,
        past: Float[Tensor, "R L D"],
        future: Float[Tensor, "R L D"],
        present: Bool[Tensor, "R L"] | None,
        inputs: Inputs,
    ) -> Features:
        """Return three streams of one width, and what each direction knew when it had read everything.

        No single position of `all` has both of the latter, so the pooled vector is one of its own.
        """
        end, begin = last_present(past, present), first_present(future, present)
        return as_features(self.build_streams(past, future), self.build_streams(end, begin), inputs, own_pooled=True)

    @abstractmethod
    def build_streams(self, past: Float[Tensor, "R *L D"], future: Float[Tensor, "R *L D"]) -> dict[str, Tensor]:
        """Return vectors of both directions as streams of twice the width: `past`, `future`, and `all` with both."""


class BiLstm(TwoDirections):
    """Layers from left to right, and others from right to left; features have twice the width.

    Args:
        spec: Of x: tokens.
        whole_spec: Of the undivided sample.
        width: Of every vector of one direction; 512 in the paper.
        depth: Layers of each direction.
        hidden_size: Cells of every layer, projected to the width; 4,096 in the paper. As many as the width, and not
            projected, where it is left out.
        dropout: Fraction of activations that are dropped between layers in training.

    Raises:
        Incompatible: The inputs are no tokens.
    """

    name = "bilstm"

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        width: Size = 512,
        depth: Depth = 2,
        hidden_size: Size | None = None,
        dropout: FractionBelowOne = 0.1,
    ) -> None:
        embedding = nn.Embedding(check_tokens(self.name, spec, whole_spec), width)
        super().__init__(embedding, width, depth, hidden_size, dropout)

    def build_streams(self, past: Float[Tensor, "R *L D"], future: Float[Tensor, "R *L D"]) -> dict[str, Tensor]:
        """Return vectors of both directions as streams of twice the width; one direction leaves half of it empty."""
        return {
            "past": F.pad(past, (0, self.width)),
            "future": F.pad(future, (self.width, 0)),
            "all": torch.cat([past, future], -1),
        }


class Direction(nn.Module):
    """A stack of layers that read in one direction; every one after the first is added to what it reads."""

    def __init__(self, width: int, depth: int, hidden_size: int | None, dropout: float) -> None:
        super().__init__()
        projected = hidden_size is not None and hidden_size != width
        if projected and hidden_size is not None and hidden_size < width:
            raise Incompatible(
                "an LSTM",
                f"model.hidden_size of at least model.width = {width}, to which they are projected",
                f"{hidden_size}",
                "Set a larger model.hidden_size, or a smaller model.width.",
            )
        self.layers = nn.ModuleList(
            nn.LSTM(width, hidden_size or width, batch_first=True, proj_size=width if projected else 0)
            for _ in range(depth)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, vectors: Float[Tensor, "R L D"], order: Int[Tensor, "R L"] | None
    ) -> list[Float[Tensor, "R L D"]]:
        """Return the outputs of every layer, read in the given order and given back in their own."""
        outputs, _ = self.step(vectors if order is None else reorder(vectors, order), None)
        return outputs if order is None else [reorder(vectors, order.argsort(1)) for vectors in outputs]

    def step(self, read: Float[Tensor, "R L D"], memory: Memory | None) -> tuple[list[Float[Tensor, "R L D"]], Memory]:
        """Return the outputs of every layer on vectors that follow the remembered ones, and its state after them."""
        found: list[Tensor] = []
        states: Memory = []
        for number, layer in enumerate(self.layers):
            # torch says that projected cells run on its own code, which is what we want; few CPUs have bfloat16 LSTMs
            with catch_warnings(), torch.autocast("cpu", enabled=False):
                filterwarnings("ignore", "LSTM with projections")
                before = tuple(part.transpose(0, 1).contiguous() for part in memory[number]) if memory else None
                made, state = layer(self.dropout(read) if found else read, before)
            read = made + read if found else made
            found.append(read)
            states.append((state[0].transpose(0, 1), state[1].transpose(0, 1)))
        return found, states


def reading_order(
    vectors: Float[Tensor, "R L D"], present: Bool[Tensor, "R L"] | None, backward: bool
) -> Int[Tensor, "R L"] | None:
    """Return the positions in the order in which they are read, padding last; None where that is their own.

    >>> reading_order(torch.zeros(1, 4, 1), torch.tensor([[True, True, True, False]]), backward=True).tolist()
    [[2, 1, 0, 3]]
    """
    if present is None and not backward:
        return None
    count, length = vectors.shape[:2]
    position = torch.arange(length, device=vectors.device).expand(count, length)
    rank = position.flip(1) if backward else position
    return (rank if present is None else rank + length * ~present).argsort(1)


def reorder(vectors: Float[Tensor, "R L D"], order: Int[Tensor, "R L"]) -> Float[Tensor, "R L D"]:
    """Return the vectors in another order."""
    return vectors.gather(1, order[..., None].expand_as(vectors))

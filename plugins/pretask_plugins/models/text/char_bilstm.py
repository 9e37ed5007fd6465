"""Character BiLSTM: ELMo's encoder to the end, tokens composed of their characters below both directions.

Every token is spelled as bytes of UTF-8 between marks of its begin and end. Filters of several widths run over the
vectors of these, the maximum over places is kept, highway layers mix what the filters found, and a line brings it to
the width of the LSTMs. So a rare word has what its parts have in common with frequent ones. The table of spellings is
made of the vocabulary's tokens and kept with the weights; where nobody knows how ids are spelled, an id's digits are
its spelling. The two directions share all of this, and their features lie in the same places, so that one softmax can
read both (objectives/shared_softmax.py).

Source: Peters et al., NAACL 2018, section 3.4; Kim et al., AAAI 2016; the released bilm-tf (symbols, initial weights,
gates that begin at a bias of -2).
Differs: a token that the tokenizer has no id for is the unknown token, where the released code spells it; bytes beyond
`characters` are cut off; vectors may be normalized; nothing is clipped.
Axes: R rows (views of samples), L positions, T tokens, S symbols of a token, F filters, D width of one direction.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pretask import Incompatible, InputSpec, Vocabulary
from pretask.options import Depth, FractionBelowOne, Interval, NonNegativeInt, Size
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.models.text.lstm import TwoDirections
from pretask_plugins.models.text.sequence import check_tokens

ROLES = ("pad", "mask", "start", "end", "separator", "class", "unknown")  # a symbol of its own each
PADDING, FIRST_BYTE, BEGIN = 0, 1, 257
END, FIRST_ROLE = BEGIN + 1, BEGIN + 2
SYMBOLS = FIRST_ROLE + len(ROLES)
GATE_BIAS = -2.0  # so that highways hand on what they are given, at first
Length = Annotated[int, Interval(ge=3, le=1024)]


class CharBiLstm(TwoDirections):
    """Tokens composed of characters, LSTM layers from left to right, and others from right to left.

    Args:
        spec: Of x: tokens.
        whole_spec: Of the undivided sample.
        width: Of every vector of one direction; 512 in the paper.
        depth: Layers of each direction.
        hidden_size: Cells of every layer, projected to the width; 4,096 in the paper. As many as the width, and not
            projected, where it is left out.
        dropout: Fraction of activations that are dropped between layers in training.
        filters: How many there are of every width; 32, 32, 64, 128, 256, 512, 1024 in the paper.
        filter_widths: Symbols that they see; 1 to 7 in the paper.
        characters: Symbols of a token at most, its two marks included; 50 in the paper.
        character_width: Of a symbol's vector.
        highways: Highway layers.
        layer_norm: Whether the tokens' vectors are normalized; not in the paper. Without, what all of them have in
            common can grow under Adam until the LSTMs saturate, and nothing beyond frequencies is learned.

    Raises:
        Incompatible: The inputs are no tokens, or filters and their widths do not correspond.
    """

    name = "char-bilstm"

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
        filters: tuple[Size, ...] = (32, 32, 64, 128),
        filter_widths: tuple[Size, ...] = (1, 2, 3, 4),
        characters: Length = 50,
        character_width: Size = 16,
        highways: NonNegativeInt = 2,
        layer_norm: bool = True,
    ) -> None:
        check_tokens(self.name, spec, whole_spec)
        check_filters(filters, filter_widths, characters)
        words = max((spec.vocabulary, whole_spec.vocabulary), key=lambda known: known.size if known else 0)
        table = spell_vocabulary(words or Vocabulary(0), characters)
        embedding = CharacterEncoder(table, character_width, filters, filter_widths, highways, width, layer_norm)
        super().__init__(embedding, width, depth, hidden_size, dropout)

    def build_streams(self, past: Float[Tensor, "R *L D"], future: Float[Tensor, "R *L D"]) -> dict[str, Tensor]:
        """Return vectors of both directions as streams of twice the width, either direction in the first half."""
        empty = (0, self.width)
        return {"past": F.pad(past, empty), "future": F.pad(future, empty), "all": torch.cat([past, future], -1)}


class CharacterEncoder(nn.Module):
    """The vectors of tokens, computed of how they are spelled.

    Args:
        table: Of the symbols of every token.
        character_width: Of a symbol's vector.
        filters: How many there are of every width.
        filter_widths: Symbols that they see.
        highways: Layers.
        width: Of a token's vector.
        layer_norm: Whether it is normalized.
    """

    table: Tensor

    def __init__(
        self,
        table: Int[Tensor, "T S"],
        character_width: int,
        filters: Sequence[int],
        filter_widths: Sequence[int],
        highways: int,
        width: int,
        layer_norm: bool,
    ) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.characters = nn.Embedding(SYMBOLS, character_width)
        nn.init.uniform_(self.characters.weight, -1.0, 1.0)
        self.filters = nn.ModuleList(
            nn.Conv1d(character_width, count, size) for count, size in zip(filters, filter_widths, strict=True)
        )
        self.highways = nn.ModuleList(Highway(sum(filters)) for _ in range(highways))
        self.projection = nn.Linear(sum(filters), width)
        self.norm: nn.Module = nn.LayerNorm(width) if layer_norm else nn.Identity()

    @property
    def num_embeddings(self) -> int:
        """How many tokens there are."""
        return len(self.table)

    def forward(self, tokens: Int[Tensor, "R L"]) -> Float[Tensor, "R L D"]:
        """Return the vector of every token. Those that occur several times are composed once."""
        if torch.compiler.is_compiling() or tokens.is_meta:  # where all sizes must be known beforehand
            return self.compose(tokens.flatten()).view(*tokens.shape, -1)
        different, place = torch.unique(tokens, return_inverse=True)
        return F.embedding(place, self.compose(different))

    def compose(self, tokens: Int[Tensor, " T"]) -> Float[Tensor, "T D"]:
        """Return the vectors of tokens in a line."""
        symbols = self.characters(self.table[tokens].long()).transpose(1, 2)  # (T, character_width, S)
        found = torch.cat([filters(symbols).amax(-1).relu() for filters in self.filters], -1)  # (T, F)
        for highway in self.highways:
            found = highway(found)
        dtype = self.characters.weight.dtype  # under autocast too, as an embedding's vectors are
        vectors: Tensor = self.norm(self.projection(found)).to(dtype)
        return vectors


class Highway(nn.Module):
    """A layer that hands on a part of what it is given: g * relu(A x + a) + (1 - g) * x, g = sigmoid(G x + b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, GATE_BIAS)

    def forward(self, vectors: Float[Tensor, "T F"]) -> Float[Tensor, "T F"]:
        """Return the vectors, changed as far as the gate is open."""
        gate: Tensor = self.gate(vectors).sigmoid()
        changed: Tensor = self.transform(vectors).relu()
        return gate * changed + (1 - gate) * vectors


def check_filters(filters: Sequence[int], filter_widths: Sequence[int], characters: int) -> None:
    """Raise Incompatible unless there are filters, one number for every width, and a token is as long as they are."""
    if not filters or len(filters) != len(filter_widths) or max(filter_widths) > characters:
        raise Incompatible(
            "char-bilstm",
            f"one number of model.filters for each of model.filter_widths, of {characters} symbols at most",
            f"filters {tuple(filters)} of the widths {tuple(filter_widths)}",
            "Leave both out, or set both; model.characters is the longest a token can be.",
        )


def spell_vocabulary(vocabulary: Vocabulary, characters: int) -> Int[Tensor, "T S"]:
    """Return the symbols of every token, padded.

    >>> spell_vocabulary(Vocabulary(2, (("pad", 0),), ("[PAD]", "at")), 6).tolist()
    [[257, 259, 258, 0, 0, 0], [257, 98, 117, 258, 0, 0]]
    """
    tokens = vocabulary.spelling or tuple(str(number) for number in range(vocabulary.size))
    rows = [spell_bytes(token.encode(), characters) for token in tokens]
    for role, number in vocabulary.special:
        if role in ROLES:
            rows[number] = spell_symbols([FIRST_ROLE + ROLES.index(role)], characters)
    return torch.tensor(rows, dtype=torch.int16).view(-1, characters)


def spell_bytes(content: bytes, characters: int) -> list[int]:
    """Return the symbols of a text, as many as there is room for."""
    return spell_symbols([FIRST_BYTE + byte for byte in content[: characters - 2]], characters)


def spell_symbols(symbols: Sequence[int], characters: int) -> list[int]:
    """Return symbols between their marks, padded."""
    return [BEGIN, *symbols, END, *[PADDING] * (characters - 2 - len(symbols))]

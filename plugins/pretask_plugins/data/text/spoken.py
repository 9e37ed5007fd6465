"""Spoken: what every data set of text offers beside its parts.

Axes: L tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from jaxtyping import Int
from pretask import Samples
from torch import Tensor

from pretask_plugins.data.text.rows import Extent
from pretask_plugins.data.text.tokenization import Tokenization


class TextData(ABC):
    """A data set of text: its parts, its tokenizer, and the way from text to ids and back."""

    @abstractmethod
    def __call__(self, part: str, /) -> Samples:
        """Return one part: `train` or `test`."""

    @abstractmethod
    def extent(self, part: str) -> Extent:
        """Return the tokens of a part, and the bytes of their text: what turns nats per token into bits per byte."""

    @property
    @abstractmethod
    def tokenization(self) -> Tokenization:
        """The tokenizer; learned first, where that has not been done."""

    @property
    def tokenizer_name(self) -> str:
        """Kind, size and origin of the tokenizer, without which a perplexity means nothing."""
        return self.tokenization.name

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer as the tokenizers library reads it."""
        return self.tokenization.content

    def encode(self, text: str) -> list[int]:
        """Encode a text as ids, without special tokens."""
        return self.tokenization.encode([text])[0]

    def decode(self, ids: Iterable[int] | Int[Tensor, " L"]) -> str:
        """Decode ids as text, special tokens left out, but for the unknown one."""
        return self.tokenization.decode(ids)

"""Text of data sets of the datasets library, tokenized by what their training part teaches.

Source: Lhoest et al., EMNLP 2021 (the library); see tokenization.py.
Axes: N rows, L tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pretask import Samples
from pretask.options import Size

from pretask_plugins.data.hub import Choice, HubData
from pretask_plugins.data.text.corpus import cut
from pretask_plugins.data.text.rows import Extent, Layout, Piece, row_samples
from pretask_plugins.data.text.spoken import TextData
from pretask_plugins.data.text.tokenization import Kind, Tokenization, VocabularySize, learn
from pretask_plugins.shared.parts import check_part


@dataclass(frozen=True)
class HfText(TextData):
    """Rows (L,) of ids from a data set of the datasets library, a document from every row of it.

    Args:
        name: On the Hugging Face hub; or a folder that save_to_disk wrote or load_dataset reads.
        subset: Of data sets that have several.
        train_split: To train on; train when left out.
        test_split: To test on; test, or validation, when left out; without any, a tenth of the rows to train on.
        column: That holds the texts; the first one of texts when left out.
        label: Column of the class; label, or the first one of classes, when left out.
        length: Tokens of a row.
        tokenizer: Byte pairs, bytes and characters read back exactly; word pieces and words know no spaces.
        vocab_size: Ids at most.
        packed: Whether rows are cut from one stream, or hold a document each, closed by the end token. Labeled texts
            are not packed and others are, where this is left out.
        lowercase: Whether word pieces and words are in lower case and without accents.
        revision: A tag or commit of the data set; the newest one when left out.
    """

    name: str
    subset: str = ""
    train_split: str = ""
    test_split: str = ""
    column: str = ""
    label: str = ""
    length: Size = 128
    tokenizer: Kind = "bpe"
    vocab_size: VocabularySize = 8192
    packed: bool | None = None
    lowercase: bool = True
    revision: str = ""

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: The data set, a split or a column is not there, or there is not enough text.
        """
        return self.rows(part)[0]

    def extent(self, part: str) -> Extent:
        """Return tokens and bytes of a part."""
        return self.rows(part)[1]

    @cached_property
    def found(self) -> HubData:
        """The data set, open."""
        splits = (self.train_split, self.test_split)
        return Choice(
            "hf-text", "string", self.name, self.subset, self.revision, splits, self.column, self.label
        ).open()

    @cached_property
    def tokenization(self) -> Tokenization:
        """The tokenizer, from the cache or learned of the texts to train on."""

        def texts() -> Iterator[str]:
            return (piece.text for text in self.found.texts("train") for piece in cut([text]))

        return learn(self.tokenizer, self.vocab_size, self.lowercase, self.found.facts("train"), texts, self.name)

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part("hf-text", part)
        packed = not self.found.names if self.packed is None else self.packed
        names = () if packed else self.found.names
        layout = Layout(self.length, packed)
        return row_samples(
            "hf-text", self.found.facts(part), self.tokenization, layout, lambda: self.pieces(part, bool(names)), names
        )

    def pieces(self, part: str, labeled: bool) -> Iterator[Piece]:
        """Yield the texts of a part, piece by piece; a labeled one counts even where it is empty."""
        for text, label in zip(self.found.texts(part), self.found.classes(part).tolist(), strict=True):
            for piece in cut([text], empty=labeled):
                yield piece._replace(label=label) if labeled else piece

"""Text: your own files, tokenized by what their training part teaches, in rows of one length.

Source: see tokenization.py.
Axes: N rows, L tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pretask import PretaskError, Samples
from pretask.options import Size

from pretask_plugins.data.text.corpus import Corpus, Unit
from pretask_plugins.data.text.rows import Extent, Layout, row_samples
from pretask_plugins.data.text.spoken import TextData
from pretask_plugins.data.text.tagged import LABEL, tagged_samples
from pretask_plugins.data.text.tokenization import Kind, Tokenization, VocabularySize, learn, read_tokenizer
from pretask_plugins.shared.parts import check_part

EXAMPLES = {"sun": "it is warm and dry", "rain": "take an umbrella along"}


@dataclass(frozen=True)
class Text(TextData):
    """Rows (L,) of ids from text files.

    Args:
        root: A file, a folder or tar file of files, or a folder of numbered tar files in the layout of WebDataset
            (train-000000.tar with a.txt, and a.cls where texts have classes): .txt; .tsv with label<TAB>text in every
            line (a further column is a second text, after a separator); .conllu or .conll (word<TAB>tag) with a label
            for every word, see tagged.py; also gzipped. Files or folders named train, test or valid are these parts,
            words inside names decide nothing, and a first line of a .tsv that names its columns is no text. Without
            such names a tenth is for
            testing: of several texts whole ones, of one text its end, of a table lines by their hash, of tagged words
            sentences by theirs.
        length: Tokens of a row.
        tokenizer: Byte pairs, bytes and characters read back exactly; word pieces and words know no spaces.
        vocab_size: Ids at most.
        packed: Whether rows are cut from one stream (as language models want them), or hold a document each, closed by
            the end token. Labeled texts and tagged sentences are not packed and all else is, where this is left out.
        document: What is closed by the end token in .txt files.
        learn_from: Another corpus that the tokenizer shall be learned from, or a tokenizer's .json file: what a model
            that was trained on one text needs to be tried on another.
        lowercase: Whether word pieces and words are in lower case and without accents.
        encoding: Of the files.
        cross_documents: Whether a packed row goes on with the next document after the end token of one, as GPT-2's do;
            otherwise it is padded, and nothing is seen or predicted across the boundary.
    """

    root: Path
    length: Size = 128
    tokenizer: Kind = "bpe"
    vocab_size: VocabularySize = 8192
    packed: bool | None = None
    document: Unit = "file"
    learn_from: Path | None = None
    lowercase: bool = True
    encoding: str = "utf-8"
    cross_documents: bool = True

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There are no files, one cannot be read as text, or there is not enough text.
        """
        return self.rows(part)[0]

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a table of labeled sentences for each part."""
        for part, whens in (("train", ("today", "tomorrow", "at noon")), ("test", ("tonight", "in May"))):
            lines = [f"{label}\t{text} {when}" for when in whens for label, text in EXAMPLES.items()]
            (folder / f"{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": folder, "length": 16, "vocab_size": 300}

    def extent(self, part: str) -> Extent:
        """Return tokens and bytes of a part."""
        return self.rows(part)[1]

    @cached_property
    def tokenization(self) -> Tokenization:
        """The tokenizer, from the cache or learned."""
        home = self.learn_from or self.root
        if home.suffix == ".json":
            return read_tokenizer(home)
        corpus = replace(self.corpus, root=home)
        facts = self.facts(corpus, "train")

        def texts() -> Iterator[str]:
            return (piece.text for piece in corpus.pieces("train"))

        return learn(self.tokenizer, self.vocab_size, self.lowercase, facts, texts, home.name)

    @property
    def corpus(self) -> Corpus:
        """The files of text below the root."""
        return Corpus(self.root, self.document, self.encoding)

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part("text", part)
        corpus, facts = self.corpus, self.facts(self.corpus, part)
        packed = not (corpus.has_labels() or corpus.has_tags()) if self.packed is None else self.packed
        if corpus.has_tags() and not packed:
            label, names = LABEL[corpus.kind()], corpus.tag_names()
            return tagged_samples(
                facts, self.tokenization, self.length, label, names, lambda: corpus.tagged_sentences(part)
            )
        names = corpus.label_names() if corpus.has_labels() and not packed else ()
        layout = Layout(self.length, packed, self.cross_documents)
        return row_samples("text", facts, self.tokenization, layout, lambda: corpus.pieces(part, names), names)

    def facts(self, corpus: Corpus, part: str) -> dict[str, Any]:
        """Return what determines a part; raise PretaskError where nothing is named for it."""
        facts = corpus.facts(part)
        if not facts["files"]:
            raise PretaskError(
                "text",
                f"a file for the part {part} in {corpus.root}",
                "files for other parts only",
                f"Name one '{part}', or none for any part.",
            )
        return facts

"""Rows: documents as rows of ids, all of one length, in the cache.

Packed rows are one stream of documents, each closed by the end token, cut where a row is full; or, where rows do not
cross documents, each document is such a stream, and its last row is padded. Separate rows hold one document each,
closed by the end token, cut or padded.
Axes: N rows, L tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint, write_rows
from pretask.mapped import map_file
from torch import Tensor

from pretask_plugins.data.text.tokenization import Tokenization

BATCH_CHARACTERS = 1 << 20  # characters that are encoded at once
BATCH_ROWS = 1 << 14


class Piece(NamedTuple):
    """Part of a document.

    Args:
        text: Never very long, so that no encoding takes much memory.
        then: Role of the token that follows: `end` closes the document; nothing follows where it is empty.
        label: Class number of the document; -1 where it has none.
    """

    text: str
    then: str = "end"
    label: int = -1


class Encoded(NamedTuple):
    """The ids of a piece with what follows it."""

    ids: list[int]
    closes: bool
    label: int


class Extent(NamedTuple):
    """How much text a part holds: tokens, those that close documents included, and bytes of it in UTF-8."""

    tokens: int
    bytes: int


Block = tuple[Int[np.ndarray, "_ L"], Sequence[int]]  # rows and their labels


@dataclass(frozen=True)
class Layout:
    """The rules by which documents become rows.

    Args:
        length: Tokens of a row.
        packed: Whether rows are cut from one stream; documents of different labels never share one.
        crosses: Whether documents of one label share a stream.
    """

    length: int
    packed: bool
    crosses: bool = True

    @property
    def pads(self) -> bool:
        """Whether rows may have padding."""
        return not (self.packed and self.crosses)

    def facts(self) -> dict[str, Any]:
        """Return what determines rows."""
        return {"length": self.length, "packed": self.packed, **({} if self.crosses else {"crosses": False})}

    def cut(self, stream: Iterable[Encoded], tokenization: Tokenization) -> Iterator[Block]:
        """Yield rows of documents."""
        if not self.packed:
            return separate_rows(stream, self.length, tokenization)
        if self.crosses:
            return pack(stream, self.length)
        return pack_documents(stream, self.length, tokenization)


def row_samples(
    who: str,
    facts: Mapping[str, Any],
    tokenization: Tokenization,
    layout: Layout,
    pieces: Callable[[], Iterable[Piece]],
    names: Sequence[str] = (),
) -> tuple[Samples, Extent]:
    """Map the rows of a part into memory; they are made where the cache has none.

    Args:
        who: The data set, for messages.
        facts: What determines the pieces.
        tokenization: Encodes them.
        layout: Of the rows.
        pieces: Called only where rows must be made; for packed rows, those of one label in a row.
        names: Of the classes; none where documents have no label.

    Raises:
        PretaskError: There is not enough text for one row.
    """
    if layout.length < 2:
        raise PretaskError(who, "data.length of at least 2", f"{layout.length}", "Set a larger one.", exit_code=2)
    wanted = {"corpus": dict(facts), "tokenizer": tokenization.content, "names": list(names)}
    arrays, notes = cached(
        "text",
        {**wanted, **layout.facts()},
        lambda folder: write(folder, who, tokenization, layout, pieces(), names),
    )
    rows = torch.from_numpy(arrays["rows"])
    labels = {"class": Labels(torch.from_numpy(arrays["labels"]), tuple(names))} if names else {}
    present = map_present(arrays, tokenization) if layout.pads else None
    seen = Observed("text", (layout.length,), "int64", len(rows), tokenization.vocabulary)
    return Samples(seen, rows, labels, present, notes["fingerprint"]), Extent(notes["tokens"], notes["bytes"])


def write(
    folder: Path, who: str, tokenization: Tokenization, layout: Layout, pieces: Iterable[Piece], names: Sequence[str]
) -> Mapping[str, Any]:
    """Write rows and labels, and return the notes of the entry."""
    tally = Tally()
    stream = tally.count_tokens(encode_pieces(tokenization, tally.count_bytes(pieces)))
    dtype = choose_dtype(tokenization.vocabulary.size)
    labels = write_blocks(folder / "spilled", layout.cut(stream, tokenization), dtype)
    if not tally.bytes or not len(labels):
        raise PretaskError(
            who,
            f"text of at least {layout.length} tokens (data.length)" if layout.packed else "text",
            f"{tally.tokens} tokens",
            "Use more text, or a smaller data.length.",
        )
    gather_rows(folder, (len(labels), layout.length), dtype, tokenization if layout.pads else None)
    np.save(folder / "labels.npy", labels)
    known = fingerprint(map_file(folder / "rows.npy"), labels, names=names, dtype="int64")
    return {"tokens": tally.tokens, "bytes": tally.bytes, "fingerprint": known}


@dataclass
class Tally:
    """Counts of the bytes and tokens that pass through."""

    tokens: int = 0
    bytes: int = 0

    def count_bytes(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield the same pieces, counting their bytes."""
        for piece in pieces:
            self.bytes += len(piece.text.encode())
            yield piece

    def count_tokens(self, stream: Iterable[Encoded]) -> Iterator[Encoded]:
        """Yield the same ids, counting them."""
        for piece in stream:
            self.tokens += len(piece.ids)
            yield piece


def encode_pieces(tokenization: Tokenization, pieces: Iterable[Piece]) -> Iterator[Encoded]:
    """Encode pieces as ids, many pieces at once."""
    for some in batch_pieces(pieces):
        for piece, ids in zip(some, tokenization.encode([piece.text for piece in some]), strict=True):
            follows = tokenization.vocabulary.id(piece.then)
            yield Encoded(ids if follows is None else [*ids, follows], piece.then == "end", piece.label)


def batch_pieces(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield lists of pieces that have about a million characters together."""
    some: list[Piece] = []
    size = 0
    for piece in pieces:
        some.append(piece)
        size += len(piece.text) + 1
        if size > BATCH_CHARACTERS:
            yield some
            some, size = [], 0
    if some:
        yield some


def pack(stream: Iterable[Encoded], length: int) -> Iterator[Block]:
    """Cut rows from the documents of one label after the other; what is left of each fills no row and is dropped."""
    for label, group in groupby(stream, key=lambda piece: piece.label):
        rest = np.empty(0, np.int64)
        for piece in group:
            joined = np.concatenate([rest, np.array(piece.ids, np.int64)])
            full = len(joined) // length
            if full:
                yield joined[: full * length].reshape(full, length), [label] * full
            rest = joined[full * length :]


def pack_documents(stream: Iterable[Encoded], length: int, tokenization: Tokenization) -> Iterator[Block]:
    """Cut rows from every document; its last one is padded, and left out where it would hold one token alone."""
    pad = tokenization.vocabulary.id("pad") or 0
    rest: list[int] = []
    begun = False
    for piece in stream:
        rest += piece.ids
        full = len(rest) // length
        if full:
            yield np.array(rest[: full * length], np.int64).reshape(full, length), [piece.label] * full
            rest, begun = rest[full * length :], True
        if piece.closes:
            if len(rest) > 1 or (rest and not begun):
                yield np.array([rest + [pad] * (length - len(rest))], np.int64), [piece.label]
            rest, begun = [], False


def separate_rows(stream: Iterable[Encoded], length: int, tokenization: Tokenization) -> Iterator[Block]:
    """Yield one row for every document, padded or cut; a row that is cut is closed all the same."""
    pad, end = tokenization.vocabulary.id("pad"), tokenization.vocabulary.id("end")
    row: list[int] = []
    for piece in stream:
        row += piece.ids[: length + 1 - len(row)]
        if piece.closes:
            whole = row if len(row) <= length else [*row[: length - 1], end]
            yield np.array([[*whole, *[pad] * (length - len(whole))]], np.int64), [piece.label]
            row = []


def choose_dtype(size: int) -> str:
    """Return the signed type of the fewest bytes that holds all ids of a vocabulary.

    >>> [choose_dtype(size) for size in (128, 129, 32_768, 50_257)]
    ['int8', 'int16', 'int16', 'int32']
    """
    return next(dtype for dtype in ("int8", "int16", "int32", "int64") if size - 1 <= np.iinfo(dtype).max)


def write_blocks(path: Path, blocks: Iterable[Block], dtype: str) -> Int[np.ndarray, " N"]:
    """Write rows to a file as they come, since nobody knows how many there will be; give their labels."""
    labels: list[int] = []
    with path.open("wb") as file:
        for rows, of in blocks:
            file.write(np.ascontiguousarray(rows, dtype).data)
            labels += of
    return np.array(labels, np.int64)


def gather_rows(folder: Path, shape: tuple[int, int], dtype: str, padded: Tokenization | None) -> None:
    """Make the rows that were spilled an array of the entry; of padded ones another one says where they are present.

    Args:
        folder: Of the entry.
        shape: Rows, and tokens of one.
        dtype: Of the tokens.
        padded: Whose padding the rows may have; None where they have none.
    """
    spilled = folder / "spilled"
    write_rows(folder / "rows.npy", shape, dtype, read_blocks(spilled, shape[1], dtype))
    if padded is not None:
        pad = padded.vocabulary.id("pad") or 0
        write_rows(
            folder / "present.npy", shape, "bool", (rows != pad for rows in read_blocks(spilled, shape[1], dtype))
        )
    spilled.unlink()


def map_present(arrays: Mapping[str, np.ndarray], tokenization: Tokenization) -> Bool[Tensor, "N L"]:
    """Return where rows are no padding: mapped, or computed for an entry that has no such array."""
    if "present" in arrays:
        return torch.from_numpy(arrays["present"])
    return torch.from_numpy(arrays["rows"]).ne(tokenization.vocabulary.id("pad") or 0)


def read_blocks(path: Path, length: int, dtype: str) -> Iterator[Int[np.ndarray, "_ L"]]:
    """Read the rows of such a file."""
    with path.open("rb") as file:
        while content := file.read(BATCH_ROWS * length * np.dtype(dtype).itemsize):
            yield np.frombuffer(content, dtype).reshape(-1, length)

"""Spans: sentences with labeled spans and pairs of spans, for edge probes, one row each.

    .conllu   `upos`, a word and its part of speech; `deprel`, a word, its head and their relation, the root left out
    .conll    where tags mark entities (B-person, I-person, O), `entity`, their spans and types; else `tag`, every word
    .jsonl    in jiant's layout, whatever its file is called after: constituents, coreference, roles, relations, …

A line of JSON is {"text": "…", "targets": [{"span1": [0, 1], "span2": [3, 5], "label": "…" or ["…", "…"]}]}; spans
count words, what stands between spaces, from the first one to the one after the last. Words are joined by spaces, and a
span is that of their tokens; one that is cut off, or of which the tokenizer leaves nothing, is left out. Labels per
position, at the first token of a word, come along for probes of single positions. Without files for both parts, a tenth
of the sentences, by their hash, is for testing.

Source: Tenney et al., ICLR 2019, section 3 (tasks as edges), and jiant's files; Nivre et al., LREC 2016 (CoNLL-U);
Tjong Kim Sang and De Meulder, CoNLL 2003 (tags).
Differs: none of the negative examples that some of their tasks add are made.
Axes: N rows, L tokens, M edges, K labels of an edge, S spans of an edge.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint

from pretask_plugins.data.text.characters import split_lines
from pretask_plugins.data.text.rows import Extent, choose_dtype
from pretask_plugins.data.text.supervised import (
    AT_ONCE,
    SupervisedText,
    check_length,
    digest,
    find_files,
    pad_of,
    read_text,
    split_name,
)
from pretask_plugins.data.text.tagged import bad_line, read_word
from pretask_plugins.shared.edges import Edges
from pretask_plugins.shared.entities import find_spans, has_prefixes
from pretask_plugins.shared.parts import check_part, hash_text, is_tenth, part_of_word

WHO = "spans"
ENDINGS = (".conllu", ".conll", ".jsonl")
UPOS, DEPREL, TAG, ENTITY = "upos", "deprel", "tag", "entity"
HEAD, RELATION = 6, 7  # columns of CoNLL-U
NOWHERE = -1


class Edge(NamedTuple):
    """Labels of one span of words, or of two: first word, and the one after the last."""

    spans: tuple[tuple[int, int], ...]
    labels: tuple[str, ...]


class Sentence(NamedTuple):
    """Words, and their edges by task."""

    words: tuple[str, ...]
    edges: Mapping[str, tuple[Edge, ...]]


@dataclass(frozen=True, kw_only=True)
class Spans(SupervisedText):
    """Rows (L,) of a sentence each, whose labeled spans `edges` returns."""

    def edges(self, part: str, /) -> Mapping[str, Edges]:
        """Return the edges of a part by task.

        Raises:
            PretaskError: A file has another layout than its ending says.
        """
        arrays, notes = self.arrays(part)
        found = {}
        for task, names in notes["tasks"].items():
            if task == TAG and ENTITY in notes["tasks"]:
                continue  # entities are what these tags mark
            rows, spans, labels = (torch.from_numpy(np.array(arrays[f"{task}-{kind}"])) for kind in KINDS)
            found[task] = Edges(rows, spans, labels, tuple(names))
        return found

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a treebank of a few sentences for each part."""
        for part, nouns in (("train", ("dogs", "cats", "owls", "bees")), ("test", ("bats", "eels"))):
            lines = [f"# {part}"]
            for noun in nouns:
                for verb in ("sing", "sleep"):
                    words = (("the", "DET", 2, "det"), (noun, "NOUN", 3, "nsubj"), (verb, "VERB", 0, "root"))
                    for number, (word, tag, head, relation) in enumerate(words, start=1):
                        lines.append(f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_")
                    lines.append("")
            (folder / f"{part}.conllu").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": folder, "length": 16, "vocab_size": 300}

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        arrays, notes = self.arrays(part)
        rows = torch.from_numpy(arrays["rows"])
        seen = Observed("text", (self.length,), "int64", len(rows), self.tokenization.vocabulary)
        labels = {
            task: Labels(torch.from_numpy(arrays[f"{task}-positions"]), tuple(names))
            for task, names in notes["tasks"].items()
            if f"{task}-positions" in arrays
        }
        found = Samples(seen, rows, labels, rows.ne(pad_of(self.tokenization)), notes["fingerprint"])
        return found, Extent(notes["tokens"], notes["bytes"])

    def arrays(self, part: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Map the arrays of a part, which are made where the cache has none."""
        check_part(WHO, part)
        check_length(WHO, self.length)
        description = {
            "spans": 1,
            "facts": self.facts(part),
            "names": self.names,
            "tokenizer": self.tokenization.content,
            "length": self.length,
        }
        return cached("text", description, lambda folder: self.write(folder, self.sentences(part)))

    def write(self, folder: Path, sentences: Sequence[Sentence]) -> Mapping[str, Any]:
        """Write rows and edges, and return the notes of the entry."""
        if not sentences:
            raise PretaskError(WHO, "sentences", "none", "Use a file with some.")
        made, tokens_of_words = encode_sentences(self.tokenization, sentences, self.length)
        rows = made.astype(choose_dtype(self.tokenization.vocabulary.size))
        arrays = {"rows": rows}
        for task, names in self.names.items():
            edges = number_edges(sentences, tokens_of_words, task, names)
            arrays |= {f"{task}-{kind}": array for kind, array in zip(KINDS, edges, strict=True)}
            if task != ENTITY and is_of_words(sentences, task):
                arrays[f"{task}-positions"] = place_labels(rows.shape, *edges)
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        known = fingerprint(*(array.astype(np.int64) for array in arrays.values()), names=sorted(self.names))
        size = sum(len(" ".join(sentence.words).encode()) for sentence in sentences)
        count = int((rows != pad_of(self.tokenization)).sum())
        return {"tasks": self.names, "tokens": count, "bytes": size, "fingerprint": known}

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """The classes of every task, in order; those that only the test part has are of no help, and no error."""

        def make(_: Path) -> Mapping[str, Any]:
            found: dict[str, set[str]] = {}
            for sentence in (*self.sentences("train"), *self.sentences("test")):
                for task, edges in sentence.edges.items():
                    found.setdefault(task, set()).update(label for edge in edges for label in edge.labels)
            return {"tasks": {task: sorted(labels) for task, labels in sorted(found.items()) if labels}}

        _, notes = cached("text", {"span names": 1, "parts": [self.facts("train"), self.facts("test")]}, make)
        tasks: dict[str, list[str]] = notes["tasks"]
        return tasks

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the sentences of a part."""
        path, divided = find_files(WHO, self.root, part, ENDINGS)
        return {"file": digest(path), "name": path.name, "encoding": self.encoding, "part": part, "divided": divided}

    def sentences(self, part: str) -> tuple[Sentence, ...]:
        """Return the sentences of a part, read once."""
        if part not in self.known:
            path, divided = find_files(WHO, self.root, part, ENDINGS)
            self.known[part] = tuple(
                sentence
                for sentence in read_sentences(path, self.encoding)
                if not divided or is_tenth(hash_text(" ".join(sentence.words), 8)) == (part == "test")
            )
        return self.known[part]

    @cached_property
    def known(self) -> dict[str, tuple[Sentence, ...]]:
        """The sentences of parts that were read."""
        return {}

    def texts(self) -> Iterator[str]:
        """Yield the sentences of the training part."""
        return (" ".join(sentence.words) for sentence in self.sentences("train"))


KINDS = ("rows", "spans", "labels")  # of the arrays of a task


def read_sentences(path: Path, encoding: str) -> Iterator[Sentence]:
    """Yield the sentences of a file, by its ending."""
    lines = split_lines(read_text(path, encoding))
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".jsonl"):
        task = name_task(name)
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield read_json(line, task, f"line {number} of {path}")
        return
    ending = ".conllu" if name.endswith(".conllu") else ".conll"
    for block in split_blocks(lines, str(path)):
        sentence = read_tree(block) if ending == ".conllu" else read_tags(block)
        if sentence.words:
            yield sentence


def name_task(file: str) -> str:
    """Return what a file is called after, the words of its part left out.

    >>> name_task("coref-train.jsonl"), name_task("train.jsonl")
    ('coref', 'edge')
    """
    words = [word for word in split_name(file.removesuffix(".jsonl")) if part_of_word(word) is None]
    return "-".join(words) or "edge"


def split_blocks(lines: Iterator[str], path: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the lines between empty ones, with where they are."""
    block: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            block.append((line, f"line {number} of {path}"))
        elif block:
            yield block
            block = []
    if block:
        yield block


def read_tree(block: Sequence[tuple[str, str]]) -> Sentence:
    """Return a sentence of CoNLL-U: its words, their parts of speech, and the relations to their heads."""
    words: list[str] = []
    tags, arcs = [], []
    for line, place in block:
        for word in read_word(line, ".conllu", place):
            columns = line.split("\t")
            if len(columns) <= RELATION:
                raise bad_line("the ten columns of CoNLL-U", place)
            own = len(words)
            words.append(word.text)
            if word.label:
                tags.append(Edge(((own, own + 1),), (word.label,)))
            if columns[HEAD].isdecimal() and int(columns[HEAD]) > 0:
                head = int(columns[HEAD]) - 1
                arcs.append(Edge(((own, own + 1), (head, head + 1)), (columns[RELATION],)))
    return Sentence(tuple(words), {UPOS: tuple(tags), DEPREL: tuple(arcs)})


def read_tags(block: Sequence[tuple[str, str]]) -> Sentence:
    """Return a sentence of tagged words: the entities that tags mark, or every word with its tag."""
    words = [word for line, place in block for word in read_word(line, ".conll", place)]
    tags = [word.label for word in words]
    texts = tuple(word.text for word in words)
    edges = tuple(Edge(((place, place + 1),), (tag,)) for place, tag in enumerate(tags))
    if not has_prefixes(tags):
        return Sentence(texts, {TAG: edges})
    entities = tuple(Edge(((span.begin, span.end + 1),), (span.type,)) for span in find_spans(tags))
    return Sentence(texts, {ENTITY: entities, TAG: edges})


def read_json(line: str, task: str, place: str) -> Sentence:
    """Return a sentence of a line in jiant's layout; raise PretaskError where it is none, or a span is not in it."""
    try:
        content = json.loads(line)
        words, edges = tuple(content["text"].split()), []
        for target in content["targets"]:
            spans = tuple((int(span[0]), int(span[1])) for name in ("span1", "span2") if (span := target.get(name)))
            label = target["label"]
            if not spans or any(not 0 <= begin < end <= len(words) for begin, end in spans):
                raise ValueError(f"spans of the {len(words)} words, got {spans}")
            edges.append(Edge(spans, (label,) if isinstance(label, str) else tuple(map(str, label))))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        needs = "JSON in jiant's layout: text, targets, span1, span2, label"
        raise PretaskError(WHO, needs, f"{place}: {error}", "Correct that line.") from error
    return Sentence(words, {task: tuple(edges)})


def encode_sentences(
    tokenization: Any, sentences: Sequence[Sentence], length: int
) -> tuple[np.ndarray, list[list[tuple[int, int]]]]:
    """Return the rows of sentences, and the tokens of every word; (-1, -1) of one that is cut off or left out."""
    rows = np.full((len(sentences), length), pad_of(tokenization), np.int64)
    end = tokenization.vocabulary.id("end")
    places: list[list[tuple[int, int]]] = []
    for begin in range(0, len(sentences), AT_ONCE):
        some = sentences[begin : begin + AT_ONCE]
        encoded = tokenization.encode_with_offsets([" ".join(sentence.words) for sentence in some])
        for number, (sentence, (ids, offsets)) in enumerate(zip(some, encoded, strict=True), start=begin):
            kept = [*ids[: length - 1], *([end] if end is not None else [])]
            rows[number, : len(kept)] = kept
            places.append(place_words(sentence.words, offsets[: length - 1]))
    return rows, places


def place_words(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the first token of every word and the one after its last, of words joined by spaces.

    >>> place_words(["a", "bc", "d"], [(0, 1), (2, 3), (3, 4)])
    [(0, 1), (1, 3), (-1, -1)]
    """
    found, token, begin = [], 0, 0
    for word in words:
        end = begin + len(word)
        while token < len(offsets) and offsets[token][1] <= begin:
            token += 1
        after = token
        while after < len(offsets) and offsets[after][0] < end:
            after += 1
        found.append((token, after) if after > token else (NOWHERE, NOWHERE))
        begin = end + 1
    return found


def number_edges(
    sentences: Sequence[Sentence], places: Sequence[Sequence[tuple[int, int]]], task: str, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (M,), spans (M, S, 2) and labels (M, K) of the edges of a task whose words all have tokens."""
    numbers = {name: number for number, name in enumerate(names)}
    rows, spans, labels = [], [], []
    for row, (sentence, tokens) in enumerate(zip(sentences, places, strict=True)):
        for edge in sentence.edges.get(task, ()):
            own = [(tokens[begin][0], tokens[end - 1][1]) for begin, end in edge.spans if end <= len(tokens)]
            if len(own) == len(edge.spans) and min(place for span in own for place in span) >= 0 and edge.labels:
                rows.append(row)
                spans.append(own)
                labels.append([numbers[label] for label in edge.labels])
    if len({len(own) for own in spans}) > 1:
        needs, got = "one span of every target, or two of every one", "some of either"
        raise PretaskError(WHO, needs, f"{got} in {task}", "Put them into two files.")
    most = max(map(len, labels), default=1)
    padded = [[*some, *[NOWHERE] * (most - len(some))] for some in labels]
    count = len(spans[0]) if spans else 1
    return (
        np.array(rows, np.int64),
        np.array(spans, np.int64).reshape(-1, count, 2),
        np.array(padded, np.int64).reshape(-1, most),
    )


def is_of_words(sentences: Sequence[Sentence], task: str) -> bool:
    """Return whether the first span of every edge is one word, with one label."""
    edges = (edge for sentence in sentences for edge in sentence.edges.get(task, ()))
    return all(edge.spans[0][1] - edge.spans[0][0] == 1 and len(edge.labels) == 1 for edge in edges)


def place_labels(shape: tuple[int, ...], rows: np.ndarray, spans: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return labels (N, L), at the first token of the first span of every edge."""
    found = np.full(shape, NOWHERE, np.int64)
    found[rows, spans[:, 0, 0]] = labels[:, 0]
    return found

"""Word similarity: whether words that people find similar have similar vectors.

The cosine of two words' vectors is held against a rating of the pair, by Spearman's correlation of their ranks. Pairs
with a word that is out of vocabulary say nothing of the vectors: `spearman` is over the others, and `coverage` says how
many these are. `spearman_all` is over all pairs, with the mean cosine for those that are not covered, which is what
somebody would answer who knows the scale and not the word.

Source: Finkelstein et al., ACM TOIS 2002 (WordSim-353); Spearman's correlation as in Pennington et al., EMNLP 2014.
Axes: N pairs, D width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from pretask import Budget, Data, PretaskError, Task
from pretask.options import NonNegativeInt, PositiveInt

from pretask_plugins.evaluators.words.examples import PAIRS
from pretask_plugins.evaluators.words.vectors import Context, WordReader
from pretask_plugins.shared.correlation import spearman

WHO = "word-similarity"
MIN_PAIRS = 3  # below which ranks say nothing


class Pair(NamedTuple):
    """Two words and how similar they are."""

    first: str
    second: str
    rating: float


@dataclass(frozen=True)
class WordSimilarity:
    """Spearman's correlation of cosines and ratings.

    Args:
        pairs: A file of word<TAB>word<TAB>rating in every line, as WordSim-353 and SimLex-999 are; lines that begin
            with # and a first line that names columns are left out. An example of words of toy-grammar, rated by
            rule, where it is left out.
        context: What stands around a word: nothing (alone), or what does in the training part (average).
        layer: Whose vectors are compared, from 1; 0 for the output.
        min_count: Occurrences of every token of a word in the training part, below which it is out of vocabulary.
        max_occurrences: Of a word, over which an average is taken.
    """

    pairs: Path | None = None
    context: Context = "alone"
    layer: NonNegativeInt = 0
    min_count: PositiveInt = 1
    max_occurrences: PositiveInt = 20

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float]]:
        """Yield `spearman`, `spearman_all`, `coverage`, `pairs` and `oov_pairs`.

        Raises:
            PretaskError: The file cannot be read, or fewer than three of its pairs are in the vocabulary.
        """
        pairs = list_example() if self.pairs is None else read_pairs(self.pairs)
        reader = WordReader(WHO, task, data, budget, self.context, self.layer, self.min_count, self.max_occurrences)
        tokens = [(reader.encode(pair.first), reader.encode(pair.second)) for pair in pairs]
        rows, vectors = reader.read(word for pair in tokens for word in pair)
        places = [(rows.get(first, -1), rows.get(second, -1)) for first, second in tokens]
        place = torch.tensor(places)
        covered = (place >= 0).all(1)
        if int(covered.sum()) < MIN_PAIRS:
            raise PretaskError(
                WHO,
                f"{MIN_PAIRS} pairs of words that the training part has",
                f"{int(covered.sum())} of {len(pairs)}",
                f"Name a file of pairs for such text: --set {WHO}.pairs=FILE.",
            )
        cosines = (vectors[place[covered, 0]] * vectors[place[covered, 1]]).sum(1)
        ratings = torch.tensor([pair.rating for pair in pairs], dtype=torch.float64)
        everywhere = torch.full((len(pairs),), float(cosines.mean()), dtype=torch.float64)
        everywhere[covered] = cosines
        yield "spearman", spearman(cosines, ratings[covered])
        yield "spearman_all", spearman(everywhere, ratings)
        yield "coverage", float(covered.double().mean())
        yield "pairs", float(len(pairs))
        yield "oov_pairs", float((~covered).sum())


def list_example() -> list[Pair]:
    """List the pairs of the example."""
    cells = [line.split() for line in PAIRS.strip().splitlines()]
    return [Pair(first, second, float(rating)) for first, second, rating in cells]


def read_pairs(path: Path) -> list[Pair]:
    """Read pairs with their ratings; raise PretaskError where a line is none, or the file cannot be read."""
    pairs: list[Pair] = []
    for number, line in enumerate(read_lines(path, f"{WHO}.pairs"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        try:
            pairs.append(Pair(cells[0].strip(), cells[1].strip(), float(cells[2])))
        except (IndexError, ValueError):
            if pairs:
                needs = "word<TAB>word<TAB>rating in every line"
                raise PretaskError(WHO, needs, f"line {number} of {path}", "Correct that line.", exit_code=2) from None
    return pairs


def read_lines(path: Path, option: str) -> list[str]:
    """Return the lines of a file; raise PretaskError where it cannot be read."""
    try:
        return path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PretaskError(option, "a file of text in UTF-8", f"{error}", f"Set {option}.", exit_code=2) from error

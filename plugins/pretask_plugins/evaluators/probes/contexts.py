"""Contexts: where a word of several senses stands, and the occurrences whose vectors are nearest, as lines of text.

Axes: N sentences, L positions, P labeled positions, D width.
"""

from collections import Counter
from collections.abc import Iterator

from pretask import Data, Figure, Samples
from torch import Tensor

from pretask_plugins.shared.text_pages import decoder_of, draw_page

SHOWN_WORDS = 3
Labeled = tuple[Samples, Tensor]  # samples, and the vectors of their labeled positions, (P, D)


def picture_contexts(data: Data, known: Labeled, queries: Labeled, name: str, count: int) -> Figure:
    """Draw, for some words, an occurrence of every sense with the nearest ones of the training part.

    Args:
        data: Which says how tokens are read.
        known: Training samples.
        queries: Test samples.
        name: Of the labels.
        count: Nearest occurrences of each.
    """
    lines = list(list_contexts(data, known, queries, name, count)) or ["No word of the test part has two senses."]
    caption = "Words of several senses in test sentences, each with the training sentences in which it is most similar."
    return Figure(draw_page(lines), caption)


def list_contexts(data: Data, known: Labeled, queries: Labeled, name: str, count: int) -> Iterator[str]:
    """Yield the lines; the nearest are those of the same word, by cosine."""
    decode = decoder_of(data)
    (train, vectors), (test, others) = known, queries
    train_places, test_places = ((samples.labels[name].value >= 0).nonzero() for samples in (train, test))
    train_words, test_words = (samples.take(samples.labels[name].value >= 0) for samples in (train, test))

    def show(samples: Samples, place: Tensor) -> str:
        row, position = place.tolist()
        valid = samples.data[row] if samples.present is None else samples.data[row][samples.present[row]]
        sense = samples.labels[name].names[int(samples.labels[name].value[row, position])]
        return f"{decode(valid.tolist())}   [{sense}]"

    for word in find_ambiguous(test_words, test.labels[name].value[tuple(test_places.T)])[:SHOWN_WORDS]:
        yield f"{decode([word])}"
        mine = (train_words == word).nonzero()[:, 0]
        for number in first_of_each_sense(test, name, test_places, (test_words == word).nonzero()[:, 0]):
            cosines = vectors[mine] @ others[number]
            yield f"    {show(test, test_places[number])}"
            for nearest in cosines.argsort(descending=True, stable=True)[:count].tolist():
                yield f"        {cosines[nearest]:.3f}  {show(train, train_places[mine[nearest]])}"
        yield ""


def find_ambiguous(words: Tensor, senses: Tensor) -> list[int]:
    """Return the words that have several senses, the most frequent first."""
    often = Counter(words.tolist())
    known = Counter(word for word, _ in set(zip(words.tolist(), senses.tolist(), strict=True)))
    return [word for word, _ in often.most_common() if known[word] > 1]


def first_of_each_sense(samples: Samples, name: str, places: Tensor, numbers: Tensor) -> list[int]:
    """Return, of some occurrences, the first of every sense."""
    senses = samples.labels[name].value[tuple(places[numbers].T)].tolist()
    return [int(numbers[senses.index(sense)]) for sense in sorted(set(senses))]

"""Senses: whether the vector of a word tells in which of its senses it is meant.

One form has one vector in word2vec and GloVe, whatever it means; where the company of a word is encoded, it has another
in every sentence. For every word, the vectors of its occurrences in the training part are averaged by sense; an
occurrence in the test part has the sense whose average is most similar, by cosine. Where all are equally similar, as
they are without context, it has the sense that the word has most often, and then reaches `majority`: that is chance.
`within` and `between` are the mean cosines of two occurrences of a word in one sense, and in two.

Source: Peters et al., NAACL 2018, section 5.3 (nearest average of a sense in layers of a language model, backing off to
the most frequent sense; Melamud, Goldberger and Dagan, CoNLL 2016).
Differs: senses of the test part alone are not looked up in WordNet; the layer is chosen on held-out sentences.
Axes: N sentences, L positions, P labeled positions, D width, S senses.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pretask import Budget, Choice, Data, Figure, Items, PretaskError, Samples, Task
from pretask.extraction import extract_positions
from pretask.options import InnerFraction, Size
from torch import Tensor

from pretask_plugins.evaluators.probes.contexts import picture_contexts
from pretask_plugins.evaluators.probes.tagging import split_sentences
from pretask_plugins.evaluators.probes.validation_split import check_val_fraction, common_label
from pretask_plugins.shared.unit_vectors import to_unit_length

WHO = "senses"
Finding = tuple[str, float | Items | Choice | Figure]
SENSE = "sense"  # the label that is used where there is one
ROUNDING = 1e-6  # cosines that differ by less are equal


@dataclass(frozen=True)
class Occurrences:
    """Labeled positions of one part.

    Args:
        words: The token at each.
        senses: Its sense.
        vectors: By layer, of length 1.
    """

    words: Int[Tensor, " P"]
    senses: Int[Tensor, " P"]
    vectors: dict[str, Float[Tensor, "P D"]]

    def select(self, chosen: Bool[Tensor, " P"]) -> "Occurrences":
        """Return some of them."""
        return Occurrences(
            self.words[chosen], self.senses[chosen], {name: layer[chosen] for name, layer in self.vectors.items()}
        )


@dataclass(frozen=True)
class Senses:
    """The sense whose average is nearest.

    Args:
        label: Of positions: the senses. `sense` where it is left out and there is one, else the first.
        val_fraction: Fraction of the training sentences on which the layer is chosen.
        num_contexts: Nearest contexts that are shown of an occurrence.
    """

    label: str = ""
    val_fraction: InnerFraction = 0.1
    num_contexts: Size = 4

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where no positions have labels."""
        self.find_label(data)

    def find_label(self, data: Data) -> str:
        """Return the name of the senses that both parts have."""
        wanted = self.label or (SENSE if SENSE in data("train").labels else "")
        return common_label(WHO, data, wanted, "position")

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[Finding]:
        """Yield `accuracy` with its items, `majority`, `within`, `between`, `ambiguous`, the layer, and contexts.

        `ambiguous` is the fraction of test occurrences whose word has two senses or more in the training part.
        `layerK.accuracy` is of each layer.

        Raises:
            PretaskError: No positions have labels, or the encoder keeps no positions.
        """
        check_val_fraction(WHO, self.val_fraction)
        name = self.find_label(data)
        train_part, test_part = data("train"), data("test")
        train, test = (find_occurrences(task, part, name, budget) for part in (train_part, test_part))
        if not len(train.words) or not len(test.words):
            got = f"{len(train.words)} to train on and {len(test.words)} to test on"
            raise PretaskError(WHO, f"positions with a '{name}'", got, f"Use data with it, or set {WHO}.label.")
        layer = self.choose_layer(train, train_part.labels[name].value >= 0, budget.seed)
        size = len(train_part.labels[name].names)
        for other in test.vectors:
            correct = predict(train, test, other, size) == test.senses
            yield f"{other}.accuracy", float(correct.double().mean())
        correct = predict(train, test, layer, size) == test.senses
        common = count_senses(train, size).argmax(1)
        yield "accuracy", float(correct.double().mean())
        yield "accuracy", Items(correct)
        yield "layer", Choice(layer)
        yield "majority", float((look_up(common, train, test) == test.senses).double().mean())
        is_ambiguous = look_up((count_senses(train, size) > 0).sum(1) > 1, train, test)
        yield "ambiguous", float(is_ambiguous.double().mean())
        within, between = compare_pairs(test, layer, size)
        yield "within", within
        yield "between", between
        known, queries = (train_part, train.vectors[layer]), (test_part, test.vectors[layer])
        yield "contexts", picture_contexts(data, known, queries, name, self.num_contexts)

    def choose_layer(self, train: Occurrences, labeled: Bool[Tensor, "N L"], seed: int) -> str:
        """Choose the layer that is best on held-out sentences; of equals, the last."""
        held_out = split_sentences(labeled.any(1), self.val_fraction, seed)[:, None].expand_as(labeled)[labeled]
        fit, validation = train.select(~held_out), train.select(held_out)
        if not len(fit.words):
            return list(train.vectors)[-1]
        size = int(train.senses.max()) + 1
        scores = {
            name: int((predict(fit, validation, name, size) == validation.senses).sum()) for name in train.vectors
        }
        return max(reversed(list(scores)), key=scores.__getitem__)


def find_occurrences(task: Task, samples: Samples, name: str, budget: Budget) -> Occurrences:
    """Return the labeled positions of a part with their vectors in every layer."""
    labels = samples.labels[name].value
    labeled = labels >= 0
    vectors = extract_positions(task, samples, budget, labeled) if bool(labeled.any()) else {}
    layers = {layer: to_unit_length(found) for layer, found in vectors.items()}
    return Occurrences(samples.take(labeled), labels[labeled], layers)


def count_senses(train: Occurrences, size: int) -> Int[Tensor, "C S"]:
    """Return how often every word has every sense."""
    words = int(train.words.max()) + 1
    return torch.bincount(train.words * size + train.senses, minlength=words * size).view(words, size)


def look_up(table: Tensor, train: Occurrences, test: Occurrences) -> Tensor:
    """Return what a table says of the words of the test part; of words that training lacks, what is most common."""
    known = torch.isin(test.words, train.words)
    values: Tensor = table[test.words.clamp(max=len(table) - 1)]
    fallback = torch.zeros_like(values) if table.dtype == torch.bool else train.senses.mode().values
    return torch.where(known, values, fallback)


def predict(train: Occurrences, test: Occurrences, layer: str, size: int) -> Int[Tensor, " P"]:
    """Return the sense of every test occurrence: the nearest average, and the more frequent of equals."""
    counts = count_senses(train, size)
    vectors = train.vectors[layer]
    sums = torch.zeros(counts.numel(), vectors.shape[1], dtype=vectors.dtype)
    sums.index_add_(0, train.words * size + train.senses, vectors)
    averages = to_unit_length(sums).view(*counts.shape, -1)
    words = test.words.clamp(max=len(counts) - 1)
    cosines = torch.einsum("pd,psd->ps", test.vectors[layer], averages[words])
    steps = (cosines / ROUNDING).round().where(counts[words] > 0, -torch.inf)
    share = counts[words] / (counts[words].sum(1, keepdim=True) + 1)  # below 1: it decides between equals alone
    return torch.where(torch.isin(test.words, train.words), (steps + share).argmax(1), train.senses.mode().values)


def compare_pairs(test: Occurrences, layer: str, size: int) -> tuple[float, float]:
    """Return the mean cosine of two occurrences of a word, of one sense and of two; 1 where there is no such pair.

    The sum over all pairs of a group is the squared length of its sum.
    """
    vectors = test.vectors[layer]
    sense_sums, sense_counts = sum_groups(vectors, test.words * size + test.senses)
    word_sums, word_counts = sum_groups(vectors, test.words)
    within = (sense_sums.square().sum(1) - sense_counts).sum()
    within_pairs = (sense_counts * (sense_counts - 1)).sum()
    between = word_sums.square().sum() - sense_sums.square().sum()
    between_pairs = word_counts.square().sum() - sense_counts.square().sum()
    return divide_pairs(within, within_pairs), divide_pairs(between, between_pairs)


def sum_groups(
    vectors: Float[Tensor, "P D"], group: Int[Tensor, " P"]
) -> tuple[Float[Tensor, "G D"], Float[Tensor, " G"]]:
    """Return the sum of the vectors of every group, and how many there are."""
    names, number, counts = torch.unique(group, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(names), vectors.shape[1], dtype=vectors.dtype).index_add_(0, number, vectors)
    return sums, counts.double()


def divide_pairs(total: Tensor, pairs: Tensor) -> float:
    """Return a mean over pairs, 1 where there are none."""
    return float(total / pairs) if pairs > 0 else 1.0

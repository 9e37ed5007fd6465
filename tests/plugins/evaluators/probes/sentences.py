"""Sentences whose class is told in one way of pooling alone, for tests of extraction and probes.

A row is up to six words, an end token and padding. Every word is a number of its own, by which the encoder finds the
planted vectors: nothing of the class is in the tokens.
Axes: N samples, L positions, D width.
"""

import torch
from planted import task_of
from pretask import Draws, Features, Inputs, Labels, Observed, Samples, Task, Vocabulary
from torch import Tensor, nn

WAYS = ("mean", "last", "own", "mean-max")
TRAIN, TEST, LINE, CLASSES = 160, 80, 8, 4
PAD, END, FIRST = 0, 1, 10
WORDS = Vocabulary(1000, (("pad", PAD), ("end", END), ("class", 2)))


def sentences(part: str, way: str) -> Samples:
    """Rows of words; `way` is the pooling that tells the class, and is part of the words' numbers."""
    count, start = (TRAIN, 0) if part == "train" else (TEST, TRAIN)
    number = start + torch.arange(count)
    length = 4 + number % 3  # words
    place = torch.arange(LINE)
    word = FIRST + number + WAYS.index(way) * (TRAIN + TEST)
    tokens = torch.where(place < length[:, None], word[:, None], torch.where(place == length[:, None], END, PAD))
    label = Labels(class_of(number), tuple("abcd"))
    observed = Observed("text", (LINE,), "int64", count, WORDS)
    return Samples(observed, tokens, {"class": label}, tokens != PAD, f"{part} {way}")


def class_of(number: Tensor) -> Tensor:
    """The class of a sample."""
    return Draws(number).integers("class", 0, CLASSES)


class WordVectors(nn.Module):
    """Two layers, of widths 3 and 4: noise, and the vectors that tell the class.

    Args:
        beyond: What stands at every position that is no word.
    """

    def __init__(self, beyond: float) -> None:
        super().__init__()
        self.beyond = beyond

    def extra_repr(self) -> str:
        return f"beyond={self.beyond}"

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        tokens = inputs.data[:, 0]
        number = tokens[:, 0] - FIRST
        way = WAYS[int(number[0]) // (TRAIN + TEST)]
        number = number % (TRAIN + TEST)
        noise = Draws(number).branch("noise").normal("at positions", LINE, 7) / 10
        told, pooled = told_by(way, class_of(number), (tokens >= FIRST).sum(1))
        vectors = torch.where((tokens >= FIRST)[..., None], noise[..., 3:] + told, self.beyond)
        empty = torch.where((tokens >= FIRST)[..., None], noise[..., :3], self.beyond)
        both = (
            Features({"past": empty[:, None]}, {"past": empty[:, None, -1]}, (LINE,), inputs.present),
            Features(
                {"past": vectors[:, None]},
                {"past": (pooled + noise[:, -1, 3:])[:, None]},
                (LINE,),
                inputs.present,
                own_pooled=way == "own",
            ),
        )
        return Features(**{**vars(both[1]), "layers": both}) if layers else both[1]


def told_by(way: str, label: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """(N, L, D) vectors and (N, D) pooled that tell the class in one way of pooling, where D = CLASSES.

    Each class has a feature. Told by the last word, every feature is 1 once and -1 once, that of the class is 1 at the
    last word and the others' before: means are 0, and the largest of each is 1. Told by the mean, every feature is 1 at
    the first word, and that of the class 1 at the second as well. Told by the largest value, the feature of the class
    is 1 at one word and -1 at the next, all others are 0.
    """
    vectors, pooled = torch.zeros(len(label), LINE, CLASSES), torch.zeros(len(label), CLASSES)
    sample = torch.arange(len(label))
    if way == "own":
        pooled[sample, label] = 1
    elif way == "mean":
        vectors[:, 0] = 1
        vectors[sample, 1, label] = 1
    elif way == "mean-max":
        vectors[sample, 0, label] = 1
        vectors[sample, 1, label] = -1
    else:
        vectors[:, 0] = 1
        vectors[:, 1] = -1
        vectors[sample, 0, label] = 0
        vectors[sample, words - 1, label] = 1
    return vectors, pooled


def sentences_task(beyond: float = 1e3) -> Task:
    """The task of such an encoder."""
    observed = Observed("text", (LINE,), "int64", TRAIN, WORDS)
    return task_of(WordVectors(beyond), observed)

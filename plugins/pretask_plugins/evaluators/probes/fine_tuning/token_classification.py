"""Token classification: tags of words by fine-tuning, such as parts of speech and named entities. Version 1.

The label of a word is at its first token, and no other token counts (tagged.py of the data). Entities are scored as
spans, see spans.py; of tags that mark none, such as parts of speech, the F1 is the accuracy. `lexical` is the accuracy
of every token's most frequent tag, and `lexical_f1` its F1: what needs no context. The frozen counterpart is `tagging`.

Source: Devlin et al., NAACL 2019, section 5.3; see engine.py.
Axes: N sentences, L positions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from pretask import Budget, Data, Items, PretaskError, Samples, Task
from pretask.composition import describe_features
from torch import Tensor

from pretask_plugins.evaluators.probes.fine_tuning.engine import Trainer, Tuning
from pretask_plugins.evaluators.probes.fine_tuning.fine_tune import Yielded
from pretask_plugins.evaluators.probes.fine_tuning.forms import TagForm
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import make_rows
from pretask_plugins.evaluators.probes.tagging import check_tags, split_sentences
from pretask_plugins.evaluators.probes.validation_split import common_label
from pretask_plugins.shared.entities import Counts, count_spans, has_prefixes


@dataclass(frozen=True, kw_only=True)
class TokenClassification(Tuning):
    """A tagger of words.

    Args:
        label: Name of the labels; the first ones that are per position when empty.
    """

    label: str = ""

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels per position."""
        common_label("token-classification", data, self.label, "position")

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `f1`, `precision` and `recall` of spans, `accuracy`, `majority`, `lexical`, `lexical_f1` and items.

        Raises:
            PretaskError: There are no labels per position, too few of them, or the encoder does not keep positions.
        """
        name = common_label("token-classification", data, self.label, "position")
        train, test = data("train"), data("test")
        labels, right, names = train.labels[name].value, test.labels[name].value, train.labels[name].names
        units = (labels >= 0).any(1).nonzero()[:, 0]
        validation = split_sentences((labels >= 0).any(1), self.val_fraction, budget.seed)[units]
        held_out = validation[:, None].expand(-1, labels.shape[1])[labels[units] >= 0]
        check_tags(labels[labels >= 0], right[right >= 0], held_out)

        def rate(predictions: Int[Tensor, "U L"], of: Int[Tensor, "U L"]) -> float:
            return count_tags(predictions, of, names).f1

        check_positions("token-classification", task, train)
        rows = make_rows("token-classification", task, train, in_pieces=False, keeps_positions=True)
        form = TagForm(labels, len(names), rows, rate)
        trainer = Trainer("token-classification", task, form, train, self, budget.seed, budget.batch)
        fitted = trainer.fit_best(units, validation)
        tested = (right >= 0).any(1).nonzero()[:, 0]
        predictions = trainer.predict(fitted.network, test, tested)
        yield from yield_tag_metrics(predictions, right[tested], names)
        yield "majority", float((right[right >= 0] == labels[labels >= 0].mode().values).double().mean())
        lexical = predict_lexical(train.take(slice(None)), labels, test.take(tested), len(names))
        yield "lexical", float((lexical == right[tested])[right[tested] >= 0].double().mean())
        yield "lexical_f1", count_tags(lexical, right[tested], names).f1
        yield "train_labels", float((labels >= 0).sum())
        yield from fitted.choices()


def check_positions(who: str, task: Task, samples: Samples) -> None:
    """Raise PretaskError where the encoder has no vector for every token."""
    spec = task.split.whole_spec(samples.observed)
    grid = describe_features(task.model, spec).grid
    if grid != spec.shape:
        needs, got = f"features at all {spec.shape[0]} positions of a row", f"features at {grid or 'no position'}"
        raise PretaskError(who, needs, got, "Choose a model that keeps positions.")


def yield_tag_metrics(predictions: Int[Tensor, "N L"], right: Int[Tensor, "N L"], names: tuple[str, ...]) -> Yielded:
    """Yield how well spans and words were predicted."""
    counts = count_tags(predictions, right, names)
    yield "f1", counts.f1
    yield "precision", counts.precision
    yield "recall", counts.recall
    correct: Bool[Tensor, " P"] = (predictions == right)[right >= 0]
    yield "accuracy", float(correct.double().mean())
    yield "accuracy", Items(correct)


def count_tags(predictions: Int[Tensor, "N L"], right: Int[Tensor, "N L"], names: tuple[str, ...]) -> Counts:
    """Count spans of labeled words; of tags that mark none, every word is one."""
    valid = right >= 0
    if not has_prefixes(names):
        total = int(valid.sum())
        return Counts(int((predictions == right)[valid].sum()), total, total)
    return count_spans(name_tags(predictions, valid, names), name_tags(right, valid, names))


def name_tags(tags: Int[Tensor, "N L"], valid: Bool[Tensor, "N L"], names: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the names of the tags of every sentence's labeled words."""
    for row, where in zip(tags, valid, strict=True):
        yield [names[number] for number in row[where].tolist()]


def predict_lexical(
    train: Int[Tensor, "N L"], labels: Int[Tensor, "N L"], test: Int[Tensor, "M L"], classes: int
) -> Int[Tensor, "M L"]:
    """Return the tag that every token has most often, or that is most frequent of all where it is new."""
    size = int(max(train.max(), test.max())) + 1
    tokens, tags = train[labels >= 0], labels[labels >= 0]
    count = torch.bincount(tokens * classes + tags, minlength=size * classes).view(size, classes)
    most_common = count.argmax(1).where(count.any(1), count.sum(0).argmax())
    return most_common[test]

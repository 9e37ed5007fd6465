"""Promises of the scores of language: SQuAD's rules, spans by seqeval's, correlations and F1 by hand."""

import pytest
import torch
from pretask_plugins.evaluators.probes.fine_tuning import squad
from pretask_plugins.evaluators.probes.fine_tuning.overlap import measure_overlap
from pretask_plugins.evaluators.probes.fine_tuning.scores import f1_score, matthews
from pretask_plugins.evaluators.probes.fine_tuning.token_classification import count_tags, predict_lexical
from pretask_plugins.shared.correlation import pearson, spearman
from pretask_plugins.shared.entities import Counts, count_spans, find_spans, has_prefixes


@pytest.mark.parametrize(
    ("answer", "right", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1, 1),
        ("Eiffel", ["the Eiffel Tower"], 0, 2 / 3),
        ("in 1889, in Paris", ["Paris"], 0, 2 / 5),
        ("Paris Paris", ["Paris"], 0, 2 / 3),
        ("a dog", ["cat", "an old dog", "dogs"], 0, 2 / 3),
        ("old-time", ["old time"], 0, 0),  # the script drops the hyphen and joins the words
        ("Another  day", ["another day"], 1, 1),  # `an` inside a word is no article
        ("", [], 1, 1),
        ("", ["Paris"], 0, 0),
        ("Paris", [], 0, 0),
        ("the", ["a"], 1, 1),  # nothing is left of either
    ],
)
def test_answers_are_compared_by_the_rules_of_squad(answer: str, right: list[str], exact: float, f1: float) -> None:
    assert squad.exact_match(answer, right) == exact
    assert squad.f1(answer, right) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-a I-a O", [("a", 1, 2)]),
        ("I-a I-a B-a", [("a", 0, 1), ("a", 2, 2)]),  # an I after nothing begins a span
        ("B-a I-b I-b", [("a", 0, 0), ("b", 1, 2)]),  # another type ends one and begins one
        ("S-a B-a I-a E-a E-a", [("a", 0, 0), ("a", 1, 3), ("a", 4, 4)]),
        ("O O", []),
        ("B-a B-a", [("a", 0, 0), ("a", 1, 1)]),
        ("B-creative-work I-creative-work", [("creative-work", 0, 1)]),
        ("E-a I-a", [("a", 0, 0), ("a", 1, 1)]),
    ],
)
def test_spans_are_those_of_the_script_of_conll(tags: str, spans: list[tuple[str, int, int]]) -> None:
    assert [tuple(span) for span in find_spans(tags.split())] == spans


def test_only_whole_spans_of_the_right_type_count() -> None:
    true = [["B-a", "I-a", "O", "B-b"], ["O", "B-b"]]
    told = [["B-a", "O", "O", "B-b"], ["B-a", "B-b"]]
    counts = count_spans(told, true)
    assert counts == Counts(2, 4, 3)
    assert (counts.precision, counts.recall, counts.f1) == (0.5, 2 / 3, 4 / 7)
    assert Counts(0, 0, 0).f1 == 0.0


def test_tags_that_mark_no_spans_are_counted_word_by_word() -> None:
    assert not has_prefixes(("ADJ", "NOUN"))
    predictions, right = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, -1]])
    assert count_tags(predictions, right, ("ADJ", "NOUN")) == Counts(2, 2, 2)
    assert count_tags(torch.tensor([[0, 1, 1]]), torch.tensor([[1, -1, 1]]), ("O", "B-x")) == Counts(1, 1, 2)


def test_a_new_token_has_the_most_frequent_tag() -> None:
    train, labels = torch.tensor([[3, 4, 4]]), torch.tensor([[0, 1, 1]])
    assert predict_lexical(train, labels, torch.tensor([[3, 4, 9]]), 2).tolist() == [[0, 1, 1]]


def test_correlations_and_f1_are_those_of_scipy_and_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randint(0, 6, (50,), generator=generator).double()  # with ties
    other = one + torch.randn(50, generator=generator).double()
    centered = one - one.mean(), other - other.mean()
    product = float(centered[0] @ centered[1] / (centered[0].norm() * centered[1].norm()))
    assert pearson(one, other) == pytest.approx(product)
    assert spearman(one, other) == pytest.approx(pearson(mean_rank(one), mean_rank(other)))
    assert pearson(one, torch.full((50,), 0.1)) == 0.0
    assert spearman(one, torch.full((50,), 0.1)) == 0.0


def mean_rank(numbers: torch.Tensor) -> torch.Tensor:
    """Of every number how many are smaller, and half of those that are equal."""
    smaller, equal = (numbers[None] < numbers[:, None]).sum(1), (numbers[None] == numbers[:, None]).sum(1)
    return smaller + equal / 2


def test_f1_and_matthews_are_counted_by_hand() -> None:
    labels, guesses = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0]), torch.tensor([1, 1, 0, 1, 0, 0, 0, 0])
    assert f1_score(guesses, labels, 2) == pytest.approx(2 * 2 / (3 + 3))  # of the second class
    assert matthews(guesses, labels) == pytest.approx((2 * 4 - 1 * 1) / (3 * 3 * 5 * 5) ** 0.5)
    assert f1_score(torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 0, 1]), 2) == 0.0
    assert matthews(torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 0, 1])) == 0.0
    labels, guesses = torch.tensor([0, 0, 2, 2]), torch.tensor([0, 2, 2, 2])  # class 1 is nowhere
    assert f1_score(guesses, labels, 4) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_overlap_is_of_the_second_texts_ordinary_tokens() -> None:
    from pretask import Observed, Samples, Vocabulary

    words = Vocabulary(20, (("pad", 0), ("separator", 1), ("end", 2)))
    rows = torch.tensor([[7, 8, 1, 8, 9, 8, 2, 0], [7, 8, 2, 0, 0, 0, 0, 0]])
    found = measure_overlap(Samples(Observed("text", (8,), "int64", 2, words), rows))
    assert found.tolist() == [pytest.approx(2 / 3), 0.0]

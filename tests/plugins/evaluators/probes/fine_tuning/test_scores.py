"""Promises of the scores of language: SQuAD's rules, spans by seqeval's, correlations by scipy and scikit-learn."""

import pytest
import torch
from pretask_plugins.evaluators.probes.fine_tuning import squad
from pretask_plugins.evaluators.probes.fine_tuning.overlap import measure_overlap
from pretask_plugins.evaluators.probes.fine_tuning.scores import f1_score, matthews, pearson, spearman
from pretask_plugins.evaluators.probes.fine_tuning.spans import Counts, count_spans, find_spans, has_prefixes
from pretask_plugins.evaluators.probes.fine_tuning.token_classification import count_tags, predict_lexical
from scipy import stats
from sklearn import metrics


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
    assert pearson(one, other) == pytest.approx(stats.pearsonr(one, other).statistic)
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert pearson(one, torch.full((50,), 0.1)) == 0.0  # scipy warns and gives NaN
    for classes in (2, 3):
        labels, guesses = (torch.randint(0, classes, (60,), generator=generator) for _ in range(2))
        assert matthews(guesses, labels, classes) == pytest.approx(metrics.matthews_corrcoef(labels, guesses))
        average = "binary" if classes == 2 else "macro"
        assert f1_score(guesses, labels, classes) == pytest.approx(metrics.f1_score(labels, guesses, average=average))
    assert matthews(torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 0, 1]), 2) == 0.0


def test_overlap_is_of_the_second_texts_ordinary_tokens() -> None:
    from pretask import Observed, Samples, Vocabulary

    words = Vocabulary(20, (("pad", 0), ("separator", 1), ("end", 2)))
    rows = torch.tensor([[7, 8, 1, 8, 9, 8, 2, 0], [7, 8, 2, 0, 0, 0, 0, 0]])
    found = measure_overlap(Samples(Observed("text", (8,), "int64", 2, words), rows))
    assert found.tolist() == [pytest.approx(2 / 3), 0.0]

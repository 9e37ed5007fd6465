"""Promises of n-grams, which the trivial predictors of all splits of text are made of."""

from itertools import pairwise

import pytest
import torch
from pretask import Batch, Draws
from pretask_plugins.shared.ngrams import (
    bigram_log_probs,
    count_ngrams,
    count_unigrams,
    unigram_log_probs,
    valid_rows,
)

SIZE = 8


def test_counts_are_those_of_a_loop() -> None:
    rows = Draws(torch.arange(40)).integers("token", 0, 4, 6)
    counts = count_ngrams(valid_rows([Batch(rows[:25]), Batch(rows[25:])]), SIZE)
    assert counts.bigrams is not None
    loop = torch.zeros(SIZE, SIZE)
    for row in rows.tolist():
        for left, right in pairwise(row):
            loop[left, right] += 1
    assert torch.equal(counts.bigrams, loop)
    assert torch.equal(counts.unigrams, torch.bincount(rows.flatten(), minlength=SIZE).float())
    assert torch.equal(count_unigrams(valid_rows([Batch(rows)]), SIZE), counts.unigrams)


def test_where_a_label_needs_a_token_before_it_the_first_one_is_not_counted() -> None:
    rows, valid = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 7]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    counts = count_ngrams([(rows, valid)], SIZE, skip_first=True)
    assert counts.unigrams.nonzero()[:, 0].tolist() == [2, 3, 4, 6]
    assert counts.bigrams is not None
    assert torch.equal(counts.bigrams.sum(0), counts.unigrams)


def test_log_probabilities_are_normalized_also_of_what_never_occurred() -> None:
    single, pairs = torch.tensor([0.0, 3, 5, 0]), torch.zeros(4, 4)
    pairs[1, 2], pairs[2, 2] = 3, 1
    unigram = unigram_log_probs(single)
    assert unigram.exp().sum().item() == pytest.approx(1)
    for table in (bigram_log_probs(pairs, unigram), bigram_log_probs(pairs.T, unigram)):
        assert torch.allclose(table.exp().sum(1), torch.ones(4))
        assert bool(table.isfinite().all())


def test_pairs_of_a_large_vocabulary_are_not_counted() -> None:
    assert count_ngrams(valid_rows([Batch(torch.zeros(1, 4).long())]), 8193).bigrams is None

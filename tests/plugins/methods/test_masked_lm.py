"""Promises of the masked language model; the checkable properties of methods.md section 5."""

import math
from dataclasses import replace

import pytest
import torch
from pretask import Batch, Draws, Incompatible, Observed, PretaskError, Task, Vocabulary
from pretask.composition import compose
from pretask.pretext_score import score_predictor
from pretask_plugins.methods.masked_lm.pair import MaskTokensPair
from pretask_plugins.methods.masked_lm.split import MaskTokens, count_labels, random_tokens
from pretask_plugins.models.text.bert import Bert
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_registry.canned import VOCABULARY, make_canned_samples

FIRST = 7  # the first ordinary token
MASK, SEPARATOR = 1, 4
SPLIT, PAIR = MaskTokens(vocabulary=VOCABULARY), MaskTokensPair(vocabulary=VOCABULARY)


def numbered(count: int, length: int) -> Batch:
    """Row i of first tokens, then tokens that tell row and place: ordinary ones only."""
    return Batch(FIRST + Draws(torch.arange(count)).branch("text").integers("token", 0, 57, length))


def split_many(count: int = 8000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What stood there, what is shown, and the labels, of many rows of 128 tokens."""
    batch = numbered(count, 128)
    inputs, targets = SPLIT(batch, Draws(batch.index))
    return batch.data, inputs.data[:, 0], targets["token"].weight.bool()  # type: ignore[union-attr]


def bert(text: Observed, split: MaskTokens | MaskTokensPair) -> Task:
    return compose(text, split, lambda *specs: Bert(*specs, width=16, depth=1, heads=2, dropout=0.0), CrossEntropy)


def test_as_many_tokens_have_a_label_as_the_released_code_has() -> None:
    for length, count in ((16, 2), (64, 10), (128, 19), (512, 77)):
        batch = numbered(50, length)
        _, targets = SPLIT(batch, Draws(batch.index))
        assert targets["token"].weight.sum(1).unique().tolist() == [count]  # type: ignore[union-attr]


def test_halves_are_rounded_to_even_and_at_least_one_has_a_label() -> None:
    present = torch.arange(64) < torch.tensor([1, 10, 30, 50])[:, None]
    assert count_labels(present, present.shape[1], 0.15).flatten().tolist() == [
        1,
        2,
        4,
        8,
    ]  # 0.15, 1.5, 4.5 and 7.5, as Python's round has them


def test_of_the_labels_80_percent_are_masked_10_replaced_and_10_left() -> None:
    tokens, shown, has_label = split_many()
    count = int(has_label.sum())
    assert count >= 100_000
    masked = int((shown[has_label] == MASK).sum())
    left = int((shown[has_label] == tokens[has_label]).sum())  # one replacement in 57 is the token itself
    other = count - masked - left
    expected = torch.tensor([0.8, 0.1 + 0.1 / 57, 0.1 - 0.1 / 57]) * count
    chi_square = float(((torch.tensor([masked, left, other]) - expected).square() / expected).sum())
    assert chi_square < 13.8  # 99.9 % of chi-square with two degrees of freedom


def test_masks_are_distributed_as_those_of_the_collator_of_transformers() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast
    from transformers.data.data_collator import DataCollatorForLanguageModeling

    names = {number: f"[{role}]" for role, number in VOCABULARY.special}
    words = {names.get(number, f"w{number}"): number for number in range(VOCABULARY.size)}
    special = {f"{role}_token": f"[{role}]" for role in ("pad", "mask")} | {"sep_token": "[separator]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, "[pad]")), **special)
    batch = numbered(2000, 128)
    batch.data[:, 63] = SEPARATOR
    torch.manual_seed(0)
    collated = DataCollatorForLanguageModeling(tokenizer)([row.tolist() for row in batch.data])
    inputs, targets = SPLIT(batch, Draws(batch.index))
    fates = []
    for shown, has_label in (
        (collated["input_ids"], collated["labels"] != -100),
        (inputs.data[:, 0], targets["token"].weight.bool()),  # type: ignore[union-attr]
    ):
        assert not has_label[:, 63].any()
        assert float(has_label.float().mean()) == pytest.approx(0.15, abs=0.003)  # theirs: 4 standard deviations
        assert torch.equal(shown[~has_label], batch.data[~has_label])
        masked, left = (shown == MASK)[has_label].sum(), (shown == batch.data)[has_label].sum()
        fates.append([int(masked), int(left), int(has_label.sum() - masked - left)])
    from scipy.stats import chi2_contingency

    assert chi2_contingency(fates).pvalue > 0.001


def test_every_place_has_a_label_equally_often() -> None:
    _, _, has_label = split_many()
    share = 19 / 128
    std = math.sqrt(8000 * share * (1 - share))
    assert float((has_label.sum(0) - 8000 * share).abs().max()) < 4.5 * std  # binomial, 128 places


def test_what_has_no_label_is_shown_as_it_was_and_answers_are_what_stood_there() -> None:
    tokens, shown, has_label = split_many(200)
    _, targets = SPLIT(Batch(tokens), Draws(torch.arange(200)))
    assert torch.equal(shown[~has_label], tokens[~has_label])
    assert torch.equal(targets["token"].value, tokens)


def test_a_masked_token_leaves_no_trace_in_x() -> None:
    batch = numbered(200, 32)
    inputs, _ = SPLIT(batch, Draws(batch.index))
    hidden = ~inputs.visible[:, 0]  # type: ignore[index]
    other = Batch(batch.data.where(~hidden, 63), batch.index)
    again, _ = SPLIT(other, Draws(batch.index))
    assert bool(hidden.any())
    assert torch.equal(inputs.data, again.data)
    assert torch.equal(inputs.visible, again.visible)  # type: ignore[arg-type]


def test_special_tokens_and_padding_are_never_labels_nor_put_in() -> None:
    tokens = numbered(500, 20).data
    tokens[:, 0], tokens[:, 9], tokens[:, 15:] = 5, SEPARATOR, 0
    present = torch.ones_like(tokens, dtype=torch.bool)
    present[:, 15:] = False
    inputs, targets = SPLIT(Batch(tokens, present=present), Draws(torch.arange(500)))
    has_label = targets["token"].weight.bool()  # type: ignore[union-attr]
    assert not bool((has_label & ((tokens < FIRST) | ~present)).any())
    put_in = inputs.data[:, 0][has_label]
    assert bool(((put_in >= FIRST) | (put_in == MASK)).all())


def test_replacements_are_all_ordinary_tokens_equally_often_wherever_the_special_ones_stand() -> None:
    scattered = Vocabulary(12, (("mask", 3), ("pad", 0), ("end", 11), ("separator", 4)))
    drawn = random_tokens(Draws(torch.arange(1000)), scattered, 40).flatten()
    count = torch.bincount(drawn, minlength=12).double()
    assert count.nonzero()[:, 0].tolist() == [1, 2, 5, 6, 7, 8, 9, 10]
    expected = 40_000 / 8
    assert float(((count[count > 0] - expected).square() / expected).sum()) < 24.3  # 99.9 %, 7 degrees of freedom


def test_rows_of_padding_give_no_loss_and_no_gradient_that_is_not_finite() -> None:
    samples = make_canned_samples("text", 4)
    for split in (SPLIT, PAIR):
        task = bert(samples.observed, split)
        tokens = torch.zeros(4, 16, dtype=torch.int64)
        batch = Batch(tokens, present=tokens.bool(), partners=tokens[:, None])
        loss = task.loss(batch, Draws(batch.index))
        loss.total.backward()
        assert loss.total.item() == 0.0
        assert all(
            bool(parameter.grad.isfinite().all()) for parameter in task.model.parameters() if parameter.grad is not None
        )


def test_an_untrained_model_predicts_like_chance_and_both_targets_are_added_up() -> None:
    samples = make_canned_samples("text", 64)
    batch = next(samples.batches(64, torch.device("cpu"), 1))
    loss = bert(samples.observed, PAIR).loss(batch, Draws(batch.index))
    assert float(loss.parts["token"]) == pytest.approx(math.log(64), abs=0.5)
    assert float(loss.parts["is_next"]) == pytest.approx(math.log(2), abs=0.25)
    assert loss.total.item() == pytest.approx(float(loss.parts["token"] + loss.parts["is_next"]), rel=1e-6)


def test_a_masked_prediction_depends_on_tokens_on_both_sides() -> None:
    samples = make_canned_samples("text", 8)
    task = bert(samples.observed, SPLIT)
    inputs, targets = SPLIT(samples.batch(torch.arange(8), torch.device("cpu")), Draws(torch.arange(8)))
    row, place = (targets["token"].weight[:, 1:-1]).nonzero()[0].tolist()  # type: ignore[index]
    prediction = task.objective.predict(task.model(inputs))["token"][row, place + 1]
    for neighbour in (place, place + 2):
        data = inputs.data.clone()
        data[row, 0, neighbour] = 40 if int(data[row, 0, neighbour]) != 40 else 41
        changed = task.objective.predict(task.model(replace(inputs, data=data)))["token"][row, place + 1]
        assert not torch.allclose(prediction, changed)


def joined(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    inputs, targets = replace(PAIR, mask_ratio=1e-6)(batch, Draws(batch.index))  # one token is masked
    return targets["token"].value, inputs.present[:, 0], inputs.segment[:, 0], targets["is_next"].value  # type: ignore[index]


def test_the_second_half_is_the_rows_own_where_is_next_says_so_and_the_partners_elsewhere() -> None:
    own, partner = torch.arange(10, 20).expand(300, -1), torch.arange(30, 40).expand(300, -1)
    tokens, present, segment, is_next = joined(Batch(own, partners=partner[:, None]))
    follows = [*range(10, 15), SEPARATOR, *range(15, 20), SEPARATOR]
    strange = [*range(10, 15), SEPARATOR, *range(35, 40), SEPARATOR]
    assert all(row == (follows if yes else strange) for row, yes in zip(tokens.tolist(), is_next.tolist(), strict=True))
    assert bool(present.all())
    assert segment.unique(dim=0).tolist() == [[0] * 6 + [1] * 6]


def test_half_of_the_second_pieces_follow() -> None:
    batch = numbered(10_000, 8)
    share = joined(replace(batch, partners=batch.data[:, None]))[3].float().mean()
    assert float(share) == pytest.approx(0.5, abs=0.0165)  # 3.3 standard deviations


def test_lengths_do_not_tell_whether_a_piece_follows() -> None:
    from sklearn.tree import DecisionTreeClassifier

    count = 6000
    draws = Draws(torch.arange(count)).branch("lengths")
    lengths = draws.integers("own", 2, 13), draws.integers("partner", 2, 13)
    place = torch.arange(12)
    own, partner = (torch.where(place < length[:, None], FIRST, 0) for length in lengths)
    _, present, segment, is_next = joined(Batch(own, present=own > 0, partners=partner[:, None]))
    second = (segment.bool() & present).sum(1)
    known = torch.stack([present.sum(1) - second, second], 1).numpy()
    tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(known[:4000], is_next[:4000].numpy())
    assert tree.score(known[4000:], is_next[4000:].numpy()) < 0.54  # 3.6 standard deviations above one half


def test_baselines_answer_every_target_and_bigrams_know_what_follows() -> None:
    tokens = FIRST + (torch.arange(400)[:, None] + torch.arange(16)) % 40  # a token tells the next one
    text = Observed("text", (16,), "int64", 400, VOCABULARY)
    task = bert(text, PAIR)
    batch = Batch(tokens, partners=tokens.flip(0)[:, None])
    nats = {
        name: score_predictor(task, predictor)(batch, Draws(batch.index)).parts
        for name, predictor in PAIR.trivial_predictors([batch]).items()
    }
    assert float(nats["unigram"]["token"]) == pytest.approx(math.log(40), abs=0.1)
    assert float(nats["bigram"]["token"]) < 0.5 * math.log(40)
    assert float(nats["bigram"]["is_next"]) == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("split", [SPLIT, PAIR])
def test_baselines_prediction_what_their_split_asks_for_and_nothing_else(split: MaskTokens | MaskTokensPair) -> None:
    batch = numbered(20, 16)
    batch = replace(batch, partners=batch.data[:, None])
    _, targets = split(batch, Draws(batch.index))
    predictions = {
        name: predictor(batch, Draws(batch.index)) for name, predictor in split.trivial_predictors([batch]).items()
    }
    assert set(predictions) == {"unigram", "bigram"}
    assert all(set(prediction) == set(targets) for prediction in predictions.values())


def test_where_x_hides_the_token_before_the_bigram_says_what_the_unigram_says() -> None:
    batch = numbered(50, 16)
    shown = SPLIT(batch, Draws(batch.index))[0].data[:, 0]
    alone, after = (
        predictor(batch, Draws(batch.index))["token"] for predictor in SPLIT.trivial_predictors([batch]).values()
    )
    blind = torch.cat([torch.ones(50, 1, dtype=torch.bool), shown[:, :-1] == MASK], 1)
    assert torch.allclose(alone[blind], after[blind], atol=1e-5)
    assert float((alone - after)[~blind].abs().amax(-1).min()) > 0.1


@pytest.mark.parametrize(("split", "role"), [(MaskTokens(), "mask"), (MaskTokensPair(), "separator")])
def test_a_vocabulary_without_the_token_is_refused_and_the_token_named(
    split: MaskTokens | MaskTokensPair, role: str
) -> None:
    roles = tuple(pair for pair in VOCABULARY.special if pair[0] != role)
    with pytest.raises(Incompatible, match=f"none for '{role}'"):
        split.spec(Observed("text", (16,), "int64", vocabulary=Vocabulary(64, roles)))


def test_another_vocabulary_than_the_one_trained_on_is_refused() -> None:
    with pytest.raises(Incompatible, match="64 tokens that it was fitted to; got another one, of 65"):
        SPLIT.whole_spec(Observed("text", (16,), "int64", vocabulary=replace(VOCABULARY, size=65)))


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(PretaskError, match=r"split.mask_replace_prob = 0.95"):
        MaskTokens(mask_replace_prob=0.95)

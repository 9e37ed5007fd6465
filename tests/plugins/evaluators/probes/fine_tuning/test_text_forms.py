"""Promises of the forms of text: what rows are shown as, and that planted labels, answers and numbers are learned."""

import json
import random
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from pretask import Batch, Budget, Labels, Observed, PretaskError, Samples, Task, Vocabulary, compose
from pretask_plugins.data.text.questions import QuestionsAboutTexts
from pretask_plugins.evaluators.probes.fine_tuning.classification import Classification, PairClassification
from pretask_plugins.evaluators.probes.fine_tuning.multiple_choice import MultipleChoice
from pretask_plugins.evaluators.probes.fine_tuning.question_answering import QuestionAnswering, answer, find_best_span
from pretask_plugins.evaluators.probes.fine_tuning.regression import Regression
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import find_language_loss, make_rows
from pretask_plugins.evaluators.probes.fine_tuning.token_classification import TokenClassification
from pretask_plugins.methods.causal_lm.split import NextToken
from pretask_plugins.methods.masked_lm.split import MaskTokens
from pretask_plugins.models.text.bert import Bert
from pretask_plugins.models.text.gpt2 import Gpt2
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.shared.questions import Question, Questions

PAD, MASK, START, END, SEPARATOR, CLASS, UNKNOWN = range(7)
ROLES = ("pad", "mask", "start", "end", "separator", "class", "unknown")
WORDS = Vocabulary(24, tuple((role, number) for number, role in enumerate(ROLES)))
LENGTH = 12
QUICK: dict[str, Any] = {"rates": (5e-3,), "epochs": (6,), "batch": 16, "dropout": 0.0, "layer_decay": 1.0}
LONGER: dict[str, Any] = {**QUICK, "rates": (1e-2,), "epochs": (15,)}


def task_for(observed: Observed, *, causal: bool = False, context: int | None = None) -> Task:
    split = (NextToken if causal else MaskTokens)().fit(observed, [])
    sizes: dict[str, Any] = {"width": 16, "depth": 1, "heads": 2, "dropout": 0.0, "context": context}
    kind = Gpt2 if causal else Bert
    return compose(observed, split, lambda *specs: kind(*specs, **sizes), CrossEntropy)


@lru_cache
def small_task(causal: bool, context: int | None = None) -> Task:
    return task_for(Observed("text", (LENGTH,), "int64", 0, WORDS), causal=causal, context=context)


def batch_of(*rows: list[int]) -> Batch:
    data = torch.tensor([row + [PAD] * (LENGTH - len(row)) for row in rows])
    return Batch(data, torch.arange(len(data)), data != PAD)


def samples_of(rows: list[list[int]], labels: list[int], names: tuple[str, ...]) -> Samples:
    data = batch_of(*rows).data
    observed = Observed("text", (LENGTH,), "int64", len(rows), WORDS)
    return Samples(observed, data, {"class": Labels(torch.tensor(labels), names)}, data != PAD)


def planted_pairs(part: str, kinds: int = 2) -> Samples:
    """The class is which of the first words the second text begins with."""
    count, chance = (160, random.Random(0)) if part == "train" else (60, random.Random(1))
    labels = [number % kinds for number in range(count)]
    rows = [[chance.randrange(12, 24), SEPARATOR, 8 + label, chance.randrange(12, 24), END] for label in labels]
    return samples_of(rows, labels, ("0", "1", "2", "3")[:kinds])


def measure(evaluator: Any, task: Task, data: Any) -> dict[str, float]:
    return {name: value for name, value in evaluator(task, data, Budget(batch=64)) if isinstance(value, int | float)}


def test_two_pieces_are_told_by_segments_and_closed_by_a_separator() -> None:
    rows = make_rows("it", small_task(False), planted_pairs("test"), in_pieces=True)
    inputs = rows(batch_of([9, 10, SEPARATOR, 11, END], [9, SEPARATOR, END]))
    assert inputs.data[0, 0].tolist() == [9, 10, SEPARATOR, 11, SEPARATOR, PAD, PAD, PAD]  # cut to a multiple of 8
    assert inputs.segment is not None
    assert inputs.segment[:, 0, :5].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]
    plain = make_rows("it", small_task(False), planted_pairs("test"), in_pieces=False)(batch_of([9, END]))
    assert plain.segment is None
    assert plain.data[0, 0, :2].tolist() == [9, END]


def test_a_causal_network_reads_start_delimiter_and_extract_tokens() -> None:
    wide, narrow = small_task(True, LENGTH + 2), small_task(True, LENGTH)
    full = [*range(8, 8 + LENGTH - 1), END]
    shown = [make_rows("it", task, planted_pairs("test"), in_pieces=True) for task in (wide, narrow)]
    inputs = shown[0](batch_of([9, SEPARATOR, 10, END], full))
    assert inputs.data[0, 0, :6].tolist() == [START, 9, SEPARATOR, 10, CLASS, PAD]
    assert inputs.data[1, 0].tolist()[: LENGTH + 1] == [START, *full[:-1], CLASS]
    assert inputs.present is not None
    assert int(inputs.present[0].sum()) == 5
    short = shown[1](batch_of(full))  # there is no room for two tokens more
    assert short.data[0, 0].tolist() == [START, *full[: LENGTH - 2], CLASS]
    assert inputs.segment is None


def test_either_order_of_a_pair_is_read_and_the_vectors_are_added() -> None:
    task = small_task(True, LENGTH + 2)
    pair, swapped = (batch_of([9, 11, SEPARATOR, 10, END]), batch_of([10, SEPARATOR, 9, 11, END]))
    one, both = (
        make_rows("it", task, planted_pairs("test"), in_pieces=True, both_orders=twice) for twice in (False, True)
    )
    assert torch.equal(both(pair).data[:1], one(pair).data)
    assert torch.equal(both(pair).data[1:], one(swapped).data)
    found = [measure(PairClassification(**QUICK, both_orders=True), task, planted_pairs)["accuracy"]]
    assert found[0] > 0.9


def test_the_auxiliary_loss_is_that_of_the_next_token_and_without_weight_there_is_none() -> None:
    task, samples = small_task(True, LENGTH + 2), planted_pairs("train")
    rows = make_rows("it", task, samples, in_pieces=True)
    loss = find_language_loss(task, rows, samples, 0.5)
    assert loss is not None
    inputs = rows(batch_of([9, SEPARATOR, 10, END]))
    features = task.model.eval()(inputs)
    shown = inputs.data[0, 0, :5]
    log_probability = task.objective.heads["next"](features.streams["past"][0, 0]).log_softmax(-1)
    wanted = -log_probability[torch.arange(4), shown[1:]].mean()
    assert float(loss(features, inputs).detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert find_language_loss(task, rows, samples, 0.0) is None
    masked = make_rows("it", small_task(False), samples, in_pieces=True)
    assert find_language_loss(small_task(False), masked, samples, 0.5) is None


@pytest.mark.parametrize("causal", [False, True], ids=["bert", "gpt2"])
def test_classes_of_texts_and_pairs_are_learned(causal: bool) -> None:
    found = measure(PairClassification(**QUICK), small_task(causal), planted_pairs)
    assert found["accuracy"] > 0.9
    assert found["f1"] > 0.9
    assert found["matthews"] > 0.8
    assert found["majority"] == pytest.approx(0.5)
    assert measure(Classification(**QUICK), small_task(causal), planted_pairs)["accuracy"] > 0.9


def test_data_without_pairs_are_no_pairs() -> None:
    def single(part: str) -> Samples:
        return samples_of([[9, END], [10, END]] * 4, [0, 1] * 4, ("a", "b"))

    with pytest.raises(PretaskError, match="rows of two texts with a separator"):
        measure(PairClassification(**QUICK), small_task(False), single)


def test_numbers_are_predicted_in_the_right_order() -> None:
    found = measure(Regression(**LONGER), small_task(False), lambda part: planted_pairs(part, 4))
    assert found["spearman"] > 0.9
    assert found["pearson"] > 0.9

    def named(part: str) -> Samples:
        made = planted_pairs(part, 4)
        return replace(made, labels={"class": replace(made.labels["class"], names=("a", "b", "c", "d"))})

    with pytest.raises(PretaskError, match="labels that are numbers, or two classes; got a, b, c, d"):
        measure(Regression(**QUICK), small_task(False), named)


def planted_choices(part: str) -> Samples:
    """Of three endings the right one has word 8."""
    chance = random.Random(part)
    rows, labels = [], []
    for _ in range(60 if part == "train" else 30):
        right = chance.randrange(3)
        for number in range(3):
            rows.append([chance.randrange(12, 24), SEPARATOR, 8 if number == right else chance.randrange(9, 12), END])
            labels.append(int(number == right))
    return samples_of(rows, labels, ("wrong", "right"))


def test_the_right_one_of_several_endings_is_learned() -> None:
    found = measure(MultipleChoice(**QUICK, choices=3), small_task(False), planted_choices)
    assert found["accuracy"] > 0.9
    assert found["chance"] == pytest.approx(1 / 3)
    with pytest.raises(PretaskError, match="says how many choices a question has"):
        measure(MultipleChoice(**QUICK), small_task(False), planted_choices)


def test_spans_of_tags_are_learned_at_the_first_tokens_of_words() -> None:
    names = ("B-x", "I-x", "O")

    def tagged(part: str) -> Samples:
        chance = random.Random(part)
        rows = [[chance.choice((8, 9, 10)) for _ in range(6)] + [END] for _ in range(100)]
        made = samples_of(rows, [0] * 100, ("none",))
        value = (made.data - 8).where((made.data >= 8) & (torch.arange(LENGTH) % 3 > 0), -1)
        return replace(made, labels={"tag": Labels(value, names)})

    found = measure(TokenClassification(**QUICK), small_task(False), tagged)
    assert found["f1"] == found["accuracy"] == found["lexical"] == found["lexical_f1"] == 1.0


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> QuestionsAboutTexts:
    """Texts with a color in two words among other words."""
    root, chance = tmp_path_factory.mktemp("asked"), random.Random(0)
    others, colors = ("cat", "dog", "cup", "hat"), ("red", "blue", "green", "black")
    for part, count in (("train", 120), ("dev", 40)):
        paragraphs = []
        for number in range(count):
            words = [chance.choice(others) for _ in range(5)]
            color = f"{chance.choice(('dark', 'light'))} {chance.choice(colors)}"
            words.insert(chance.randrange(6), color)
            context = " ".join(words)
            answers = [{"text": color, "answer_start": context.index(color)}]
            paragraphs.append({"context": context, "qas": [{"id": number, "question": "which", "answers": answers}]})
        (root / f"{part}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return QuestionsAboutTexts(root=root, length=12, tokenizer="words", vocab_size=30)


def test_answers_that_are_planted_in_the_text_are_found(asked: QuestionsAboutTexts) -> None:
    task = task_for(asked("train").observed)
    found = measure(QuestionAnswering(**LONGER), task, asked)
    assert found["exact_match"] > 0.9
    assert found["f1"] >= found["exact_match"]
    assert found["overlap_f1"] == pytest.approx(4 / 9)  # all of the text, seven words of which two are right


def test_spans_never_end_before_they_begin_nor_are_too_long() -> None:
    generator = torch.Generator().manual_seed(0)
    begin, end = torch.randn(2, 20, 9, generator=generator)
    first, last, value = find_best_span(begin, end, 3)
    for row in range(20):
        spans = {(one, other) for one in range(9) for other in range(one, min(one + 3, 9))}
        best = max(spans, key=lambda span: float(begin[row, span[0]] + end[row, span[1]]))
        assert (int(first[row]), int(last[row])) == best
        assert float(value[row]) == pytest.approx(float(begin[row, best[0]] + end[row, best[1]]))


def test_the_best_row_of_a_question_answers_and_no_answer_only_where_there_may_be_none() -> None:
    offsets = torch.tensor([[[-1, -1], [0, 3]], [[-1, -1], [4, 7]], [[-1, -1], [0, 3]]])
    questions = tuple(Question("?", "one two", ("one",), group) for group in range(2))
    some = Questions(questions, torch.tensor([0, 0, 1]), offsets)
    found = torch.tensor([[1.0, 1.0, 0.5], [1.0, 1.0, 0.7], [1.0, 1.0, -0.2]]).double()
    assert answer(found, torch.arange(3), some, False) == {0: "two", 1: "one"}
    assert answer(found, torch.arange(3), some, True) == {0: "two", 1: ""}

"""Few-shot: prompts hold k examples and never the answer that is asked for, and the likeliest answer is chosen."""

from typing import Any

import pytest
import torch
from pretask import Budget, Draws, Inputs, Items, Labels, Observed, PretaskError, Samples, Task, Vocabulary
from pretask.composition import compose
from pretask_plugins.evaluators.language import few_shot
from pretask_plugins.evaluators.language.few_shot import FewShot, score_answers
from pretask_plugins.methods.causal_lm.split import NextToken
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.objectives.cross_entropy import CrossEntropy

PAD, END, YES, NO, SURE, BETWEEN, AFTER = 0, 1, 2, 3, 4, 5, 6
WORDS = Vocabulary(20, (("pad", PAD), ("end", END)))
LENGTH = 16
TEXT = Observed("text", (LENGTH,), "int64", vocabulary=WORDS)
SETTINGS: dict[str, Any] = {"answers": (f"{YES}", f"{NO} {SURE}"), "between": f"{BETWEEN}", "after": f"{AFTER}"}


class Numbers:
    """Rows of three words 7 ... 19 and the end; the class says whether the first is even. Text is written in ids."""

    def __call__(self, part: str, /) -> Samples:
        count = 40 if part == "train" else 12
        rows = Draws(torch.arange(count) + (part == "test") * 100).integers("word", 7, 20, 3)
        data = torch.nn.functional.pad(torch.cat([rows, torch.full((count, 1), END)], 1), (0, LENGTH - 4))
        return Samples(TEXT, data, {"even": Labels(rows[:, 0] % 2, ("yes", "no"))}, present=data != PAD)

    def encode(self, text: str, /) -> list[int]:
        return [int(word) for word in text.split()]


def causal(*specs: Any) -> Transformer:
    return Transformer(*specs, width=16, depth=1, heads=2, causal=True)


def task() -> Task:
    made = compose(TEXT, NextToken(WORDS), causal, CrossEntropy, seed=1)
    with torch.no_grad():
        made.objective.heads["next"][-1].weight.mul_(8.0)  # far from uniform
    return made


def numbers(evaluator: FewShot, data: Any = None) -> dict[str, Any]:
    yielded = evaluator(task(), data or Numbers(), Budget())
    return {name: value for name, value in yielded if not isinstance(value, Items)}


def test_a_prompt_is_examples_with_answers_and_then_the_text_that_is_asked_for() -> None:
    data = Numbers()
    prompter = FewShot(**SETTINGS).make_prompter(task(), data, data("train"))
    train, asked = data("train"), data("test").data[0].tolist()
    assert [prompter.room(count) for count in (0, 1, 2)] == [13, 4, 1]
    first, second = (train.data[number, :3].tolist() for number in (3, 4))
    answers = [[YES] if row[0] % 2 == 0 else [NO, SURE] for row in (first, second)]
    one = [*first, BETWEEN, *answers[0], AFTER, *asked[:3], BETWEEN]
    assert prompter(asked, [3]) == one
    two = [first[0], BETWEEN, *answers[0], AFTER, second[0], BETWEEN, *answers[1], AFTER, asked[0], BETWEEN]
    assert prompter(asked, [3, 4]) == two  # cut, so that all have room


def test_examples_are_others_for_every_text_and_the_same_for_a_seed() -> None:
    prompter = FewShot(**SETTINGS).make_prompter(task(), Numbers(), Numbers()("train"))
    drawn = [tuple(prompter.draw_examples(number, 4, 0)) for number in range(12)]
    assert all(len(set(numbers)) == 4 for numbers in drawn)
    assert len(set(drawn)) == 12
    assert drawn[5] == tuple(prompter.draw_examples(5, 4, 0))
    assert drawn[5] != tuple(prompter.draw_examples(5, 4, 1))


def test_an_answer_has_the_probability_of_its_tokens_one_after_the_other() -> None:
    made, data = task(), Numbers()
    test = data("test")
    prompter = FewShot(**SETTINGS).make_prompter(made, data, data("train"))
    chosen = torch.tensor([2, 7])
    sums, means = score_answers(made, "next", prompter, test, chosen, 1, Budget(batch=3))
    made.model.eval()
    for row, number in enumerate(chosen.tolist()):
        prompt = prompter(test.data[number].tolist(), prompter.draw_examples(number, 1, 0))
        for place, answer in enumerate(prompter.answers):
            shown = torch.full((LENGTH - 1,), 9)  # whatever comes after
            shown[: len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
            with torch.no_grad():
                said = made.objective.predict(made.model(Inputs(shown[None, None])))["next"][0]
            wanted = sum(float(said[len(prompt) - 1 + step, token]) for step, token in enumerate(answer))
            assert float(sums[row, place]) == pytest.approx(wanted, abs=1e-4)
            assert float(means[row, place]) == pytest.approx(wanted / len(answer), abs=1e-4)


def test_who_knows_the_answer_is_right_and_shots_without_room_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def know(_: Task, inputs: Inputs, __: str) -> torch.Tensor:
        """After BETWEEN the first token of the right answer is likeliest; NO is followed by SURE for certain."""
        tokens = inputs.data[:, 0]
        scores = torch.full((*tokens.shape, WORDS.size), -9.0)
        for row, places in zip(tokens.tolist(), scores, strict=True):
            last = len(row) - 1 - row[::-1].index(BETWEEN)
            begin = max((place for place in range(last) if row[place] == AFTER), default=-1) + 1
            places[last, NO if row[begin] % 2 else YES] = -0.5
            places[last + 1, SURE] = 0.0
        return scores

    monkeypatch.setattr(few_shot, "log_probabilities", know)
    found = numbers(FewShot(**SETTINGS))
    assert {name: value for name, value in found.items() if name != "majority"} == {
        f"{count}.{measure}": 1.0 for count in (0, 1) for measure in ("accuracy", "normalized_accuracy")
    }
    assert 0.5 <= found["majority"] < 1


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"answers": ("2",)}, "an answer for each of 2 classes"),
        ({"answers": ("2", "")}, "at least one token"),
        ({"label": "odd"}, "labels of rows"),
        ({"between": "5 " * 15}, "room for 2 tokens"),
    ],
)
def test_what_no_prompt_can_be_made_of_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PretaskError, match=complaint):
        numbers(FewShot(**{**SETTINGS, **settings}))


def test_data_that_takes_no_text_is_refused() -> None:
    with pytest.raises(PretaskError, match="takes a text of your own"):
        numbers(FewShot(**SETTINGS), Numbers().__call__)

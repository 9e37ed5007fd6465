"""Promises of what language models are measured by; methods.md section 3."""

import io
import math
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image
from pretask import (
    Budget,
    Draws,
    Features,
    FeatureSpec,
    Figure,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Samples,
    Task,
    Vocabulary,
)
from pretask.composition import compose
from pretask.language.continuation import Remembers, generate
from pretask.language.sampling import GREEDY, Sampling
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.evaluators.language.generation import Generation, count_pairs, distinct, overlap, repetition
from pretask_plugins.evaluators.language.perplexity import LanguageModel
from pretask_plugins.methods.causal_lm.split import NextToken
from pretask_plugins.methods.masked_lm.split import MaskTokens
from pretask_plugins.models.text.gpt2 import Gpt2
from pretask_plugins.models.text.lstm import Lstm
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.shared.text_pages import draw_glyph, draw_page, wrap_line
from torch import Tensor, nn
from torch.nn import functional as F

ROLES = ("pad", "mask", "start", "end", "separator", "class", "unknown")
WORDS = Vocabulary(12, tuple((role, number) for number, role in enumerate(ROLES)))
LENGTH = 10
TEXT = Observed("text", (LENGTH,), "int64", 20, WORDS)


class Extent(NamedTuple):
    tokens: int
    bytes: int


class Rows:
    """Test rows with a tokenizer whose name is known."""

    tokenizer_name = "letters of 12 tokens"

    def __init__(self, present: Tensor | None = None) -> None:
        tokens = Draws(torch.arange(20)).branch("text").integers("token", 7, 12, LENGTH)
        self.samples = Samples(TEXT, tokens if present is None else tokens.where(present, 0), present=present)

    def __call__(self, part: str, /) -> Samples:
        return self.samples

    def extent(self, part: str) -> Extent:
        return Extent(200, 400)

    def decode(self, ids: list[int]) -> str:
        return "".join("abcde"[number - 7] for number in ids if number >= 7)


class Attentive(nn.Module):
    """One layer of causal attention with learned positions, which can also go on from keys and values."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /, width: int = 16) -> None:
        super().__init__()
        assert spec.vocabulary is not None
        self.width = width
        self.embedding, self.position = nn.Embedding(spec.vocabulary.size, width), nn.Embedding(LENGTH, width)
        self.map = nn.Linear(width, 3 * width)
        self.read = 0

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        return FeatureSpec(self.width, spec.shape, spec.views, ("past",))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        return self.step(inputs, None)[0]

    def step(self, inputs: Inputs, memory: Any, /) -> tuple[Features, Any]:
        tokens = inputs.data[:, 0]
        self.read += tokens.shape[1]
        before = 0 if memory is None else memory[0].shape[1]
        place = torch.arange(before, before + tokens.shape[1])
        vectors = self.embedding(tokens) + self.position(place)
        query, key, value = self.map(vectors).chunk(3, -1)
        if memory is not None:
            key, value = torch.cat([memory[0], key], 1), torch.cat([memory[1], value], 1)
        mask = torch.arange(key.shape[1]) <= place[:, None]
        made = (vectors + F.scaled_dot_product_attention(query, key, value, mask))[:, None]
        return Features({"past": made}, {"past": made[:, :, -1]}, (tokens.shape[1],)), (key, value)


def causal(*specs: InputSpec) -> Transformer:
    return Transformer(*specs, width=16, depth=2, heads=2, causal=True, position="learned")


def task(model: Any = causal, split: Any = None) -> Task:
    made = compose(TEXT, split or NextToken(WORDS), model, CrossEntropy, seed=1)
    with torch.no_grad():
        made.objective.heads["token" if split else "next"][-1].weight.mul_(8.0)  # far from uniform
    return made


def numbers(evaluator: Any, of: Task, data: Any, budget: Budget | None = None) -> dict[str, Any]:
    return dict(evaluator(of, data, budget or Budget()))


def prompts(count: int = 6, length: int = 3) -> Tensor:
    return Rows().samples.data[:count, :length]


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity() -> None:
    made = task()
    for parameter in made.objective.parameters():
        nn.init.zeros_(parameter)
    found = numbers(LanguageModel(), made, Rows())
    assert found["perplexity"] == pytest.approx(12, rel=1e-5)
    assert found["nats_per_token"] == pytest.approx(math.log(12), rel=1e-6)
    assert found["bits_per_byte"] == pytest.approx(math.log2(12) * 200 / 400, rel=1e-6)
    assert found["tokens"] == 20 * (LENGTH - 1)


def test_the_score_is_the_chain_rule_over_every_row() -> None:
    made, data = task(), Rows()
    rows, total = data.samples.data, 0.0
    with torch.no_grad():
        made.model.eval()
        for place in range(1, LENGTH):  # the token at each place, from a model that is shown nothing behind it
            shown = F.pad(rows[:, :place], (0, LENGTH - 1 - place), value=7)
            log_probs = made.objective.predict(made.model(Inputs(shown[:, None])))["next"][:, place - 1]
            total -= float(log_probs.gather(1, rows[:, place, None]).double().sum())
    assert numbers(LanguageModel(), made, data)["nats_per_token"] == pytest.approx(total / 180, rel=1e-5)


def test_the_score_depends_on_neither_batches_nor_padding() -> None:
    present = torch.arange(LENGTH) < Draws(torch.arange(20)).integers("length", 0, LENGTH + 1)[:, None]
    made, data = task(), Rows(present)
    wide = Rows(present)
    wide.samples = replace(data.samples, data=data.samples.data.where(present, 9))
    found = [numbers(LanguageModel(), made, *given) for given in ((data, Budget(batch=20)), (wide, Budget(batch=3)))]
    assert found[0]["tokens"] == (present.sum(1) - 1).clamp(min=0).sum()
    assert found[0]["nats_per_token"] == pytest.approx(found[1]["nats_per_token"], rel=1e-6)


def test_the_gap_to_the_entropy_of_the_grammar_is_told() -> None:
    grammar = ToyGrammar(size=8, test_size=64)
    observed = grammar("test").observed
    made = compose(observed, NextToken(observed.vocabulary), causal, CrossEntropy)
    found = numbers(LanguageModel(), made, grammar)
    assert found["nats_above_entropy"] == pytest.approx(found["nats_per_token"] - grammar.entropy("all"), abs=1e-9)
    assert "words of" in found["tokenizer"].value


@pytest.mark.parametrize("evaluator", [LanguageModel(), Generation(prompt_length=3)])
def test_a_task_that_hides_other_tokens_is_refused(evaluator: Any) -> None:
    with pytest.raises(PretaskError, match=r"next token.*'token', which may see all.*causal-lm"):
        list(evaluator(task(split=MaskTokens(vocabulary=WORDS)), Rows(), Budget()))


def test_text_in_another_vocabulary_is_refused() -> None:
    data = Rows()
    data.samples = replace(data.samples, observed=replace(TEXT, vocabulary=Vocabulary(12)))
    with pytest.raises(PretaskError, match="12 tokens that the model was trained on; got another one, of 12"):
        list(LanguageModel()(task(), data, Budget()))


WAYS = [GREEDY, Sampling(temperature=0.7), Sampling(top_k=3), Sampling(top_p=0.8)]


@pytest.mark.parametrize("sampling", WAYS)
def test_a_memory_of_keys_and_values_changes_no_text_and_reads_every_token_once(sampling: Sampling) -> None:
    made = task(Attentive)
    assert isinstance(made.model, Remembers)
    texts, reads = [], []
    for use_memory in (True, False):
        made.model.read = 0
        texts.append(generate(made, prompts(), max_new_tokens=7, sampling=sampling, use_memory=use_memory))
        reads.append(made.model.read)
    assert torch.equal(*texts)
    assert reads == [3 + 6, sum(range(3, 10))]


@pytest.mark.parametrize(
    "model",
    [causal, lambda *specs: Lstm(*specs, width=16, depth=2), lambda *specs: Gpt2(*specs, width=16, depth=2, heads=2)],
    ids=["transformer", "lstm", "gpt2"],
)
@pytest.mark.parametrize("sampling", WAYS[:2])
def test_models_of_ours_write_the_same_with_and_without_memory(model: Any, sampling: Sampling) -> None:
    made = task(model)
    assert isinstance(made.model, Remembers)
    texts = [
        generate(made, prompts(), max_new_tokens=7, sampling=sampling, use_memory=memory) for memory in (True, False)
    ]
    assert torch.equal(*texts)


@pytest.mark.parametrize("model", [causal, lambda *specs: Lstm(*specs, width=16, depth=1)])
def test_greedy_text_is_the_likeliest_token_after_every_prefix(model: Any) -> None:
    made = task(model)
    text = generate(made, prompts(), max_new_tokens=6)
    allowed = torch.tensor([3, *range(7, 12)])  # the end and ordinary tokens
    made.model.eval()
    log_probs = made.objective.predict(made.model(Inputs(text[:, None])))["next"]
    for row, places in zip(text, log_probs, strict=True):
        for place in range(3, 9):
            assert int(row[place]) == int(allowed[places[place - 1, allowed].argmax()])
            if int(row[place]) == 3:
                break


def test_what_is_written_depends_on_seed_and_prompt_only_and_not_on_the_others_beside_it() -> None:
    made, given, sampling = task(), prompts(), Sampling()
    index = torch.arange(6)
    whole = generate(made, given, max_new_tokens=5, sampling=sampling, draws=Draws(index, 3))
    alone = generate(made, given[4:], max_new_tokens=5, sampling=sampling, draws=Draws(index[4:], 3))
    other = generate(made, given, max_new_tokens=5, sampling=sampling, draws=Draws(index, 4))
    assert torch.equal(whole[4:], alone)
    assert not torch.equal(whole, other)


def test_after_the_end_there_is_padding_and_no_other_special_token_is_written() -> None:
    made = task()
    with torch.no_grad():
        made.objective.heads["next"][-1].weight.zero_()
        made.objective.heads["next"][-1].bias.zero_()[:7] += 2.0  # special tokens are likelier than the others
    texts = generate(made, prompts(20), max_new_tokens=7, sampling=Sampling())[:, 3:]
    over = (texts == 3).cumsum(1) - (texts == 3).int() > 0
    assert bool(over.any())
    assert bool((texts[over] == 0).all())
    assert bool(((texts[~over] == 3) | (texts[~over] >= 7)).all())


@pytest.mark.parametrize(("length", "tokens"), [(3, 8), (0, 2)])
def test_there_must_be_a_prompt_and_room_for_its_continuation(length: int, tokens: int) -> None:
    with pytest.raises(PretaskError, match=f"at most 10 .* got a prompt of {length} and {tokens}"):
        generate(task(), prompts(2, length), max_new_tokens=tokens)


def test_texts_are_shown_and_repetition_is_counted_beside_that_of_the_test_text() -> None:
    found = numbers(Generation(num_prompts=5, prompt_length=3), task(), Rows())
    texts = found.pop("texts")
    assert isinstance(texts, Figure)
    assert Image.open(io.BytesIO(texts.png)).format == "PNG"
    ways = {"test text", "greedy", "temperature 0.7", "top-40", "nucleus 0.9"}
    kinds = ("overlap", "distinct-1", "distinct-2", "repetition")
    assert set(found) == {"overlap", *(f"{way}: {kind}" for way in ways for kind in kinds)}
    assert all(0 <= value <= 1 for value in found.values())
    assert found["overlap"] == found["nucleus 0.9: overlap"]


def test_the_headline_of_generation_rises_with_what_the_model_knows() -> None:
    data = Rows()
    data.samples = replace(data.samples, data=torch.arange(7, 12).repeat(20, 2))  # abcdeabcde, in every row
    known = []
    for right in (True, False):  # after each letter its successor, or any letter
        made = task(Attentive)
        with torch.no_grad():
            for parameter in (*made.model.parameters(), *made.objective.parameters()):
                parameter.zero_()
            made.model.embedding.weight.copy_(torch.eye(12, 16) * 5)
            head = made.objective.heads["next"][-1]
            head.bias[:7] = -50
            if right:
                head.weight[:, :12] = torch.eye(12).roll(1, 0) * 5
                head.weight[7, 11], head.weight[0, 11] = 5, 0
        known.append(numbers(Generation(num_prompts=4, prompt_length=3), made, data))
    assert known[0]["overlap"] > 0.8 > 0.5 > known[1]["overlap"]
    assert known[0]["test text: overlap"] == known[1]["test text: overlap"] > 0.8


def test_neither_one_phrase_again_and_again_nor_noise_shares_much_with_a_text() -> None:
    noise = Draws(torch.arange(50)).integers("noise", 0, 100, 20).tolist()
    text = [[*range(start, start + 20)] for start in range(50)]
    held_out = count_pairs(text)
    assert overlap(count_pairs(text), held_out) == pytest.approx(1)
    assert overlap(count_pairs([[7, 8] * 10] * 50), held_out) < 0.05
    assert overlap(count_pairs(noise), held_out) < 0.05


def test_a_page_shows_line_breaks_as_such_and_no_character_as_a_box() -> None:
    line = "  one\ntwo\tthree \u4e2d\u0416\x07\u21b5\u2014end\n"
    pieces = wrap_line(line)
    assert pieces == ["  one", "    two    three \\u4e2d\\u0416\\x07\\u21b5--end"]
    box = draw_glyph("\U0010ffff")
    assert all(draw_glyph(letter) != box for letter in "".join(pieces) if letter != " ")
    assert draw_page(["\n\n", ""])


def test_rows_that_are_shorter_than_a_prompt_are_refused() -> None:
    with pytest.raises(PretaskError, match="at least 4 tokens; got none"):
        list(Generation(prompt_length=3)(task(), Rows(torch.zeros(20, LENGTH, dtype=torch.bool)), Budget()))


def test_repeated_groups_count_by_text_and_different_ones_over_all_texts() -> None:
    assert distinct([[1, 2, 3], [1, 2, 4]], 2) == 3 / 4
    assert repetition([[1, 2, 1, 2, 1, 2, 1, 2]]) == 3 / 5  # 1212 and 2121, then three that were there before
    assert repetition([[1, 2, 3, 4], [1, 2, 3, 4]]) == 0.0

"""Promises of ELMo's token layer: a word is what it is spelled like, by filters and highways of the paper's sizes."""

from typing import Any

import pytest
import torch
from pretask import Incompatible, Inputs, InputSpec, Vocabulary
from pretask_plugins.models.text.char_bilstm import CharacterEncoder, CharBiLstm, Highway, spell_vocabulary
from torch.nn import functional as F

ROLES = (("pad", 0), ("unknown", 1))
WORDS = ("[PAD]", "[UNKNOWN]", "cat", "cats", "cat", "déjà", "a" * 30)
VOCABULARY = Vocabulary(len(WORDS), ROLES, WORDS)
SPEC = InputSpec("text", (5,), vocabulary=VOCABULARY)


def make(vocabulary: Vocabulary = VOCABULARY, **options: Any) -> CharBiLstm:
    torch.manual_seed(0)
    spec = InputSpec("text", (5,), vocabulary=vocabulary)
    return CharBiLstm(spec, spec, **{"width": 8, "filters": (4, 6), "filter_widths": (1, 3), "characters": 8} | options)


def test_words_are_spelled_in_bytes_between_marks_and_special_tokens_by_a_symbol_of_their_own() -> None:
    table = spell_vocabulary(VOCABULARY, 8)
    begin, end = 257, 258
    assert table[2].tolist() == [begin, *(1 + byte for byte in b"cat"), end, 0, 0, 0]
    assert table[5].tolist() == [begin, *(1 + byte for byte in "déjà".encode()), end]  # six bytes
    assert table[6].tolist() == [begin, *[1 + ord("a")] * 6, end]  # cut off, and still closed
    assert table[0].tolist() == [begin, 259, end, 0, 0, 0, 0, 0]
    assert table[1, 1] == 259 + 6


def test_two_words_of_one_spelling_have_one_vector_and_others_have_not() -> None:
    with torch.no_grad():
        vectors = make().embedding(torch.arange(len(WORDS))[None])[0]
    assert torch.equal(vectors[2], vectors[4])
    assert float((vectors[2] - vectors[3]).norm()) > 1e-3


def test_ids_that_nobody_can_spell_are_spelled_by_their_digits() -> None:
    assert spell_vocabulary(Vocabulary(12), 6)[11, :4].tolist() == [257, 1 + ord("1"), 1 + ord("1"), 258]


def test_a_highway_is_its_equation_and_begins_almost_shut() -> None:
    highway, x = Highway(5), torch.randn(3, 5)
    gate = torch.sigmoid(F.linear(x, highway.gate.weight, highway.gate.bias))
    wanted = gate * F.linear(x, highway.transform.weight, highway.transform.bias).clamp(min=0) + (1 - gate) * x
    assert torch.allclose(highway(x), wanted)
    assert highway.gate.bias.tolist() == [-2.0] * 5


def test_a_token_is_the_largest_answer_of_every_filter_at_any_place() -> None:
    encoder = make(highways=0, layer_norm=False).embedding
    assert isinstance(encoder, CharacterEncoder)
    symbols = encoder.characters(encoder.table[3].long())  # (S, character_width)
    answers = []
    for filters in encoder.filters:
        size = filters.kernel_size[0]
        windows = torch.stack([symbols[at : at + size] for at in range(len(symbols) - size + 1)])  # (places, size, c)
        answers.append((torch.einsum("psc,fcs->pf", windows, filters.weight) + filters.bias).amax(0).clamp(min=0))
    wanted = encoder.projection(torch.cat(answers))
    assert torch.allclose(encoder(torch.tensor([[3]]))[0, 0], wanted, atol=1e-5)


def test_composing_different_tokens_once_is_composing_all() -> None:
    encoder, tokens = make().embedding, torch.tensor([[2, 3, 2], [6, 6, 5]])
    assert isinstance(encoder, CharacterEncoder)
    assert torch.allclose(encoder(tokens), encoder.compose(tokens.flatten()).view(2, 3, -1), atol=1e-6)


def test_the_papers_sizes_are_those_of_the_released_model() -> None:
    table = torch.zeros(3, 50, dtype=torch.int16)
    encoder = CharacterEncoder(table, 16, (32, 32, 64, 128, 256, 512, 1024), range(1, 8), 1, 512, False)
    assert [tuple(filters.weight.shape) for filters in encoder.filters][-1] == (1024, 16, 7)
    assert encoder.projection.weight.shape == (512, 2048)
    assert [tuple(weight.shape) for weight in encoder.highways.parameters()] == 2 * [(2048, 2048), (2048,)]


def test_both_directions_lie_in_the_same_places_and_side_by_side_in_all() -> None:
    with torch.no_grad():
        features = make().eval()(Inputs(torch.tensor([[[2, 3, 5, 6, 2]]])), layers=True)
    assert len(features.layers) == 3
    past, future, both = (features.streams[sight] for sight in ("past", "future", "all"))
    assert torch.equal(both, torch.cat([past[..., :8], future[..., :8]], -1))
    assert not bool(past[..., 8:].any() or future[..., 8:].any())
    token_layer = features.layers[0].streams["all"]
    assert torch.equal(token_layer[..., :8], token_layer[..., 8:])  # which both directions share


def test_filters_that_have_no_width_or_do_not_fit_a_token_are_refused() -> None:
    for options in ({"filters": (4,)}, {"filter_widths": (1, 9)}, {"filters": (), "filter_widths": ()}):
        with pytest.raises(Incompatible, match="filters"):
            make(**options)

"""Promises of the models of sequences: what a position sees, padding, layers, pooled, refusals."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pretask import Draws, Incompatible, Inputs, InputSpec, Vocabulary
from pretask_plugins.models.text.bert import Bert
from pretask_plugins.models.text.char_bilstm import CharBiLstm
from pretask_plugins.models.text.embedding import Embedding
from pretask_plugins.models.text.gpt2 import Gpt2
from pretask_plugins.models.text.lstm import BiLstm, Lstm
from pretask_plugins.models.text.sequence import last_present, mean_present, sight_mask
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.shared.attention import rotary_angles, rotate
from processes import run_python

VOCABULARY = Vocabulary(50, (("pad", 0), ("class", 5)))
SPEC = InputSpec("text", (12,), views=2, vocabulary=VOCABULARY)
WHOLE = InputSpec("text", (20,), vocabulary=VOCABULARY)
MADE: dict[str, tuple[Any, dict[str, Any]]] = {
    "transformer": (Transformer, {"width": 16, "heads": 2}),
    "causal transformer": (Transformer, {"width": 16, "heads": 2, "causal": True}),
    "learned positions": (Transformer, {"width": 16, "heads": 2, "position": "learned"}),
    "gpt2": (Gpt2, {"width": 16, "heads": 2, "depth": 3}),
    "bert": (Bert, {"width": 16, "heads": 2, "depth": 3}),
    "lstm": (Lstm, {"width": 16}),
    "projected lstm": (Lstm, {"width": 16, "hidden_size": 24}),
    "bilstm": (BiLstm, {"width": 8}),
    "char-bilstm": (CharBiLstm, {"width": 8, "filters": (4, 8), "filter_widths": (1, 2), "characters": 5}),
    "embedding": (Embedding, {"width": 16}),
}
NAMES = tuple(MADE)


@pytest.fixture(autouse=True)
def _no_gradient_unless_asked() -> Iterator[None]:
    with torch.no_grad():
        yield


def make(name: str, spec: InputSpec = SPEC, whole: InputSpec = WHOLE, **options: Any) -> Any:
    implementation, own = MADE[name]
    torch.manual_seed(0)
    model = implementation(spec, whole, **own | options).eval()
    for parameter in model.parameters():
        parameter.data.mul_(3)  # far from the small start, so that what leaks is seen
    return model


def tokens(spec: InputSpec = SPEC, batch: int = 3, name: str = "tokens") -> torch.Tensor:
    return Draws(torch.arange(batch)).integers(name, 7, 50, spec.views, *spec.shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spec", [SPEC, WHOLE], ids=["x", "whole"])
def test_features_are_what_their_spec_says(name: str, spec: InputSpec) -> None:
    model = make(name)
    promised, got = model.features(spec), model(Inputs(tokens(spec)))
    assert set(got.streams) == set(got.pooled) == set(promised.streams)
    for sight in promised.streams:
        assert got.streams[sight].shape == (3, promised.views, promised.positions, promised.width)
        assert got.pooled[sight].shape == (3, promised.views, promised.width)
    assert got.grid == promised.grid == spec.shape


@pytest.mark.parametrize("name", NAMES)
def test_one_pass_gives_every_layer_from_the_embeddings_to_the_output(name: str) -> None:
    model, inputs = make(name), Inputs(tokens())
    got, alone = model(inputs, layers=True), model(inputs)
    assert len(got.layers) == {"gpt2": 4, "bert": 4, "embedding": 1}.get(name, 5 if "lstm" not in name and name else 3)
    for sight, vectors in alone.streams.items():
        assert torch.equal(got.layers[-1].streams[sight], vectors)
        assert torch.equal(got.streams[sight], vectors)
        assert torch.equal(got.layers[-1].pooled[sight], got.pooled[sight])


def changed_positions(model: Any, place: int, sight: str, present: torch.Tensor | None = None) -> torch.Tensor:
    """Where any layer's features differ when one token does."""
    data = tokens()
    other = data.clone()
    other[:, :, place] = 7 + (other[:, :, place] - 6) % 43
    one, two = (model(Inputs(tokens, present), layers=True).layers for tokens in (data, other))
    pairs = [(a.streams[sight], b.streams[sight]) for a, b in zip(one, two, strict=True)]
    return torch.stack([(a - b).abs().amax((0, 1, 3)) for a, b in pairs]).amax(0)


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("place", [0, 5, 11])
@pytest.mark.parametrize(
    ("name", "sight"),
    [(name, "past") for name in ("causal transformer", "gpt2", "lstm", "projected lstm", "bilstm", "char-bilstm")]
    + [("bilstm", "future"), ("char-bilstm", "future"), ("embedding", "present")],
)
def test_a_changed_token_changes_nothing_that_must_not_see_it(name: str, sight: str, place: int, masked: bool) -> None:
    present = torch.ones(3, 2, 12, dtype=torch.bool) if masked else None
    change = changed_positions(make(name), place, sight, present)
    where = torch.arange(12)
    hidden = {"past": where < place, "future": where > place, "present": where != place}[sight]
    assert float(change[hidden].sum()) < 1e-6
    assert float(change[~hidden].min()) > 1e-5


@pytest.mark.parametrize("name", ["transformer", "learned positions", "bert", "bilstm", "char-bilstm"])
def test_a_changed_token_reaches_every_position_of_what_sees_all(name: str) -> None:
    assert float(changed_positions(make(name), 5, "all").min()) > 1e-5


@torch.enable_grad()
@pytest.mark.parametrize("name", ["causal transformer", "gpt2", "lstm"])
def test_no_gradient_flows_from_a_position_to_a_later_token(name: str) -> None:
    model = make(name)
    caught: list[torch.Tensor] = []
    model.embedding.register_forward_hook(lambda _, __, output: caught.append(output))
    answer = model(Inputs(tokens())).streams["past"][:, :, 4].square().sum()
    (gradient,) = torch.autograd.grad(answer, caught)
    assert float(gradient[:, 5:].abs().sum()) == 0
    assert float(gradient[:, :5].abs().sum(-1).min()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_no_present_feature_and_no_summary(name: str) -> None:
    short = InputSpec("text", (8,), views=2, vocabulary=VOCABULARY)
    model, data = make(name), tokens(short)
    padded = torch.cat([data, tokens(name="rubbish")[..., :4]], -1)
    present = (torch.arange(12) < 8).expand(3, 2, 12)
    alone, filled = model(Inputs(data)), model(Inputs(padded, present=present))
    for sight, vectors in alone.streams.items():
        assert torch.allclose(filled.streams[sight][:, :, :8], vectors, atol=1e-5)
        assert torch.allclose(filled.pooled[sight], alone.pooled[sight], atol=1e-5)
    assert torch.equal(filled.present, present)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_padding_only_gives_finite_features(name: str) -> None:
    got = make(name)(Inputs(tokens(), present=torch.zeros(3, 2, 12, dtype=torch.bool)))
    assert all(bool(vectors.isfinite().all()) for vectors in [*got.streams.values(), *got.pooled.values()])


@pytest.mark.parametrize("name", ["lstm", "bilstm", "char-bilstm"])
def test_lstms_read_over_padding_wherever_it_stands(name: str) -> None:
    model, data = make(name), tokens()
    present = torch.ones(3, 2, 12, dtype=torch.bool)
    present[..., [0, 4, 5]] = False
    kept = [1, 2, 3, 6, 7, 8, 9, 10, 11]
    gapped, dense = model(Inputs(data, present=present)), model(Inputs(data[..., kept]))
    for sight, vectors in dense.streams.items():
        assert torch.allclose(gapped.streams[sight][:, :, kept], vectors, atol=1e-6)
        assert torch.allclose(gapped.pooled[sight], dense.pooled[sight], atol=1e-6)


def test_an_lstm_is_torchs_own_without_short_cuts() -> None:
    model, data = make("lstm", depth=1), tokens()
    expected, _ = model.forward_layers.layers[0](model.embedding(data.flatten(0, 1)))
    assert torch.equal(model(Inputs(data)).streams["past"].flatten(0, 1), expected)


def test_a_bilstm_read_backwards_with_its_halves_swapped_is_itself() -> None:
    model, mirror = make("bilstm"), make("bilstm")
    mirror.backward_layers.load_state_dict(model.forward_layers.state_dict())
    mirror.forward_layers.load_state_dict(model.backward_layers.state_dict())
    one, two = model(Inputs(tokens())), mirror(Inputs(tokens().flip(-1)))
    swapped = two.streams["all"].flip(2).roll(8, -1)
    assert torch.allclose(one.streams["all"], swapped, atol=1e-6)


def test_each_direction_fills_its_own_half_of_what_sees_all() -> None:
    got = make("bilstm")(Inputs(tokens()))
    for given in (got.streams, got.pooled):
        assert torch.equal(given["past"] + given["future"], given["all"])
        assert float((given["past"] * given["future"]).abs().sum()) == 0


@pytest.mark.parametrize("name", ["transformer", "bert"])
def test_a_token_looks_different_in_another_segment(name: str) -> None:
    model, data = make(name), tokens()
    none, zero, one = (
        model(Inputs(data, segment=segment)).streams["all"]
        for segment in (None, torch.zeros_like(data), torch.ones_like(data))
    )
    assert torch.equal(none, zero)
    assert float((one - zero).abs().amax(-1).min()) > 1e-4


def test_summaries_are_the_class_vector_the_last_present_or_the_mean() -> None:
    present = torch.arange(12) < torch.tensor([[[12], [7]]] * 3)
    causal, every, bert = (make(name)(Inputs(tokens(), present=present)) for name in ("gpt2", "transformer", "bert"))
    assert torch.equal(causal.pooled["past"][:, 1], causal.streams["past"][:, 1, 6])
    mean = every.streams["all"][:, 1, :7].mean(1)
    assert torch.allclose(every.pooled["all"][:, 1], mean, atol=1e-6)
    distance = (bert.pooled["all"][:, :, None] - bert.streams["all"]).abs().amax(-1)
    assert float(distance.min()) > 1e-3  # the class vector is none of the text's positions


def test_one_word_in_two_sentences_has_one_vector_only_where_nothing_stands_around_it() -> None:
    data = tokens()
    data[..., 6] = 30
    for name in NAMES:
        layers = make(name)(Inputs(data), layers=True).layers
        word = next(iter(layers[-1].streams.values()))[:, 0, 6]
        assert (torch.cosine_similarity(word[0], word[1], 0) > 0.99999) == (name == "embedding"), name


@pytest.mark.parametrize("name", ["transformer", "learned positions", "gpt2", "bert"])
def test_the_order_of_words_matters(name: str) -> None:
    model, data = make(name), tokens()
    pooled = model(Inputs(data)).streams
    turned_round = model(Inputs(data.flip(-1))).streams
    sight = next(iter(pooled))
    assert not torch.allclose(pooled[sight].mean(2), turned_round[sight].mean(2), atol=1e-4)


def test_rotary_products_tell_distances_only() -> None:
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    angles = rotary_angles(30, 8, torch.device("cpu"))
    at = [rotate(vector.expand(1, 1, 30, 8), angles)[0, 0] for vector in (query, key)]
    product = at[0] @ at[1].T
    for distance in (-7, 0, 3):
        assert torch.allclose(
            product.diagonal(distance), product.diagonal(distance)[0].expand(30 - abs(distance)), atol=1e-4
        )
    assert not torch.isclose(product[0, 0], product[0, 3])


def test_the_transformer_reads_frames_of_sound() -> None:
    spec = InputSpec("audio", (9, 5))
    model = Transformer(spec, spec, width=16, heads=2, depth=1).eval()
    got = model(Inputs(Draws(torch.arange(2)).normal("frames", 1, 9, 5)))
    assert got.streams["all"].shape == (2, 1, 9, 16)
    assert model.features(spec).grid == (9,)
    assert model.embedding is None
    with pytest.raises(Incompatible, match="5 channels"):
        model.features(InputSpec("audio", (9, 6)))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "learned positions"])
def test_models_without_weights_have_shapes(name: str) -> None:
    with torch.device("meta"):
        model = make(name)
        got = model(Inputs(torch.zeros(2, 2, 12, dtype=torch.int64)), layers=True)
        padded = model(Inputs(torch.zeros(2, 2, 12, dtype=torch.int64), present=torch.ones(2, 2, 12, dtype=torch.bool)))
    assert all(tensor.is_meta for tensor in [*model.parameters(), *got.streams.values(), *padded.pooled.values()])


@torch.enable_grad()
@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = make(name)
    got = model(Inputs(tokens()))
    sum(vectors.square().sum() for vectors in [*got.streams.values(), *got.pooled.values()]).backward()
    assert [
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "char-bilstm"])  # which composes them
def test_the_tokens_vectors_can_be_tied(name: str) -> None:
    embedding = make(name).embedding
    assert isinstance(embedding, torch.nn.Embedding)
    assert embedding.num_embeddings == VOCABULARY.size


@pytest.mark.parametrize("name", ["transformer", "gpt2", "bert", "lstm", "bilstm", "embedding"])
def test_what_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(Incompatible, match="tokens"):
        make(name, InputSpec("image", (3, 32, 32)), InputSpec("image", (3, 32, 32)))
    with pytest.raises(Incompatible, match="at most 50 tokens"):
        make(name).features(InputSpec("text", (12,), vocabulary=Vocabulary(51)))


@pytest.mark.parametrize("name", ["learned positions", "gpt2", "bert"])
def test_a_sequence_longer_than_the_context_is_refused(name: str) -> None:
    assert make(name).context == 20
    with pytest.raises(Incompatible, match=r"at most 20 positions \(model\.context\)"):
        make(name).features(InputSpec("text", (21,), vocabulary=VOCABULARY))
    with pytest.raises(Incompatible, match="at most 16"):
        make(name, context=16).features(WHOLE)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(Incompatible, match=r"model\.heads = 5"):
        make("gpt2", heads=5)
    with pytest.raises(Incompatible, match="16 divides"):
        make("transformer", heads=8, width=24)  # a head of 3 has no pairs to turn
    with pytest.raises(Incompatible, match="'class'"):
        make("bert", InputSpec("text", (4,), vocabulary=Vocabulary(9)))
    with pytest.raises(Incompatible, match="hidden_size"):
        make("lstm", hidden_size=4)


def test_equal_weights_with_other_settings_do_not_look_equal() -> None:
    assert str(make("transformer")) != str(make("causal transformer"))
    assert str(make("gpt2", heads=2)) != str(make("gpt2", heads=4))


def test_masks_and_means_by_hand() -> None:
    present = torch.tensor([[False, True, True, False]])
    assert sight_mask(present, causal=False)[0, 0].int().tolist() == [
        [1, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 1],
    ]
    vectors = torch.tensor([[[9.0], [1.0], [3.0], [9.0]]])
    assert mean_present(vectors, present).item() == 2
    assert last_present(vectors, present).item() == 3


COMPILE = """
import torch
from pretask import Inputs, InputSpec, Vocabulary
from pretask_plugins.models.text.bert import Bert
from pretask_plugins.models.text.gpt2 import Gpt2
from pretask_plugins.models.text.transformer import Transformer

spec = InputSpec("text", (12,), vocabulary=Vocabulary(50, (("class", 5),)))
data, present = torch.arange(36).view(3, 1, 12), torch.arange(12).expand(3, 1, 12) < 9
for make, options in ((Transformer, {}), (Gpt2, {}), (Bert, {})):
    model = make(spec, spec, width=16, heads=2, depth=1, **options).eval()
    (sight,) = model.features(spec).streams
    inputs = Inputs(data, present=present)
    compiled = torch.compile(model, fullgraph=True, backend="eager")(inputs)
    assert torch.allclose(compiled.streams[sight], model(inputs).streams[sight], atol=1e-6)
"""


@pytest.mark.slow
def test_attention_models_compile_as_one_graph() -> None:
    run_python("-c", COMPILE)  # elsewhere, since checked types do not


REMEMBERING = {
    "gpt2": {},
    "causal transformer": {},
    "learned positions": {"causal": True},
    "lstm": {},
    "projected lstm": {},
}


@pytest.mark.parametrize("name", REMEMBERING)
@pytest.mark.parametrize("pieces", [[20], [1] * 20, [7, 1, 4, 8]], ids=["at once", "one by one", "in pieces"])
def test_going_on_from_what_is_remembered_gives_the_features_of_one_pass(name: str, pieces: list[int]) -> None:
    model = make(name, **REMEMBERING[name])
    read = tokens(WHOLE)
    memory, found = None, []
    for piece in read.split(pieces, 2):
        features, memory = model.step(Inputs(piece), memory)
        assert features.grid == (piece.shape[2],)
        found.append(features.streams["past"])
    whole = model(Inputs(read))
    assert torch.allclose(torch.cat(found, 2), whole.streams["past"], atol=1e-4)
    assert torch.allclose(features.pooled["past"], whole.pooled["past"], atol=1e-4)


def test_a_transformer_that_sees_the_future_cannot_go_on() -> None:
    with pytest.raises(Incompatible, match=r"model\.causal=true"):
        make("transformer").step(Inputs(tokens(WHOLE)), None)


def test_a_learned_vector_stands_for_what_is_hidden_whatever_was_left_there() -> None:
    spec = InputSpec("audio", (6, 3))
    model = Transformer(spec, spec, width=8, depth=1, heads=2, mask_vector=True).eval()
    frames = torch.rand(2, 1, 6, 3, generator=torch.Generator().manual_seed(0))
    visible = torch.tensor([True, True, False, True, False, True]).expand(2, 1, 6)
    other = torch.where(visible[..., None], frames, 9.0)
    one, two = (model(Inputs(data, visible=visible)).streams["all"] for data in (frames, other))
    assert torch.equal(one, two)
    assert not torch.allclose(one, model(Inputs(frames)).streams["all"])
    shown = model(Inputs(frames, visible=torch.ones_like(visible))).streams["all"]
    assert torch.equal(shown, model(Inputs(frames)).streams["all"])

"""Promises of the models of clips."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from pretask import Categories, Features, Incompatible, Inputs, InputSpec, Unknown, Values, find_readout
from pretask_plugins.models.video.frames import Frames
from pretask_plugins.models.video.temporal import Temporal
from pretask_plugins.models.video.torchvision_video import TorchvisionVideo

CLIP = InputSpec("image", (3, 32, 32), views=4, ordered=True)


def inputs(spec: InputSpec, batch: int = 2) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    return Inputs(torch.rand(batch, spec.views, *spec.shape, generator=generator))


MODELS = {
    "small": lambda spec: Frames(spec, spec, width=4, depth=2, pool=2),
    "resnet": lambda spec: Frames(spec, spec, name="resnet10t", output_stride=8),
    "vit": lambda spec: Frames(spec, spec, name="test_vit"),
    "attention": lambda spec: Temporal(spec, spec, width=4, depth=2, layers=2, heads=2),
    "convolution": lambda spec: Temporal(spec, spec, width=4, depth=2, layers=2, mixing="convolution"),
    "mc3": lambda spec: TorchvisionVideo(spec, spec, name="mc3_18"),
    "mc3 of two stages": lambda spec: TorchvisionVideo(spec, spec, name="mc3_18", stages=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_spec_says_what_comes(name: str) -> None:
    model = MODELS[name](CLIP).eval()
    spec, features = model.features(CLIP), model(inputs(CLIP))
    stream = spec.streams[0]
    assert features.streams[stream].shape == (2, spec.views, spec.positions, spec.width)
    assert features.pooled[stream].shape == (2, spec.views, spec.width)
    assert features.grid == spec.grid


@pytest.mark.parametrize("name", MODELS)
def test_layers_come_in_one_pass_and_the_last_is_the_output(name: str) -> None:
    model = MODELS[name](CLIP).eval()
    features = model(inputs(CLIP), layers=True)
    stream = next(iter(features.streams))
    assert len(features.layers) >= 3
    assert torch.equal(features.layers[-1].streams[stream], features.streams[stream])
    assert torch.equal(features.layers[-1].pooled[stream], model(inputs(CLIP)).pooled[stream])
    for layer in features.layers:
        assert layer.streams[stream].shape[2] == torch.Size(layer.grid).numel()


@pytest.mark.parametrize("name", ["small", "vit"])
def test_a_frame_is_seen_by_itself(name: str) -> None:
    model = MODELS[name](CLIP).eval()
    clip = inputs(CLIP)
    changed = clip.data.clone()
    changed[:, 2] = 0.3
    before, after = model(clip).pooled["present"], model(Inputs(changed)).pooled["present"]
    assert torch.equal(before[:, [0, 1, 3]], after[:, [0, 1, 3]])
    assert not torch.equal(before[:, 2], after[:, 2])


@pytest.mark.parametrize("mixing", ["attention", "convolution"])
@pytest.mark.parametrize("causal", [True, False])
def test_a_frame_knows_the_frames_around_it_and_no_later_ones_where_it_must_not(
    mixing: Literal["attention", "convolution"], causal: bool
) -> None:
    model = Temporal(CLIP, CLIP, width=4, depth=1, layers=1, heads=2, mixing=mixing, causal=causal).eval()
    clip = inputs(CLIP)
    changed = clip.data.clone()
    changed[:, 2] = 0.3
    stream = "past" if causal else "all"
    before, after = model(clip).streams[stream], model(Inputs(changed)).streams[stream]
    differs = (before != after).any(-1).any(-1).any(0).tolist()
    assert differs == [not causal and mixing == "attention", not causal, True, True]


def test_time_is_mixed_at_every_position_by_itself() -> None:
    model = Temporal(CLIP, CLIP, width=4, depth=1, layers=2, heads=2).eval()
    model.frames = Brightness()
    clip = torch.rand(1, 4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = clip.clone()
    changed[0, 1, :, 3, 3] += 1
    before, after = model(Inputs(clip)).streams["all"], model(Inputs(changed)).streams["all"]
    assert (before != after).any(-1).any(1)[0].nonzero().flatten().tolist() == [15]


class Brightness(torch.nn.Module):
    """Every pixel is a position, and its brightness all eight numbers of it."""

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        tokens = inputs.data.mean(2).flatten(2)[..., None] * torch.arange(1.0, 9.0)
        return Features({"present": tokens}, {"present": tokens.mean(2)}, (4, 4))


def test_views_without_order_have_no_time() -> None:
    with pytest.raises(Incompatible, match="frames in order"):
        Temporal(replace(CLIP, ordered=False), CLIP)


def test_a_video_network_mixes_frames() -> None:
    model = MODELS["mc3"](CLIP).eval()
    clip = inputs(CLIP)
    forwards, backwards = (model(Inputs(frames)).pooled["all"] for frames in (clip.data, clip.data.flip(1)))
    assert (backwards - forwards).detach().abs().max() > 0.01 * forwards.detach().abs().mean()


def test_permuting_frames_permutes_what_is_read_of_them() -> None:
    model = MODELS["small"](CLIP).eval()
    clip, order = inputs(CLIP), [2, 0, 3, 1]
    pooled = model(clip).pooled["present"]
    assert torch.allclose(model(Inputs(clip.data[:, order])).pooled["present"], pooled[:, order], atol=1e-5)


def test_one_answer_per_clip_is_read_from_the_frames_side_by_side() -> None:
    model = MODELS["small"](CLIP)
    readout = find_readout("a test", "order", model.features(CLIP), Categories(2))
    assert readout.stream == "present"
    assert readout.width == 4 * model.features(CLIP).width
    past = Values(1, grid=model.features(CLIP).grid, views=4, sees="past")
    assert find_readout("a test", "pixels", model.features(CLIP), past).per_view


def test_the_mean_forgets_where_things_are_and_the_pooled_map_does_not() -> None:
    spot = torch.full((1, 1, 3, 64, 64), 0.5)  # a ground that looks like the padding around it
    spot[..., 24:28, 24:28] = 1
    moved = spot.roll((16, 16), (-2, -1))
    spec = InputSpec("image", (3, 64, 64), ordered=True)
    for pool, forgets in ((0, True), (4, False)):
        model = Frames(spec, spec, width=4, depth=2, pool=pool).eval()
        one, other = (model(Inputs(frames)).pooled["present"] for frames in (spot, moved))
        assert (float((one - other).detach().abs().max()) < 1e-4) == forgets


def test_other_sizes_and_lengths_are_read_by_the_same_weights() -> None:
    whole = InputSpec("image", (3, 48, 64), views=7, ordered=True)
    for model in (Frames(CLIP, whole, width=4, depth=2, pool=2), TorchvisionVideo(CLIP, whole, name="mc3_18")):
        spec, features = model.features(whole), model.eval()(inputs(whole, 1))
        assert features.grid == spec.grid
        assert features.pooled[spec.streams[0]].shape == (1, spec.views, spec.width)


@pytest.mark.parametrize("name", ["small", "mc3"])
def test_grey_and_stacked_frames_are_read(name: str) -> None:
    for channels in (1, 6):
        spec = InputSpec("video", (channels, 32, 32), views=2, ordered=True)
        assert MODELS[name](spec).eval()(inputs(spec)).grid


def test_what_cannot_be_read_is_refused_with_a_way_out() -> None:
    pair = InputSpec("image", (3, 32, 32), views=2)
    with pytest.raises(Incompatible, match=r"frames in order, .* got 2 of image, without order"):
        TorchvisionVideo(pair, pair)
    words = InputSpec("text", (16,))
    with pytest.raises(Incompatible, match="views that are images"):
        Frames(words, words)
    grey = InputSpec("image", (1, 32, 32), views=4, ordered=True)
    with pytest.raises(Incompatible, match="the same channels"):
        Frames(CLIP, grey)
    with pytest.raises(Unknown, match="no architecture 'resnet19'"):
        Frames(CLIP, CLIP, name="resnet19")
    with pytest.raises(Incompatible, match="frames of a size"):
        Frames(CLIP, CLIP, name="vit_tiny_patch16_224").features(InputSpec("image", (3, 33, 33), views=4))


def test_output_stride_keeps_a_finer_map() -> None:
    spec = InputSpec("image", (3, 64, 64), views=2, ordered=True)
    plain, fine = (Frames(spec, spec, name="resnet10t", output_stride=stride).features(spec) for stride in (0, 8))
    assert (plain.grid, fine.grid) == ((2, 2), (8, 8))


def test_the_last_stages_can_be_left_out() -> None:
    short, whole = (TorchvisionVideo(CLIP, CLIP, name="mc3_18", stages=stages) for stages in (2, 4))
    assert (short.features(CLIP).width, whole.features(CLIP).width) == (128, 512)
    assert {*short.state_dict()} < {*whole.state_dict()}

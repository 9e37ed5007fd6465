"""Promises of the image models convnet and timm."""

from pathlib import Path

import pytest
import timm
import torch
from pretask import Draws, Incompatible, Inputs, InputSpec, Unknown
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.models.image.timm import Timm
from processes import run_ranks

from benchmarks.speed.families import FAMILIES

PATCHES = InputSpec("image", (3, 32, 32), views=2)
WHOLE = InputSpec("image", (3, 64, 48))
TESTS = Path(__file__).parents[3]
NAMES = ("resnet18", "vit_tiny_patch16_224", "convnext_atto")


def inputs(spec: InputSpec, batch: int = 2) -> Inputs:
    return Inputs(Draws(torch.arange(batch)).uniform("pixels", spec.views, *spec.shape))


def make(name: str, spec: InputSpec = PATCHES, whole: InputSpec = WHOLE) -> torch.nn.Module:
    model = Convnet(spec, whole, width=8, depth=2) if name == "convnet" else Timm(spec, whole, name=name)
    return model.eval()


@pytest.mark.parametrize("name", ["convnet", *NAMES])
@pytest.mark.parametrize("spec", [PATCHES, WHOLE], ids=["patches", "whole"])
def test_features_are_what_their_spec_says(name: str, spec: InputSpec) -> None:
    model = make(name)
    promised, got = model.features(spec), model(inputs(spec))
    assert got.streams["all"].shape == (2, promised.views, promised.positions, promised.width)
    assert got.pooled["all"].shape == (2, promised.views, promised.width)
    assert got.grid == promised.grid


@pytest.mark.parametrize("name", ["convnet", *NAMES])
def test_one_pass_gives_every_layer_and_the_last_is_the_output(name: str) -> None:
    model = make(name)
    got, alone = model(inputs(PATCHES), layers=True), model(inputs(PATCHES))
    assert len(got.layers) >= 3
    assert torch.allclose(got.layers[-1].streams["all"], alone.streams["all"], atol=1e-6)
    assert torch.allclose(got.pooled["all"], alone.pooled["all"], atol=1e-6)
    for layer in got.layers:
        assert layer.streams["all"].shape[2] == layer.grid[0] * layer.grid[1]


@pytest.mark.parametrize("name", ["convnet", *NAMES])
def test_views_share_weights_and_do_not_see_each_other(name: str) -> None:
    model, pair = make(name), inputs(PATCHES)
    swapped = Inputs(pair.data.flip(1))
    assert torch.allclose(model(pair).pooled["all"].flip(1), model(swapped).pooled["all"], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_any_number_of_channels_is_read(name: str, channels: int) -> None:
    spec = InputSpec("image", (channels, 32, 32))
    assert make(name, spec, spec)(inputs(spec)).pooled["all"].isfinite().all()


def test_a_place_of_the_convnet_sees_its_own_surroundings() -> None:
    spec = InputSpec("image", (1, 64, 64))
    model = make("convnet", spec, spec)
    dark, spot = torch.zeros(1, 1, 1, 64, 64), torch.zeros(1, 1, 1, 64, 64)
    spot[..., 60, 2] = 1  # row 60, column 2: the lower left place of the 8 x 8 grid
    change = (model(Inputs(spot)).streams["all"] - model(Inputs(dark)).streams["all"]).abs().sum(-1).view(8, 8).detach()
    assert float(change[5:, :3].sum()) > 1e-3
    assert float(change[:5].sum() + change[:, 3:].sum()) < 1e-5  # two cells away, 16 pixels, nothing is seen


@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_models_are_refused_what_they_cannot_read(name: str) -> None:
    with pytest.raises(Incompatible, match="images"):
        make(name, InputSpec("text", (16,)), WHOLE)
    with pytest.raises(Incompatible, match="same channels"):
        make(name, InputSpec("image", (1, 32, 32)), WHOLE)


def test_patches_too_small_for_a_convnet_are_refused() -> None:
    with pytest.raises(Incompatible, match="at least"):
        Convnet(PATCHES, WHOLE, depth=6).features(PATCHES)


def test_an_unknown_architecture_is_answered_with_near_ones() -> None:
    with pytest.raises(Unknown, match="resnet18"):
        Timm(PATCHES, WHOLE, name="resnet180")


def test_an_architecture_of_one_size_reads_patches_and_whole_images_once_they_are_resized() -> None:
    with pytest.raises(Incompatible, match=r"model\.resize"):
        make("mixer_s32_224").features(PATCHES)
    model = Timm(PATCHES, WHOLE, name="mixer_s32_224", resize=64).eval()
    assert model.features(PATCHES).grid == model.features(WHOLE).grid == (2, 2)
    assert model(inputs(PATCHES), layers=True).streams["all"].shape == (2, 2, 4, 512)


def test_nothing_is_allocated_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = make("resnet18")
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.features(PATCHES).width == 512


def test_layers_between_features_and_classifier_are_dropped_and_features_stay_as_they_were() -> None:
    torch.manual_seed(0)
    model = make("mobilenetv3_small_100")
    torch.manual_seed(0)
    whole = timm.create_model("mobilenetv3_small_100", num_classes=0)
    model(inputs(WHOLE)).pooled["all"].sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert len(list(model.parameters())) < len(list(whole.parameters()))
    maps = whole.eval().forward_features(inputs(WHOLE).data[:, 0] * 4 - 2)
    assert torch.allclose(model(inputs(WHOLE)).pooled["all"][:, 0], maps.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "stride", "grid"), [("resnet18", 8, (8, 8)), ("resnet18", 0, (2, 2)), ("convnext_atto", 8, (8, 8))]
)
def test_a_network_keeps_the_map_that_its_stride_asks_for(name: str, stride: int, grid: tuple[int, int]) -> None:
    spec = InputSpec("image", (1, 64, 64))
    assert Timm(spec, spec, name=name, output_stride=stride).features(spec).grid == grid


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vgg11"])
def test_a_network_with_a_stride_of_its_own_is_refused(name: str) -> None:
    spec = InputSpec("image", (1, 224, 224))
    with pytest.raises(Unknown, match=r"has no output_stride of 8\. Leave model\.output_stride out"):
        Timm(spec, spec, name=name, output_stride=8)


@pytest.mark.exhaustive  # networks of millions of weights
@pytest.mark.parametrize("name", FAMILIES)
def test_a_gradient_reaches_every_weight_of_twenty_families_and_their_features_are_what_their_spec_says(
    name: str,
) -> None:
    spec = InputSpec("image", (3, 224, 224))
    model = Timm(spec, spec, name=name).train()
    promised, got = model.features(spec), model(Inputs(torch.rand(2, 1, *spec.shape)))
    assert got.streams["all"].shape == (2, 1, promised.positions, promised.width)
    got.streams["all"].square().mean().backward()
    assert [weight for weight, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.exhaustive  # networks of millions of weights, in two processes
@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224"])
def test_two_ranks_keep_the_same_weights_of_three_families_and_move_all_of_them(name: str, tmp_path: Path) -> None:
    run_ranks(2, str(TESTS / "timm_ranks.py"), name, str(tmp_path))
    one, two = (torch.load(tmp_path / f"{rank}") for rank in range(2))
    assert all(torch.equal(*pair) for pair in zip(one["weights"], two["weights"], strict=True))
    assert all(one["moved"])

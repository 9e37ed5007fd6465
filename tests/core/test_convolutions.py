"""Convolutions whose gradients a processor has wrong are refused, or computed in another way."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from pretask import PretaskError
from pretask.convolutions import sound_convolutions, watch_narrow_maps
from pretask.precision import require_precision
from torch import nn

HALF = torch.autocast("cpu", torch.bfloat16)
CPU = torch.device("cpu")


def test_a_cpu_refuses_half_precision_to_convolutions_whose_gradients_it_has_wrong() -> None:
    over_time = nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.Conv3d(8, 8, 3, padding=1))
    with pytest.raises(PretaskError, match=r"Sequential with 0 and 1 more.*recipe\.precision=fp32"):
        require_precision(CPU, "bf16", [over_time])
    require_precision(CPU, "fp32", [over_time])
    require_precision(CPU, "bf16", [nn.Conv2d(3, 8, 3, padding=1), nn.Conv3d(3, 8, (1, 3, 3), padding=(0, 1, 1))])


@pytest.mark.parametrize(
    ("convolution", "size"),
    [
        (nn.Conv1d(16, 16, 5, 4, padding=2), (3,)),
        (nn.Conv2d(16, 16, 3, 2, padding=1), (1, 1)),
        (nn.Conv2d(16, 16, 3, 3, padding=1), (2, 2)),
        (nn.ConvTranspose2d(16, 16, 3, 2, padding=1), (1, 1)),
        (nn.Conv3d(16, 16, (1, 3, 3), (1, 2, 2), padding=(0, 1, 1)), (3, 1, 4)),
    ],
)
def test_maps_narrower_than_a_stride_are_seen_before_their_gradients(convolution: Any, size: tuple[int, ...]) -> None:
    found: list[str] = []
    network = nn.Sequential(nn.Identity(), convolution)
    with watch_narrow_maps(network, found.append), HALF:
        network(torch.randn(2, 16, *size))
        network(torch.randn(2, 16, *(8 for _ in size)))
        assert found == ["1"]
        convolution(input=torch.randn(2, 16, *size))
        assert found.pop() == "1"
    network(torch.randn(2, 16, *size))
    assert found == ["1"]


def test_training_refuses_them_where_they_would_be_learned_from() -> None:
    def halves(precision: Any, size: int) -> None:
        network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1), nn.Conv2d(8, 8, 3, 2, padding=1))
        with sound_convolutions(CPU, precision, [network]), HALF:
            with torch.no_grad():
                network(torch.randn(2, 3, 2, 2))
            network(torch.randn(2, 3, size, size))

    with pytest.raises(PretaskError, match=r"narrower ones at 1 of Sequential.*recipe\.precision=fp32"):
        halves("bf16", 2)
    halves("bf16", 4)
    halves("fp32", 2)


@pytest.mark.parametrize(("width", "channels"), [(1, 16), (2, 16), (2, 64), (4, 16), (7, 3)])
def test_gradients_of_wider_maps_are_right_in_half_precision(width: int, channels: int) -> None:
    network, image = nn.Conv2d(channels, 16, 3, min(width, 2), padding=1), torch.randn(8, channels, width, width)
    (right,) = torch.autograd.grad(network(image).square().mean(), [network.weight])
    with HALF:
        (half,) = torch.autograd.grad(network(image).float().square().mean(), [network.weight])
    assert torch.linalg.vector_norm(half - right) < 0.1 * torch.linalg.vector_norm(right)


UNSOUND = (
    nn.Conv2d(1, 16, 1, stride=2),
    nn.Conv2d(15, 16, 1, stride=(1, 2)),
    nn.Conv2d(32, 16, 1, stride=3, groups=4),
    nn.Conv2d(24, 16, 3, dilation=2),
    nn.ConvTranspose2d(8, 24, 3, dilation=2),
)
SOUND = (
    nn.Conv2d(16, 16, 1, stride=2),
    nn.Conv2d(8, 16, 1),
    nn.Conv2d(8, 16, 3, stride=2),
    nn.Conv2d(32, 16, 3, dilation=2),
)


@pytest.mark.parametrize("convolution", [*UNSOUND, *SOUND])
def test_what_is_unsound_with_channels_last_is_given_channels_first_and_nothing_else(convolution: nn.Conv2d) -> None:
    network, maps = nn.Sequential(convolution), torch.randn(2, convolution.in_channels, 20, 20)
    right, last = network(maps), maps.to(memory_format=torch.channels_last)
    convolution.to(memory_format=torch.channels_last)
    given: list[Any] = []
    with sound_convolutions(CPU, "fp32", [network]):
        note = convolution.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0].stride()))
        assert torch.allclose(network(last), right, atol=1e-5)
        note.remove()
        assert torch.allclose(convolution(input=last), right, atol=1e-5)
    first = convolution in UNSOUND
    assert given == [(maps if first else last).stride()]
    assert convolution.weight.stride() == torch.empty(convolution.weight.shape).stride() or not first
    assert not convolution._forward_pre_hooks
    with sound_convolutions(torch.device("meta"), "fp32", [network]):
        assert not convolution._forward_pre_hooks


class Scaled(nn.Conv2d):
    """A convolution with a second argument."""

    def forward(self, maps: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return super().forward(maps) * scale


def test_other_arguments_of_a_convolution_reach_it() -> None:
    convolution, maps = Scaled(3, 8, 1, stride=2), torch.randn(2, 3, 8, 8)
    with sound_convolutions(CPU, "bf16", [convolution]):
        assert not convolution(maps, 0.0).any()
        assert not convolution(scale=0.0, maps=maps).any()
        assert convolution(maps=maps).any()


@pytest.mark.parametrize(
    "made",
    [
        "Conv2d(3, 16, 1, stride=2)",
        "Conv2d(8, 16, 1, stride=2)",
        "Conv2d(24, 8, 3, padding=2, dilation=2)",
        "ConvTranspose2d(8, 24, 3, dilation=2)",
    ],
)
def test_its_gradients_are_finite_and_leave_memory_alone(made: str) -> None:
    code = f"""
import torch
from pretask.convolutions import sound_convolutions
from torch import nn
network = nn.{made}
with sound_convolutions(torch.device("cpu"), "bf16", [network]):
    for precise in (True, False) * 3:
        maps = torch.randn(8, network.in_channels, 112, 112).to(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            network(maps).float().square().sum().backward()
        assert maps.grad.isfinite().all() and network.weight.grad.isfinite().all()
print("sound")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "sound\n", done.stderr[-500:]


def test_only_processors_that_compute_with_half_precision_have_those_gradients_wrong() -> None:
    network, clip = nn.Conv3d(16, 16, 3, padding=1), torch.randn(2, 16, 2, 4, 4)
    (right,) = torch.autograd.grad(network(clip).square().mean(), [network.weight])
    with HALF:
        (half,) = torch.autograd.grad(network(clip).float().square().mean(), [network.weight])
    is_right = torch.linalg.vector_norm(half - right) < 0.1 * torch.linalg.vector_norm(right)
    assert is_right or "AVX512" in torch.backends.cpu.get_cpu_capability()

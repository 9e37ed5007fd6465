"""Convolutions: gradients that a processor has wrong, by layout and precision, and whether training is kept from them.

Every convolution of a grid is differentiated, as a network of one layer, and again in float64. A child of its own goes
through those of one kind, kernel and stride, since some end their process: first as they are, then as they are trained,
where what is refused is counted apart. Overwritten memory is only seen for sure with the C library's checks:

    LD_PRELOAD=libc_malloc_debug.so.0 MALLOC_CHECK_=3 python -m benchmarks.speed convolutions
"""

import faulthandler
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from pretask import PretaskError
from pretask.convolutions import require_right_gradients, sound_convolutions
from torch import Tensor, nn

CPU = torch.device("cpu")
KINDS = ("plain", "dilated", "depthwise", "transposed", "over time")
KERNELS, STRIDES = (1, 2, 3), (1, 2)
SIDES, CHANNELS, OUT = (1, 2, 5, 33, 64), (3, 8, 16, 24), 16
MAX_NUMBERS = 1 << 16  # of a batch of maps, but for two
TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}  # of the norm of a gradient
TIMES = 2  # what is read from memory is wrong by chance


@dataclass(frozen=True)
class Group:
    """Convolutions that one child goes through: one kind, kernel, stride, layout and precision."""

    kind: str
    kernel: int
    stride: int
    layout: str
    precision: str

    def make(self, channels: int) -> nn.Module:
        """Make the convolution of so many channels."""
        shape: dict[str, Any] = {"kernel_size": self.kernel, "stride": self.stride, "padding": self.kernel // 2}
        if self.kind == "over time":
            return nn.Conv3d(channels, OUT, **shape)
        if self.kind == "transposed":
            return nn.ConvTranspose2d(channels, OUT, **shape)
        if self.kind == "depthwise":
            return nn.Conv2d(channels, channels, groups=channels, **shape)
        return nn.Conv2d(channels, OUT, **{**shape, "dilation": 2 if self.kind == "dilated" else 1})

    def draw(self, channels: int, side: int) -> Tensor:
        """Draw maps that are squares of a side, with the layout; over time they have four moments."""
        size = (4, side, side) if self.kind == "over time" else (side, side)
        maps = torch.randn(max(2, min(16, MAX_NUMBERS // (channels * side**2))), channels, *size)
        if self.layout == "channels last":
            maps = maps.to(memory_format=torch.channels_last_3d if maps.ndim == 5 else torch.channels_last)
        return maps.bfloat16().float()


def measure_convolutions() -> dict[str, Any]:
    """Return by layout and precision how many convolutions are wrong, as they are and as they are trained."""
    measured: dict[str, Any] = {}
    for layout, precision in product(("channels first", "channels last"), TOLERANCE):
        for guarded in (False, True):
            name = f"{layout}, {precision}{', as trained' if guarded else ''}"
            found: Counter[str] = Counter()
            for kind, kernel, stride in product(KINDS, KERNELS, STRIDES):
                found += examine_aside(Group(kind, kernel, stride, layout, precision), guarded)
            measured[name] = dict(found)
            print(f"{name:40}{dict(found)}", flush=True)
    return measured


def examine_aside(group: Group, guarded: bool) -> Counter[str]:
    """Examine convolutions one by one, in children that go on behind the one that ended its process."""
    cases, found = [*product(CHANNELS, SIDES)], Counter[str]()
    begin = 0
    while begin < len(cases):
        outcomes = run_in_child(group, cases[begin:], guarded)
        found.update(outcomes)
        begin += len(outcomes)
        if begin < len(cases):
            found["ends the process"] += 1
            begin += 1
    return found


def run_in_child(group: Group, cases: list[tuple[int, int]], guarded: bool) -> list[str]:
    """Return what came of the cases until a child ended, which is all of them where nothing broke."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for outcome in examine(group, cases, guarded):
            os.write(writing, f"{outcome}\n".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        outcomes = file.read().split()
    os.waitpid(child, 0)
    return outcomes


def examine(group: Group, cases: list[tuple[int, int]], guarded: bool) -> Iterator[str]:
    """Yield of every case whether its gradients are right, wrong, or refused."""
    for channels, side in cases:
        torch.manual_seed(0)
        network = group.make(channels)
        try:
            if guarded and group.precision == "bf16":
                require_right_gradients([network])
            with sound_convolutions(CPU, group.precision, [network]) if guarded else nullcontext():
                is_right = all(has_right_gradients(network, group, channels, side) for _ in range(TIMES))
            yield "right" if is_right else "wrong"
        except PretaskError:
            yield "refused"
        except RuntimeError:  # no map comes of so small a one
            yield "impossible"


def has_right_gradients(network: nn.Module, group: Group, channels: int, side: int) -> bool:
    """Compare gradients of weights and maps with those in float64."""
    maps = group.draw(channels, side)
    with torch.autocast("cpu", torch.bfloat16, enabled=group.precision == "bf16"):
        given = maps.requires_grad_()
        made = network(given)
    toward = torch.randn(made.shape).bfloat16().float()
    weights = [*network.parameters()]
    found = torch.autograd.grad(made, [given, *weights], toward.to(made.dtype))
    reference = group.make(channels).double()
    reference.load_state_dict(network.state_dict())
    exact = maps.detach().double().requires_grad_()
    right = torch.autograd.grad(reference(exact), [exact, *reference.parameters()], toward.double())
    return all(
        float((one - other).norm()) <= TOLERANCE[group.precision] * float(other.norm()) + 1e-6
        for one, other in zip(found, right, strict=True)
    )

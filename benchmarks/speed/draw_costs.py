"""Draws: what each kind of random number costs, beside torch's own generator, which depends on the order of calls.

Nanoseconds of CPU time per number, for few numbers (what a call costs) and for many (what a number costs).
"""

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from pretask import Draws

from benchmarks.speed.operations import count
from benchmarks.speed.race import time_work

SIZES = {"few": (64, 2), "many": (64, 16384)}  # samples and numbers of each
SECONDS, ROUNDS = 0.1, 5


def list_draws(samples: int, numbers: int, device: torch.device) -> dict[str, tuple[Callable[[], Any], Any]]:
    """Return every kind of draw beside what torch's generator has for it."""
    draws, shape = Draws(torch.arange(samples, device=device), 0, 0), (samples, numbers)
    high = torch.full((samples, 1), 1000, device=device)
    return {
        "uniform": (lambda: draws.uniform("a", numbers), lambda: torch.rand(shape, device=device)),
        "normal": (lambda: draws.normal("a", numbers), lambda: torch.randn(shape, device=device)),
        "integers": (
            lambda: draws.integers("a", 0, 1000, numbers),
            lambda: torch.randint(0, 1000, shape, device=device),
        ),
        "integers below a tensor": (
            lambda: draws.integers("a", 0, high, numbers),
            lambda: torch.rand(shape, device=device).mul(high).long(),
        ),
        "bernoulli": (lambda: draws.bernoulli("a", 0.5, numbers), lambda: torch.rand(shape, device=device) < 0.5),
        "permutation": (lambda: draws.permutation("a", numbers), lambda: torch.rand(shape, device=device).argsort(1)),
    }


def measure_draws(device: torch.device) -> dict[str, Any]:
    """Return for every kind of draw its operations, nanoseconds a number, and the ratio to torch's generator."""
    measured: dict[str, Any] = {}
    print(f"{'':36}operations   ns a number   torch's ns   ratio   ratio to itself")
    for size, (samples, numbers) in SIZES.items():
        for name, (ours, theirs) in list_draws(samples, numbers, device).items():
            found = compare(ours, theirs, samples * numbers, device)
            line = "{:36}{operations:10} {ns:13.2f} {torch_ns:12.2f} {ratio:7.2f} {noise:17.3f}"
            print(line.format(f"{name} ({size})", **found), flush=True)
            measured[f"{name} ({size})"] = found
    return measured


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], numbers: int, device: torch.device) -> dict[str, float]:
    """Time two ways in turn; medians over rounds."""
    times = max(1, int(SECONDS / max(time_work(ours, 3, device)[0], 1e-6)))
    rounds = [[time_work(work, times, device)[0] for work in (ours, theirs, ours)] for _ in range(ROUNDS)]
    return {
        "operations": count(ours).total(),
        "ns": round(1e9 * median(first for first, _, _ in rounds) / numbers, 3),
        "torch_ns": round(1e9 * median(theirs for _, theirs, _ in rounds) / numbers, 3),
        "ratio": round(median((first + last) / 2 / theirs for first, theirs, last in rounds), 3),
        "noise": round(median(first / last for first, _, last in rounds), 3),
    }

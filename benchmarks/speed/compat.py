"""How long it takes to filter 60 splits x 60 objectives x 60 models by what they declare.

    .venv/bin/python benchmarks/speed/compat.py

Expected: less than 50 ms on one core, most of it the reasons of refusals; a few milliseconds where only what fits is
wanted. Beside it, the same by calling `static_fit` for all 216,000 triples, of which a fraction is timed.
"""

import time
from collections.abc import Callable
from itertools import islice, product

from pluggy import PluginManager
from pretask import Component, model, objective, split
from pretask_registry import Plugin, Registry, static_fit
from pretask_registry.fit import build_matrix, iterate_blocks

COUNT = 60
TRIPLES = 5000  # triples by brute force
MODALITIES = ("image", "video", "text", "audio")
TARGETS = ("categories", "values", "reference", "agreement")
SIGHTS = ("all", "past", "present", "future")


def declare_parts(count: int) -> tuple[Component, ...]:
    """Return so many splits, objectives and models, of every modality, kind of target and sight."""
    made = []
    for number in range(count):
        modality, target, sight = MODALITIES[number % 4], TARGETS[number // 4 % 4], SIGHTS[number // 16 % 4]
        made += [
            split(f"split-{number}", "m:A", modality=modality, targets={target}, sees=sight, hidden=number % 7 > 0),
            objective(f"objective-{number}", "m:A", targets={target}, bottleneck=number % 3 == 0),
            model(f"model-{number}", "m:A", modality=modality, streams=sight),
        ]
    return tuple(made)


def build_registry(components: tuple[Component, ...]) -> Registry:
    """Return a registry of these, without any plugin being installed."""
    return Registry((Plugin("acme", "acme", "pretask-acme", "1.0", components=components),), PluginManager("pretask"))


def time_work(work: Callable[[], object], times: int = 5) -> float:
    """Return the shortest of a few measurements, in seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def brute_force(registry: Registry) -> None:
    """Filter some triples, one after the other."""
    kinds = (registry.current(kind) for kind in ("split", "objective", "model"))
    for triple in islice(product(*kinds), TRIPLES):
        static_fit(*triple)


def main() -> None:
    """Print what each way takes."""
    registry = build_registry(declare_parts(COUNT))
    triples = COUNT**3
    fitting = sum(block.fitting for block in iterate_blocks(registry))
    print(f"{triples} triples, {fitting} fit")
    print(f"filtered in blocks    {1e3 * time_work(lambda: list(iterate_blocks(registry))):8.1f} ms")
    print(f"rows of what fits     {1e3 * time_work(lambda: list(build_matrix(registry, fitting=True))):8.1f} ms")
    print(f"all rows with reasons {1e3 * time_work(lambda: list(build_matrix(registry))):8.1f} ms")
    alone = time_work(lambda: brute_force(registry), 1) * triples / TRIPLES
    print(f"triple by triple      {1e3 * alone:8.1f} ms (estimated)")


if __name__ == "__main__":
    main()

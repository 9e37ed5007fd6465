"""Ambient: the random generators that a plugin must leave alone, and what Draws were used."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pretask import Draws
from pretask.draws import Key


def seed_everything(seed: int) -> None:
    """Seed the generators that a plugin must not read."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def read_states() -> dict[str, Any]:
    """Return where the generators of torch, numpy and random stand."""
    kind, keys, place, *_ = np.random.get_state()
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy.random": (kind, np.asarray(keys).tolist(), place),
        "random": random.getstate(),
    }


def name_moved(before: dict[str, Any]) -> str:
    """Name the generators that have moved since, as prose."""
    after = read_states()
    itself = {"random"} if "beartype" in sys.modules else set()  # it draws from it whenever it checks a type
    return " and ".join(name for name in before if before[name] != after[name] and name not in itself)


@dataclass(frozen=True)
class Drawn:
    """One use of Draws: the name of the draw, and the seed and epoch it was made with."""

    name: str
    seed: Any
    epoch: Any


@contextmanager
def watch_draws() -> Iterator[list[Drawn]]:
    """Record every draw that is made inside, by whatever Draws."""
    made: list[Drawn] = []
    before = Draws.key

    def key(self: Draws, name: str) -> Key:
        made.append(Drawn(name, self.seed, self.epoch))
        return before(self, name)

    Draws.key = key  # type: ignore[method-assign]
    try:
        yield made
    finally:
        Draws.key = before  # type: ignore[method-assign]

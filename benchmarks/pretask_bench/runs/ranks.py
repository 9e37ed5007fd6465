"""Ranks: a run on several devices, one process each, as torchrun starts them.

All of them train. Then rank 0 alone scores, measures and writes the record; the others are done.
"""

import os
from collections.abc import Mapping
from datetime import timedelta

import torch
from pretask import PretaskError
from torch import distributed

SET_BY_LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK")
PATIENCE = timedelta(days=7)  # rank 0 may have to wait for another process that runs the same cell


def count_ranks(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many processes take part, as the launcher says; 1 where there is none."""
    return read_number("WORLD_SIZE", 1, environment)


def own_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of this process among all."""
    return read_number("RANK", 0, environment)


def own_device(environment: Mapping[str, str] = os.environ) -> str:
    """Return the GPU of this process among those of its machine."""
    return f"cuda:{read_number('LOCAL_RANK', 0, environment)}"


def read_number(name: str, default: int, environment: Mapping[str, str]) -> int:
    """Return a number that a launcher sets."""
    text = environment.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise PretaskError(name, "a whole number", repr(text), "Start with torchrun, or unset it.", exit_code=2)
    return int(text)


def refuse_ranks(what: str) -> None:
    """Raise PretaskError where several ranks were started for what one process does."""
    if count_ranks() > 1:
        raise PretaskError(
            what, "one process", f"{count_ranks()} ranks", "Start it without torchrun, or run one seed.", exit_code=2
        )


def join_group(device: torch.device) -> None:
    """Join the group of all ranks."""
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def share_decision(go: bool, device: torch.device) -> bool:
    """Return on all ranks what rank 0 decided."""
    decision = torch.tensor([int(go)], device=device)
    distributed.broadcast(decision, 0)
    return bool(decision.item())


def close_group() -> None:
    """End what connects this process to the others, where something does: its threads, alive at exit, abort it."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def leave_group() -> None:
    """Leave the group for good: from here on this process is one by itself, also for whoever reads its environment."""
    from accelerate.state import AcceleratorState, PartialState

    close_group()
    for name in SET_BY_LAUNCHERS:
        os.environ.pop(name, None)
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()

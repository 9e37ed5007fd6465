"""Own operations: functions that torch dispatches, counts and compiles as one of its own.

torch.library.custom_op does the same at five times the cost of a call.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LIBRARY: Any = torch.library.Library("pretask", "FRAGMENT")  # type: ignore[no-untyped-call]


def hide(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the same kernel, into which the compiler does not look; it is imported by whoever compiles, not here."""
    hidden: list[Callable[..., Tensor]] = []

    def call(*arguments: Any) -> Tensor:
        if sys.modules.get("torch._dynamo") is None:
            return kernel(*arguments)
        if not hidden:
            hidden.append(torch.compiler.disable(kernel))  # type: ignore[no-untyped-call]
        return hidden[0](*arguments)

    return call


def register(name: str, schema: str, on_cpu: Any, elsewhere: Any, fake: Any) -> Any:
    """Register an operation, and return it."""
    LIBRARY.define(f"{name}({schema}) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, hide(on_cpu), "CPU")
    LIBRARY.impl(name, hide(elsewhere), "CompositeExplicitAutograd")
    torch.library.register_fake(f"pretask::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.pretask, name).default

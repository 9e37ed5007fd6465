"""Own operations: functions that torch dispatches, counts and compiles as one of its own.

torch.library.custom_op does the same at five times the cost of a call.
"""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TIMES: Counter[str] = Counter()  # that an operation of a name was registered
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
    """Register an operation, and return it.

    A module that is loaded again, or the copy of one in another plugin, registers another operation: `name_2`.
    """
    TIMES[name] += 1
    name = name if TIMES[name] == 1 else f"{name}_{TIMES[name]}"
    LIBRARY.define(f"{name}({schema}) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, hide(on_cpu), "CPU")
    LIBRARY.impl(name, hide(elsewhere), "CompositeExplicitAutograd")
    torch.library.register_fake(f"pretask::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.pretask, name).default

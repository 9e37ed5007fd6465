"""Lean optimizers: torch's, without what torch wraps around their methods to keep its compiler out of them.

Each of these wrappers imports the compiler, which takes a second or two and is then asked at every call. Steps are
never traced here: what a recipe compiles is the network. The arithmetic is torch's own.
"""

import inspect
from functools import cache
from typing import Any

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


@cache
def strip_wrappers(kind: type[Optimizer]) -> Any:
    """Return a class of the same name whose methods are those that torch wraps; the step is one without gradients.

    >>> strip_wrappers(torch.optim.Adam)([torch.nn.Parameter(torch.ones(1))], lr=0.5).param_groups[0]["lr"]
    0.5
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)

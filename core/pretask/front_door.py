"""The front door: what a user types first. Each verb finds its implementation when it is called.

Core imports neither the registry nor the harness: the verbs that need them are looked up by name, in the one module of
the harness that implements them, so that `import pretask` stays light and the arrows stay as they are.
"""

from collections.abc import Iterable
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from pretask.encoder import Encoder

VERBS = "pretask_bench.verbs"  # what implements them


def load(
    path: "str | PathLike[str]",
    *,
    device: "torch.device | str" = "cpu",
    plugin: "str | PathLike[str] | Iterable[str | PathLike[str]]" = (),
    split: Any = None,
    model: Any = None,
) -> "Encoder":
    """Return the trained encoder of a run, ready to encode.

    Args:
        path: The folder of a run, its record, or a folder that `pretask export --to hub` made.
        device: Where it shall live.
        plugin: Python files that declare components, as `--plugin` takes them.
        split: Your own object, where the run was made with one.
        model: Likewise, what builds the model of the specs of x and of the whole sample.

    Raises:
        PretaskError: There is no encoder, a file is damaged or of a later version, or a plugin is missing.
    """
    encoder: Encoder = import_module(VERBS).load(path, device=device, plugin=plugin, split=split, model=model)
    return encoder

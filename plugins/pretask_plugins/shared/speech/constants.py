"""What a compiled step takes as given, without tracing how it is made; importing this imports torch's compiler."""

import torch
from torch import Tensor

from pretask_plugins.shared.speech.spectrogram import window_and_filters


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def constant_window_and_filters(
    rate: int, mels: int, window: int, hop: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return `window_and_filters`."""
    return window_and_filters(rate, mels, window, hop, device)

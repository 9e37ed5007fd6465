"""Finite: at which step the loss stopped being finite, found without waiting for the device in any step."""

import torch
from torch import Tensor

MAX_RECENT = 256  # losses that are kept one by one


class LossWatch:
    """Notes the losses of steps, and finds the first one that was not finite when it is asked."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[Tensor] = []
        self.first_bad: Tensor | None = None  # of the steps that are no longer kept; -1 where all were finite

    def note(self, step: int, loss: Tensor) -> None:
        """Keep the loss of a step."""
        self.steps.append(step)
        self.losses.append(loss.detach())
        if len(self.losses) >= MAX_RECENT:
            self.condense()

    def condense(self) -> None:
        """Put one number in the place of the losses that are kept; it stays on their device."""
        if not self.losses:
            return
        losses = torch.stack(self.losses)
        steps = torch.tensor(self.steps).to(losses.device, non_blocking=True)
        bad = ~torch.isfinite(losses)
        newest = torch.where(bad.any(), steps[bad.int().argmax()], -1)
        self.first_bad = newest if self.first_bad is None else torch.where(self.first_bad < 0, newest, self.first_bad)
        self.steps, self.losses = [], []

    def find_first_bad(self) -> int | None:
        """Return the first step whose loss was not finite, None where there was none; this waits for the device."""
        self.condense()
        found = -1 if self.first_bad is None else int(self.first_bad)
        return found if found >= 0 else None

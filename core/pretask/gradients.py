"""Gradients: whether training has anything to learn from, seen over its first steps.

A loss may be at its floor before anything was learned: a contrastive one where nothing belongs together, or a mean over
no answer at all. Every gradient is then exactly 0, and a run would end well with the weights that it began with.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import get_total_norm

from pretask.errors import PretaskError

MIN_STEPS = 8  # a batch or two may be without an answer by chance, and slow steps are reported one by one


class GradientWatch:
    """Notes which gradients were ever other than 0, on their device: a step never waits for the answer.

    Args:
        encoder: Parameters of the encoder; where none wants a gradient, nothing is watched.
        others: All parameters that are trained; those of the encoder may be among them.
    """

    def __init__(self, encoder: Iterable[Parameter], others: Iterable[Parameter]) -> None:
        self.encoder = [parameter for parameter in encoder if parameter.requires_grad]
        known = set(self.encoder)
        self.others = [parameter for parameter in others if parameter.requires_grad and parameter not in known]
        self.encoder_has_gradient: Tensor | bool = False
        self.others_have_gradient: Tensor | bool = False
        self.steps = 0
        self.is_decided = not self.encoder

    def note(self) -> None:
        """Take the gradients of one step into account."""
        if not self.is_decided:
            self.steps += 1
            self.encoder_has_gradient = self.encoder_has_gradient | any_nonzero(self.encoder)
            self.others_have_gradient = self.others_have_gradient | any_nonzero(self.others)

    def check(self, loss: Tensor, total: int) -> None:
        """Decide, where a report waits for the device anyway.

        A head that begins at 0 gives the encoder no gradient in its first step, but gets one itself; an objective may
        also train its own part first. So an encoder without a gradient is refused at once where nothing else has one
        either, else when the whole run is over.

        Args:
            loss: Of the newest step.
            total: Steps of the whole run; one that goes on from a checkpoint is not judged by its last steps.

        Raises:
            PretaskError: Every gradient was 0 in all steps so far, or those of the encoder in the whole run.
        """
        if self.is_decided or bool(self.encoder_has_gradient):
            self.is_decided = True
            return
        over = self.steps == total
        enough = self.steps >= MIN_STEPS
        if not bool(self.others_have_gradient) and (enough or over):
            raise nothing_to_learn("of every parameter", self.steps, loss)
        if enough and over:
            raise nothing_to_learn("of every parameter of the encoder", self.steps, loss)


def any_nonzero(parameters: Iterable[Parameter]) -> Tensor | bool:
    """Return whether one of the gradients is not 0, as a tensor on their device; NaN is not 0."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    dense = [gradient.to_dense() if gradient.is_sparse else gradient for gradient in gradients]
    return get_total_norm(dense, torch.inf) != 0 if dense else False


def nothing_to_learn(whose: str, steps: int, loss: Tensor) -> PretaskError:
    """Return the error of a run that would end with the encoder that it began with."""
    when = "the first step" if steps == 1 else f"all of the first {steps} steps"
    return PretaskError(
        "training",
        "something to learn from",
        f"a gradient of 0 {whose} in {when}, at a loss of {float(loss.detach()):.4g}",
        "Look at the targets: an answer needs a weight above 0, an objective like info-nce views or samples of equal "
        "identity in one batch, and the loss must depend on the features.",
    )

"""Baseline: what is expected of a signal given x, learned beside it, which makes a score gradient's variance smaller.

Anything that does not depend on the code may be subtracted from what weighs its score, and the gradient's mean stays.
With two or three codes for a sample there are hardly others to estimate a control variate on; a baseline needs none.

Source: Mnih and Gregor, ICML 2014, section 2.3. Differs: nothing is divided by a running standard deviation, which
would change the gradient's scale.
Axes: B batch, K codes of a sample, D dimensions of a code, W width.
"""

from jaxtyping import Float
from pretask import upcast
from torch import Tensor, nn

from pretask_plugins.shared.heads import perceptron

HIDDEN_WIDTH = 64


class Baseline(nn.Module):
    """A perceptron with one hidden layer.

    Args:
        width: Of the features of x.
        dimensions: Of the code, each of which has an expectation of its own.
    """

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.body = perceptron(width, (HIDDEN_WIDTH,), dimensions)

    def forward(
        self, vector: Float[Tensor, "B W"], signal: Float[Tensor, "B K D"]
    ) -> tuple[Float[Tensor, "B K D"], Float[Tensor, " B"]]:
        """Return the signal less its expectation, and zero with the gradient that teaches the expectation alone."""
        expected = upcast(self.body(vector.detach()))[:, None]
        error = 0.5 * (signal.detach() - expected).square().mean(1).sum(-1)
        return signal - expected.detach(), error - error.detach()

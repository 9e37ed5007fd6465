"""Pictures of a latent-variable model of images: samples from the prior, reconstructions, a manifold, traversals.

What is shown are the decoder's means, not draws from its likelihood.
Source: Kingma and Welling, ICLR 2014, appendix A and figure 4. Differs: "nothing".
Axes: N images, C channels, H W image, D dimensions of the code.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from pretask import Draws, Figure, Samples, Task
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor

from pretask_plugins.shared.image_sheets import as_images, draw_sheet, find_image_target

GRID_SIDE = 10  # images along a side of most pictures
MANIFOLD_SIDE = 20  # along a side of the manifold
MAX_STD = 3.0  # standard deviations of the prior that a traversal goes to either side
MIN_QUANTILE = 0.05  # the manifold goes from this quantile of the prior to one minus it


def pictures(task: Task, samples: Samples) -> Iterator[tuple[str, Figure]]:
    """Yield what can be shown; nothing where no target is an image."""
    name = find_image_target(task)
    if name is None:
        return

    def show(code: Float[Tensor, "N D"]) -> Float[Tensor, "N C H W"]:
        means = task.objective.means(code[:, None])[name][:, 0]
        return as_images(means, samples.observed)

    latent, device = task.objective.latent_dim, task.device
    yield (
        "samples",
        draw_sheet(show(draw_codes(GRID_SIDE**2, latent, device)), GRID_SIDE, "Decoder means of codes from the prior."),
    )
    batch = next(samples.batches(GRID_SIDE * 5, device))
    draws = Draws(batch.index, 0, HELD_OUT_EPOCH).branch("split")
    inputs, targets = task.apply_split(batch, draws)
    posterior = task.objective.posterior(task.model(inputs))
    pairs = torch.stack([as_images(targets[name].value, samples.observed), show(posterior.mean)], 1)
    caption = "Test samples, and beside each the decoder mean of its code."
    yield "reconstructions", draw_sheet(pairs.flatten(0, 1), GRID_SIDE, caption)
    if latent == 2:
        caption = f"Decoder means on quantiles of the prior, {MIN_QUANTILE} to {1 - MIN_QUANTILE}."
        yield "manifold", draw_sheet(show(manifold(MANIFOLD_SIDE, device)), MANIFOLD_SIDE, caption)
    most_varied = posterior.mean.var(0, correction=0).argsort(descending=True)[:GRID_SIDE]
    walks = traversals(posterior.mean[0], most_varied)
    caption = (
        f"Decoder means of a test sample's code, one dimension a row, from -{MAX_STD} to {MAX_STD}; busiest first."
    )
    yield "traversals", draw_sheet(show(walks), GRID_SIDE, caption)


def draw_codes(count: int, latent: int, device: torch.device) -> Float[Tensor, "N D"]:
    """Draw codes from the standard normal prior; the same ones always."""
    return Draws(torch.arange(count, device=device)).branch("prior").normal("code", latent)


def manifold(side: int, device: torch.device) -> Float[Tensor, "N 2"]:
    """Return a grid of codes that cuts the prior into cells of equal mass, in reading order.

    >>> manifold(3, torch.device("cpu"))[:, 0].view(3, 3)[1].tolist()
    [0.0, 0.0, 0.0]
    """
    line = torch.special.ndtri(
        torch.linspace(MIN_QUANTILE, 1 - MIN_QUANTILE, side, device=device, dtype=torch.float64)
    ).float()
    return torch.cartesian_prod(line, line)


def traversals(base: Float[Tensor, " D"], dimensions: Tensor) -> Float[Tensor, "N D"]:
    """Return the code with one dimension at a time walked from -REACH to REACH."""
    walks = base.repeat(len(dimensions), GRID_SIDE, 1)
    steps = torch.linspace(-MAX_STD, MAX_STD, GRID_SIDE, device=base.device)
    walks[torch.arange(len(dimensions)), :, dimensions] = steps
    return walks.flatten(0, 1)

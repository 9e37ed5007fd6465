"""Pictures of a latent-variable model of images: samples from the prior, reconstructions, a manifold, traversals.

What is shown are the decoder's means, not draws from its likelihood.
Source: Kingma and Welling, ICLR 2014, appendix A and figure 4. Differs: "nothing".
Axes: N images, C channels, H W image, D dimensions of the code.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from pretask import Categories, Draws, Figure, Observed, Samples, Task
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.pictures import encode_png

GRID_SIDE = 10  # images along a side of most pictures
MANIFOLD_SIDE = 20  # along a side of the manifold
MAX_STD = 3.0  # standard deviations of the prior that a traversal goes to either side
MIN_QUANTILE = 0.05  # the manifold goes from this quantile of the prior to one minus it
MIN_SIDE_PIXELS = 40  # smaller images are enlarged to about this
GAP_PIXELS = 2  # between images
GAP_LEVEL = 64  # gray


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


def find_image_target(task: Task) -> str | None:
    """Find the first target that is an image of t's size, cut into squares or not; None where there is none."""
    if task.observed.modality != "image":
        return None
    for name, spec in task.objective.targets.items():
        channels = getattr(spec, "channels", 0)
        whole = len(spec.grid) == 2 and channels * spec.grid[0] * spec.grid[1] == count_pixels(task.observed)
        if whole and not isinstance(spec, Categories) and spec.views is None and task.observed.shape[0] in (1, 3):
            return str(name)
    return None


def count_pixels(observed: Observed) -> int:
    """Count the numbers that an image has."""
    channels, height, width = observed.shape
    return channels * height * width


def as_images(values: Float[Tensor, "N h w K"], observed: Observed) -> Float[Tensor, "N C H W"]:
    """Return values at places, or the contents of squares at their places, as images."""
    return F.pixel_shuffle(values.movedim(-1, 1), observed.shape[-1] // values.shape[2])


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


def draw_sheet(images: Float[Tensor, "N C H W"], columns: int, caption: str) -> Figure:
    """Draw images in rows of so many, as a PNG."""
    levels = (images.clamp(0, 1) * 255 + 0.5).byte().cpu()
    factor = max(MIN_SIDE_PIXELS // levels.shape[-1], 1)
    levels = levels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    levels = F.pad(levels, (0, GAP_PIXELS, 0, GAP_PIXELS), value=GAP_LEVEL)
    rows = [torch.cat(list(row), 2) for row in torch.split(levels, columns)]
    rows[-1] = F.pad(rows[-1], (0, rows[0].shape[2] - rows[-1].shape[2]), value=GAP_LEVEL)
    sheet = torch.cat(rows, 1).movedim(0, -1).numpy()
    return Figure(encode_png(sheet[..., 0] if sheet.shape[2] == 1 else sheet), caption)

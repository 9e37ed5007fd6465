"""The palette: 313 colors of the ab plane, ten units apart, which are the classes of colorization.

Soft encoding (section 2.1), class rebalancing (section 2.2) and the annealed mean (section 2.3) are functions of it.

Source: Zhang, Isola and Efros, ECCV 2016, and the bins of the released code, which no rule derives.
Axes: N colors, K nearest bins, Q = 313 bins; the last axis of a color is (a, b).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pretask_plugins.shared.constants import build_once

BIN_STEP = 10  # units of ab from bin to bin
# For a = -90, -80 … 100, the first and the last b.
FIRST_B = (50, 20, 0, -20, -30, -40, -50, -50, -60, -70, -80, -80, -90, -100, -100, -110, -110, -110, -110, -90)
LAST_B = (90, 90, 90, 90, 100, 100, 100, 100, 100, 100, 90, 90, 90, 90, 80, 80, 80, 70, 70, 0)
BINS = tuple(
    (a, b)
    for a, first, last in zip(range(-90, 101, BIN_STEP), FIRST_B, LAST_B, strict=True)
    for b in range(first, last + 1, BIN_STEP)
)
SOFT_ENCODING_STD = 5.0  # sigma of the Gaussian that spreads a color over its nearest bins, section 2.1
TABLE_START, TABLE_SIDE = -112, 225  # of a and b in the table of nearest bins; sRGB has a in -86 … 98, b in -108 … 94
DIAGONAL = 2**0.5 + 1e-3  # of a unit of ab, and what rounding may add
COLORS_AT_ONCE = 4096  # whose distances to all bins are held in memory


@build_once
def bins(device: torch.device) -> Float[Tensor, "Q 2"]:
    """Return the palette as a tensor."""
    return torch.tensor(BINS, dtype=torch.float32, device=device)


def find_nearest_bins(colors: Float[Tensor, "N 2"], count: int) -> Int[Tensor, "N K"]:
    """Return the nearest bins of every color, nearest first."""
    palette = bins(colors.device)
    nearest = [
        torch.cdist(some, palette).topk(count, largest=False).indices for some in torch.split(colors, COLORS_AT_ONCE)
    ]
    return torch.cat(nearest)


@build_once
def candidates_table(count: int, device: torch.device) -> Int[Tensor, "N L"]:
    """Return, for every color of whole units, the bins that may be among the nearest of a color rounded to it.

    A color lies at most half the diagonal of a unit from the rounded one, so that its K nearest bins are no farther
    from that than its own K-th nearest and a diagonal. Of five these are at most twelve. The distances are 16 million:
    a fifth of a second on one core.
    """
    line = torch.arange(TABLE_START, TABLE_START + TABLE_SIDE, dtype=torch.float32)
    colors = torch.cartesian_prod(line, line)
    most = 0
    for some in torch.split(colors, COLORS_AT_ONCE):
        distance = torch.cdist(some, bins(torch.device("cpu")))
        reach = distance.kthvalue(count, dim=1, keepdim=True).values + DIAGONAL
        most = max(most, int((distance <= reach).sum(1).max()))
    return find_nearest_bins(colors, most).to(device)


@build_once
def places_table(count: int, device: torch.device) -> Float[Tensor, "N L 2"]:
    """Return where the candidates of all colors of whole units lie."""
    return bins(device)[candidates_table(count, device)]


def soft_encode(
    colors: Float[Tensor, "*places 2"], count: int
) -> tuple[Int[Tensor, "*places K"], Float[Tensor, "*places K"]]:
    """Return the K nearest bins of every color and their probabilities, Gaussian in the distance: Z of section 2.1.

    Nearest first. They are chosen among the few that can be nearest for the color rounded to whole units.

    >>> round(soft_encode(torch.tensor([[0.0, 0.0]]), 5)[1].max().item(), 3)  # on a bin
    0.649
    """
    entry, table = table_index(colors), places_table(count, colors.device)
    places = table.index_select(0, entry.flatten()).view(*entry.shape, *table.shape[1:])
    difference = (places - colors[..., None, :]).square()  # (*places, L, 2)
    distance, chosen = (difference[..., 0] + difference[..., 1]).topk(count, largest=False)
    weight = (distance / (-2 * SOFT_ENCODING_STD**2)).exp()
    # A softmax over the K bins; a product with ones is faster than a sum over so short an axis.
    nearest = candidates_table(count, colors.device)[entry[..., None], chosen]
    return nearest, weight / (weight @ ones(count, colors.device))


@build_once
def ones(count: int, device: torch.device) -> Float[Tensor, "K 1"]:
    """Return what K numbers are multiplied with to be added up."""
    return torch.ones(count, 1, device=device)


def table_index(colors: Float[Tensor, "*places 2"]) -> Int[Tensor, "*places"]:
    """Return the entry of every color in the table of nearest bins; a float has room for each without rounding."""
    row_and_column = (colors - TABLE_START).round()
    return torch.add(row_and_column[..., 1], row_and_column[..., 0], alpha=TABLE_SIDE).long()


def smooth_counts(counts: Float[Tensor, " Q"], count: int) -> Float[Tensor, " Q"]:
    """Return a histogram of bins as probabilities, smoothed by the Gaussian of the soft encoding: p of section 2.2."""
    nearest, probability = soft_encode(bins(counts.device), count)
    smooth = torch.zeros_like(counts).index_add_(0, nearest.flatten(), (counts[:, None] * probability).flatten())
    return smooth / smooth.sum()


def rebalancing_weights(prior: Float[Tensor, " Q"], uniform: float) -> Float[Tensor, " Q"]:
    """Return how much every bin counts: the inverse of its probability mixed with a uniform one; 1 on average.

    A bin that was never seen counts as much as the rarest that was.

    >>> rebalancing_weights(torch.tensor([0.75, 0.25]), 0.0)
    tensor([0.6667, 2.0000])
    """
    seen = prior > 0
    mixed = (1 - uniform) * prior + uniform / seen.sum()
    weight = 1 / torch.where(seen, mixed, mixed[seen].min())  # equation 4: w ~ ((1 - λ) p + λ / Q)^-1
    return weight / (prior * weight).sum()  # and the mean of w under p is 1


@build_once
def bin_weights(prior: tuple[float, ...], uniform: float, device: torch.device) -> Float[Tensor, " Q"]:
    """Return `rebalancing_weights` of a prior; all ones where there is none."""
    if not prior:
        return torch.ones(len(BINS), device=device)
    return rebalancing_weights(torch.tensor(prior), uniform).to(device)


def annealed_mean(log_probability: Float[Tensor, "*places Q"], temperature: float) -> Float[Tensor, "*places 2"]:
    """Return the mean color of a distribution sharpened by the temperature: 1 is the mean, towards 0 the mode."""
    # Equation 5: f_T(z) = exp(log z / T) / sum of exp(log z / T).
    return (log_probability / temperature).softmax(-1) @ bins(log_probability.device)


def mean_color(prior: tuple[float, ...]) -> Float[Tensor, " 2"]:
    """Return the mean color of a distribution over the palette."""
    return torch.tensor(prior) @ bins(torch.device("cpu"))

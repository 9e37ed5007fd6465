"""Studentized range: how far apart the largest and the smallest of several equal means may lie by chance.

Source: Tukey 1953; the double integral is that of Copenhaver and Holland, J. Stat. Comput. Simul. 30, 1988.
Differs: both integrals are sums over fixed points, so that a thousand quantiles take a second; scipy's take minutes.
Axes: W widths of a range, Z places of the largest mean, U logarithms of a standard deviation.
"""

import math
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy import special  # type: ignore[import-untyped]

WIDTHS = np.linspace(0, 16, 401)  # of the range of standard normal numbers; beyond lies less than 1e-20
PLACES = np.linspace(-8, 9, 171)
LOG_STDS = np.linspace(-12, 2, 561)
MAX_FREEDOM = 300  # above, the deviations lie closer than their grid; the normal limit is then 0.3 % off


@cache
def critical_difference(level: float, means: int, freedom: float) -> float:
    """Return how many standard errors of a difference all pairs of equal means stay below, with probability 1 - level.

    Args:
        level: The chance that any pair of them lies further apart.
        means: How many are compared, 2 or more.
        freedom: Degrees of freedom of the standard error; infinite where it is known.

    Source: the quantile of the studentized range over the square root of 2, for it is in errors of one mean.

    >>> round(critical_difference(0.05, 2, math.inf), 3)
    1.96
    """
    inside = range_probabilities(means)
    low, high = -5.0, 30.0  # logarithms
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail_probability(math.exp(middle), inside, freedom) > level else (low, middle)
    return math.exp((low + high) / 2) / math.sqrt(2)


def tail_probability(quantile: float, inside: Float[np.ndarray, " W"], freedom: float) -> float:
    """Return the chance that a studentized range exceeds a quantile."""
    if freedom > MAX_FREEDOM:
        return 1 - float(np.interp(quantile, WIDTHS, inside))
    weights = std_weights(freedom)
    return float(weights @ (1 - np.interp(quantile * np.exp(LOG_STDS), WIDTHS, inside)))


@cache
def range_probabilities(means: int) -> Float[np.ndarray, " W"]:
    """Return the chance that the range of standard normal numbers is at most each width.

    The largest lies at a place, and all others within the width below it.
    """
    log_share, density = shares_below()
    step = PLACES[1] - PLACES[0]
    found: np.ndarray = (np.exp((means - 1) * log_share) @ density * (means * step)).clip(0, 1)
    return found


@cache
def shares_below() -> tuple[Float[np.ndarray, "W Z"], Float[np.ndarray, " Z"]]:
    """Return the log share of normal numbers within each width below each place; and the density at each place."""
    share = special.ndtr(PLACES) - special.ndtr(PLACES - WIDTHS[:, None])
    return np.log(share.clip(1e-300)), np.exp(-(PLACES**2) / 2) / math.sqrt(2 * math.pi)


@cache
def std_weights(freedom: float) -> Float[np.ndarray, " U"]:
    """Return the probabilities of an estimated over the true standard deviation: chi over the root of its freedom."""
    half = freedom / 2
    log_density = freedom * LOG_STDS - half * np.exp(2 * LOG_STDS)
    log_density += math.log(2) + half * math.log(half) - math.lgamma(half)
    weights: np.ndarray = np.exp(log_density) * (LOG_STDS[1] - LOG_STDS[0])
    return weights

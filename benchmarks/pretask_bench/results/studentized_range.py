"""Studentized range: how far apart the largest and the smallest of several equal means may lie by chance.

Source: Tukey 1953; the double integral is that of Copenhaver and Holland, J. Stat. Comput. Simul. 30, 1988.
Differs: both integrals are sums over fixed points, so that a thousand quantiles take a second; scipy's take minutes.
Axes: W widths of a range, Z values of the largest mean, U logarithms of a standard deviation.
"""

import math
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy import special  # type: ignore[import-untyped]

# The points over which both integrals are summed: widths of the range of standard normal numbers (beyond 16 lies less
# than 1e-20), values of the largest of them, and log(estimated / true standard deviation).
WIDTHS = np.linspace(0, 16, 401)
MAXIMA = np.linspace(-8, 9, 171)
LOG_STD_RATIOS = np.linspace(-12, 2, 561)
MAX_DEGREES_OF_FREEDOM = 300  # above, the deviations lie closer than their grid; the normal limit is then 0.3 % off


@cache
def critical_difference(level: float, means: int, degrees_of_freedom: float) -> float:
    """Return how many standard errors of a difference all pairs of equal means stay below, with probability 1 - level.

    Args:
        level: The chance that any pair of them lies further apart.
        means: How many are compared, 2 or more.
        degrees_of_freedom: Degrees of freedom of the standard error; infinite where it is known.

    Source: the quantile of the studentized range over the square root of 2, for it is in errors of one mean.

    >>> round(critical_difference(0.05, 2, math.inf), 3)
    1.96
    """
    range_cdf = range_cdf_of_normals(means)
    low, high = -5.0, 30.0  # bisection over the logarithm of the quantile
    for _ in range(60):
        middle = (low + high) / 2
        is_too_small = tail_probability(math.exp(middle), range_cdf, degrees_of_freedom) > level
        low, high = (middle, high) if is_too_small else (low, middle)
    return math.exp((low + high) / 2) / math.sqrt(2)


def tail_probability(quantile: float, range_cdf: Float[np.ndarray, " W"], degrees_of_freedom: float) -> float:
    """Return the chance that a studentized range exceeds a quantile."""
    if degrees_of_freedom > MAX_DEGREES_OF_FREEDOM:
        return 1 - float(np.interp(quantile, WIDTHS, range_cdf))
    weights = std_ratio_probabilities(degrees_of_freedom)
    return float(weights @ (1 - np.interp(quantile * np.exp(LOG_STD_RATIOS), WIDTHS, range_cdf)))


@cache
def range_cdf_of_normals(means: int) -> Float[np.ndarray, " W"]:
    """Return the chance that the range of standard normal numbers is at most each width.

    The integral over the largest of them of the chance that all others lie within the width below it.
    """
    log_probability, density = log_probability_within_width()
    step = MAXIMA[1] - MAXIMA[0]
    cdf: np.ndarray = (np.exp((means - 1) * log_probability) @ density * (means * step)).clip(0, 1)
    return cdf


@cache
def log_probability_within_width() -> tuple[Float[np.ndarray, "W Z"], Float[np.ndarray, " Z"]]:
    """Return log probabilities that a normal number lies within a width below a maximum; and its density at maxima."""
    probability = special.ndtr(MAXIMA) - special.ndtr(MAXIMA - WIDTHS[:, None])
    return np.log(probability.clip(1e-300)), np.exp(-(MAXIMA**2) / 2) / math.sqrt(2 * math.pi)


@cache
def std_ratio_probabilities(degrees_of_freedom: float) -> Float[np.ndarray, " U"]:
    """Return the probability of every ratio of an estimated to the true standard deviation: chi over sqrt(freedom)."""
    half = degrees_of_freedom / 2
    log_density = degrees_of_freedom * LOG_STD_RATIOS - half * np.exp(2 * LOG_STD_RATIOS)
    log_density += math.log(2) + half * math.log(half) - math.lgamma(half)
    weights: np.ndarray = np.exp(log_density) * (LOG_STD_RATIOS[1] - LOG_STD_RATIOS[0])
    return weights

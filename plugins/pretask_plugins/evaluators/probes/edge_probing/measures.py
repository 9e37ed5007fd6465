"""Measures: where in a network a task is solved, from mixing weights and from the scores of cumulative probes.

Layers have the paper's numbers: 0 is what needs no context, L is the output.

Source: Tenney, Das and Pavlick, ACL 2019, section 3: the center of gravity and K(s) of mixing weights, and the expected
layer of differential scores (equations 2 to 4).
Axes: J = L + 1 layers.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

MIN_GAIN_ERRORS = 2.0  # standard errors that the whole gain must have, for its place among the layers to mean anything


def center_of_gravity(weights: Sequence[float]) -> float:
    """Return the mean layer under mixing weights, E_s[l] = sum_l l s_l.

    >>> center_of_gravity([0.2] * 5), center_of_gravity([0.0, 0.0, 1.0])
    (2.0, 2.0)
    """
    return math.fsum(layer * weight for layer, weight in enumerate(weights))


def divergence_from_uniform(weights: Sequence[float]) -> float:
    """Return K(s) = KL(s || uniform) in bits: 0 where all weights are equal, log2(L + 1) where one is 1.

    >>> divergence_from_uniform([0.25] * 4), divergence_from_uniform([0.0, 1.0, 0.0, 0.0])
    (0.0, 2.0)
    """
    return math.fsum(weight * math.log2(weight * len(weights)) for weight in weights if weight > 0)


def differential_scores(scores: Sequence[float]) -> list[float]:
    """Return what every layer from 1 on adds to the score of those before it, as it is: also where it is negative."""
    return [after - before for before, after in pairwise(scores)]


def expected_layer(scores: Sequence[float]) -> float | None:
    """Return the mean layer at which a score rises, sum_l l D(l) / sum_l D(l); None where it rises by nothing.

    Nothing is clipped: where the whole gain is small against the steps up and down, it leaves 1 … L.

    Args:
        scores: Of the probes of layers 0 … l, for every l from 0 on.

    >>> expected_layer([0.5, 0.5, 0.75, 0.75])
    2.0
    """
    gains = differential_scores(scores)
    total = math.fsum(gains)
    return math.fsum(layer * gain for layer, gain in enumerate(gains, start=1)) / total if total else None


def defined_layer(scores: Sequence[float], error: float) -> float | None:
    """Return the expected layer where it says something: the gain is large enough, and the layer is one of 1 … L.

    Args:
        scores: Of the probes of layers 0 … l, for every l from 0 on.
        error: Standard error of the whole gain.

    >>> defined_layer([0.5, 0.5, 0.75, 0.75], 0.1), defined_layer([0.50, 0.60, 0.55, 0.51], 0.001)
    (2.0, None)
    """
    expected = expected_layer(scores)
    if expected is None or not is_defined(scores[-1] - scores[0], error):
        return None
    return expected if 1 <= expected <= len(scores) - 1 else None


def is_defined(gain: float, error: float) -> bool:
    """Return whether the whole gain is large enough for an expected layer: two standard errors or more above 0."""
    return gain > 0 and gain >= MIN_GAIN_ERRORS * error

"""GloVe: predict the logarithm of how often two words stand near each other, as the product of their vectors.

What the paper asks, in its order, and where it is here:

1. Count X_ij, how often word j stands near word i: at distance r it counts 1 / r, up to ten words to either side
   (section 4.2; counting.py, in one pass and on disk where memory ends).
2. Ratios of probabilities tell what words mean: P(solid | ice) / P(solid | steam) is large, P(water | ice) / P(water |
   steam) about 1, where P_ij = X_ij / X_i (section 3, table 1).
3. A function of vectors that turns differences into such ratios is an exponential, F(w_i . w~_k) = P_ik, so that
   w_i . w~_k = log X_ik - log X_i (equations 4 to 6).
4. log X_i depends on i alone: it becomes a bias, and another one restores the symmetry,
   w_i . w~_k + b_i + b~_k = log X_ik (equation 7; the model glove has both vectors and both biases).
5. Least squares, in which rare pairs weigh little and frequent ones not too much:
   J = sum f(X_ij) (w_i . w~_j + b_i + b~_j - log X_ij)^2, f(x) = min(1, (x / 100)^(3/4)) (equations 8 and 9;
   objective.py). Cells that are 0 are left out: f(0) = 0.
6. X is symmetric and so is the model, but for how it begins: W + W~ is the word's vector (section 4.2; again the
   model glove).

Source: Pennington, Socher and Manning, EMNLP 2014, and the released code (AdaGrad at .05 whose accumulators begin at 1,
vectors and biases that begin in (-1/2, 1/2) / d).
Differs: cells are visited as their words are met in the text, as often as they count, and weighted by f(X) / X, which
has the same sum over an epoch in expectation; the paper draws cells that are not 0 evenly. A step is made on the mean
over many pairs, not on each. Accumulators that begin at 1 are of a single pair's gradient, halved as the code has it; a
mean over M pairs by their weight divides it by M / 2, so that they begin at (2 / M)^2 here: M is 256 rows of 128 tokens
times 5.8, the sum of 1 / distance of a window of 10. Windows end with a row. The budget is a hundred epochs of six
billion tokens in such rows: a row is visited with one pair for each word.
Axes: B batch, L tokens, N positions, C size of the vocabulary, D width.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import LOSS

SOURCE = "Pennington, Socher and Manning, EMNLP 2014"
CITES = "pennington2014glove"
PAIRS_IN_A_BATCH = 256 * 128 * 5.8  # M
HERE = "pretask_plugins.methods.glove"


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare split, objective and task."""
    yield pretask.split(
        "co-occurrence",
        f"{HERE}.split:PairWithNeighbor",
        modality="text",
        targets={"co-occurrence"},
        views=2,
        sees="present",
        hidden=False,
        summary="Co-occurrence: tell how often two words stand near each other (Pennington 2014).",
        source=SOURCE,
        cites=CITES,
        small={"min_count": 1},
    )
    yield pretask.objective(
        "glove",
        f"{HERE}.objective:Glove",
        targets={"co-occurrence"},
        bottleneck=True,
        metrics={
            LOSS: pretask.Metric("error", higher_is_better=False),
            "squared_error": pretask.Metric("error", higher_is_better=False),
        },
        summary="GloVe: weighted least squares on log co-occurrences (Pennington 2014).",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "glove",
        split="co-occurrence",
        objective="glove",
        model="glove",
        options={"model.width": 300},
        recipe={
            "optimizer": "adagrad",
            "lr": 0.05,
            "initial_accumulator": (2 / PAIRS_IN_A_BATCH) ** 2,
            "weight_decay": 0.0,
            "batch": 256,
            "samples": 4_700_000_000,
            "warmup": 0.0,
            "schedule": "constant",
        },
        presets={
            "small": {
                "data": "toy-grammar",
                "split.min_count": 1,
                "split.window": 5,
                "model.width": 32,
                "recipe.initial_accumulator": 0.0,
                "recipe.samples": 200_000,
            },
        },
        summary="GloVe: log co-occurrences as products of word vectors, 300 wide (Pennington 2014).",
        source=SOURCE,
        cites=CITES,
    )

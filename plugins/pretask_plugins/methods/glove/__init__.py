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

Source: Pennington, Socher and Manning, EMNLP 2014, and the released code (vectors and biases that begin in
(-1/2, 1/2) / d; AdaGrad, whose accumulators begin at 1 and add up squares of the gradient times the rate of .05).
Differs: cells are visited as their words are met in the text, as often as they count, and weighted by f(X) / X, which
has the same sum over an epoch in expectation; the paper draws cells that are not 0 evenly. A step is made on the mean
over many pairs, not on each. Windows end with a row. The budget is a hundred epochs of six billion tokens in rows of
128: a row is visited with one pair for each word. x_max of 100 is for such a corpus: of a million words, 25 iterations
of a plain loop learn nothing of similarity with it, and with 10, as in the released demonstration and in the preset
books, they do.

AdaGrad with a rate inside of its sums, .05 g / sqrt(1 + sum (.05 g)^2), is AdaGrad at a rate of 1 whose sums begin at
(1 / .05)^2. There g is the gradient of one pair, halved as the code has it; a mean over M pairs by their weight divides
it by M / 2, so that they begin at (2 / (.05 M))^2 here: M is 256 rows of 128 tokens times 5.8, the sum of 1 / distance
of a window of 10.
Axes: B batch, L tokens, N positions, C size of the vocabulary, D width.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import LOSS

SOURCE = "Pennington, Socher and Manning, EMNLP 2014"
CITES = "pennington2014glove"
PAIRS_IN_A_BATCH = 256 * 128 * 5.8  # M
RATE = 0.05  # of the paper
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
            "lr": 1.0,
            "initial_accumulator": (2 / (RATE * PAIRS_IN_A_BATCH)) ** 2,
            "weight_decay": 0.0,
            "clip": 0.0,
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
                "recipe.lr": 0.05,
                "recipe.initial_accumulator": 0.0,
                "recipe.samples": 200_000,
            },
            "books": {  # a million words of your own: --set data.root=FOLDER; a minute of one core
                "data": "text",
                "data.tokenizer": "words",
                "data.length": 128,
                "model.width": 100,
                "objective.x_max": 10.0,
                "recipe.samples": 460_000,
            },
        },
        summary="GloVe: log co-occurrences as products of word vectors, 300 wide (Pennington 2014).",
        version=2,  # 1 summed squares of gradients without the rate
        source=SOURCE,
        cites=CITES,
    )

"""What word vectors are worth: similarity, analogies, neighbors.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HERE = "pretask_plugins.evaluators.words"
HIGHER = Metric(FRACTION, higher_is_better=True)
SHARE = Metric(FRACTION)  # of what is measured, or of what data alone reach: no merit of an encoder


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "word-similarity",
        f"{HERE}.similarity:WordSimilarity",
        modality="text",
        metrics={
            "spearman": Metric(higher_is_better=True),
            "spearman_all": Metric(higher_is_better=True),
            "coverage": SHARE,
            "pairs": Metric("pairs"),
            "oov_pairs": Metric("pairs"),
        },
        headline="spearman",
        summary="Word similarity: cosines against ratings of pairs, by Spearman (Finkelstein 2002).",
        source="Finkelstein et al. 2002",
        cites="finkelstein2002placing",
    )
    yield evaluator(
        "analogy",
        f"{HERE}.analogy:Analogy",
        modality="text",
        metrics={
            "accuracy": HIGHER,
            "accuracy_all": HIGHER,
            "coverage": SHARE,
            "questions": Metric("questions"),
            "oov_questions": Metric("questions"),
            "candidates": Metric("words"),
        },
        headline="accuracy",
        summary="Analogy: a is to b as c is to which word, by 3CosAdd (Mikolov 2013).",
        source="Mikolov, Yih and Zweig 2013; Levy and Goldberg 2014",
        cites=("mikolov2013linguistic", "levy2014linguistic"),
    )
    yield evaluator(
        "neighbors",
        f"{HERE}.neighbors:Neighbors",
        modality="text",
        metrics={
            "hubness": Metric(higher_is_better=False),
            "nearest_cosine": Metric(),
            "words": Metric("words"),
        },
        headline="hubness",
        summary="Neighbors: a table of the words nearest to some, and how many hubs there are.",
        source="Radovanovic, Nanopoulos and Ivanovic 2010",
        cites="radovanovic2010hubs",
    )

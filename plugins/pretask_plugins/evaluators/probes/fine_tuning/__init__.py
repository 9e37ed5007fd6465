"""Fine-tuning: what an encoder is worth where all of it is trained further; declared with the probes.

Axes: see the modules.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pretask import Component, Metric, evaluator
from pretask.metrics import FRACTION

MODULE = "pretask_plugins.evaluators.probes.fine_tuning"
HIGHER = Metric(FRACTION, higher_is_better=True)
CORRELATION = Metric(higher_is_better=True)
OF_DATA = Metric(FRACTION)  # what the data alone reach: no merit of an encoder
LABELS = {"train_labels": Metric("labels")}  # to learn from
MAJORITY = Metric(FRACTION, trivial_for="accuracy", title="most frequent class")
CONSTANT = Metric(FRACTION, trivial_for="f1", title="one class for all")
LEXICAL = Metric(FRACTION, trivial_for="f1", title="most frequent tag of a word")
OVERLAP = "shared words"
CLASS_METRICS = {"accuracy": HIGHER, "balanced_accuracy": HIGHER, "majority": MAJORITY, **LABELS}
TEXT_METRICS = {**CLASS_METRICS, "f1": HIGHER, "constant_f1": CONSTANT, "matthews": CORRELATION}
SMALL: Mapping[str, Any] = {"rates": (1e-2,), "epochs": (5,), "batch": 16}  # one point, which needs no choice


def declare() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "fine-tune",
        f"{MODULE}.fine_tune:FineTune",
        metrics=CLASS_METRICS,
        headline="accuracy",
        summary="Fine-tuning: the whole network trained further on labels, best of a small grid.",
        source="Devlin et al. 2019; Howard and Ruder 2018; Clark et al. 2020",
        cites=("devlin2019bert", "howard2018universal", "clark2020electra"),
        small={**SMALL, "rates": (3e-3, 1e-2), "epochs": (4,)},
    )
    yield evaluator(
        "classification",
        f"{MODULE}.classification:Classification",
        modality="text",
        metrics=TEXT_METRICS,
        headline="accuracy",
        summary="Classification: classes of texts by fine-tuning, as in BERT and GPT.",
        source="Devlin et al. 2019; Radford et al. 2018",
        cites=("devlin2019bert", "radford2018improving"),
        small=SMALL,
    )
    yield evaluator(
        "pair-classification",
        f"{MODULE}.classification:PairClassification",
        modality="text",
        metrics={**TEXT_METRICS, "overlap": Metric(FRACTION, trivial_for="accuracy", title=OVERLAP)},
        headline="accuracy",
        summary="Pair classification: classes of two texts in one row by fine-tuning.",
        source="Devlin et al. 2019; Radford et al. 2018",
        cites=("devlin2019bert", "radford2018improving"),
        small=SMALL,
    )
    yield evaluator(
        "token-classification",
        f"{MODULE}.token_classification:TokenClassification",
        modality="text",
        metrics={
            "f1": HIGHER,
            "precision": HIGHER,
            "recall": HIGHER,
            "accuracy": HIGHER,
            "majority": OF_DATA,
            "lexical": OF_DATA,
            "lexical_f1": LEXICAL,
            **LABELS,
        },
        headline="f1",
        summary="Token classification: tags of words by fine-tuning, entities scored as spans.",
        source="Devlin et al. 2019; Tjong Kim Sang and De Meulder 2003",
        cites=("devlin2019bert", "tjong2003introduction"),
        small=SMALL,
    )
    yield evaluator(
        "question-answering",
        f"{MODULE}.question_answering:QuestionAnswering",
        modality="text",
        metrics={
            "f1": HIGHER,
            "exact_match": HIGHER,
            "overlap_f1": Metric(FRACTION, trivial_for="f1", title=OVERLAP),
            **LABELS,
        },
        headline="f1",
        summary="Question answering: the span of a text that answers a question (SQuAD).",
        source="Devlin et al. 2019; Rajpurkar et al. 2016",
        cites=("devlin2019bert", "rajpurkar2016squad"),
        small=SMALL,
    )
    yield evaluator(
        "multiple-choice",
        f"{MODULE}.multiple_choice:MultipleChoice",
        modality="text",
        metrics={"accuracy": HIGHER, "chance": OF_DATA, **LABELS},
        headline="accuracy",
        summary="Multiple choice: the right one of several texts by fine-tuning (SWAG).",
        source="Devlin et al. 2019; Zellers et al. 2018",
        cites=("devlin2019bert", "zellers2018swag"),
        small=SMALL,
    )
    yield evaluator(
        "regression",
        f"{MODULE}.regression:Regression",
        modality="text",
        metrics={"spearman": CORRELATION, "pearson": CORRELATION, "overlap_spearman": Metric(), **LABELS},
        headline="spearman",
        summary="Regression: numbers of texts or pairs by fine-tuning, such as similarity.",
        source="Devlin et al. 2019; Cer et al. 2017",
        cites=("devlin2019bert", "cer2017semeval"),
        small=SMALL,
    )

"""Language models: how well they predict the test part, and what they write.

Source: Shannon 1951; Radford et al. 2019; Holtzman et al., ICLR 2020; Brown et al., NeurIPS 2020.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HERE = "pretask_plugins.evaluators.language"


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "lm",
        f"{HERE}.perplexity:LanguageModel",
        needs="objective",
        modality="text",
        metrics={
            "nats_per_token": Metric("nats", higher_is_better=False),
            "perplexity": Metric(higher_is_better=False),
            "bits_per_byte": Metric("bits", higher_is_better=False),
            "nats_above_entropy": Metric("nats", higher_is_better=False),
            "accuracy": Metric(FRACTION, higher_is_better=True),
            "tokens": Metric("tokens"),
        },
        headline="nats_per_token",
        summary="Language modeling: nats per token, perplexity and bits per byte of the test part.",
        source="Shannon 1951",
        cites="shannon1951prediction",
    )
    yield evaluator(
        "generation",
        f"{HERE}.generation:Generation",
        needs="objective",
        modality="text",
        metrics={
            "overlap": Metric(FRACTION, higher_is_better=True),
            "repetition": Metric(FRACTION, higher_is_better=False),
            "distinct-1": Metric(FRACTION),  # best where it is that of the test text
            "distinct-2": Metric(FRACTION),
        },
        headline="overlap",
        summary="Generation: continue test rows in four ways; overlap and repetition, and texts.",
        source="Holtzman et al. 2020",
        cites="holtzman2020curious",
        small={"num_prompts": 2, "prompt_length": 4, "max_new_tokens": 4},
    )
    yield evaluator(
        "few-shot",
        f"{HERE}.few_shot:FewShot",
        needs="objective",
        modality="text",
        metrics={
            "accuracy": Metric(FRACTION, higher_is_better=True),
            "normalized_accuracy": Metric(FRACTION, higher_is_better=True),
            "majority": Metric(FRACTION),
        },
        headline="0.accuracy",
        summary="Few-shot: classes of texts by the likelihood of their names after a few examples.",
        source="Brown et al. 2020",
        cites="brown2020language",
        small={"shots": (0, 1), "num_texts": 8},
    )

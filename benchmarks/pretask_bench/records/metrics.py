"""Metrics: what is known of a number by its name: its unit, its direction, and which one stands for an evaluator.

The one place for it until metrics are declared by those who yield them.
"""

SHARES = {
    *("accuracy", "balanced_accuracy", "majority", "lexical", "explained", "ranked", "low", "high"),
    *("overlap", "repetition", "distinct-1", "distinct-2"),
}
COSTS = ("nats", "perplexity", "bits", "loss", "negative", "error", "distortion", "surprise", "repetition")
HEADLINES = ("nats_per_token", "accuracy", "5.accuracy", "J&F", "auc", "overlap", "perplexity", "elbo", "rankme")
LOWER, HIGHER = "↓", "↑"  # which way a number is better


def last_word(name: str) -> str:
    """What kind of number a name ends in.

    >>> last_word("layer2.accuracy"), last_word("nucleus 0.9: repetition"), last_word("J&F")
    ('accuracy', 'repetition', 'J&F')
    """
    return name.rsplit(": ", 1)[-1].rsplit(".", 1)[-1]


def is_share(name: str) -> bool:
    """Whether a metric is a share, to be shown in per cent."""
    return last_word(name) in SHARES


def is_cost(metric: str) -> bool:
    """Whether less of a number is better.

    >>> is_cost("nats_per_token"), is_cost("layer1.accuracy"), is_cost("loss.accuracy")
    (True, False, False)
    """
    return any(word in last_word(metric) for word in COSTS)


def is_pretext_cost(part: str) -> bool:
    """Whether less of a part of a pretext loss is better: a part is named TARGET for nats, TARGET.METRIC for others.

    >>> is_pretext_cost("next"), is_pretext_cost("next.accuracy"), is_pretext_cost("context.ranked")
    (True, False, False)
    """
    return "." not in part or is_cost(part)


def direction(lower: bool) -> str:
    """The arrow that says which way a number is better."""
    return LOWER if lower else HIGHER

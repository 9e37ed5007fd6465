"""Next token: which target of a task asks for it, and what a model says of it.

Axes: B batch, P positions of x, C size of the vocabulary.
"""

import torch
from jaxtyping import Float
from pretask import Batch, Categories, Draws, Inputs, Observed, PretaskError, Samples, Target, Task
from torch import Tensor


def next_target(who: str, task: Task, samples: Samples) -> str:
    """Return the name of the target that is the token after every position.

    Raises:
        PretaskError: The task has none: it hides other tokens, or may look ahead; or the data's ids are not the task's.
    """
    check_ids(who, task, samples.observed)
    _, targets = task.split.spec(samples.observed)
    vocabulary = samples.observed.vocabulary
    for name, target in targets.items():
        same = isinstance(target, Categories) and vocabulary is not None and target.classes == vocabulary.size
        if same and target.sees == "past" and len(target.grid) == 1 and asks_next(task, samples, name):
            return name
    found = ", ".join(f"'{name}', which may see {target.sees}" for name, target in targets.items())
    raise PretaskError(
        who,
        "a target that asks every position for the next token and sees at most the past",
        found or "no target",
        "Choose the task causal-lm, or --split next-token.",
    )


def asks_next(task: Task, samples: Samples, name: str) -> bool:
    """Return whether the target of a position is what x shows at the one after it."""
    batch = samples.batch(torch.arange(min(len(samples), 8)), task.device)
    inputs, targets = task.apply_split(batch, Draws(batch.index, 0, -1))
    shown, target = inputs.data[:, 0], targets[name]
    if inputs.data.shape[1] != 1 or target.value.shape != shown.shape:
        return False
    valid = torch.ones_like(shown) if target.weight is None else target.weight
    return bool(((shown[:, 1:] == target.value[:, :-1]) | (valid[:, :-1] == 0)).all())


def check_ids(who: str, task: Task, observed: Observed) -> None:
    """Raise PretaskError unless the data's ids mean what they meant in training."""
    if observed.vocabulary is None or observed.vocabulary != task.observed.vocabulary:
        known, found = (
            known_spec.vocabulary.size if known_spec.vocabulary else 0 for known_spec in (task.observed, observed)
        )
        raise PretaskError(
            who,
            f"text in the vocabulary of {known} tokens that the model was trained on",
            f"another one, of {found}",
            "Use the tokenizer that the model was trained with (learn_from of the data).",
        )


def log_probabilities(task: Task, inputs: Inputs, name: str) -> Float[Tensor, "B P C"]:
    """Return what the objective makes of the model's features: a distribution over the next token at every position."""
    log_probability: Tensor = task.objective.predict(task.model(inputs))[name]
    return log_probability


def split_batch(task: Task, batch: Batch, seed: int, name: str) -> tuple[Inputs, Target]:
    """Divide a batch into x and y, with draws that training never has."""
    inputs, targets = task.apply_split(batch, Draws(batch.index, seed, -1))
    return inputs, targets[name]

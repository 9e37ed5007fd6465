"""Sequence: what the models of sequences share: checks, views beside samples, who may look at whom, pooled.

Axes: B batch, V views, R = B * V rows, L positions, D width.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from pretask import Features, Incompatible, Inputs, InputSpec
from torch import Tensor


def check_tokens(who: str, *specs: InputSpec) -> int:
    """Return the size of the vocabulary that covers all specs; raise Incompatible where one is no row of tokens."""
    for spec in specs:
        if spec.vocabulary is None or len(spec.shape) != 1:
            raise Incompatible(
                who,
                "tokens, (length,), of a vocabulary",
                f"{spec.modality} of shape {spec.shape}" + ("" if spec.vocabulary else " without a vocabulary"),
                f"Choose a model for {spec.modality}: pretask list model.",
            )
    return max(spec.vocabulary.size for spec in specs if spec.vocabulary is not None)


def check_vocabulary(who: str, spec: InputSpec, size: int) -> None:
    """Raise Incompatible unless the spec is tokens that a model with so many embeddings knows."""
    if check_tokens(who, spec) > size:
        raise Incompatible(
            who,
            f"a vocabulary of at most {size} tokens, for which it was built",
            f"{spec.vocabulary.size if spec.vocabulary else 0}",
            "Use the tokenizer that the model was trained with (data.learn_from).",
        )


def check_length(who: str, spec: InputSpec, context: int | None) -> None:
    """Raise Incompatible where a sequence is longer than the positions that a model has; None is any number."""
    if context is not None and spec.shape[0] > context:
        raise Incompatible(
            who,
            f"sequences of at most {context} positions (model.context)",
            f"{spec.shape[0]}",
            "Set a larger model.context, or a smaller length of the data (data.length, on.length).",
        )


def check_heads(who: str, width: int, heads: int, multiple: int = 1) -> None:
    """Raise Incompatible unless the width is shared out to the heads evenly."""
    if width % (heads * multiple):
        raise Incompatible(
            who,
            f"a model.width that {heads * multiple} divides (model.heads = {heads})",
            f"{width}",
            "Change model.width or model.heads.",
        )


def context_length(context: int | None, *specs: InputSpec) -> int:
    """Return how many positions a model must have: as set, else those of the longest input."""
    return context or max(spec.shape[0] for spec in specs)


def flatten_views(views: Tensor | None) -> Tensor | None:
    """Flatten (B, V, ...) into (R, ...)."""
    return None if views is None else views.flatten(0, 1)


def sight_mask(present: Bool[Tensor, "R L"] | None, causal: bool) -> Bool[Tensor, "R 1 L L"] | None:
    """Return who (row) may look at whom (column); None where nothing is padding, which attention does faster.

    A position sees itself even where it is padding, or its attention would be 0 / 0.

    >>> sight_mask(torch.tensor([[True, True, False]]), causal=True)[0, 0].int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    if present is None:
        return None
    itself = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
    mask = present[:, None, None, :] | itself
    return mask.tril() if causal else mask


def causal_mask(start: int, vectors: Float[Tensor, "R L D"]) -> Bool[Tensor, "1 1 L T"] | None:
    """Return who of new positions (row) may look at whom of all, after `start` earlier ones; None where all may.

    >>> causal_mask(1, torch.zeros(1, 2, 4))[0, 0].int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    length = vectors.shape[1]
    if length == 1:
        return None
    return torch.ones(1, 1, length, start + length, dtype=torch.bool, device=vectors.device).tril(start)


def mean_present(vectors: Float[Tensor, "R L D"], present: Bool[Tensor, "R L"] | None) -> Float[Tensor, "R D"]:
    """Return the mean over present positions, 0 where there is none: as a product, which needs no copy of the vectors.

    >>> mean_present(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    if present is None:
        return vectors.mean(1)
    weight = present.to(vectors.dtype)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
    return torch.bmm(weight[:, None], vectors)[:, 0]


def last_present(vectors: Float[Tensor, "R L D"], present: Bool[Tensor, "R L"] | None) -> Float[Tensor, "R D"]:
    """Return the vector of the last present position; of the first one where there is none."""
    if present is None:
        return vectors[:, -1]
    positions = torch.arange(present.shape[1], device=present.device)
    return pick_position(vectors, (positions * present).amax(1))


def first_present(vectors: Float[Tensor, "R L D"], present: Bool[Tensor, "R L"] | None) -> Float[Tensor, "R D"]:
    """Return the vector of the first present position."""
    return vectors[:, 0] if present is None else pick_position(vectors, present.int().argmax(1))


def pick_position(vectors: Float[Tensor, "R L D"], positions: Int[Tensor, " R"]) -> Float[Tensor, "R D"]:
    """Return one vector of every row."""
    return vectors.gather(1, positions[:, None, None].expand(-1, 1, vectors.shape[2]))[:, 0]


def as_features(
    streams: Mapping[str, Tensor], pooled: Mapping[str, Tensor], inputs: Inputs, own_pooled: bool = False
) -> Features:
    """Return streams (R, L, D) and pooled vectors (R, D) as features of views.

    Args:
        streams: By sight.
        pooled: By sight. The mean over present positions, or the last one, end token included where there is one: this
            is what an objective's heads for whole samples read. Probes pool content instead (pretask.pooling).
        inputs: Of which they are features.
        own_pooled: Whether it is another vector than these.
    """
    views = inputs.data.shape[1]
    length = next(iter(streams.values())).shape[1]
    return Features(
        {sight: vectors.reshape(-1, views, *vectors.shape[1:]) for sight, vectors in streams.items()},
        {sight: vector.reshape(-1, views, *vector.shape[1:]) for sight, vector in pooled.items()},
        (length,),
        inputs.present,
        own_pooled=own_pooled,
    )


def with_layers(layers: list[Features], wanted: bool) -> Features:
    """Return the last layer, with all of them inside where they are wanted."""
    return replace(layers[-1], layers=tuple(layers)) if wanted else layers[-1]

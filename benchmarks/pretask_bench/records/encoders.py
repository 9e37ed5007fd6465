"""Encoders: the names of those that are measured, as records and suites hold them, and as tables call them.

What `random-init`, `raw-input` and `supervised` are is in runs/reference_encoders.py, which builds them.
"""

from collections.abc import Collection
from typing import Final, Literal, get_args

ReferenceEncoder = Literal["random-init", "raw-input", "supervised"]
Encoder = Literal["trained", "random-init", "raw-input", "supervised"]

TRAINED: Final = "trained"
RANDOM: Final = "random-init"
RAW: Final = "raw-input"
SUPERVISED: Final = "supervised"
REFERENCE_ENCODERS: tuple[ReferenceEncoder, ...] = get_args(ReferenceEncoder)
ENCODERS: tuple[str, ...] = get_args(Encoder)


def shown_encoders(baselines: Collection[str]) -> tuple[str, ...]:
    """Return the trained encoder and those of these references, in the order of their columns.

    >>> shown_encoders(["raw-input", "random-init"])
    ('trained', 'random-init', 'raw-input')
    """
    return tuple(encoder for encoder in ENCODERS if encoder == TRAINED or encoder in baselines)


def column_label(encoder: str) -> str:
    """Return the heading of an encoder's column.

    >>> column_label(RANDOM)
    'random init'
    """
    return encoder.replace("-", " ")

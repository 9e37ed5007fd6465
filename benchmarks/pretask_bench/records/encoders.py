"""Encoders: the names of those that are measured, as records and suites hold them, and as tables call them.

What `random-init`, `raw-input` and `supervised` are is in runs/reference_encoders.py, which builds them. `initial` has
the weights that the trained one began with, where these were given; `given-HASH` is another encoder, which a record's
`given` describes (runs/given_encoders.py).
"""

from collections.abc import Collection
from typing import Annotated, Final, Literal, get_args

from pydantic import StringConstraints

ReferenceEncoder = Literal["random-init", "raw-input", "supervised"]
OwnEncoder = Literal["trained", "random-init", "raw-input", "supervised", "initial"]
Given = Annotated[str, StringConstraints(pattern="^given-[0-9a-f]{12}$")]
Encoder = OwnEncoder | Given

TRAINED: Final = "trained"
RANDOM: Final = "random-init"
RAW: Final = "raw-input"
SUPERVISED: Final = "supervised"
INITIAL: Final = "initial"
REFERENCE_ENCODERS: tuple[ReferenceEncoder, ...] = get_args(ReferenceEncoder)
ENCODERS: tuple[str, ...] = get_args(OwnEncoder)
GIVEN: Final = "given-"


def name_given(weights: str) -> str:
    """Return the name of a given encoder in the rows of a record.

    >>> name_given("3f2a" * 16)
    'given-3f2a3f2a3f2a'
    """
    return f"{GIVEN}{weights[:12]}"


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
    return "initial weights" if encoder == INITIAL else encoder.replace("-", " ")

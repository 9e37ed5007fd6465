"""A kind of target that core does not know: what a teacher is shown, and whose answer is the answer."""

from dataclasses import dataclass
from typing import ClassVar

from pretask import InputSpec, TargetSpec


@dataclass(frozen=True)
class Shown(TargetSpec):
    """Inputs for a teacher; the target's value is their data.

    Args:
        inputs: What they are.
    """

    kind: ClassVar[str] = "shown"

    inputs: InputSpec

"""Specs: what the parts of a task say about themselves before any tensor exists.

Frozen, hashable, without torch. Specs are exchanged when a task is composed, values (values.py) when it runs.
Axes: B batch, C channels, H W image, T frames, L tokens, S samples of a waveform, V views, N positions, D width.
"""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from math import prod
from typing import ClassVar, Literal

Sight = Literal["present", "past", "future", "all"]

# What a stream of features may have seen, for a target that may use at most the key; widest first.
SEES_AT_MOST: Mapping[Sight, tuple[Sight, ...]] = {
    "present": ("present",),
    "past": ("past", "present"),
    "future": ("future", "present"),
    "all": ("all", "past", "future", "present"),
}


@dataclass(frozen=True)
class Vocabulary:
    """The token ids 0 … size - 1, and which of them are special.

    Args:
        size: Number of ids.
        special: Pairs of a role (`pad`, `mask`, `start`, `end`, `separator`, `class`, `unknown`) and its id.
        tokens: How every id is spelled, where the data know. No field: two vocabularies are equal without, and neither
            records nor run folders hold it, which have the tokenizer beside them.

    >>> Vocabulary(2, tokens=("the", "cat")).spelling, Vocabulary(2).spelling
    (('the', 'cat'), ())
    """

    size: int
    special: tuple[tuple[str, int], ...] = ()
    tokens: InitVar[tuple[str, ...]] = ()

    def __post_init__(self, tokens: tuple[str, ...]) -> None:
        object.__setattr__(self, "tokens", tokens)  # where `dataclasses.replace` finds it

    @property
    def spelling(self) -> tuple[str, ...]:
        """How every id is spelled; empty where nobody knows."""
        known: tuple[str, ...] = vars(self)["tokens"]
        return known

    def id(self, role: str) -> int | None:
        """Return the id of a special role, or None where the vocabulary has none."""
        return dict(self.special).get(role)


@dataclass(frozen=True)
class Observed:
    """What a data set yields: the `t` of `(x, y) = split(t)`.

    Args:
        modality: `image`, `video`, `text`, `audio`, or a plugin's own.
        shape: Of one sample: (C, H, W), (T, C, H, W), (L,) or (S,).
        dtype: `uint8` for images and clips, `int64` for tokens, `float32` for waveforms.
        samples: How many there are.
        vocabulary: The token ids, where t is tokens.
        rate: Hz of a waveform, frames per second of a clip; None where it has no meaning.
    """

    modality: str
    shape: tuple[int, ...]
    dtype: str = "uint8"
    samples: int = 0
    vocabulary: Vocabulary | None = None
    rate: int | float | None = None


@dataclass(frozen=True)
class InputSpec:
    """What a model is shown: the `x`.

    Args:
        modality: Of one view.
        shape: Of one view, without batch and view axes.
        views: How many views of a sample are shown at once.
        ordered: Whether the views are a sequence in time.
        vocabulary: The token ids, where a view is tokens.
        shown: Number of visible patches of one view (of a sequence: positions) where it is constant and smaller than
            all, else None.
        patch: Rows and columns of the patches that are hidden or visible as a whole, pixels; None where x hides nothing
            or not by patches.
        groups: Pairs of a name and the spec of further views of another shape.
    """

    modality: str
    shape: tuple[int, ...]
    views: int = 1
    ordered: bool = False
    vocabulary: Vocabulary | None = None
    shown: int | None = None
    patch: tuple[int, int] | None = None
    groups: tuple[tuple[str, "InputSpec"], ...] = ()


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What the model predicts: one entry of `y`. Subclass it (frozen, with its own `kind`) to add a kind of target.

    Args:
        grid: The target's positions: () one per sample, (L,) per token, (h, w) per place.
        views: None for one answer per sample, V for one per view.
        sees: The most that an answer may have seen, along the ordered axis.
        hidden: False says that x still shows the answer, so that only an objective with a bottleneck may take it.
        scored: Positions of a sample, or of a view of it, that have weight, at most; None where all may have. An
            objective need not predict the others.
    """

    kind: ClassVar[str] = ""

    grid: tuple[int, ...] = ()
    views: int | None = None
    sees: Sight = "all"
    hidden: bool = True
    scored: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Categories(TargetSpec):
    """One of a number of classes, or a distribution over them (Target.probability)."""

    kind: ClassVar[str] = "categories"

    classes: int


@dataclass(frozen=True)
class Values(TargetSpec):
    """Real numbers, `channels` of them per position."""

    kind: ClassVar[str] = "values"

    channels: int


@dataclass(frozen=True)
class Reference(TargetSpec):
    """A label to be copied from where it is given: positions of weight 0 show theirs and may be pointed at."""

    kind: ClassVar[str] = "reference"

    classes: int


@dataclass(frozen=True)
class Agreement(TargetSpec):
    """An identity per view or sample; what has equal identity belongs together."""

    kind: ClassVar[str] = "agreement"


@dataclass(frozen=True, kw_only=True)
class Representation(TargetSpec):
    """What an encoder makes of other views of the sample: the answer of a teacher, or of the model itself.

    Args:
        inputs: The views, which x does not show whole.
    """

    kind: ClassVar[str] = "representation"

    inputs: InputSpec


TargetSpecs = Mapping[str, TargetSpec]


@dataclass(frozen=True)
class FeatureSpec:
    """What a model makes of its inputs.

    Args:
        width: D, the size of one feature vector.
        grid: The positions of one view: (h, w), (L,), or () where only a pooled vector exists.
        views: V as the features have them (a video model turns T views into 1).
        streams: The sights on offer; see `Sight`.
        groups: Pairs of a name and the spec of the features of further views of another shape.
        skips_hidden: Whether positions that x hides are not encoded: `Features.visible` says which.
    """

    width: int
    grid: tuple[int, ...] = ()
    views: int = 1
    streams: tuple[Sight, ...] = ("all",)
    groups: tuple[tuple[str, "FeatureSpec"], ...] = ()
    skips_hidden: bool = False

    @property
    def positions(self) -> int:
        """N, the number of positions of one view."""
        return prod(self.grid)

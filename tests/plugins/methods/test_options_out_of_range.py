"""Promises of all methods alike: an option that makes no sense is refused by its name before any data is read."""

from collections.abc import Mapping
from typing import Any

import pytest
from pretask import PretaskError
from pretask_plugins.methods.arrow_of_time.sound import ReverseSound
from pretask_plugins.methods.arrow_of_time.split import ReverseClip
from pretask_plugins.methods.colorization.split import DropColor
from pretask_plugins.methods.colorization_tracking.split import ColorizeFrames
from pretask_plugins.methods.exemplar.split import TransformPair, TransformSeed
from pretask_plugins.methods.masked_speech.split import MaskFrames, MaskSpectrogram
from pretask_plugins.methods.relative_position.split import CutPair
from pretask_plugins.methods.sequence_verification.split import ShuffleFrames

WRONG: Mapping[type[Any], Mapping[str, float]] = {
    CutPair: {"patch": 0, "gap": -1, "jitter": -1},
    TransformSeed: {"patch": 1},
    TransformPair: {"patch": 0},
    ShuffleFrames: {"nearest": 0, "farthest": 1, "positive_ratio": 1.5, "candidates": 0},
    ReverseClip: {"frames": 1, "stack": 0, "step": 0},
    ReverseSound: {"rate": 0, "hop": 0.0, "window": float("nan")},
    MaskFrames: {"mask_ratio": 0.0, "span": 0, "mels": 0, "window": 0.0, "hop": -1.0, "rate": -8000},
    MaskSpectrogram: {"mask_ratio": 2.0},
    DropColor: {"k": 314, "stride": 0, "uniform": -0.5},
    ColorizeFrames: {"references": 0, "step": 0, "classes": 1, "cell": 0, "eval_frames": -1},
}


@pytest.mark.parametrize(
    ("split", "option", "number"),
    [(split, option, number) for split, options in WRONG.items() for option, number in options.items()],
)
def test_a_number_out_of_range_is_refused_by_its_name(split: type[Any], option: str, number: float) -> None:
    with pytest.raises(
        PretaskError,
        match=rf"needs split\.{option} (from .* to .*|of .* or more|above 0.*); got {number}\. Set split\.{option} ",
    ) as raised:
        split(**{option: number})
    assert raised.value.exit_code == 2

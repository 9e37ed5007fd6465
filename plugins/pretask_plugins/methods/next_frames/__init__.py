"""Autoregressive predictive coding: predict log-mel frames of a recording from those some steps before them.

Source: Chung, Hsu, Tang and Glass, Interspeech 2019, section 2; the frames are those of shared/speech/spectrogram.py.
Differs: bands are standardized by the training part, not by the speaker; the network may be any causal one, where the
paper has recurrent ones with residual connections.
Axes: B batch, S samples of a waveform, T frames, M mel bands.
"""

from collections.abc import Iterator

import pretask


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the split."""
    yield pretask.split(
        "next-frames",
        "pretask_plugins.methods.next_frames.split:NextFrames",
        modality="audio",
        targets={"values"},
        sees="past",
        summary="Autoregressive predictive coding: predict later log-mel frames (Chung 2019).",
        source="Chung, Hsu, Tang and Glass, Interspeech 2019",
        cites="chung2019unsupervised",
        small={"mels": 8, "window": 0.032, "hop": 0.016, "rate": 8000},
    )

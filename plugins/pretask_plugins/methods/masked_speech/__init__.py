"""Masked acoustic modeling: predict masked spans of the log-mel spectrogram of a recording.

Read shared/speech/spectrogram.py (frames), shared/speech/spans.py (what is masked) and split.py (the three fates of a
span) in this order.

Source: Liu, Yang, Chi, Hsu and Lee, ICASSP 2020 (Mockingjay); Liu, Li and Lee 2021 (TERA); BERT carried over to speech.
Differs: the last frame can be masked, which an off-by-one in the released code prevents; the 10 % of recordings whose
masked frames are replaced take them from other places of themselves, since a split never looks along the batch; no
delta features, no stacking of frames. Means and standard deviations of the whole recording are removed before masking,
as in the released code: that leaks the hidden frames' mean, and is accepted. The network has rotary positions and
normalizes before each part, where Mockingjay has sinusoidal positions and normalizes after it; its head has one hidden
layer. Bands that split.bands hides, as TERA does, are scored in frames of spans alone, since a frame has one weight; of
a spectrogram as an image every pixel of them is.
Axes: B batch, S samples of a waveform, T frames, M mel bands.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Liu, Yang, Chi, Hsu and Lee, ICASSP 2020"
CITES = "liu2020mockingjay"
# The leak of the header is the paper's: a hidden frame moves the mean of all others.
LEAK = "means and standard deviations of the whole recording are removed before masking, as in the released code"
EXPECTED_FAILURES = {
    "split masked-speech": {"hidden-stays-hidden": LEAK, "what-is-erased-holds-nothing": LEAK},
    "split masked-spectrogram": {"hidden-stays-hidden": LEAK},
}
TINY = {"mels": 8, "window": 0.032, "hop": 0.016, "span": 3, "rate": 8000}
SMALL = {  # learns in two minutes on two cores; telephone quality, 8 kHz
    "data": "tones",
    "split.rate": 8000,
    "split.mels": 40,
    "model.width": 64,
    "model.depth": 2,
    "model.heads": 4,
    "model.dropout": 0.0,
    "objective.hidden": (64,),
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.05,
    "recipe.schedule": "cosine",
    "recipe.batch": 16,  # more steps of the same samples; 64 takes less time and learns less of them
    "recipe.samples": 20_000,
}
# Recordings of your own at 8 kHz: --set data.root=FOLDER. Two minutes of one core; below interpolation after a third.
DIGITS = {**SMALL, "data": "audio-folder", "data.sample_rate": 8000, "recipe.samples": 48_000}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the splits and the task."""
    yield pretask.split(
        "masked-speech",
        "pretask_plugins.methods.masked_speech.split:MaskFrames",
        modality="audio",
        targets={"values"},
        summary="Masked acoustic modeling: predict masked spans of log-mel frames (Liu 2020).",
        source=SOURCE,
        cites=CITES,
        small=TINY,
    )
    yield pretask.split(
        "masked-spectrogram",
        "pretask_plugins.methods.masked_speech.split:MaskSpectrogram",
        modality="audio",
        gives="image",
        targets={"values"},
        summary="Masked acoustic modeling on a spectrogram as an image, for image models.",
        source=SOURCE,
        cites=CITES,
        small={**TINY, "mels": 32},
    )
    yield pretask.task(
        "masked-speech",
        split="masked-speech",
        objective="regression",
        model="transformer",
        options={
            "objective.error": "absolute",
            "objective.hidden": (768,),
            "model.width": 768,
            "model.depth": 3,
            "model.heads": 12,
        },
        recipe={
            "optimizer": "adamw",
            "lr": 2e-4,
            "weight_decay": 0.01,
            "batch": 32,
            "samples": 32_000_000,
            "warmup": 0.07,
            "schedule": "linear",
        },
        presets={
            "small": SMALL,
            "digits": DIGITS,
        },
        summary="Mockingjay (Liu 2020): 15 % of frames in spans of seven, absolute error.",
        source=SOURCE,
        cites=CITES,
    )

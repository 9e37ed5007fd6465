"""Masked acoustic modeling: predict masked spans of the log-mel spectrogram of a recording.

Read spectrogram.py (frames), spans.py (what is masked), split.py (the three fates of a span) in this order; units.py
predicts clusters of the frames instead, as HuBERT does, and future.py frames that are yet to come, as APC does.

Source: Liu, Yang, Chi, Hsu and Lee, ICASSP 2020 (Mockingjay); Liu, Li and Lee 2021 (TERA); BERT carried over to speech;
Hsu, Bolte, Tsai, Lakhotia, Salakhutdinov and Mohamed 2021 (HuBERT); Chung, Hsu, Tang and Glass 2019 (APC).
Differs: the last frame can be masked, which an off-by-one in the released code prevents; the 10 % of recordings whose
masked frames are replaced take them from other places of themselves, since a split never looks along the batch; no
delta features, no stacking of frames. Means and standard deviations of the whole recording are removed before masking,
as in the released code: that leaks the hidden frames' mean, and is accepted. The network has rotary positions and
normalizes before each part, where Mockingjay has sinusoidal positions and normalizes after it; its head has one hidden
layer. Units are clusters of log-mel frames of 10 ms, where HuBERT's are of MFCC with their derivatives, and what is
masked are these frames, where HuBERT masks what a convolutional network has read from samples in 20 ms; masked frames
are zeros, no learned vector; units are predicted by a linear map, not by cosines with learned codes. APC's bands are
standardized by the training part, not by the speaker; its network may be any causal one.
Axes: B batch, S samples of a waveform, T frames, M mel bands, K units.
"""

from collections.abc import Iterator

import pretask

SOURCE = "Liu, Yang, Chi, Hsu and Lee, ICASSP 2020"
CITES = "liu2020mockingjay"
HUBERT = "Hsu, Bolte, Tsai, Lakhotia, Salakhutdinov and Mohamed, IEEE/ACM TASLP 2021"
# The leak of the header is the paper's: a hidden frame moves the mean of all others.
LEAK = "means and standard deviations of the whole recording are removed before masking, as in the released code"
EXPECTED_FAILURES = {
    "split masked-speech": {"hidden-stays-hidden": LEAK, "what-is-erased-holds-nothing": LEAK},
    "split masked-spectrogram": {"hidden-stays-hidden": LEAK},
    "split masked-units": {"hidden-stays-hidden": LEAK},
}
TINY = {"mels": 8, "window": 0.032, "hop": 0.016, "span": 3, "rate": 8000}


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
    yield pretask.split(
        "masked-units",
        "pretask_plugins.methods.masked_speech.units:MaskUnits",
        modality="audio",
        targets={"categories"},
        summary="HuBERT: predict the units, clusters, of masked frames (Hsu 2021).",
        source=HUBERT,
        cites="hsu2021hubert",
        small={**TINY, "units": 8},
    )
    yield pretask.split(
        "next-frames",
        "pretask_plugins.methods.masked_speech.future:NextFrames",
        modality="audio",
        targets={"values"},
        sees="past",
        summary="Autoregressive predictive coding: predict later log-mel frames (Chung 2019).",
        source="Chung, Hsu, Tang and Glass, Interspeech 2019",
        cites="chung2019unsupervised",
        small={name: value for name, value in TINY.items() if name != "span"},
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
            "small": {  # learns in two minutes on two cores; telephone quality, 8 kHz
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
            },
        },
        summary="Mockingjay (Liu 2020): 15 % of frames in spans of seven, absolute error.",
        source=SOURCE,
        cites=CITES,
    )
    yield pretask.task(
        "masked-units",
        split="masked-units",
        objective="cross-entropy",
        model="transformer",
        options={"model.width": 768, "model.depth": 12, "model.heads": 12},
        recipe={
            "optimizer": "adam",
            "lr": 5e-4,
            "betas": (0.9, 0.98),
            "batch": 256,
            "samples": 64_000_000,
            "warmup": 0.08,
            "schedule": "linear",
        },
        presets={
            "small": {  # learns in two minutes on two cores; telephone quality, 8 kHz
                "data": "tones",
                "split.rate": 8000,
                "split.mels": 40,
                "split.units": 50,
                "model.width": 64,
                "model.depth": 2,
                "model.heads": 4,
                "model.dropout": 0.0,
                "recipe.optimizer": "adamw",
                "recipe.lr": 2e-3,
                "recipe.weight_decay": 0.05,
                "recipe.schedule": "cosine",
                "recipe.batch": 16,
                "recipe.samples": 20_000,
            },
        },
        summary="HuBERT's first round (Hsu 2021): 100 clusters of frames, spans of ten.",
        source=HUBERT,
        cites="hsu2021hubert",
    )

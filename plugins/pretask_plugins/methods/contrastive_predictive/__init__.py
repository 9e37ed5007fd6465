"""Contrastive predictive coding: pick the latent vectors of later frames out of others, by what was heard so far.

A frame x_t has a latent vector z_t of its own, and a recurrent network makes c_t of z_1 … z_t. A map for each number of
steps k predicts z_{t+k} from c_t; its product with the true one must be the largest of those with other latents:
f_k = exp(z_{t+k}' W_k c_t), the loss -log f_k / sum f_k over the true one and the others (equation 4).

Source: van den Oord, Li and Vinyals 2018, sections 2 and 3.1; the negatives of the released code of Riviere, Joulin,
Mazare and Dupoux 2020.
Differs: whole recordings are heard, where the paper cuts 1.28 seconds out; vectors have 256 numbers, where its latents
have 512; frames are those of a log-mel spectrogram, and z_t a perceptron of one, where the paper convolves the waveform
five times; the recurrent network is an LSTM, where the paper has a GRU (the model frame-lstm). Negatives of a recording
are drawn once for all its frames and steps, from all frames of the batch.
Axes: B batch, S samples of a waveform, T frames, M mel bands, D width, K steps, N negatives.
"""

from collections.abc import Iterator

import pretask
from pretask.metrics import FRACTION, LOSS

SOURCE = "van den Oord, Li and Vinyals 2018"
CITES = ("oord2018representation", "riviere2020unsupervised")
HERE = "pretask_plugins.methods.contrastive_predictive"
SMALL = {  # learns in two minutes on two cores; telephone quality, 8 kHz
    "data": "tones",
    "split.rate": 8000,
    "split.mels": 40,
    "model.width": 64,
    "recipe.optimizer": "adamw",
    "recipe.lr": 2e-3,
    "recipe.weight_decay": 0.05,
    "recipe.schedule": "cosine",
    "recipe.batch": 16,
    "recipe.samples": 20_000,
}
# Recordings of your own at 8 kHz: --set data.root=FOLDER. Two minutes of one core.
DIGITS = {**SMALL, "data": "audio-folder", "data.sample_rate": 8000, "recipe.samples": 32_000}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare split, objective and task."""
    yield pretask.split(
        "future-latents",
        f"{HERE}.split:FutureLatents",
        modality="audio",
        targets={"latents"},
        sees="past",
        summary="Contrastive predictive coding: know later frames by their latents (Oord 2018).",
        source=SOURCE,
        cites=CITES,
        small={"mels": 8, "window": 0.032, "hop": 0.016, "rate": 8000},
    )
    yield pretask.objective(
        "future-contrast",
        f"{HERE}.objective:FutureContrast",
        targets={"latents"},
        streams={"present", "past"},
        depends_on_batch=True,
        metrics={
            LOSS: pretask.Metric("nats", higher_is_better=False),
            "accuracy": pretask.Metric(FRACTION, higher_is_better=True),
            "mutual_information": pretask.Metric("nats", higher_is_better=True),
        },
        summary="InfoNCE over time: tell the latents of later frames from others (Oord 2018).",
        source=SOURCE,
        cites=CITES,
        small={"steps": 3, "negatives": 8},
    )
    yield pretask.task(
        "contrastive-predictive-coding",
        split="future-latents",
        objective="future-contrast",
        model="frame-lstm",
        recipe={"optimizer": "adam", "lr": 2e-4, "batch": 64, "samples": 19_200_000, "schedule": "constant"},
        presets={"small": SMALL, "digits": DIGITS},
        summary="CPC (Oord 2018): know twelve later frames among 128 others, by what was heard.",
        source=SOURCE,
        cites=CITES,
    )

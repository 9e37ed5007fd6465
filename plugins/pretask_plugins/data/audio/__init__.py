"""Data of waveforms.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, data, hookimpl


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the data."""
    yield data(
        "tones",
        "pretask_plugins.data.audio.tones:Tones",
        modality="audio",
        summary="Seeded words of gliding tones over noise, labeled by word and by voice.",
        small={"size": 32, "test_size": 16, "seconds": 0.5},
    )
    yield data(
        "audio-folder",
        "pretask_plugins.data.audio.audio_folder:AudioFolder",
        modality="audio",
        summary="WAV, FLAC or OGG files labeled by folders or names; also from a tar file.",
    )
    yield data(
        "hf-audio",
        "pretask_plugins.data.audio.hf_audio:HfAudio",
        modality="audio",
        summary="Recordings of data sets of the datasets library, by name or from a folder.",
        source="each data set's own; Lhoest et al. 2021 for the library",
        cites="lhoest2021datasets",
    )
    yield data(
        "torchaudio",
        "pretask_plugins.data.audio.corpora:SpeechCorpus",
        modality="audio",
        summary="Speech Commands and LibriSpeech as torchaudio unpacks them, from disk.",
        source="Warden 2018; Panayotov et al. 2015",
        cites=("warden2018speech", "panayotov2015librispeech"),
    )

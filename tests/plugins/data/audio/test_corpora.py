"""Promises of the data `torchaudio`: the layouts of Speech Commands and LibriSpeech on disk. A pitch is a speaker."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from pretask import PretaskError, Samples
from pretask_plugins.data.audio.corpora import SpeechCorpus

RATE = 8000
HERTZ = {"0a1b": 400, "2c3d": 800, "4e5f": 1600, "84": 400, "174": 800, "1272": 1600}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write(path: Path, speaker: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * HERTZ[speaker] * np.arange(RATE // 4) / RATE), RATE)


def pitches(samples: Samples) -> list[int]:
    spectrum = torch.fft.rfft(samples.data[:, : RATE // 4]).abs()
    return [int(round(place * 4, -2)) for place in spectrum.argmax(1).tolist()]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    home = tmp_path / "SpeechCommands" / "speech_commands_v0.02"
    for word in ("no", "yes"):
        for speaker in ("0a1b", "2c3d", "4e5f"):
            write(home / word / f"{speaker}_nohash_0.wav", speaker)
    write(home / "_background_noise_" / "0a1b_nohash_0.wav", "0a1b")
    (home / "validation_list.txt").write_text("no/2c3d_nohash_0.wav\n")
    (home / "testing_list.txt").write_text("no/4e5f_nohash_0.wav\nyes/4e5f_nohash_0.wav\n")
    return tmp_path


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    for subset, speaker in (("train-clean-100", "84"), ("train-clean-100", "174"), ("test-clean", "1272")):
        for number in range(12):
            write(tmp_path / "LibriSpeech" / subset / speaker / "121" / f"{speaker}-121-{number:04d}.flac", speaker)
        (tmp_path / "LibriSpeech" / subset / speaker / "121" / f"{speaker}-121.trans.txt").write_text("WORDS")
    return tmp_path


def test_words_and_speakers_are_read_off_the_names_and_the_lists_divide(commands: Path) -> None:
    data = SpeechCorpus(commands, sample_rate=RATE, seconds=0.5)
    train, test = data("train"), data("test")
    assert [train.labels["class"].names[number] for number in train.labels["class"].value] == ["no", "yes", "yes"]
    assert train.labels["speaker"].names == test.labels["speaker"].names == ("0a1b", "2c3d", "4e5f")
    for samples in (train, test):
        speakers = [samples.labels["speaker"].names[number] for number in samples.labels["speaker"].value]
        assert pitches(samples) == [HERTZ[speaker] for speaker in speakers]
    assert pitches(test) == [1600, 1600]
    assert train.present is not None
    assert train.present.sum(1).tolist() == [RATE // 4] * 3


def test_readings_have_speakers_who_are_apart_by_subset_and_in_both_parts_by_utterance(readings: Path) -> None:
    apart = SpeechCorpus(readings, "LIBRISPEECH", sample_rate=RATE, seconds=0.5)
    assert sorted(set(pitches(apart("train")))) == [400, 800]
    assert set(pitches(apart("test"))) == {1600}
    assert apart("test").labels["class"].names == ("1272", "174", "84")
    mixed = SpeechCorpus(readings, "LIBRISPEECH", "utterances", sample_rate=RATE, seconds=0.5)
    train, test = mixed("train"), mixed("test")
    assert (len(train) + len(test), set(pitches(train))) == (36, {400, 800, 1600})
    names = train.labels["class"].names
    assert pitches(train) == [HERTZ[names[number]] for number in train.labels["class"].value]


def test_what_is_not_there_is_told(commands: Path, readings: Path) -> None:
    with pytest.raises(PretaskError, match=r"testing_list\.txt beside the words"):
        SpeechCorpus(readings / "LibriSpeech")("train")
    with pytest.raises(PretaskError, match=r"recordings of LIBRISPEECH for the part train .* got 0 recordings"):
        SpeechCorpus(commands / "SpeechCommands", "LIBRISPEECH")("train")

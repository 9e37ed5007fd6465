"""Promises of the audio data: files read as they sound, labels as they are named, words that can be told apart."""

import io
import math
import resource
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from pretask import PretaskError
from pretask.cache import fingerprint
from pretask.preparation.resampling import ROLLOFF, ZEROS, filter_in_chunks, resample_wave
from pretask.unread_rows import UnreadRows
from pretask_plugins.data.audio import recordings, waves
from pretask_plugins.data.audio.audio_folder import AudioFolder
from pretask_plugins.data.audio.recordings import check_whole, read_wave
from pretask_plugins.data.audio.tones import WORDS, Tones


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def tone(hertz: float, rate: int, seconds: float) -> torch.Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(int(rate * seconds)) / rate)


def write(path: Path, hertz: float, rate: int = 8000, seconds: float = 0.4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(hertz, rate, seconds).numpy(), rate)


def digits(root: Path) -> Path:
    for digit in range(3):
        for number in range(6):
            write(root / f"{digit}_ann_{number}.wav", 300 + 400 * digit)
    return root


def test_names_give_labels_and_parts(tmp_path: Path) -> None:
    data = AudioFolder(
        digits(tmp_path / "d"), sample_rate=8000, seconds=0.5, label_pattern=r"^(\d)_", test_pattern=r"_[01]\.wav$"
    )
    train, test = data("train"), data("test")
    assert (len(train), len(test)) == (12, 6)
    assert train.labels["class"].names == ("0", "1", "2")
    assert test.labels["class"].value.tolist() == [0, 0, 1, 1, 2, 2]


def test_files_are_read_as_they_sound_and_padding_is_told(tmp_path: Path) -> None:
    data = AudioFolder(
        digits(tmp_path / "d"), sample_rate=8000, seconds=0.5, label_pattern=r"^(\d)_", test_pattern=r"_[01]\.wav$"
    )
    train = data("train")
    assert torch.allclose(train.data[0, :3200], tone(300, 8000, 0.4), atol=1e-3)
    assert train.present is not None
    assert train.present.sum(1).tolist() == [3200] * 12
    assert float(train.data[:, 3200:].abs().sum()) == 0


def test_a_second_start_neither_reads_the_waveforms_nor_holds_where_they_are_padding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = AudioFolder(digits(tmp_path / "d"), sample_rate=8000, seconds=0.5, label_pattern=r"^(\d)_")
    first = data("train")
    assert first.fingerprint == fingerprint(
        first.data.numpy(), first.labels["class"].value.numpy(), names=("0", "1", "2")
    )
    monkeypatch.setattr(waves, "write_waves", None)
    hashed: list[int] = []
    monkeypatch.setattr(
        waves, "fingerprint", lambda *arrays, names: hashed.append(len(arrays)) or fingerprint(*arrays, names=names)
    )
    again = data("train")
    assert hashed == [1]  # the classes alone
    assert again.fingerprint == first.fingerprint
    assert isinstance(again.present, UnreadRows)
    batch = again.batch(torch.tensor([2, 0]), torch.device("cpu"))
    assert batch.present is not None
    assert batch.present.sum(1).tolist() == [3200, 3200]


def test_another_rate_is_resampled_to_the_same_pitch(tmp_path: Path) -> None:
    for name in "abcdefghij":
        write(tmp_path / "d" / "tone" / f"{name}.flac", 440, rate=22050)
    wave = AudioFolder(tmp_path / "d", sample_rate=8000, seconds=0.4)("train").data[0]
    peak = torch.fft.rfft(wave).abs().argmax() * 8000 / len(wave)
    assert float(peak) == pytest.approx(440, abs=5)


def test_class_folders_and_tar_files_hold_the_same_recordings(tmp_path: Path) -> None:
    for name in ("yes", "no"):
        for number in range(8):
            write(tmp_path / "d" / name / f"{name}{number}.wav", 300 + 37 * number)
    with tarfile.open(tmp_path / "d.tar", "w") as archive:
        archive.add(tmp_path / "d", arcname="")
    folder, packed = (AudioFolder(tmp_path / name, sample_rate=8000, seconds=0.4)("train") for name in ("d", "d.tar"))
    assert folder.fingerprint == packed.fingerprint
    assert folder.labels["class"].names == ("no", "yes")


def test_unreadable_and_missing_files_are_named(tmp_path: Path) -> None:
    root = digits(tmp_path / "d")
    (root / "0_bad_3.wav").write_bytes(b"no sound")
    with pytest.raises(PretaskError, match=r"0_bad_3\.wav"):
        AudioFolder(root, sample_rate=8000, label_pattern=r"^(\d)_", test_pattern=r"_[01]\.wav$")("train")
    with pytest.raises(PretaskError, match=r"data\.root"):
        AudioFolder(tmp_path / "nowhere")("train")
    with pytest.raises(PretaskError, match=r"data\.label"):
        AudioFolder(root, label_pattern=r"^x(\d)", test_pattern=r"_[01]\.wav$")("test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PretaskError, match="none"):
        AudioFolder(tmp_path / "empty")("train")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([], "no samples"),
        ([0.1, float("nan"), 0.2], "1 samples that are not"),
        ([float("inf")] * 2, "2 samples that are"),
    ],
    ids=["empty", "nan", "infinite"],
)
def test_recordings_without_samples_or_with_none_that_are_numbers_leave_nothing(
    samples: list[float], reason: str, tmp_path: Path
) -> None:
    root = digits(tmp_path / "d")
    bad = root / "0_bad_3.wav"
    soundfile.write(bad, torch.tensor(samples).numpy(), 8000, subtype="FLOAT")
    data = AudioFolder(root, sample_rate=8000, label_pattern=r"^(\d)_", test_pattern=r"_[01]\.wav$")
    for _ in range(2):  # the second time as well: no half of it was kept
        with pytest.raises(PretaskError, match=rf"1 of 13 that are none: 0_bad_3\.wav \({reason}"):
            data("train")
    bad.unlink()
    assert len(data("train")) == 12


def test_every_sample_format_is_read_and_channels_become_their_mean(tmp_path: Path) -> None:
    wave = tone(440, 8000, 0.4)
    (tmp_path / "d").mkdir()
    for name, subtype in (("a", "PCM_U8"), ("b", "PCM_24"), ("c", "DOUBLE")):
        soundfile.write(tmp_path / "d" / f"{name}.wav", wave.numpy(), 8000, subtype=subtype)
    both = torch.stack([1.5 * wave, 0.5 * wave], 1).numpy()
    soundfile.write(tmp_path / "d" / "e.wav", both, 8000)
    data = AudioFolder(tmp_path / "d", sample_rate=8000, seconds=0.4, test_pattern="none")("train")
    assert len(data) == 4
    assert float((data.data - wave).abs().max()) < 1 / 127  # a step of eight bits


def test_a_tar_file_that_ends_early_is_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "d.tar", "w") as archive:
        archive.add(digits(tmp_path / "d"), arcname="")
    whole = (tmp_path / "d.tar").read_bytes()
    (tmp_path / "d.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PretaskError, match="a whole tar file"):
        AudioFolder(tmp_path / "d.tar", sample_rate=8000, test_pattern="_0")("train")


def test_numbers_and_patterns_that_make_no_sense_are_refused() -> None:
    for options in ({"seconds": 0.0}, {"sample_rate": 0}, {"label_pattern": "("}, {"test_pattern": "*"}):
        with pytest.raises(PretaskError, match=r"data\.") as caught:
            AudioFolder(Path("d"), **options)
        assert caught.value.exit_code == 2
    for few in ({"size": 0}, {"test_size": 0}, {"seconds": 0.0}, {"noise_std": float("nan")}):
        with pytest.raises(PretaskError, match=r"tones needs data\."):
            Tones(**few)


def test_a_tone_is_the_same_however_many_are_made() -> None:
    few, many = Tones(size=5, test_size=4, seconds=0.5), Tones(size=300, test_size=4, seconds=0.5)
    assert torch.equal(few("train").data, many("train").data[:5])
    assert few("train").fingerprint != many("train").fingerprint


def test_test_words_are_not_among_the_training_words() -> None:
    data = Tones(size=50, test_size=50, seconds=0.5)
    train, test = data("train").data, data("test").data
    assert not any(torch.equal(one, two) for one in train for two in test)


def test_all_words_are_spoken_about_equally_often() -> None:
    count = Tones(size=800, seconds=0.5)("train").labels["class"].value.bincount(minlength=len(WORDS))
    assert int(count.min()) > 60
    assert int(count.max()) < 145


def test_the_order_of_syllables_can_be_heard() -> None:
    from pretask_plugins.shared.speech.spectrogram import log_mel
    from sklearn.linear_model import LogisticRegression

    data = Tones(size=300, test_size=100)
    features = [
        log_mel(data(part).data, 8000, 20, 200, 80)[:, :100].unflatten(1, (10, 10)).mean(2).flatten(1).numpy()
        for part in ("train", "test")
    ]
    words = [data(part).labels["class"].value.numpy() for part in ("train", "test")]
    score = LogisticRegression(max_iter=2000).fit(features[0], words[0]).score(features[1], words[1])
    assert score > 2 / len(WORDS)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_recording_that_was_cut_off_is_named_as_that(tmp_path: Path, ending: str, kept: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 20000)
    for number in range(3):
        (tmp_path / "d").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "d" / f"{number}.{ending}", noise, 8000)
    whole = (tmp_path / "d" / f"1.{ending}").read_bytes()
    assert len(read_wave(whole, 8000)) == 20000
    (tmp_path / "d" / f"1.{ending}").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(PretaskError, match=rf"1 of 3 that are none: 1\.{ending} \(cut off"):
        AudioFolder(tmp_path / "d", sample_rate=8000, test_pattern="none")("train")


def test_a_recording_whose_header_knows_no_length_is_whole() -> None:
    content = io.BytesIO()
    soundfile.write(content, tone(300, 8000, 0.1).numpy(), 8000, format="WAV")
    whole = content.getvalue()
    for size in (0, 0xFFFFFFFF):  # as written into a pipe
        at = whole.index(b"data") + 4
        check_whole(whole[:at] + size.to_bytes(4, "little") + whole[at + 4 :], 800)


def test_rates_without_a_common_divisor_take_no_memory_and_sound_as_torchaudio_has_them() -> None:
    from torchaudio.functional import resample

    wave = torch.randn(9000, generator=torch.Generator().manual_seed(0))
    for old, new in ((441, 160), (160, 441), (320, 441)):
        width = math.ceil(ZEROS * old / (min(old, new) * ROLLOFF))
        same = resample(wave, old, new)
        assert torch.allclose(filter_in_chunks(wave, old, new, width), same, atol=2e-4)  # its filters have 32 bits
    peaks = []
    for rate in (44100, 44101):
        heard = resample_wave(tone(3000, rate, 8.0), rate, 16000)
        peaks.append(float(torch.fft.rfft(heard[:128000]).abs().argmax()) / 8)
    assert peaks == [3000.0, 3000.0]
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resample_wave(tone(3000, 44101, 20.0), 44101, 16000)
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 200_000
    )  # kB; a filter for every phase has 2.8 GB


def mp4(path: Path, hertz: float, rate: int, seconds: float) -> bytes:
    """A tone as AAC in an MP4 file, whose index comes first."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("aac", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone(hertz, rate, seconds).numpy()[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path.read_bytes()


def find_hertz(wave: torch.Tensor, rate: int) -> float:
    return float(torch.fft.rfft(wave).abs().argmax()) * rate / len(wave)


def test_mp3_and_m4a_files_sound_as_what_was_written(tmp_path: Path) -> None:
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
    soundfile.write(tmp_path / "low" / "a.mp3", tone(400, 16000, 1.0).numpy(), 16000, format="MP3")
    mp4(tmp_path / "high" / "b.m4a", 1200, 16000, 1.0)
    found = AudioFolder(tmp_path, sample_rate=8000, seconds=0.9, test_pattern="nothing")("train")
    heard = [find_hertz(wave[800:6400], 8000) for wave in found.data]
    names = [found.labels["class"].names[number] for number in found.labels["class"].value]
    assert dict(zip(names, heard, strict=True)) == pytest.approx({"low": 400, "high": 1200}, abs=10)


def test_an_m4a_file_that_ends_early_is_named_as_cut_off(tmp_path: Path) -> None:
    content = mp4(tmp_path / "a.m4a", 1200, 16000, 2.0)
    with pytest.raises(ValueError, match="cut off"):
        read_wave(content[: len(content) // 2], 16000)


def test_without_pyav_an_m4a_file_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "is_importable", lambda module: False)
    with pytest.raises(ValueError, match="pip install av"):
        read_wave(mp4(tmp_path / "a.m4a", 1200, 16000, 0.2), 16000)

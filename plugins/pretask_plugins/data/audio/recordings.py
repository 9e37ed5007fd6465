"""Recordings: the waveform in the bytes of a sound file, whole or named as cut off, at any rate.

libsndfile decodes WAV, FLAC, Ogg and MP3; PyAV what lies in an MP4 file (.m4a). Of an MP3 file nobody can tell whether
its end is missing.
Axes: S samples of a waveform, K channels.
"""

import io
from collections.abc import Collection
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pretask.preparation.resampling import resample_wave
from torch import Tensor

from pretask_plugins.data.decoding import is_importable

MP4_MARK = b"ftyp"  # in the fifth to eighth byte of an MP4 file
MP4_SLACK = 4096  # samples that may be missing from what an MP4 file says: encoders pad its first and last frames
UNKNOWN_SIZE = 0x7FFF0000  # sizes from here on are written where the length is not known yet, as into a pipe


def describe_decoder(names: Collection[str] = ()) -> str:
    """Return what decodes files of these names and resamples, with versions."""
    import soundfile
    import torchaudio

    used = f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}"
    if any(name.lower().endswith(".m4a") for name in names) and is_importable("av"):
        import av

        used += f", pyav {av.__version__}"
    return f"{used}, torchaudio {torchaudio.__version__}"


def read_wave(content: bytes, rate: int, size: int | None = None) -> Tensor:
    """Return a recording as a mono waveform at the rate, (S,).

    Args:
        content: Of the file.
        rate: Hz that is wanted.
        size: Samples at most, so that no more of a long recording is resampled.

    Raises:
        ValueError: The bytes are no sound that can be read, end too early, or hold no samples, or some that are no
            numbers.
    """
    wave, own_rate = decode_mp4(content) if content[4:8] == MP4_MARK else decode_sound(content)
    if not len(wave):
        raise ValueError("no samples")
    if not np.isfinite(wave).all():
        raise ValueError(f"{int((~np.isfinite(wave)).sum())} samples that are not finite")
    mono = torch.from_numpy(wave.mean(1))
    return resample_wave(mono, int(own_rate), rate)[:size]


def decode_sound(content: bytes) -> tuple[Float[np.ndarray, "S K"], int]:
    """Return the samples of a file that libsndfile reads, and their rate."""
    import soundfile

    try:
        wave, own_rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        said = getattr(error, "error_string", str(error)).rstrip(".")
        raise ValueError(f"cut off or damaged: {said}" if content[:4] == b"fLaC" else said) from error
    check_whole(content, len(wave))
    return wave, int(own_rate)


def decode_mp4(content: bytes) -> tuple[Float[np.ndarray, "S K"], int]:
    """Return the samples of the first sound in an MP4 file, and their rate."""
    if not is_importable("av"):
        raise ValueError("PyAV reads .m4a files, and is missing: pip install av")
    import av

    try:
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.audio[0]
            rate = int(stream.rate)
            says = int((stream.duration or 0) * (stream.time_base or 0) * rate)
            planes = av.AudioResampler(format="fltp")
            frames = [part for frame in container.decode(stream) for part in planes.resample(frame)]
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"cut off or damaged: {error}") from error
    wave = np.concatenate([frame.to_ndarray() for frame in frames], 1).T if frames else np.zeros((0, 1), np.float32)
    if says > len(wave) + MP4_SLACK:
        raise ValueError(f"cut off: its header says {says} samples, and {len(wave)} are there")
    return wave, rate


def check_whole(content: bytes, frames: int) -> None:
    """Raise ValueError where a file holds less sound than it says.

    Args:
        content: Of the file.
        frames: That could be read.
    """
    if content[:4] in (b"RIFF", b"RIFX"):
        says, holds = measure_wav(content)
        if says > holds:
            raise ValueError(f"cut off: its header says {says} bytes of sound, and {holds} are there")
    elif content[:4] == b"fLaC":
        says = int.from_bytes(content[18:26]) & ((1 << 36) - 1)  # the last 36 bits of 8 bytes of STREAMINFO
        if says > frames:
            raise ValueError(f"cut off: its header says {says} samples, and {frames} are there")
    elif content[:4] == b"OggS" and not has_last_page(content):
        raise ValueError("cut off: its last page is missing")


def measure_wav(content: bytes) -> tuple[int, int]:
    """Return how many bytes of sound a WAV file says that it holds, and how many it holds; 0 where it does not say."""
    order: Literal["little", "big"] = "little" if content[:4] == b"RIFF" else "big"
    place = 12
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], order)
        if content[place : place + 4] == b"data":
            return (0 if size >= UNKNOWN_SIZE else size), len(content) - place - 8
        place += 8 + size + size % 2
    return 0, 0


def has_last_page(content: bytes) -> bool:
    """Return whether an Ogg file ends with a whole page that says it is the last one."""
    page = content.rfind(b"OggS\0")
    segments = content[page + 26] if page + 26 < len(content) else 0
    lengths = content[page + 27 : page + 27 + segments]
    whole = page + 27 + segments + sum(lengths) <= len(content) and len(lengths) == segments
    return whole and bool(content[page + 5] & 4)

"""Promises of the search for duplicates: what is in both parts is counted, equal or nearly so, and nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Observed, Samples
from pretask_bench.runs.duplicates import Duplicates, count_duplicates, find_duplicates


def samples(images: torch.Tensor, modality: str = "image", known: str = "") -> Samples:
    return Samples(Observed(modality, tuple(images.shape[1:]), "uint8", len(images)), images, fingerprint=known)


def scenes(count: int, seed: int) -> torch.Tensor:
    """Smooth pictures, each its own."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 1)
    return (fine * 255).byte()


def compressed(image: torch.Tensor) -> torch.Tensor:
    """A copy that was stored smaller and with loss."""
    content = io.BytesIO()
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((37, 37), Image.Resampling.BILINEAR)
    picture.save(content, "jpeg", quality=60)
    return torch.from_numpy(np.array(Image.open(content).resize((48, 48)))).permute(2, 0, 1)


def test_equal_and_nearly_equal_images_are_counted_and_others_are_not() -> None:
    train, test = scenes(300, 1), scenes(100, 2)
    assert count_duplicates(samples(train), samples(test)) == Duplicates(100, 0, 0)
    test[:5] = train[10:15]
    test[5:12] = torch.stack([compressed(image) for image in train[40:47]])
    assert count_duplicates(samples(train), samples(test)) == Duplicates(100, 5, 7)


def test_plain_images_of_other_colors_are_not_alike() -> None:
    plain = torch.arange(0, 250, 10, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16).contiguous()
    assert count_duplicates(samples(plain[::2]), samples(plain[1::2])).near == 0
    assert count_duplicates(samples(plain), samples(plain + 2)).near == len(plain)


def test_clips_are_compared_by_their_first_frame_and_waveforms_by_their_bytes() -> None:
    first = scenes(20, 1)
    clips = torch.stack([first, scenes(20, 2)], 1)
    others = torch.stack([first, scenes(20, 3)], 1)
    assert count_duplicates(samples(clips, "video"), samples(others, "video")) == Duplicates(20, 0, 20)
    waves = torch.randn(6, 100)
    assert count_duplicates(samples(waves, "audio"), samples(waves[:2], "audio")) == Duplicates(2, 2, None)


def test_they_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))
    parts = samples(scenes(4, 1), known="a"), samples(scenes(4, 1), known="b")
    first = find_duplicates(*parts)
    monkeypatch.setattr("pretask_bench.runs.duplicates.count_duplicates", None)
    assert find_duplicates(*parts) == first
    assert first.describe() == "4 equal, 0 nearly equal to samples to train on (of 4)"

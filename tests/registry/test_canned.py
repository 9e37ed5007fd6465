"""Canned samples are what they are declared to be, the same for ever, and show their class."""

import pytest
import torch
from pretask import Unknown
from pretask_registry.canned import CLASSES, OBSERVED, make_canned_samples, observe_canned

MODALITIES = tuple(OBSERVED)


@pytest.mark.parametrize("modality", MODALITIES)
def test_samples_are_what_was_announced(modality: str) -> None:
    samples, observed = make_canned_samples(modality, 6), observe_canned(modality, 6)
    assert samples.observed == observed
    assert samples.data.shape == (6, *observed.shape)
    assert samples.data.dtype == getattr(torch, observed.dtype)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_sample_is_the_same_however_many_are_asked_for(modality: str) -> None:
    few, many = make_canned_samples(modality, 3), make_canned_samples(modality, 8)
    assert torch.equal(few.data, many.data[:3])
    assert torch.equal(few.labels["class"].value, many.labels["class"].value[:3])
    assert few.fingerprint == make_canned_samples(modality, 3).fingerprint != many.fingerprint


def crop_means(images: torch.Tensor) -> torch.Tensor:
    rows = [images[..., :16, :16], images[..., :16, 16:], images[..., 16:, :16], images[..., 16:, 16:]]
    return torch.stack([quarter.float().flatten(1).mean(1) for quarter in rows], 1)


def predict_class(modality: str, data: torch.Tensor) -> torch.Tensor:
    """The class as a reader of the module's header would tell it, by another way than the data were made."""
    if modality in ("image", "video"):
        return crop_means(data).argmax(1)
    if modality == "text":
        part = ((data - 7) // 14).clamp(0, CLASSES - 1)
        return torch.nn.functional.one_hot(part, CLASSES).sum(1).argmax(1)
    hertz: torch.Tensor = torch.fft.rfft(data).abs().argmax(1) * 2.0  # 4,000 samples are half a second
    return (2 * (hertz / 400).log2()).round().long()


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_sample_shows_its_class(modality: str) -> None:
    samples = make_canned_samples(modality, 64)
    label = samples.labels["class"].value
    assert set(label.tolist()) == set(range(CLASSES))
    right = (predict_class(modality, samples.data) == label).float().mean()
    assert right > 0.95  # tokens of another class may win the vote; the other modalities are exact


def test_clips_grow_brighter() -> None:
    brightness = make_canned_samples("video", 16).data.float().mean((0, 2, 3, 4))
    assert bool((brightness.diff() > 0).all())


def test_tokens_are_ordinary_ones() -> None:
    tokens = make_canned_samples("text", 64).data
    assert (int(tokens.min()), int(tokens.max())) == (7, 63)


def test_a_modality_that_has_none_is_told() -> None:
    with pytest.raises(Unknown, match=r"No canned data for the modality 'smell'. There is some for image, video"):
        observe_canned("smell")

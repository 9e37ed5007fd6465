"""Promises of masked units: HuBERT's first round and the one after it. A recording is a row of tones, a unit each."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from pretask import Batch, Draws, Features, Observed, PretaskError
from pretask_plugins.methods.masked_units.split import MaskUnits

TONES = (300.0, 700.0, 1200.0, 2000.0, 3000.0)
SPLIT = MaskUnits(mels=20, rate=8000, window=0.025, hop=0.010, units=2 * len(TONES))
PIECE = 1000  # samples of a tone


def melodies(count: int, pieces: int = 8) -> tuple[Batch, torch.Tensor]:
    """Recordings of tones, and which tone every 10 ms are."""
    tone = Draws(torch.arange(count)).integers("tone", 0, len(TONES), pieces)
    hertz = torch.tensor(TONES)[tone].repeat_interleave(PIECE, 1)
    waves = 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(pieces * PIECE) / 8000)
    frames = torch.arange(pieces * PIECE // 80 + 1) * 80
    return Batch(waves), tone.gather(1, (frames // PIECE).clamp(max=pieces - 1).expand(count, -1))


@cache
def fitted(split: MaskUnits = SPLIT, count: int = 40) -> MaskUnits:
    batch, _ = melodies(count)
    return split.fit(Observed("audio", (8 * PIECE,), "float32", rate=8000), [batch])


def inside(frames: int) -> torch.Tensor:
    """Frames whose window lies in one tone."""
    place = torch.arange(frames) * 80 % PIECE
    return (place >= 200) & (place <= PIECE - 200)


def purity(unit: torch.Tensor, truth: torch.Tensor) -> float:
    """The share of frames that are of the commonest tone of their unit."""
    table = torch.zeros(int(unit.max()) + 1, len(TONES))
    table.index_put_((unit.flatten(), truth.flatten()), torch.ones(unit.numel()), accumulate=True)
    return float(table.amax(1).sum() / table.sum())


def test_units_are_the_tones_that_recordings_are_made_of() -> None:
    batch, truth = melodies(20)
    unit = fitted()(batch, Draws(batch.index))[1]["unit"].value
    steady = inside(unit.shape[1])
    assert purity(unit[:, steady], truth[:, steady]) > 0.97
    assert purity(unit[:, steady].flip(0), truth[:, steady]) < 0.5


def test_so_many_frames_are_hidden_as_eight_percent_of_starts_with_ten_frames_each_cover() -> None:
    batch = Batch(Draws(torch.arange(300)).normal("wave", 8000))
    weight = fitted()(batch, Draws(batch.index))[1]["unit"].weight
    assert weight is not None
    starts = round(0.8 * 101 / 10)
    expected = 1 - torch.prod(1 - 10 / (92 - torch.arange(float(starts))))  # nearly: fewer begin near both ends
    assert float(weight.mean()) == pytest.approx(float(expected), abs=0.06)


def test_hidden_frames_are_zeros_and_only_they_have_weight() -> None:
    batch, _ = melodies(12)
    present = torch.arange(8 * PIECE) < torch.full((12, 1), 5 * PIECE)
    padded = Batch(batch.data, present=present)
    inputs, targets = fitted()(padded, Draws(padded.index))
    hidden = targets["unit"].weight.bool()  # type: ignore[union-attr]
    assert torch.equal(hidden, ~inputs.visible[:, 0])  # type: ignore[index]
    assert bool((inputs.data[:, 0][hidden] == 0).all())
    shown = fitted().whole(padded).data[:, 0]
    assert torch.equal(inputs.data[:, 0][~hidden], shown[~hidden])
    assert not bool(hidden[:, 5 * PIECE // 80 + 1 :].any())


def test_the_unit_before_a_gap_is_as_probable_as_it_goes_on_through_it() -> None:
    batch, _ = melodies(64)
    split, draws = fitted(), Draws(torch.arange(64), epoch=3)
    logits = split.trivial_predictors([batch])["copy"](batch, draws)["unit"]
    target = split(batch, draws)[1]["unit"]
    hidden = target.weight.bool()  # type: ignore[union-attr]
    assert torch.allclose(logits.exp().sum(2), torch.ones(hidden.shape), atol=1e-4)
    right = (logits.argmax(2) == target.value)[hidden].float().mean()
    assert float(right) == pytest.approx(float(logits.exp().amax()), abs=0.03)


def test_units_of_a_second_round_are_clusters_of_what_the_encoder_says() -> None:
    batch, truth = melodies(40)

    def encoder(batch: Batch) -> Features:
        tones = melodies(40)[1][batch.index] % 3  # this encoder tells three kinds of tones apart
        tokens = torch.nn.functional.one_hot(tones, 3).float()[:, None]
        layers = tuple(
            Features({"all": scaled}, {"all": scaled.mean(2)}, truth.shape[1:]) for scaled in (0 * tokens, tokens)
        )
        return replace(layers[-1], layers=layers)

    observed = Observed("audio", (8 * PIECE,), "float32", rate=8000)
    split = replace(SPLIT, units=3, layer=2).fit_with(observed, [batch], encoder)
    unit = split(batch, Draws(batch.index))[1]["unit"].value
    assert len({(int(one), int(other)) for one, other in zip(unit.flatten(), (truth % 3).flatten(), strict=True)}) == 3
    with pytest.raises(
        PretaskError, match="a layer 5 of an encoder with a vector for each of 101 frames; got 2 layers"
    ):
        replace(SPLIT, layer=5).fit_with(observed, [batch], encoder)


def test_units_must_be_fitted_to_enough_frames() -> None:
    batch, _ = melodies(2)
    with pytest.raises(PretaskError, match="units, which are fitted; got none"):
        SPLIT(batch, Draws(batch.index))
    with pytest.raises(PretaskError, match=r"at least split\.units = 100 frames to cluster; got 16"):
        fitted(replace(SPLIT, units=100), count=2)

"""What the kit looks with: neutral data, pairs of colours of one lightness, and the search for shortcuts."""

from dataclasses import dataclass

import pytest
import torch
from pretask import Batch, Categories, Draws, Inputs, InputSpec, Observed, Target, Targets, TargetSpecs
from pretask_registry.canned import OBSERVED, make_canned_inputs, make_neutral_samples
from pretask_registry.conformance.checks.hiding import find_metamers, luminance, make_piece_masks
from pretask_registry.shortcut import measure_shortcuts


@pytest.mark.parametrize("modality", OBSERVED)
def test_neutral_data_are_what_was_announced_and_the_same_for_any_count(modality: str) -> None:
    few, many = make_neutral_samples(modality, 3), make_neutral_samples(modality, 5)
    assert many.data.shape == (5, *OBSERVED[modality].shape)
    assert many.data.dtype == getattr(torch, OBSERVED[modality].dtype)
    assert torch.equal(few.data, many.data[:3])
    assert torch.equal(make_neutral_samples(modality, 2, first=3).data, many.data[3:])


@pytest.mark.parametrize("modality", OBSERVED)
def test_inputs_for_models_are_what_their_spec_says(modality: str) -> None:
    spec, inputs = make_canned_inputs(modality, 3)
    assert inputs.data.shape == (3, spec.views, *spec.shape)


def test_clips_of_what_falls_are_as_bright_at_the_end_as_at_the_beginning() -> None:
    brightness = make_neutral_samples("video", 64).data.float().mean((2, 3, 4))
    assert float((brightness[:, 0] - brightness[:, -1]).mean().abs()) < 1.0


def test_metamers_have_the_lightness_and_not_the_colour() -> None:
    images = make_neutral_samples("image", 4).data
    others = find_metamers(images)
    lightness, colour = (luminance(batch.float(), 1) for batch in (images, others))
    assert float((lightness - colour).abs().max()) < 0.01  # of white
    assert float((images.float() - others.float()).abs().mean()) > 20


def test_pieces_cover_a_clip_once() -> None:
    masks = make_piece_masks((8, 3, 32, 32), pictures=True)
    assert masks.shape == (8 * 4 * 4, 8, 3, 32, 32)
    assert bool((masks.sum(0) == 1).all())


@dataclass(frozen=True)
class Stain:
    """Ask for a number that is drawn; show it as a stain of some size, or not at all."""

    size: int

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        return InputSpec("image", images.shape), {"number": Categories(3)}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        label = draws.integers("number", 0, 3)
        x = batch.data / 255
        x[..., : self.size, : self.size] = (label / 2).view(-1, 1, 1, 1)
        return Inputs(x[:, None]), {"number": Target(label)}


@pytest.mark.parametrize(("size", "solved"), [(2, True), (0, False)])
def test_a_stain_is_a_shortcut_and_no_stain_is_none(size: int, solved: bool) -> None:
    train, test = make_neutral_samples("image", 128), make_neutral_samples("image", 96, first=1_000)
    found = measure_shortcuts(Stain(size), train, test)["number"]
    assert found.solved is solved
    assert found.chance < 0.5
    if not solved:
        assert abs(found.accuracy - 1 / 3) < 0.2  # four standard errors of 96 samples

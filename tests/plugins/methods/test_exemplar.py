"""Promises of exemplar networks; the family and its ranges from methods.md section 9."""

import colorsys
import math
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Batch, Draws, Incompatible, Observed, PretaskError, Samples
from pretask.composition import Task, compose
from pretask.pretext_score import held_out_loss, trivial_losses
from pretask_plugins.methods.exemplar import color_kernel, crop_kernel
from pretask_plugins.methods.exemplar.augmentation import (
    AugmentationParams,
    AugmentationRanges,
    change_colors,
    color_jitter,
    compute_margin,
    crop,
    draw_params,
    locate_pixels,
    scale_components,
)
from pretask_plugins.methods.exemplar.seeds import (
    draw_seed_centers,
    gradient_energy,
    principal_axes,
    sample_categorical,
    seed_spacing,
)
from pretask_plugins.methods.exemplar.split import TransformPair, TransformSeed, color_axes
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.objectives.info_nce import InfoNce
from pretask_plugins.shared.colors import hsv_to_rgb, rgb_to_hsv
from pretask_plugins.shared.pictures import BORDER
from scipy import ndimage, stats
from sklearn.decomposition import PCA

NOTHING = {
    "shift": 0.0,
    "scale": (1.0, 1.0),
    "rotation": 0.0,
    "component": (1.0, 1.0),
    "power": (1.0, 1.0),
    "factor": (1.0, 1.0),
    "offset": 0.0,
    "hue": 0.0,
}
SMALL = TransformSeed(patch=12)


def noise(count: int = 8, side: int = 32, channels: int = 3) -> Batch:
    draws = Draws(torch.arange(count)).branch("image")
    return Batch(draws.integers("pixel", 0, 256, channels, side, side).to(torch.uint8))


def draws_of(batch: Batch, seed: int = 0, epoch: int = 0) -> Draws:
    return Draws(batch.index, seed, epoch)


def params_of(**given: float | tuple[float, ...]) -> AugmentationParams:
    """Parameters of one view, which leaves alone what is not given."""
    plain = {"shift": (0.0, 0.0), "scale": 1.0, "angle": 0.0, "component": (1.0, 1.0, 1.0)}
    plain |= {"power": (1.0, 1.0), "factor": (1.0, 1.0), "offset": (0.0, 0.0), "hue": 0.0}
    return AugmentationParams(**{name: torch.tensor(value)[None, None] for name, value in (plain | given).items()})


def test_a_transformation_of_nothing_gives_the_seed_itself() -> None:
    batch = noise()
    split = TransformSeed(patch=12, **NOTHING).fit(Observed("image", (3, 32, 32), samples=8), [batch])
    inputs, _ = split(batch, draws_of(batch))
    corner = (draw_seed_centers(batch.data / 255, draws_of(batch).uniform("seed"), 12, 0) - 5.5).long()
    for sample in range(8):
        row, column = corner[sample].tolist()
        seed = batch.data[sample, :, row : row + 12, column : column + 12] / 255
        assert float((inputs.data[sample, 0] - seed).abs().max()) < 0.1 / 255


def test_every_parameter_is_uniform_over_its_range() -> None:
    params = draw_params(AugmentationRanges(), Draws(torch.arange(2000)), 2, 3)
    turn = math.radians(20)
    ranges = {"shift": (-0.2, 0.2), "scale": (0.7, 1.4), "angle": (-turn, turn), "component": (0.5, 2.0)}
    ranges |= {"power": (0.25, 4.0), "factor": (0.7, 1.4), "offset": (-0.1, 0.1), "hue": (-0.1, 0.1)}
    for name, (low, high) in ranges.items():
        drawn_numbers = getattr(params, name).flatten().numpy()
        assert stats.kstest(drawn_numbers, stats.uniform(low, high - low).cdf).pvalue > 1e-3, name


def test_parameters_of_one_view_are_independent_of_those_of_the_other() -> None:
    params = draw_params(AugmentationRanges(), Draws(torch.arange(2000)), 2, 3)
    assert abs(np.corrcoef(params.scale.T.numpy())[0, 1]) < 0.07  # 3 standard errors
    assert abs(np.corrcoef(params.power[:, 0].T.numpy())[0, 1]) < 0.07


def test_shift_scale_and_turn_cut_what_a_loop_over_pixels_cuts() -> None:
    image = noise(1, 40).data / 255
    center, angle, scale, shift = torch.tensor([[18.0, 20.0]]), 0.3, 1.3, (0.15, -0.1)
    ours = crop(image, center, params_of(shift=shift, scale=scale, angle=angle), 12)[0, 0]
    expected = np.zeros((3, 12, 12))
    for row in range(12):
        for column in range(12):
            away = complex(row - 5.5, column - 5.5) * scale * complex(math.cos(angle), -math.sin(angle))
            place = [[18 + shift[0] * 12 + away.real], [20 + shift[1] * 12 + away.imag]]
            for channel in range(3):
                source = image[0, channel].double().numpy()
                expected[channel, row, column] = ndimage.map_coordinates(source, place, order=1)[0]
    assert np.allclose(ours.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "ranges",
    [
        AugmentationRanges(),
        AugmentationRanges(shift=0.4, rotation=60.0),
        AugmentationRanges(scale=(0.2, 0.5), shift=0.0),
    ],
)
def test_no_transformation_reaches_beyond_the_smallest_image_that_is_accepted(ranges: AugmentationRanges) -> None:
    patch, margin = 12, compute_margin(ranges, 12)
    side = patch + 2 * margin
    middle = torch.full((4000, 2), (side - 1) / 2)
    turn = math.radians(min(ranges.rotation, 45.0))
    sign = torch.tensor([(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]).float()
    extreme = replace(
        draw_params(ranges, Draws(torch.arange(8)), 1, 3),
        shift=sign[:, None, :2] * ranges.shift,
        scale=torch.full((8, 1), ranges.scale[1]),
        angle=sign[:, None, 2] * turn,
    )
    places = locate_pixels(middle[:8], extreme, patch)
    some = locate_pixels(middle, draw_params(ranges, Draws(torch.arange(4000)), 1, 3), patch)
    for reached in (places, some):
        assert float(reached.min()) >= -1e-3
        assert float(reached.max()) <= side - 1 + 1e-3
    assert margin == 0 or float(places.min()) < 1.0  # and no pixel more is needed


def test_colors_are_changed_on_a_cpu_bit_for_bit_as_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, views = noise(64, 12), 2
    seen = (batch.data.float() / 255)[:, None].repeat(1, views, 1, 1, 1)
    seen[..., 0] = seen[:, :, :1, :, 0]  # gray
    seen[..., 1], seen[..., 2] = 0, 1
    params = draw_params(AugmentationRanges(offset=0.5, hue=1.0), draws_of(batch), views, 3)
    mean, axes = torch.tensor([0.4, 0.5, 0.6]), torch.linalg.qr(torch.rand(3, 3))[0]
    expected = color_jitter(scale_components(seen, params.component, mean, axes).clamp(0, 1), params)
    assert torch.equal(change_colors(seen, params, mean, axes), expected)
    monkeypatch.setattr(color_kernel, "MAX_BLOCK", 3 * seen[0, 0].numel())  # three views, and at last fewer
    assert torch.equal(change_colors(seen, params, mean, axes), expected)


def test_seeds_reach_every_place_that_leaves_room_and_no_other() -> None:
    batch = noise(3000, 32)
    center = draw_seed_centers(batch.data / 255, draws_of(batch).uniform("seed"), 12, 8)
    assert set(center[:, 0].tolist()) == set(center[:, 1].tolist()) == {13.5 + step for step in range(5)}


def test_seeds_are_drawn_in_proportion_to_the_mean_squared_gradient() -> None:
    image = noise(1, 24).data.clone()
    image[..., 12:] = (image[..., 12:].float() / 3).byte()
    image[..., 12:, :] = (image[..., 12:, :].float() / 2).byte()
    batch = Batch(image.expand(4000, -1, -1, -1).contiguous())
    center = draw_seed_centers(batch.data / 255, draws_of(batch).uniform("seed"), 16, 1)
    light, expected = image[0].double().numpy() / 255, {}
    for row in range(1, 8, 2):  # an eighth of a patch is 2 pixels
        for column in range(1, 8, 2):
            patch = light[:, row : row + 16, column : column + 16]
            down, right = patch[:, 1:, :-1] - patch[:, :-1, :-1], patch[:, :-1, 1:] - patch[:, :-1, :-1]
            expected[row + 7.5, column + 7.5] = float((down**2 + right**2).mean())
    count = dict.fromkeys(expected, 0)
    for place in map(tuple, center.tolist()):
        count[place] += 1
    share = np.array(list(expected.values())) / sum(expected.values())
    assert share.max() > 2 * share.min()
    assert stats.chisquare(list(count.values()), share * 4000).pvalue > 1e-3


def test_flat_regions_are_never_chosen_and_flat_images_have_a_seed() -> None:
    images = torch.full((500, 3, 48, 48), 90, dtype=torch.uint8)
    images[:, :, 30:36, 4:10] = noise(500, 6).data
    center = draw_seed_centers(images / 255, Draws(torch.arange(500)).uniform("seed"), 16, 0)
    apart = (center - torch.tensor([32.5, 6.5])).abs()
    assert float(apart.max()) <= 7.5 + 3  # every seed holds some of the only texture
    flat = draw_seed_centers(images[:, :, :30] / 255, Draws(torch.arange(500)).uniform("seed"), 16, 0)
    assert len({tuple(place) for place in flat.tolist()}) > 50


def test_what_is_drawn_follows_the_weights_and_never_weighs_nothing() -> None:
    weight = torch.tensor([[0.0, 1.0, 0.0, 3.0, 0.0]]).expand(4000, -1)
    place = sample_categorical(weight, Draws(torch.arange(4000)).uniform("place"))
    assert set(place.tolist()) == {1, 3}
    assert stats.binomtest(int((place == 3).sum()), 4000, 0.75).pvalue > 1e-3
    assert sample_categorical(weight[:2], torch.tensor([0.0, 1 - 2.0**-24])).tolist() == [1, 3]


def test_places_of_seeds_are_an_eighth_of_a_patch_apart_or_less() -> None:
    for patch in range(2, 130):
        assert patch % seed_spacing(patch) == 0
        assert seed_spacing(patch) <= max(1, patch / 8)


def test_an_image_keeps_its_seed_while_its_copies_differ() -> None:
    batch = noise(6, 40)
    still = TransformSeed(patch=12, **NOTHING)
    first, second = (still(batch, draws_of(batch, epoch=epoch))[0].data for epoch in (0, 5))
    assert torch.equal(first, second)
    one, two = (SMALL(batch, draws_of(batch, epoch=epoch))[0].data for epoch in (0, 5))
    assert ((one - two).abs().flatten(1).max(1).values > 0.05).all()
    assert not torch.equal(still(batch, draws_of(batch, seed=1))[0].data, first)


def test_one_pixel_by_hand() -> None:
    """Power, then factor, then summand, of saturation and of value; the hue rotated: with Python's colorsys."""
    pixel = (0.8, 0.4, 0.5)
    params = params_of(power=(0.5, 2.0), factor=(1.2, 0.9), offset=(-0.05, 0.08), hue=0.1)
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    expected = colorsys.hsv_to_rgb((hue + 0.1) % 1, saturation**0.5 * 1.2 - 0.05, value**2 * 0.9 + 0.08)
    ours = color_jitter(torch.tensor(pixel).view(1, 1, 3, 1, 1), params).flatten()
    assert ours.tolist() == pytest.approx(expected, abs=1e-5)


def test_hue_saturation_and_value_are_those_of_colorsys_and_come_back() -> None:
    line = torch.tensor([0.0, 0.2, 0.5, 0.7, 1.0])
    pixels = torch.cartesian_prod(line, line, line)
    ours = torch.stack(rgb_to_hsv(pixels.view(-1, 1, 3, 1, 1)), 2)
    expected = [colorsys.rgb_to_hsv(*map(float, pixel)) for pixel in pixels]
    assert torch.allclose(ours.flatten(1), torch.tensor(expected), atol=1e-5)
    back = hsv_to_rgb(*ours.unbind(2))
    assert torch.allclose(back.flatten(1), pixels, atol=1e-5)


def test_nothing_leaves_the_range_of_an_image_and_black_and_white_survive() -> None:
    images = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    images[..., ::2, :] = 255
    inputs, _ = SMALL(Batch(images), Draws(torch.arange(64)))
    assert inputs.data.isfinite().all()
    assert float(inputs.data.min()) >= 0
    assert float(inputs.data.max()) <= 1


def test_the_first_contrast_multiplies_along_principal_axes() -> None:
    axes = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 1], [1, 0, 3]])).Q.T
    mean, factor = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([2.0, 0.5, 1.5])
    views = Draws(torch.arange(1)).uniform("pixel", 1, 3, 4, 4)
    ours = scale_components(views, factor[None, None], mean, axes).flatten(3)[0, 0]
    before, after = (axes @ (pixels - mean[:, None]) for pixels in (views.flatten(3)[0, 0], ours))
    assert torch.allclose(after, before * factor[:, None], atol=1e-6)


def test_principal_axes_are_those_of_scikit_learn_whatever_the_batches() -> None:
    images = noise(16).data.float()
    images[:, 1] = 0.7 * images[:, 0] + 0.3 * images[:, 1]
    images = images.byte()
    mean, axes = principal_axes([Batch(images)], 3)
    other = principal_axes([Batch(images[5:]), Batch(images[:5])], 3)
    assert torch.equal(mean, other[0])
    assert torch.equal(axes, other[1])
    pixels = images[..., ::2, ::2].transpose(0, 1).reshape(3, -1).T.double().numpy() / 255
    theirs = PCA().fit(pixels)
    assert np.allclose(mean, theirs.mean_, atol=1e-6)
    assert np.allclose(np.abs(axes.double().numpy() @ theirs.components_[::-1].T), np.eye(3), atol=1e-4)


def test_a_fitted_split_holds_the_colors_of_its_data() -> None:
    batch = noise()
    split = SMALL.fit(Observed("image", (3, 32, 32), samples=8), [batch])
    mean, axes = principal_axes([batch], 3)
    assert split.mean == tuple(mean.tolist())
    assert torch.equal(color_axes(split.mean, split.axes, 3, torch.device("cpu"))[1], axes)
    assert not torch.equal(split(batch, draws_of(batch))[0].data, SMALL(batch, draws_of(batch))[0].data)


def test_every_image_is_a_class_and_its_number_the_answer() -> None:
    spec, targets = SMALL.spec(Observed("image", (3, 32, 32), samples=77))
    batch = Batch(noise(3).data, torch.tensor([5, 76, 0]))
    inputs, predicted = SMALL(batch, draws_of(batch))
    assert targets["exemplar"].classes == 77
    assert predicted["exemplar"].value.tolist() == [5, 76, 0]
    assert inputs.data.shape == (3, 1, *spec.shape) == (3, 1, 3, 12, 12)


def test_views_of_a_pair_show_one_seed_and_share_its_number() -> None:
    batch = noise(5, 40)
    split = TransformPair(patch=12, views=3)
    inputs, predicted = split(batch, draws_of(batch))
    assert predicted["exemplar"].value.tolist() == [[number] * 3 for number in range(5)]
    assert inputs.data.shape == (5, 3, 3, 12, 12)
    assert ((inputs.data[:, 0] - inputs.data[:, 1]).abs().flatten(1).max(1).values > 0.05).all()
    still = TransformPair(patch=12, views=3, **NOTHING)(batch, draws_of(batch))[0].data
    assert torch.equal(still[:, 0], still[:, 2])
    assert torch.equal(still[:, :1], TransformSeed(patch=12, **NOTHING)(batch, draws_of(batch))[0].data)


@pytest.mark.parametrize("split", [SMALL, TransformPair(patch=12)])
def test_a_sample_is_split_the_same_in_any_company(split: TransformSeed) -> None:
    batch = noise(16)
    split = split.fit(Observed("image", (3, 32, 32), samples=16), [batch])
    whole, _ = split(batch, draws_of(batch, 3, 2))
    for pick in (torch.tensor([11]), torch.tensor([6, 1, 15, 3, 8])):
        some, _ = split(Batch(batch.data[pick], pick), Draws(pick, 3, 2))
        assert torch.equal(some.data, whole.data[pick])


def test_gray_images_are_transformed_without_color() -> None:
    batch = noise(8, channels=1)
    split = SMALL.fit(Observed("image", (1, 32, 32), samples=8), [batch])
    inputs, _ = split(batch, draws_of(batch))
    assert inputs.data.shape == (8, 1, 1, 12, 12)
    value = torch.tensor([[0.25]]).view(1, 1, 1, 1, 1)
    changed = color_jitter(value, params_of(power=(9.0, 2.0), factor=(9.0, 0.8), offset=(9.0, 0.1), hue=0.4))
    assert float(changed) == pytest.approx(0.25**2 * 0.8 + 0.1)


def scenes(count: int, kinds: int) -> Samples:
    """Images of stripes, of as many directions as there are kinds."""
    line = torch.arange(32.0)
    angle = (torch.arange(count) % kinds)[:, None, None] * math.pi / kinds
    phase = line[:, None] * angle.cos() + line * angle.sin()
    image = ((phase.sin() * 0.4 + 0.5) * 255).byte()[:, None].expand(-1, 3, -1, -1).contiguous()
    return Samples(Observed("image", (3, 32, 32), samples=count), image)


def trained(samples: Samples, split: TransformSeed, objective: type, steps: int) -> Task:
    """A small task, fitted to all samples at once in every step."""
    cpu = torch.device("cpu")
    split = split.fit(samples.observed, samples.batches(16, cpu))
    task = compose(samples.observed, split, lambda *specs: Convnet(*specs, width=8, depth=2, stride=1), objective)
    optimizer = torch.optim.Adam([*task.model.parameters(), *task.objective.parameters()], lr=0.01)
    batch = next(samples.batches(len(samples), cpu))
    for step in range(steps):
        loss = task.loss(batch, Draws(batch.index, 0, step))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    return task


def test_two_images_that_differ_are_classified_and_two_that_do_not_stay_at_chance() -> None:
    narrow = TransformSeed(patch=12, rotation=10.0)
    apart = scenes(2, 2)
    score = held_out_loss(trained(apart, narrow, CrossEntropy, 25), apart)
    assert score["exemplar"] < 0.3
    same = Samples(apart.observed, apart.data[:1].expand(2, -1, -1, -1))
    scores = [held_out_loss(trained(same, narrow, CrossEntropy, 5), same, seed=seed) for seed in range(3)]
    assert min(score["exemplar"] for score in scores) > 0.4  # ln 2 is 0.69


def test_views_of_a_pair_find_each_other_better_than_by_color() -> None:
    samples = scenes(8, 8)
    narrow = TransformPair(patch=12, rotation=5.0)
    task = trained(samples, narrow, InfoNce, 30)
    score, trivial = held_out_loss(task, samples), trivial_losses(task, samples, samples)
    assert set(trivial) == {"mean color", "pixels"}
    assert score["exemplar.accuracy"] > max(part["exemplar.accuracy"] for part in trivial.values())
    assert score["exemplar.accuracy"] > 3 * task.objective.chance["exemplar.accuracy"]


def test_specs_say_what_comes() -> None:
    observed = Observed("image", (3, 40, 36), samples=9)
    batch = Batch(torch.zeros(2, 3, 40, 36, dtype=torch.uint8))
    for split in (SMALL, TransformPair(patch=12, views=4)):
        spec, targets = split.spec(observed)
        inputs, predicted = split(batch, draws_of(batch))
        assert inputs.data.shape == (2, spec.views, *spec.shape)
        assert set(targets) == set(predicted)
        assert split.whole(batch).data.shape == (2, 1, *split.whole_spec(observed).shape)


def test_images_without_room_around_a_patch_are_refused_with_the_pixels_needed() -> None:
    with pytest.raises(Incompatible, match=r"at least 70 pixels a side .* got 64 x 64"):
        TransformSeed(patch=32).spec(Observed("image", (3, 64, 64), samples=9))


@pytest.mark.parametrize("observed", [Observed("image", (4, 64, 64)), Observed("image", (3, 64, 64), "float32")])
def test_images_of_other_channels_or_no_bytes_are_refused(observed: Observed) -> None:
    with pytest.raises(Incompatible, match="1 or 3 channels, 8 bits"):
        SMALL.spec(observed)


def test_a_single_image_and_a_single_view_are_refused() -> None:
    with pytest.raises(Incompatible, match="2 images"):
        SMALL.spec(Observed("image", (3, 64, 64), samples=1))
    with pytest.raises(PretaskError, match="views of 2 or more; got 1"):
        TransformPair(patch=12, views=1)


def test_gradients_are_those_between_neighboring_pixels() -> None:
    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 1, 1] = 255
    assert gradient_energy(image / 255)[0].tolist() == [[0.0, 1.0], [1.0, 2.0]]


def test_the_picture_shows_seeds_their_copies_and_whose_class_is_predicted() -> None:
    split, images = TransformSeed(patch=12), noise(8)
    task = compose(Observed("image", (3, 32, 32), "uint8", 8), split, partial(Convnet, width=8, depth=1), CrossEntropy)
    task.objective.heads["exemplar"][-1].bias.data[2] = 1e3  # whatever is shown, it is image 2
    (figure,) = split.figures(task, images)
    assert "(8 of 48)" in figure.caption
    sheet = np.asarray(Image.open(BytesIO(figure.png)))
    side = 48 + 2 * BORDER
    assert sheet.shape == (6 * side, 9 * side, 3)
    assert sheet[side * 2, side + 5].tolist() == [40, 160, 70]
    assert sheet[0, side + 5].tolist() == [205, 55, 55]
    corner = (
        draw_seed_centers(
            images.data / 255, draws_of(images).branch("split").uniform("seed"), 12, compute_margin(split, 12)
        )
        - 5.5
    )
    row, column = corner[0].long().tolist()
    seed = images.data[0, :, row : row + 12, column : column + 12].movedim(0, 2).numpy()
    assert np.array_equal(sheet[BORDER : BORDER + 48 : 4, BORDER : BORDER + 48 : 4], seed)


def test_seeds_are_cropped_in_one_operation_as_in_many() -> None:
    images = torch.randint(0, 256, (5, 3, 40, 36), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    params = draw_params(TransformPair(patch=12), Draws(torch.arange(5)), 2, 3)
    arguments = (images, torch.rand(5), params.shift, params.scale, params.angle, 12, 9)
    assert torch.equal(crop_kernel.crop_as_one(*arguments), crop_kernel.crop_all_at_once(*arguments))
    torch.library.opcheck(crop_kernel.crop_as_one, arguments, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("views", [2, 3])
def test_images_are_worked_on_a_few_at_a_time_as_all_at_once(views: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (7, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    batch, split = Batch(images, torch.arange(7)), TransformPair(patch=12, views=views)
    whole = split(batch, draws_of(batch))[0].data
    monkeypatch.setattr("pretask_plugins.methods.exemplar.crop_kernel.MAX_BLOCK", 3 * images[0].numel())
    assert torch.equal(split(batch, draws_of(batch))[0].data, whole)

"""Promises of relative position; labels and geometry from methods.md section 7."""

from io import BytesIO
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Batch, Draws, Incompatible, Inputs, Observed
from pretask.composition import compose
from pretask_plugins.methods.relative_position.absolute import PlacePatch, magnify_green
from pretask_plugins.methods.relative_position.figures import GRAY, draw_pairs
from pretask_plugins.methods.relative_position.split import (
    NEIGHBORS,
    CutPair,
    crop,
    drop_channels,
    interleave_channels,
    project,
    projection,
    std_mean,
    steps,
)
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.shared.pictures import CORRECT, WRONG
from scipy import stats
from sklearn.linear_model import LogisticRegression

PLAIN = CutPair(patch=12, gap=6, jitter=2, standardize=False)


def image_of_coordinates(batch: int, side: int) -> Batch:
    """Images whose first two channels are each pixel's own row and column."""
    line = torch.arange(side, dtype=torch.uint8)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    image = torch.stack([rows, columns, torch.zeros_like(rows)])
    return Batch(image.expand(batch, -1, -1, -1).contiguous())


def corners(split: CutPair, batch: Batch, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each patch really came from, (B, V, 2) in pixels, and the labels."""
    inputs, targets = split(batch, Draws(batch.index, seed))
    return (inputs.data[:, :, :2, 0, 0] * 255).round().long(), targets["position"].value


def noise(batch: int, side: int = 64) -> Batch:
    draws = Draws(torch.arange(batch))
    return Batch(draws.integers("noise", 0, 256, 3, side, side).to(torch.uint8))


def test_label_names_the_place_the_neighbor_came_from() -> None:
    corner, label = corners(PLAIN, image_of_coordinates(256, 100))
    moved = (corner[:, 1] - corner[:, 0]) / (12 + 6)
    assert torch.equal(moved.round().long(), torch.tensor(NEIGHBORS)[label])


def test_all_eight_places_are_equally_likely() -> None:
    _, label = corners(PLAIN, image_of_coordinates(4000, 58))
    assert stats.chisquare(torch.bincount(label, minlength=8).numpy()).pvalue > 1e-3


def test_each_patch_is_jittered_uniformly_along_each_axis() -> None:
    smallest = image_of_coordinates(4000, PLAIN.smallest)  # the center has one place, so what moves is jitter
    corner, label = corners(PLAIN, smallest)
    home = PLAIN.jitter + (PLAIN.patch + PLAIN.gap) * (1 + torch.tensor(NEIGHBORS)[label])
    for jitter in (corner[:, 0] - (PLAIN.jitter + PLAIN.patch + PLAIN.gap), corner[:, 1] - home):
        for axis in (0, 1):
            counts = torch.bincount(jitter[:, axis] + PLAIN.jitter, minlength=5)
            assert len(counts) == 5
            assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_patches_never_touch_and_never_leave_the_image() -> None:
    corner, _ = corners(PLAIN, image_of_coordinates(2000, 70))
    apart = (corner[:, 1] - corner[:, 0]).abs().amax(1) - PLAIN.patch  # empty pixels between the two
    assert int(apart.min()) >= PLAIN.gap - 2 * PLAIN.jitter
    assert int(apart.max()) <= PLAIN.gap + 2 * PLAIN.jitter
    assert int(corner.min()) >= 0
    assert int(corner.max()) + PLAIN.patch <= 70


def test_center_reaches_every_place_of_a_larger_image() -> None:
    corner, _ = corners(CutPair(patch=4, gap=2, jitter=0, standardize=False), image_of_coordinates(3000, 20))
    assert set(corner[:, 0, 0].tolist()) == set(range(6, 11))  # 20 - (3 * 4 + 2 * 2) = 4 pixels of room


def test_opposite_labels_add_up_to_seven_and_a_flip_swaps_left_and_right() -> None:
    where = {step: label for label, step in enumerate(NEIGHBORS)}
    assert all(label + where[-row, -column] == 7 for (row, column), label in where.items())
    assert [where[row, -column] for row, column in NEIGHBORS] == [2, 1, 0, 4, 3, 7, 6, 5]


def test_crops_equal_slices_bit_for_bit() -> None:
    images = noise(5).data
    corner = Draws(torch.arange(5)).integers("corner", 0, 50, 3, 2)
    cut = crop(images, corner, 9)
    for sample in range(5):
        for view in range(3):
            row, column = corner[sample, view].tolist()
            assert torch.equal(cut[sample, view], images[sample, :, row : row + 9, column : column + 9])


@pytest.mark.parametrize("color", ["keep", "drop", "project"])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_sample_is_split_the_same_at_any_batch_size_and_in_any_order(size: int, color: str) -> None:
    split = CutPair(patch=12, gap=4, jitter=2, color=color)  # type: ignore[arg-type]
    whole = noise(64)
    expected, labels = split(whole, Draws(whole.index, seed=3, epoch=2))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for start in range(0, 64, size):
        pick = order[start : start + size]
        batch = Batch(whole.data[pick], whole.index[pick])
        inputs, targets = split(batch, Draws(batch.index, seed=3, epoch=2))
        assert torch.equal(inputs.data, expected.data[pick])
        assert torch.equal(targets["position"].value, labels["position"].value[pick])


def test_another_epoch_cuts_other_patches() -> None:
    batch = noise(64)
    first, second = (PLAIN(batch, Draws(batch.index, 0, epoch))[0].data for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_projection_takes_green_magenta_away_and_leaves_gray() -> None:
    matrix = projection(torch.device("cpu"))
    assert torch.equal((matrix * 6).round().int(), torch.tensor([[5, 2, -1], [2, 2, 2], [-1, 2, 5]]))
    assert torch.allclose(matrix @ matrix, matrix, atol=1e-6)
    assert torch.allclose(matrix @ torch.tensor([-1.0, 2.0, -1.0]), torch.zeros(3), atol=1e-6)
    assert torch.allclose(matrix @ torch.ones(3), torch.ones(3), atol=1e-6)


def test_one_channel_of_each_patch_survives_dropping_whichever_the_other_patch_keeps() -> None:
    patches = noise(300, 16).data[:, None].expand(-1, 2, -1, -1, -1) / 255
    dropped = drop_channels(patches, Draws(torch.arange(300)))
    kept = (dropped == patches).all((-1, -2))  # (B, V, C)
    assert torch.equal(kept.sum(2), torch.ones(300, 2).long())
    pairs = 3 * kept[:, 0].int().argmax(1) + kept[:, 1].int().argmax(1)
    assert stats.chisquare(pairs.bincount(minlength=9).numpy()).pvalue > 1e-3


def test_a_dropped_channel_is_noise_of_a_hundredth_of_the_kept_std() -> None:
    patches = noise(8, 64).data[:, None] / 255
    dropped = drop_channels(patches, Draws(torch.arange(8)))
    lost = ~(dropped == patches).all((-1, -2))
    std = patches.std((-1, -2)).mean()
    assert dropped[lost].std((-1, -2)).mean() / std == pytest.approx(0.01, rel=0.05)


def offset_classes(split: CutPair, count: int) -> float:
    """How well a linear classifier on channel means tells patches from the left and the right of images whose red
    channel is brighter towards the right edge than the green one: the trace that a lens leaves."""
    draws = Draws(torch.arange(count))
    side = 64
    gray = draws.integers("grey", 60, 160, 1, side, side).expand(-1, 3, -1, -1).clone()
    ramp = torch.linspace(-20, 20, side).long()
    gray[:, 1] -= ramp  # green against magenta
    batch = Batch(gray.clamp(0, 255).to(torch.uint8))
    inputs, _ = split(batch, draws)
    corner, _ = corners(
        CutPair(split.patch, split.gap, split.jitter, standardize=False),
        image_of_coordinates(count, side),
    )
    means = inputs.data[:, 0].mean((-1, -2))  # (B, C)
    side_of = (corner[:, 0, 1] > corner[:, 0, 1].median()).float()
    design = torch.cat([means, torch.ones(count, 1)], 1)
    half = count // 2
    inverse = torch.linalg.pinv(design[:half], rtol=1e-3)  # standardized means depend on each other
    weights = inverse @ (side_of[:half, None] - 0.5)
    return float(((design[half:] @ weights > 0)[:, 0] == (side_of[half:] > 0)).float().mean())


@pytest.mark.parametrize("color", ["project", "drop"])
def test_each_countermeasure_hides_where_in_a_lens_a_patch_was(color: Literal["project", "drop"]) -> None:
    geometry = {"patch": 12, "gap": 2, "jitter": 1}
    assert offset_classes(CutPair(**geometry), 2000) > 0.9
    assert abs(offset_classes(CutPair(**geometry, color=color), 2000) - 0.5) < 0.06  # 3.8 standard errors of 1000


def smooth_gray(batch: int, side: int) -> torch.Tensor:
    """Gray images without edges finer than a few pixels."""
    draws = Draws(torch.arange(batch))
    coarse = draws.integers("grey", 0, 256, 1, side // 4, side // 4).float()
    smooth = torch.nn.functional.interpolate(coarse, side, mode="bicubic", align_corners=False)
    return smooth.clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


def test_green_is_magnified_about_the_middle_by_what_is_said() -> None:
    line = torch.linspace(-1, 1, 101)  # a ramp says where each of its pixels came from
    images = line.expand(1, 3, 101, 101)
    magnified = magnify_green(images, 0.1)
    inner = slice(10, 91)
    assert torch.equal(magnified[:, ::2], images[:, ::2])
    assert torch.allclose(magnified[0, 1, 50, inner], line[inner] / 1.1, atol=1e-5)


def spread(patches: torch.Tensor) -> torch.Tensor:
    """How far green lies from the two other channels, (B, 2) in pixels: the shift that explains most of the
    difference."""
    middle = patches[:, ::2].mean(1)
    rows, columns = torch.gradient(middle, dim=(1, 2))
    slopes = torch.stack([rows, columns], -1)[:, 1:-1, 1:-1].flatten(1, 2)
    missing = (middle - patches[:, 1])[:, 1:-1, 1:-1].flatten(1)[..., None]
    return torch.linalg.lstsq(slopes, missing).solution[..., 0]


def place_by_spread(color: Literal["keep", "project", "drop"]) -> float:
    """The share of the variance of places that the colors' spread explains, by a line fitted on half of the images."""
    images = smooth_gray(600, 64)
    inputs, targets = PlacePatch(patch=16, color=color, aberration=0.05)(Batch(images), Draws(torch.arange(600)))
    assert targets["place"].value.min() >= 8 / 64
    assert targets["place"].value.max() <= 56 / 64
    shift, place = spread(inputs.data[:, 0]).clamp(-3, 3), targets["place"].value - 0.5
    scale = (shift[:300] * place[:300]).sum() / shift[:300].square().sum().clamp(min=1e-9)
    return float(1 - (place[300:] - scale * shift[300:]).square().sum() / place[300:].square().sum())


def test_an_artificial_lens_gives_the_place_away_and_each_countermeasure_hides_it() -> None:
    assert place_by_spread("keep") > 0.9
    assert place_by_spread("project") < 0.05
    assert place_by_spread("drop") < 0.05


def test_where_channels_are_dropped_features_are_the_mean_over_the_channels_that_may_be_kept() -> None:
    split, batch = CutPair(patch=12, gap=4, jitter=2, color="drop", standardize=False), noise(4)
    shown = split.whole(batch).data
    assert shown.shape == (4, 3, 3, 64, 64)
    for kept in range(3):
        assert torch.equal(shown[:, kept, kept], batch.data[:, kept] / 255)
        for other in {0, 1, 2} - {kept}:
            assert torch.allclose(shown[:, kept, other].mean((-1, -2)), shown[:, kept, kept].mean((-1, -2)))
            assert shown[:, kept, other].std((-1, -2)).max() < 1e-6
    task = compose(
        Observed("image", (3, 64, 64), "uint8", 4),
        split,
        lambda *specs: Convnet(*specs, width=4, depth=2),
        CrossEntropy,
    )
    task.model.eval()
    features = task.encode(batch, layers=True)
    apart = [task.model(Inputs(shown[:, kept : kept + 1])) for kept in range(3)]
    mean = torch.stack([one.streams["all"] for one in apart]).mean(0)
    assert torch.allclose(features.streams["all"], mean, atol=1e-6)
    assert [layer.pooled["all"].shape[1] for layer in features.layers] == [1, 1, 1]


def test_in_independent_noise_nothing_gives_the_position_away() -> None:
    batch = noise(2400, 24)
    inputs, targets = CutPair(patch=4, gap=2, jitter=1)(batch, Draws(batch.index))
    label, pixels = targets["position"].value.numpy(), inputs.data.flatten(1).numpy()
    prediction = LogisticRegression(C=0.01).fit(pixels[:1200], label[:1200]).predict(pixels[1200:])
    assert stats.binomtest(int((prediction == label[1200:]).sum()), 1200, 1 / len(NEIGHBORS)).pvalue > 1e-3


def test_a_patch_is_encoded_whatever_the_other_one_shows() -> None:
    split, observed, batch = CutPair(patch=12, gap=4, jitter=2), Observed("image", (3, 64, 64)), noise(4)
    model = Convnet(split.spec(observed)[0], split.whole_spec(observed), width=4, depth=2).eval()
    inputs, _ = split(batch, Draws(batch.index))
    other = inputs.data.clone()
    other[:, 1] = 1 - other[:, 1]
    one, two = (model(Inputs(views)).pooled["all"] for views in (inputs.data, other))
    assert torch.equal(one[:, 0], two[:, 0])
    assert not torch.equal(one[:, 1], two[:, 1])
    assert torch.allclose(model(Inputs(inputs.data.flip(1))).pooled["all"], one.flip(1), atol=1e-6)  # tied weights


def test_standardized_patches_have_no_brightness_or_contrast_left() -> None:
    batch = noise(16)
    inputs, _ = CutPair(patch=12, gap=4, jitter=2)(batch, Draws(batch.index))
    assert torch.allclose(inputs.data.mean((2, 3, 4)), torch.tensor(0.5), atol=1e-5)
    assert torch.allclose(inputs.data.std((2, 3, 4), correction=0), torch.tensor(0.25), atol=1e-5)


def test_specs_say_what_comes() -> None:
    spec, targets = PLAIN.spec(Observed("image", (3, 100, 100)))
    batch = noise(4, 100)
    inputs, predicted = PLAIN(batch, Draws(batch.index))
    assert inputs.data.shape == (4, spec.views, *spec.shape)
    assert set(targets) == set(predicted) == {"position"}
    assert PLAIN.whole(batch).data.shape == (4, 1, *PLAIN.whole_spec(Observed("image", (3, 100, 100))).shape)


def test_small_images_are_refused_with_the_number_of_pixels_needed() -> None:
    with pytest.raises(Incompatible, match=r"at least 398 pixels a side .* got 64 x 64"):
        CutPair().spec(Observed("image", (3, 64, 64)))


def test_images_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(Incompatible, match=r"uint8\); got float32"):
        PLAIN.spec(Observed("image", (3, 100, 100), "float32"))


def test_color_options_refuse_gray_images() -> None:
    with pytest.raises(Incompatible, match="3 channels"):
        CutPair(12, 4, 2, color="project").spec(Observed("image", (1, 64, 64)))


def test_steps_are_the_neighbors() -> None:
    assert steps(torch.device("cpu")).tolist() == [list(step) for step in NEIGHBORS]


def test_project_is_the_matrix_on_every_pixel() -> None:
    views = torch.arange(24.0).view(1, 1, 3, 2, 4)
    expected = (projection(torch.device("cpu")) @ views.view(3, 8)).view(1, 1, 3, 2, 4)
    assert torch.allclose(project(views), expected)


def test_the_figure_puts_each_neighbor_where_it_is_predicted_and_says_whether_that_is_right() -> None:
    patches = torch.zeros(2, 2, 3, 32, 32)
    patches[:, 1] = 1.0
    figure = draw_pairs(patches, torch.tensor([0, 7]), torch.tensor([0, 1]))
    sheet = decode(figure.png)  # two sheets of three by three places of 36 pixels, with a gap of 6
    assert sheet[1, 18].tolist() == list(CORRECT), "place 0 of the first pair is framed as right"
    assert sheet[18, 18].tolist() == [255, 255, 255], "and holds the neighbor"
    assert sheet[54, 54].tolist() == [0, 0, 0], "the center"
    assert sheet[1, 114 + 36 + 18].tolist() == list(WRONG), "place 1 of the second pair, which is wrong"
    assert sheet[73, 114 + 72 + 18].tolist() == list(GRAY), "place 8 of the second pair, where it was"
    assert "1 of 2 right" in figure.caption


def decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


@pytest.mark.parametrize("is_planar", [True, False])
@pytest.mark.parametrize("side", [9, 300])  # a block of several samples, and less than one
def test_spread_is_to_the_bit_that_of_torch(side: int, is_planar: bool) -> None:
    views = torch.rand(3, 2, 3, side, side)
    views[0, 0] = 0.3
    views = views if is_planar else interleave_channels(views)
    for ours, theirs in zip(std_mean(views), torch.std_mean(views, (2, 3, 4), correction=0, keepdim=True), strict=True):
        assert torch.equal(ours[1:], theirs[1:])
        assert torch.allclose(ours, theirs, atol=1e-7)

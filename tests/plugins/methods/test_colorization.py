"""Promises of colorization; palette, weights and metrics from methods.md section 8, Lab against scikit-image."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Batch, Budget, Draws, Figure, Incompatible, Items, Labels, Observed, PretaskError, Samples, Task
from pretask.composition import compose
from pretask.pretext_score import held_out_loss, trivial_losses
from pretask_plugins.methods.colorization.evaluator import Colorization, area_under_curve, colorize_images
from pretask_plugins.methods.colorization.palette import (
    BINS,
    annealed_mean,
    bins,
    find_nearest_bins,
    rebalancing_weights,
    smooth_counts,
    soft_encode,
)
from pretask_plugins.methods.colorization.split import DropColor, has_color
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.shared.colors import color_ab, lab_to_bytes, lightness
from skimage.color import lab2rgb, rgb2lab

CPU = torch.device("cpu")
OBSERVED = Observed("image", (3, 32, 32), samples=8)


def noise(count: int = 8, side: int = 32) -> torch.Tensor:
    draws = Draws(torch.arange(count))
    return draws.integers("pixel", 0, 256, 3, side, side).to(torch.uint8)


def paint(*shades: tuple[int, int, int], side: int = 32) -> torch.Tensor:
    """One image of a single color for each shade."""
    return torch.tensor(shades, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, side, side).contiguous()


def every_shade(step: int = 15) -> torch.Tensor:
    """All colors whose channels are multiples of the step, as one image (1, 3, H, W)."""
    line = torch.arange(0, 256, step, dtype=torch.uint8)
    return torch.cartesian_prod(line, line, line).T[None, :, :, None].contiguous()


def test_lab_is_that_of_scikit_image() -> None:
    shades = every_shade()
    ours = torch.cat([lightness(shades), color_ab(shades)], 1)[0, :, :, 0].T
    theirs = torch.from_numpy(rgb2lab(shades[0, :, :, 0].T.numpy()))
    assert float((ours - theirs).abs().max()) < 1e-3


def test_bytes_of_lab_are_those_of_scikit_image_and_undo_it() -> None:
    shades = every_shade()
    lab = torch.cat([lightness(shades), color_ab(shades)], 1)
    assert torch.equal(lab_to_bytes(lab), shades)
    reachable = lab * torch.tensor([1.0, 0.5, 0.5]).view(3, 1, 1)  # half the color is on every screen
    theirs = torch.from_numpy(lab2rgb(reachable[0, :, :, 0].T.double().numpy()) * 255)
    assert float((lab_to_bytes(reachable)[0, :, :, 0].T - theirs).abs().max()) < 0.51  # rounding to bytes is 0.5


def test_the_palette_has_the_313_published_bins() -> None:
    sizes = [sum(a == column for a, _ in BINS) for column in range(-90, 101, 10)]
    assert sizes == [5, 8, 10, 12, 14, 15, 16, 16, 17, 18, 18, 18, 19, 20, 19, 20, 20, 19, 19, 10]
    assert len(BINS) == 313
    assert list(BINS) == sorted(BINS)
    assert {(40, 90), (100, -90), (100, 0), (-90, 50), (0, 0)} <= set(BINS)
    assert not {(100, 10), (-90, 40), (-80, 100)} & set(BINS)


@pytest.mark.parametrize(("count", "first"), [(5, 0.649), (10, 0.619)])
def test_a_color_on_a_bin_gives_it_the_published_probability(count: int, first: float) -> None:
    nearest, probability = soft_encode(torch.tensor([[20.0, -10.0]]), count)
    assert BINS[int(nearest[0, int(probability.argmax())])] == (20, -10)
    assert float(probability.max()) == pytest.approx(first, abs=5e-4)
    assert probability.shape[-1] == count
    assert float(probability.sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", [5, 10])
def test_probabilities_are_those_of_the_exactly_nearest_bins(count: int) -> None:
    colors = torch.cat([color_ab(image).movedim(1, -1).reshape(-1, 2) for image in (noise(side=8), every_shade())])
    nearest, probability = soft_encode(colors, count)
    ours = torch.zeros(len(colors), 313).scatter_(1, nearest, probability)
    exact = find_nearest_bins(colors, count)
    weight = torch.exp(-((bins(CPU)[exact] - colors[:, None]).norm(dim=-1) ** 2) / 50)
    theirs = torch.zeros(len(colors), 313).scatter_(1, exact, weight / weight.sum(1, keepdim=True))
    assert float((ours.sort(1).values - theirs.sort(1).values).abs().max()) < 1e-5
    assert float(((ours - theirs).abs().sum(1) < 1e-5).float().mean()) > 0.999  # the others are equally near to two


def test_no_color_of_a_screen_is_further_from_its_bin_than_half_a_cell() -> None:
    colors = color_ab(every_shade()).movedim(1, -1).reshape(-1, 2)
    nearest, probability = soft_encode(colors, 5)
    closest = bins(CPU)[nearest.gather(-1, probability.argmax(-1, keepdim=True))[..., 0]]
    assert float((closest - colors).abs().max()) <= 5.0 + 1e-3


def test_weights_of_a_prior_are_one_on_average_and_invert_it_as_far_as_set() -> None:
    prior = torch.linspace(0, 1, 313) ** 2
    prior = prior / prior.sum()
    for uniform in (0.0, 0.5, 1.0):
        assert float((prior * rebalancing_weights(prior, uniform)).sum()) == pytest.approx(1, abs=1e-6)
    seen = prior > 0
    assert torch.allclose(rebalancing_weights(prior, 1.0), torch.ones(313))
    product = (prior * rebalancing_weights(prior, 0.0))[seen]
    assert torch.allclose(product, product[0].expand_as(product))
    half = rebalancing_weights(prior, 0.5)
    assert float(half[5] / half[300]) == pytest.approx(float((prior[300] + 1 / 312) / (prior[5] + 1 / 312)), rel=1e-5)


def test_a_color_that_was_never_seen_counts_as_much_as_the_rarest() -> None:
    weight = rebalancing_weights(torch.tensor([0.7, 0.0, 0.3]), 0.5)
    assert weight.isfinite().all()
    assert weight[1] == weight[2]


def test_the_prior_is_the_histogram_of_the_users_colors_smoothed() -> None:
    shades = paint((150, 100, 100), (150, 100, 100), (90, 100, 150), (100, 140, 100))  # well inside the palette
    split = DropColor().fit(OBSERVED, [Batch(shades[:1]), Batch(shades[1:])])
    expected = torch.zeros(313)
    for color in rgb2lab(shades[:, :, 0, 0].numpy())[:, 1:]:
        row, column = (int(round(coordinate, -1)) for coordinate in color)
        for step, mass in (((0, 0), 1.0), *((step, math.exp(-2)) for step in ((-10, 0), (10, 0), (0, -10), (0, 10)))):
            expected[BINS.index((row + step[0], column + step[1]))] += mass / (1 + 4 * math.exp(-2)) / len(shades)
    assert torch.allclose(torch.tensor(split.prior), expected, atol=1e-6)


def test_smoothing_keeps_the_mass() -> None:
    assert float(smooth_counts(torch.arange(313.0), 10).sum()) == pytest.approx(1, abs=1e-5)


def test_the_target_is_the_color_of_every_fourth_pixel() -> None:
    images = noise(2, 30)
    split = DropColor()
    _, targets = split(Batch(images), Draws(torch.arange(2)))
    spec = split.spec(Observed("image", (3, 30, 30)))[1]["colour"]
    assert targets["colour"].value.shape == (2, *spec.grid, 5) == (2, 8, 8, 5)
    lab = torch.from_numpy(rgb2lab(images.permute(0, 2, 3, 1).numpy()))
    for row in range(8):
        for column in range(8):
            place = lab[:, 4 * row, 4 * column, 1:].float()
            closest = (place[:, None] - bins(CPU)).norm(dim=-1).argmin(1)
            best = targets["colour"].probability[:, row, column].argmax(-1, keepdim=True)
            assert torch.equal(targets["colour"].value[:, row, column].gather(1, best)[:, 0], closest)


def test_x_has_one_channel_in_which_no_color_is_left() -> None:
    images = noise(4)
    inputs, _ = DropColor()(Batch(images), Draws(torch.arange(4)))
    luminance = torch.from_numpy(rgb2lab(images.permute(0, 2, 3, 1).numpy()))[..., 0]
    assert inputs.data.shape == (4, 1, 1, 32, 32)
    assert torch.allclose(inputs.data[:, 0, 0], luminance.float() / 100, atol=1e-5)


def test_hues_of_equal_lightness_leave_x_as_it_is_and_change_y() -> None:
    hues = color_ab(paint((150, 0, 0), (0, 0, 255), (57, 57, 57))) * 0.3
    images = lab_to_bytes(torch.cat([torch.full((3, 1, 32, 32), 40.0), hues], 1))
    inputs, targets = DropColor()(Batch(images), Draws(torch.arange(3)))
    assert float((inputs.data - 0.4).abs().max()) < 0.004  # bytes are that coarse
    assert len({int(value[0, 0, 0]) for value in targets["colour"].value}) == 3


def test_gray_images_do_not_count_and_hardly_gray_ones_do() -> None:
    images = torch.cat([paint((90, 90, 90)), paint((90, 90, 90))])
    images[1, :, 4, 8] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    _, targets = DropColor()(Batch(images), Draws(torch.arange(2)))
    assert targets["colour"].weight.flatten(1).sum(1).tolist() == [0.0, 64.0]
    assert has_color(torch.tensor([[[[5.0, -5.0]]], [[[0.0, -5.1]]]])).tolist() == [False, True]


def test_a_place_weighs_as_its_most_likely_bin_does() -> None:
    images = noise()
    split = DropColor().fit(OBSERVED, [Batch(images)])
    _, targets = split(Batch(images), Draws(torch.arange(8)))
    target = targets["colour"]
    best = target.value.gather(-1, target.probability.argmax(-1, keepdim=True))[..., 0]
    assert torch.allclose(target.weight, rebalancing_weights(torch.tensor(split.prior), 0.5)[best])
    assert target.weight.unique().numel() > 10


def test_the_annealed_mean_is_the_mean_at_one_the_mode_at_zero_and_inside_the_palette() -> None:
    logits = Draws(torch.arange(6)).normal("logit", 313) * 3
    mean = logits.softmax(-1) @ bins(CPU)
    assert torch.allclose(annealed_mean(logits.log_softmax(-1), 1.0), mean, atol=1e-4)
    assert torch.allclose(annealed_mean(logits.log_softmax(-1), 1e-4), bins(CPU)[logits.argmax(-1)], atol=1e-3)
    between = annealed_mean(logits.log_softmax(-1), 0.38)
    expected = (logits / 0.38).softmax(-1) @ bins(CPU)
    assert torch.allclose(between, expected, atol=1e-3)


def test_a_sample_is_split_the_same_in_any_company() -> None:
    images = noise()
    split = DropColor().fit(OBSERVED, [Batch(images)])
    whole, targets = split(Batch(images), Draws(torch.arange(8)))
    pick = torch.tensor([6, 1, 3])
    part_inputs, part_targets = split(Batch(images[pick], pick), Draws(pick))
    assert torch.equal(part_inputs.data, whole.data[pick])
    for part in ("value", "weight", "probability"):
        assert torch.equal(getattr(part_targets["colour"], part), getattr(targets["colour"], part)[pick])


@pytest.mark.parametrize("error", [(0, 0), (9, 12), (45, 60), (89.7, 119.6), (120, 160)])
def test_the_area_under_the_curve_is_the_brute_force_one(error: tuple[float, float]) -> None:
    distance = math.hypot(*error)
    counted = sum(distance <= threshold for threshold in range(151)) / 151
    assert float(area_under_curve(torch.tensor([error], dtype=torch.float32))) == pytest.approx(counted)
    assert counted == pytest.approx(max(151 - math.ceil(distance), 0) / 151)  # .9007 for 15, .5033 for 75


def planted() -> tuple[Samples, DropColor]:
    """Images whose lightness tells their color: dark ones are blue, bright ones yellow."""
    shade = Draws(torch.arange(32)).integers("shade", 0, 2)
    images = torch.where(shade.bool().view(-1, 1, 1, 1), paint((230, 220, 60)), paint((30, 40, 150)))
    samples = Samples(Observed("image", (3, 32, 32), samples=32), images)
    return samples, DropColor().fit(samples.observed, samples.batches(16, CPU))


def task_for(split: DropColor) -> Task:
    return compose(
        Observed("image", (3, 32, 32), samples=32),
        split,
        lambda *specs: Convnet(*specs, width=4, depth=2),
        CrossEntropy,
    )


def test_lightness_that_tells_the_color_is_learned_and_beats_every_trivial_predictor() -> None:
    samples, split = planted()
    task = task_for(split)
    optimizer = torch.optim.Adam([*task.model.parameters(), *task.objective.parameters()], lr=0.03)
    batch = next(samples.batches(32, CPU))
    for _ in range(20):
        loss = task.loss(batch, Draws(batch.index))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    learned = held_out_loss(task, samples)["colour"]
    trivial = trivial_losses(task, samples, samples)
    assert set(trivial) == {"prior", "gray"}
    assert learned < trivial["prior"]["colour"] - 0.3 < trivial["gray"]["colour"] < math.inf
    results = dict(Colorization(pictures=3)(task, lambda part: samples, Budget()))
    assert results["auc"] > max(results["gray.auc"], results["mean_color.auc"]) + 0.1
    assert results["balanced_auc"] > results["gray.balanced_auc"] + 0.1


def test_true_colors_reach_an_area_of_one_and_gray_what_its_distance_says() -> None:
    samples, split = planted()
    task = task_for(split)
    evaluator = Colorization(pictures=2)
    truth, _, _ = evaluator.predict_places(task, split, samples, Budget())
    theirs = rgb2lab(samples.data[:, :, ::4, ::4].permute(0, 2, 3, 1).numpy())[..., 1:].reshape(-1, 2)
    assert np.allclose(truth.numpy(), theirs, atol=1e-2)
    assert float(area_under_curve(truth - truth).mean()) == 1.0
    near = [
        sum(float(error) <= threshold for threshold in range(151)) / 151 for error in np.linalg.norm(theirs, axis=1)
    ]
    assert dict(evaluator(task, lambda part: samples, Budget()))["gray.auc"] == pytest.approx(np.mean(near), abs=1e-4)


def test_balanced_both_colors_count_the_same_however_rare_one_is() -> None:
    images = torch.cat([paint(*[(150, 100, 100)] * 7), paint((30, 40, 150))])
    samples = Samples(Observed("image", (3, 32, 32), samples=8), images)
    split = DropColor().fit(samples.observed, [Batch(images)])
    task = task_for(split)
    truth, _, importance = Colorization().predict_places(task, split, samples, Budget())
    of_images = importance.view(8, 64).sum(1)
    assert float(of_images[:7].sum()) == pytest.approx(
        float(of_images[7]), rel=0.15
    )  # the palette's edge cuts a kernel
    results = dict(Colorization(pictures=1)(task, lambda part: samples, Budget()))
    area = area_under_curve(truth).view(8, 64).mean(1)
    assert results["gray.auc"] == pytest.approx(float(area.mean()))
    assert results["gray.balanced_auc"] == pytest.approx(float(area[0] + area[7]) / 2, abs=0.01)
    assert abs(results["gray.auc"] - results["gray.balanced_auc"]) > 0.05


def test_the_figure_shows_photographs_gray_and_predictions() -> None:
    samples, split = planted()
    figure = dict(Colorization(pictures=3)(task_for(split), lambda part: samples, Budget()))["colorized"]
    assert isinstance(figure, Figure)
    sheet = np.asarray(Image.open(io.BytesIO(figure.png)))
    assert sheet.shape == (3 * 32, 3 * 32, 3)
    assert np.array_equal(sheet[:32, :32], samples.data[0].permute(1, 2, 0).numpy())
    assert np.ptp(sheet[32:64].astype(int), axis=2).max() <= 1  # gray


def test_colorizing_with_the_true_colors_gives_the_image_back() -> None:
    image = paint((40, 120, 200), (200, 180, 30))
    truth = DropColor().colors(Batch(image))
    assert int((colorize_images(image, truth).int() - image.int()).abs().max()) <= 1


def test_a_classifier_that_the_user_names_says_whether_colors_are_the_right_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.cat([paint((200, 60, 60)), paint((60, 60, 200))] * 4)
    labels = {"class": Labels(torch.tensor([0, 1] * 4), ("red", "blue"))}
    samples = Samples(Observed("image", (3, 32, 32), samples=8), images, labels)
    split = DropColor().fit(samples.observed, [Batch(images)])
    task = task_for(split)
    file = tmp_path / "by_color.py"
    file.write_text("def classify(images):\n    return images.float().mean((2, 3))[:, [0, 2]]\n")
    found = dict(Colorization(pictures=1, classifier=f"{file}:classify").classify(task, samples, Budget()))
    assert found["original.accuracy"] == 1
    assert found["gray.accuracy"] == 0.5  # both scores are equal, so all are of the first class
    monkeypatch.setattr(Colorization, "predict_colors", lambda self, task, batch, seed: split.colors(batch))
    painted = list(Colorization(classifier=f"{file}:classify").classify(task, samples, Budget()))
    assert dict(painted[:3])["accuracy"] == 1
    assert isinstance(painted[3][1], Items)
    assert len(painted[3][1].correct) == 8
    file.write_text("def classify(images):\n    return images.float().mean((2, 3))\n")
    with pytest.raises(PretaskError, match=r"scores of shape \(8, 2\).*got \(8, 3\)"):
        dict(Colorization(classifier=f"{file}:classify").classify(task, samples, Budget()))
    with pytest.raises(PretaskError, match=r"FILE\.py:FUNCTION or MODULE:FUNCTION; got nowhere:classify"):
        dict(Colorization(classifier="nowhere:classify").classify(task, samples, Budget()))


def test_the_evaluator_refuses_a_task_that_predicts_no_color() -> None:
    samples, split = planted()
    task = task_for(split)
    object.__setattr__(task, "split", object())
    with pytest.raises(PretaskError, match="predicts color"):
        next(Colorization()(task, lambda part: samples, Budget()))


@pytest.mark.parametrize("shape", [(1, 32, 32), (4, 32, 32)])
def test_gray_and_alpha_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Incompatible, match="3 channels"):
        DropColor().spec(Observed("image", shape))


def test_images_that_are_all_gray_are_refused_when_the_prior_is_estimated() -> None:
    with pytest.raises(PretaskError, match="gray images only"):
        DropColor().fit(OBSERVED, [Batch(paint((10, 10, 10), (200, 200, 200)))])


def test_a_given_prior_is_kept_and_one_of_another_size_refused() -> None:
    given = tuple([1 / 313] * 313)
    assert DropColor(prior=given).fit(OBSERVED, []).prior == given
    with pytest.raises(PretaskError, match="313 probabilities; got 2"):
        DropColor(prior=(0.5, 0.5)).spec(OBSERVED)

"""Promises of colorization tracking; methods.md section 12."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import (
    Batch,
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    InputSpec,
    Observed,
    PretaskError,
    Reference,
    Task,
)
from pretask.pretext_score import HELD_OUT_EPOCH
from pretask.recipe import Recipe
from pretask_plugins.methods.colorization_tracking.split import (
    ColorizeFrames,
    cell_colors,
    to_gray,
)
from pretask_plugins.methods.colorization_tracking.trivial_predictors import (
    point_at_same_gray,
    point_at_same_place,
    pointing_vectors,
)
from pretask_plugins.models.video.frames import Frames
from pretask_plugins.objectives.pointer import Pointer
from pretask_plugins.shared.colors import compress_bytes, rgb_to_lab
from pretask_plugins.shared.k_means import find_nearest, k_means
from pretask_plugins.shared.pointing import copy_labels
from skimage.color import rgb2lab
from torch import nn

RED, GREEN, BLUE, GRAY = (220, 40, 40), (40, 180, 60), (50, 80, 220), (128, 128, 128)
PALETTE = (RED, GREEN, BLUE, GRAY)
CENTERS = tuple(
    tuple(rgb_to_lab(torch.tensor(color)[None, :, None, None] / 255)[0, 1:, 0, 0].tolist()) for color in PALETTE
)
SPLIT = ColorizeFrames(references=2, step=2, classes=4, cell=4, centers=CENTERS)  # type: ignore[arg-type]


def painted(label: torch.Tensor, cell: int = 4) -> Batch:
    """Clips whose cells have the colors of the palette, (B, T, h, w)."""
    cells = torch.tensor(PALETTE, dtype=torch.uint8)[label].movedim(-1, 2)
    return Batch(cells.repeat_interleave(cell, 3).repeat_interleave(cell, 4))


def random_labels(batch: int, frames: int = 9, side: int = 4) -> torch.Tensor:
    return Draws(torch.arange(batch)).integers("label", 0, 4, frames, side, side)


def numbered(batch: int, frames: int = 30) -> Batch:
    """Clips of gray frames, each as bright as its number says."""
    brightness = (8 * torch.arange(frames)).to(torch.uint8)
    return Batch(brightness[None, :, None, None, None].expand(batch, -1, 3, 8, 8).contiguous())


def test_lab_is_what_scikit_image_computes() -> None:
    images = Draws(torch.arange(4)).uniform("colour", 3, 9, 7)
    images[0, :, 0] = 0.0
    images[1, :, 0] = 1.0
    expected = rgb2lab(images.movedim(1, 3).numpy().astype(np.float64))
    assert np.abs(rgb_to_lab(images).movedim(1, 3).numpy() - expected).max() < 2e-3


@pytest.mark.parametrize("size", [(5, 7), (21, 23), (30, 30)])
def test_colors_of_a_frame_do_not_depend_on_what_is_beside_it(size: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (5, 2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    together = compress_bytes(frames)
    assert all(torch.equal(compress_bytes(frames[number : number + 1])[0], together[number]) for number in range(5))


def test_labels_are_the_colors_that_were_painted() -> None:
    label = random_labels(20)
    batch = painted(label)
    inputs, targets = SPLIT(batch, Draws(batch.index))
    start = torch.tensor(
        [
            next(
                begin
                for begin in range(5)
                if torch.equal(targets["colour"].value[clip], label[clip, [begin, begin + 2, begin + 4]])
            )
            for clip in range(20)
        ]
    )
    assert set(start.tolist()) == {0, 1, 2, 3, 4}  # windows begin anywhere
    assert inputs.data.shape == (20, 3, 1, 16, 16)


def test_references_are_given_and_the_last_frame_is_predicted() -> None:
    batch = painted(random_labels(3))
    weight = SPLIT(batch, Draws(batch.index))[1]["colour"].weight
    assert weight is not None
    assert weight.mean((0, 2, 3)).tolist() == [0, 0, 1]


def test_every_label_is_the_nearest_color() -> None:
    points = 40 * Draws(torch.arange(300)).normal("colour", 2)
    label = SPLIT.quantize(points)
    centers = torch.tensor(CENTERS)
    expected = torch.tensor([int((centers - point).norm(dim=1).argmin()) for point in points])
    assert torch.equal(label, expected)
    assert set(label.tolist()) <= {0, 1, 2, 3}


def test_a_change_of_hue_at_the_same_lightness_leaves_x_as_it_is() -> None:
    plain = torch.full((1, 1, 3, 2, 2), 128, dtype=torch.uint8)
    lightness = float(to_gray(plain).mean())
    tried = torch.cartesian_prod(*[torch.arange(0, 256, 15)] * 3).to(torch.uint8)  # all hues
    levels = to_gray(tried[:, None, :, None, None]).flatten()
    similar = tried[(levels - lightness).abs() < 1e-3]
    assert len(similar) > 5
    split = ColorizeFrames(references=1, step=1, classes=4, cell=2, centers=CENTERS)  # type: ignore[arg-type]
    clips = similar[:, None, :, None, None].expand(-1, 2, -1, 2, 2).contiguous()
    inputs, targets = split(Batch(clips), Draws(torch.arange(len(clips))))
    assert inputs.data.shape[2] == 1
    assert float((inputs.data - lightness).abs().max()) < 1e-3
    assert len(targets["colour"].value.unique()) > 1


def test_frames_are_as_far_apart_as_the_step_says() -> None:
    batch = numbered(400)
    split = ColorizeFrames(references=3, step=4, classes=4, cell=4, centers=CENTERS)  # type: ignore[arg-type]
    inputs, _ = split(batch, Draws(batch.index))
    levels = to_gray(batch.data[:1])[0, :, 0, 0, 0]
    places = (inputs.data[:, :, 0, 0, 0, None] - levels).abs().argmin(2)
    assert torch.equal(places.diff(dim=1), torch.full((400, 3), 4))
    assert (int(places.min()), int(places.max())) == (0, 29)


def test_k_means_finds_colors_that_are_there_and_the_same_ones_again() -> None:
    planted = torch.tensor([[60.0, 40.0], [-50.0, 45.0], [20.0, -70.0], [0.0, 0.0]])
    points = (planted[:, None] + Draws(torch.arange(4)).normal("spread", 100, 2)).flatten(0, 1)
    centers = k_means(points, 4)
    assert float(torch.cdist(planted, centers).amin(1).max()) < 0.5
    assert torch.equal(centers, k_means(points, 4))
    for number in range(4):
        assert torch.allclose(points[find_nearest(points, centers) == number].mean(0), centers[number], atol=1e-4)


def test_fitting_finds_the_users_colors() -> None:
    batch = painted(random_labels(40))
    blank = ColorizeFrames(references=2, step=2, classes=4, cell=4)
    fitted = blank.fit(Observed("video", (9, 3, 16, 16)), [batch])
    assert float(torch.cdist(torch.tensor(CENTERS), torch.tensor(fitted.centers)).amin(1).max()) < 0.1
    assert fitted.fit(Observed("video", (9, 3, 16, 16)), []) is fitted
    with pytest.raises(PretaskError, match="colors, fitted or as"):
        blank(batch, Draws(batch.index))
    with pytest.raises(PretaskError, match="clips in color"):
        blank.fit(Observed("video", (30, 3, 8, 8)), [numbered(4)])


def predict_labels(vectors: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    given = torch.ones_like(label, dtype=torch.bool)
    given[:, -1] = False
    shares = copy_labels(vectors.flatten(2, 3), label.flatten(2), given.flatten(2), 4, query_views=1)
    return shares.argmax(-1)[:, 0].view(label[:, -1].shape)


def test_copy_points_at_the_same_place_of_the_newest_reference() -> None:
    label = random_labels(10, frames=3)
    assert torch.equal(predict_labels(point_at_same_place(label), label), label[:, 1])


def test_gray_points_at_cells_of_the_same_pixels() -> None:
    order = Draws(torch.arange(6)).permutation("order", 16)
    first = random_labels(6, frames=1)[:, 0]
    pixels = Draws(torch.arange(6)).uniform("pixels", 16, 16)  # of 16 cells
    moved = pixels.gather(1, order[..., None].expand(-1, -1, 16))

    def laid(cells: torch.Tensor) -> torch.Tensor:
        return cells.view(6, 4, 4, 4, 4).permute(0, 1, 3, 2, 4).reshape(6, 1, 16, 16)

    frames = torch.stack([laid(torch.zeros_like(pixels)), laid(pixels), laid(moved)], 1)
    last = first.flatten(1).gather(1, order).view(6, 4, 4)
    label = torch.stack([torch.zeros_like(first), first, last], 1)
    assert torch.equal(predict_labels(point_at_same_gray(frames, 4), label), last)


def test_products_of_pointing_vectors_fall_with_the_squared_distance() -> None:
    places = Draws(torch.arange(2)).normal("place", 2, 3, 3, 2)
    vectors = pointing_vectors(places, 1.5)
    products = vectors[:, 1].flatten(1, 2) @ vectors[:, 0].flatten(1, 2).transpose(1, 2)
    squares = -1.5 * torch.cdist(places[:, 1].flatten(1, 2), places[:, 0].flatten(1, 2)).square()
    assert torch.allclose(products.softmax(2), squares.softmax(2), atol=1e-5)


def test_trivial_predictors_are_scored_by_the_pointer() -> None:
    batch = painted(random_labels(12)[:, :1].expand(-1, 9, -1, -1).contiguous())  # still clips
    _, targets = SPLIT.spec(Observed("video", (9, 3, 16, 16)))
    pointer = Pointer(FeatureSpec(8, (4, 4), 3, ("present",)), targets, query_views=1)
    draws = Draws(batch.index)
    parts = {
        name: pointer.score(predict(batch, draws), SPLIT(batch, draws)[1]).parts
        for name, predict in SPLIT.trivial_predictors([batch]).items()
    }
    assert float(parts["copy"]["colour.accuracy"]) == 1
    assert float(parts["gray"]["colour.accuracy"]) > 0.95
    assert float(parts["histogram"]["colour.accuracy"]) < 0.6


def test_short_padded_clips_have_no_weight_and_padding_is_never_shown() -> None:
    length = 2 + torch.arange(200) % 12
    batch = numbered(200, 13)
    padded = Batch(batch.data, batch.index, torch.arange(13) < length[:, None])
    split = ColorizeFrames(references=2, step=2, classes=4, cell=4, centers=CENTERS)  # type: ignore[arg-type]
    inputs, targets = split(padded, Draws(padded.index))
    valid = targets["colour"].weight[:, -1].amax((1, 2)) > 0  # type: ignore[index]
    assert torch.equal(valid, length >= split.span)
    levels = to_gray(batch.data[:1])[0, :, 0, 0, 0]
    places = (inputs.data[:, :, 0, 0, 0, None] - levels).abs().argmin(2)
    assert bool((places.amax(1) < length)[valid].all())


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_clip_is_split_the_same_at_any_batch_size_and_in_any_order(size: int) -> None:
    whole = painted(random_labels(64))
    expected, labels = SPLIT(whole, Draws(whole.index, seed=3, epoch=2))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for start in range(0, 64, size):
        pick = order[start : start + size]
        inputs, targets = SPLIT(Batch(whole.data[pick], whole.index[pick]), Draws(whole.index[pick], seed=3, epoch=2))
        assert torch.allclose(inputs.data, expected.data[pick], atol=1e-6)
        assert torch.equal(targets["colour"].value, labels["colour"].value[pick])


def test_specs_say_what_comes_and_the_whole_is_gray_frames() -> None:
    observed, batch = Observed("video", (9, 3, 16, 16)), painted(random_labels(2))
    spec, targets = SPLIT.spec(observed)
    inputs, predicted = SPLIT(batch, Draws(batch.index))
    assert spec == InputSpec("image", (1, 16, 16), views=3, ordered=True)
    assert targets == {"colour": Reference(4, grid=(4, 4), views=3)}
    assert inputs.data.shape == (2, spec.views, *spec.shape)
    assert predicted["colour"].value.shape == (2, 3, 4, 4)
    whole = SPLIT.whole(batch).data
    assert whole.shape == (2, SPLIT.whole_spec(observed).views, 1, 16, 16)
    assert torch.equal(whole[:, 0], to_gray(batch.data)[:, 1])
    assert SPLIT.whole(Batch(batch.data[:, :1])).data.shape[1] == 1


@pytest.mark.parametrize(("size", "rows", "columns"), [((8, 9), (4, 8), (0, 5)), ((10, 8), (5, 10), (0, 4))])
def test_a_cell_has_the_mean_color_of_its_pixels_and_cells_fill_the_frame(
    size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    frames = Draws(torch.arange(2)).integers("colour", 0, 256, 1, 3, *size).to(torch.uint8)
    colors = cell_colors(frames, 4)
    expected = rgb2lab(frames[1, 0].movedim(0, 2).numpy())[slice(*rows), slice(*columns), 1:].mean((0, 1))
    assert colors.shape == (2, 1, 2, 2, 2)
    assert np.abs(colors[1, 0, 1, 0].numpy() - expected).max() < 5e-3


@pytest.mark.parametrize("shape", [(12, 3, 32, 32), (20, 1, 32, 32), (20, 3, 4, 4)])
def test_short_small_and_gray_clips_are_refused_also_where_colors_are_fitted(shape: tuple[int, ...]) -> None:
    for method in (ColorizeFrames().spec, lambda observed: ColorizeFrames().fit(observed, [])):
        with pytest.raises(Incompatible, match=r"3 channels .* at least 13 frames .* 8 pixels a side; got video"):
            method(Observed("video", shape))


class Labels(nn.Module):
    """An objective whose vectors are the colors themselves: every cell points at those of its own color."""

    def __init__(self, label: torch.Tensor) -> None:
        super().__init__()
        self.label = label

    def predict(self, features: Features, /) -> dict[str, torch.Tensor]:
        return {"colour": 9 * torch.nn.functional.one_hot(self.label, 4).float()}


def test_the_figure_shows_a_gray_frame_the_colors_copied_to_it_and_its_own() -> None:
    batch = painted(random_labels(3, frames=5, side=12))
    label = SPLIT(batch, Draws(batch.index, 0, HELD_OUT_EPOCH).branch("split"))[1]["colour"].value
    observed = Observed("video", (5, 3, 48, 48))
    model = Frames(SPLIT.spec(observed)[0], SPLIT.whole_spec(observed), width=4, depth=1)
    task = Task("a test", SPLIT, model, Labels(label), Recipe(), observed, torch.device("cpu"))
    (figure,) = SPLIT.figures(task, batch)
    sheet = np.asarray(Image.open(BytesIO(figure.png))).astype(int).reshape(3, 51, 5, 51, 3)[:, :48, :, :48]
    first, _, gray, copied, own = sheet.transpose(2, 0, 1, 3, 4)
    assert np.ptp(gray, axis=3).max() <= 1
    assert np.abs(copied - own).max() <= 2, "the vectors tell colors apart"
    shades = np.array(PALETTE)[label.numpy()].repeat(4, 2).repeat(4, 3)
    assert np.abs(own - shades[:, 2]).max() <= 2
    assert np.abs(first - shades[:, 0]).max() <= 2

"""Promises of the evaluator `tracking`; methods.md section 12."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import (
    Batch,
    Budget,
    Draws,
    Features,
    FeatureSpec,
    Figure,
    Inputs,
    InputSpec,
    Items,
    Labels,
    Observed,
    PretaskError,
    Samples,
    Targets,
    TargetSpecs,
)
from pretask.composition import Task
from pretask.recipe import Recipe
from pretask_plugins.evaluators.tracking import propagation
from pretask_plugins.evaluators.tracking.encoders import color_features, encode_frames, gray_features, gray_patches
from pretask_plugins.evaluators.tracking.propagation import Copying, Propagation
from pretask_plugins.evaluators.tracking.readouts import RADII, TEMPERATURES, TOP_KS
from pretask_plugins.evaluators.tracking.scores import contour_accuracy, dilate, edges, region_similarity, summarize
from pretask_plugins.evaluators.tracking.tracking import Tracking
from scipy import ndimage
from skimage.morphology import disk

CELL, PLACES = 4, 6  # pixels of a cell, cells of a side


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(noise(*shape, seed=seed) - 0.5, dim=-1)


class Cells(torch.nn.Module):
    """Features that are the points themselves: every cell's grey level, one-hot. Perfect where levels are unique."""

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        return FeatureSpec(256, (PLACES, PLACES), spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        level = (inputs.data[:, :, 0, ::CELL, ::CELL] * 255).round().long().flatten(2)
        tokens = torch.nn.functional.one_hot(level, 256).float()
        output = Features({"all": tokens}, {"all": tokens.mean(2)}, (PLACES, PLACES))
        return (
            Features(output.streams, output.pooled, output.grid, layers=(blind(output), output)) if layers else output
        )


def blind(features: Features) -> Features:
    """Features of the same shape that are all alike."""
    tokens = torch.ones_like(features.streams["all"])
    return Features({"all": tokens}, {"all": tokens.mean(2)}, features.grid)


class Whole:
    """A split that hides nothing and asks nothing."""

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        return self.whole_spec(clips), {}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        return InputSpec("image", clips.shape[1:], views=clips.shape[0], ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        return self.whole(batch), {}

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data / 255)


def task() -> Task:
    observed = Observed("video", (5, 3, CELL * PLACES, CELL * PLACES))
    return Task("a test", Whole(), Cells(), torch.nn.Identity(), Recipe(), observed, torch.device("cpu"))


def points(clips: int, frames: int, move: str) -> Samples:
    """Clips of cells of 36 different levels that stay, trade places, or roll to the right, with two objects of them."""
    grid = torch.arange(PLACES**2).view(PLACES, PLACES)
    order = grid.expand(clips, frames, -1, -1).clone()
    for clip, frame in product(range(clips), range(1, frames)):
        shuffled = torch.randperm(PLACES**2, generator=torch.Generator().manual_seed(9 * clip + frame))
        moved = {"stay": grid, "trade": shuffled.view(PLACES, PLACES), "roll": grid.roll(clip + frame, 1)}
        order[clip, frame] = moved[move]
    columns = (grid % PLACES).flatten()
    label = (columns < 3).long() + (columns < 1).long()
    data = enlarged(5 * order + 20).to(torch.uint8)[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()
    masks = Labels(enlarged(label[order]).to(torch.int8), ("ground", "one", "two"))
    return Samples(Observed("video", tuple(data.shape[1:]), "uint8", clips), data, {"masks": masks})


def enlarged(cells: torch.Tensor) -> torch.Tensor:
    return cells.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)


def measured(samples: Samples, train: Samples | None = None, of: Task | None = None, **options: Any) -> dict[str, Any]:
    sharp = {"top_k": 1, "radius": PLACES, "temperature": 0.01}
    parts = {"test": samples, "train": train or samples}
    found: Iterator[tuple[str, Any]] = Tracking(**{**sharp, **options})(of or task(), parts.__getitem__, Budget())
    return {"items" if isinstance(value, Items) else name: value for name, value in found}


def test_perfect_features_follow_every_point_so_that_regions_and_contours_fit_exactly() -> None:
    found = measured(points(3, 6, "roll"), layer=2)
    assert found["J.mean"] == found["F.mean"] == found["J&F"] == found["J.recall"] == 1
    assert found["J.decay"] == 0
    assert found["copy.J.mean"] < 0.5


def cells_of(frames: torch.Tensor) -> torch.Tensor:
    tokens = Cells()(Inputs(frames[:, None] / 255)).streams["all"][:, 0]
    return tokens.transpose(1, 2).reshape(len(frames), 256, PLACES, PLACES)


def test_labels_are_carried_exactly_under_any_permutation() -> None:
    samples = points(2, 6, "trade")
    label = torch.nn.functional.one_hot(samples.labels["masks"].value[:, :, ::CELL, ::CELL].long(), 3).float()
    propagate_labels = Propagation(top_k=1, radius=PLACES, context_frames=3)(
        encode_frames(cells_of, samples.data, CELL), label[:, 0]
    )
    for frame, labels in enumerate(propagate_labels, start=1):
        assert torch.allclose(labels, label[:, frame], atol=1e-5)


def test_on_a_still_clip_copying_the_first_mask_is_perfect() -> None:
    found = measured(points(2, 5, "stay"), layer=2)
    assert found["copy.J&F"] == 1
    assert found["copy.J.decay"] == 0
    assert found["J&F"] == 1


def test_blind_features_are_worse_and_the_layer_is_chosen_on_the_training_part() -> None:
    found = measured(points(2, 5, "trade"))
    assert found["layer"] == 2
    assert found["layer1.validation_J&F"] < found["layer2.validation_J&F"]
    assert measured(points(2, 5, "trade"), layer=1)["J&F"] < 0.4


class Raised(Cells):
    """The same features as after a rectifier that lets most of them through: all vectors are nearly parallel."""

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        output = super().forward(inputs)
        raised = output.streams["all"] + 1
        return Features({"all": raised}, {"all": raised.mean(2)}, output.grid)


class Widened(torch.nn.Module):
    """An objective whose head multiplies by as many columns as it is given."""

    def __init__(self, columns: torch.Tensor) -> None:
        super().__init__()
        self.columns = columns

    def embed(self, tokens: torch.Tensor, /) -> torch.Tensor:
        return tokens @ self.columns


def test_features_that_are_all_alike_but_for_their_mean_are_told_apart_once_it_is_removed() -> None:
    raised = replace(task(), model=Raised())
    blunt = {"top_k": 20, "temperature": 0.05}
    assert measured(points(2, 5, "trade"), of=raised, **blunt)["J&F"] > 0.95
    assert measured(points(2, 5, "trade"), of=raised, center=False, **blunt)["J&F"] < 0.5


def test_the_head_of_the_objective_is_followed_where_it_is_asked_for() -> None:
    perfect, empty = (replace(task(), objective=Widened(columns)) for columns in (torch.eye(256), torch.zeros(256, 4)))
    samples = points(2, 4, "trade")
    assert measured(samples, of=perfect, vectors="head")["J&F"] == measured(samples, layer=2)["J&F"] > 0.95
    assert measured(samples, of=empty, vectors="head")["J&F"] < 0.4
    with pytest.raises(PretaskError, match=r"for tracking\.vectors=head; got Identity"):
        measured(points(1, 5, "stay"), vectors="head")


def test_how_labels_are_copied_is_chosen_on_the_training_part_alone() -> None:
    still, moving = points(2, 4, "stay"), points(2, 4, "trade")
    chosen = [measured(test, train, layer=2, radius=0) for test in (still, moving) for train in (still, moving)]
    assert [found["radius"] for found in chosen] == [RADII[0], RADII[1], RADII[0], RADII[1]]
    ways = measured(still, moving, top_k=0, temperature=0)
    assert (ways["top_k"], ways["temperature"]) == (TOP_KS[0], TEMPERATURES[0])


def test_several_ways_to_copy_share_one_search_and_give_what_each_gives_alone() -> None:
    frames, first = [unit(2, 9, 7, 5, seed=seed) for seed in range(4)], noise(2, 9, 7, 3)
    ways = [Copying(2, 0.1), Copying(7, 0.5), Copying(7, 0.02)]
    together = list(Propagation(radius=3).copy_in_ways(frames, first, ways))
    for place, way in enumerate(ways):
        alone = Propagation(way.top_k, 3, temperature=way.temperature)(frames, first)
        for several, one in zip(together, alone, strict=True):
            assert torch.allclose(several[:, :, :, place], one, atol=1e-6)


def test_gray_sees_no_hue_and_a_gray_patch_all_that_is_around() -> None:
    colors = torch.tensor([[200, 100, 60], [60, 142, 60]], dtype=torch.uint8)[:, :, None, None]  # of one lightness
    gray, color = gray_features(colors).flatten(1), color_features(colors).flatten(1)
    assert torch.allclose(gray[0], gray[1], atol=0.02)
    assert float((color[0] - color[1]).norm()) > 0.5
    frame = (noise(1, 1, 12, 16) * 255).byte().expand(-1, 3, -1, -1)
    patches, levels = gray_patches(frame, stride=4), gray_features(frame)
    assert patches.shape == (1, 2 * 12 * 12, 3, 4)
    assert torch.equal(patches[0, :, 1, 1], levels[0, :, 0:12, 0:12].flatten())
    assert torch.equal(patches[0, :144, 0, 0].view(12, 12)[4:, 4:], levels[0, 0, :8, :8])


def test_baselines_are_measured_once_for_all_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, times = replace(points(2, 4, "trade"), fingerprint="planted"), []
    measure = Tracking.measure_baselines
    monkeypatch.setattr(
        Tracking,
        "measure_baselines",
        lambda *given: times.append(given) or measure(*given),  # type: ignore[func-returns-value]
    )
    tracking = Tracking(layer=2, top_k=1, radius=PLACES, temperature=0.01)
    scores = [dict(tracking(task(), lambda part: samples, Budget(cache=str(tmp_path)))) for _ in range(2)]
    names = [f"{name}.J&F" for name in ("copy", "gray", "gray_patch", "color")]
    assert len(times) == 1
    assert [scores[0][name] for name in names] == [scores[1][name] for name in names]
    assert scores[0]["color.J&F"] > 0.95, "every level is there once"


def test_blocks_give_what_all_affinities_give_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [unit(2, 11, 13, 5, seed=seed) for seed in range(5)]
    first = noise(2, 11, 13, 3)
    carry = Propagation(top_k=4, radius=3, context_frames=2)
    blocks = list(carry(frames, first))
    monkeypatch.setattr(propagation, "BLOCK", 100)
    for one, other in zip(blocks, carry(frames, first), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_one_place_takes_the_mean_label_of_the_likest_places_within_the_radius() -> None:
    frames = [unit(1, 5, 6, 4, seed=seed) for seed in range(2)]
    first = noise(1, 5, 6, 2)
    (labels,) = Propagation(top_k=3, radius=1, temperature=0.2)(frames, first)
    for row in range(5):
        for column in range(6):
            near = [(r, c) for r in range(5) for c in range(6) if abs(r - row) <= 1 and abs(c - column) <= 1]
            likeness = torch.stack([frames[1][0, row, column] @ frames[0][0, r, c] / 0.2 for r, c in near])
            best = likeness.topk(3)
            expected = sum(
                share * first[0, near[place][0], near[place][1]]
                for share, place in zip(best.values.softmax(0), best.indices.tolist(), strict=True)
            )
            assert torch.allclose(labels[0, row, column], expected, atol=1e-5)  # type: ignore[arg-type]


def test_only_the_first_frame_and_the_newest_ones_are_looked_back_at() -> None:
    seen = []

    class Watching(Propagation):
        def propagate_in_ways(
            self, frame: torch.Tensor, context: list[tuple[torch.Tensor, torch.Tensor]], ways: Sequence[Copying]
        ) -> torch.Tensor:
            seen.append([int(frame[0, 0, 0, 0]) for frame, _ in context])
            return context[0][1]

    numbered = [torch.full((1, 2, 2, 1), float(number)) for number in range(6)]
    list(Watching(context_frames=2)(numbered, torch.ones(1, 2, 2, 1)))
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 3, 4]]


def masks(count: int, seed: int = 0) -> torch.Tensor:
    """Blobs, some of them empty, some at the edge."""
    soft = torch.nn.functional.avg_pool2d(noise(count, 1, 60, 80, seed=seed), 9, 1, 4)[:, 0]
    found = soft > 0.52
    found[0] = False
    return found


def test_region_is_intersection_over_union_and_one_where_both_are_empty() -> None:
    prediction, truth = masks(6), masks(6, seed=1)
    for number, value in enumerate(region_similarity(prediction, truth).tolist()):
        union = float((prediction[number] | truth[number]).sum())
        assert value == pytest.approx(float((prediction[number] & truth[number]).sum()) / union if union else 1.0)
    empty = torch.zeros(1, 4, 4, dtype=torch.bool)
    assert region_similarity(empty, empty).tolist() == contour_accuracy(empty, empty).tolist() == [1.0]
    assert region_similarity(empty, ~empty).tolist() == [0.0]


def reference_contour(prediction: np.ndarray, truth: np.ndarray) -> float:
    """The released evaluation of DAVIS, in numpy, with scipy's dilation."""

    def boundary(mask: np.ndarray) -> np.ndarray:
        correct, below, across = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
        correct[:, :-1], below[:-1], across[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
        line = mask ^ correct | mask ^ below | mask ^ across
        line[-1] = mask[-1] ^ correct[-1]
        line[:, -1] = mask[:, -1] ^ below[:, -1]
        line[-1, -1] = False
        return line

    one, other = boundary(prediction), boundary(truth)
    radius = np.ceil(0.008 * np.linalg.norm(prediction.shape))
    near = [ndimage.binary_dilation(line, disk(radius)) for line in (one, other)]
    if not one.any() or not other.any():
        return float(one.any() == other.any())
    precision, recall = (one & near[1]).sum() / one.sum(), (other & near[0]).sum() / other.sum()
    return 0.0 if precision + recall == 0 else float(2 * precision * recall / (precision + recall))


def test_contour_is_what_the_released_evaluation_computes() -> None:
    prediction, truth = masks(8), masks(8, seed=1)
    truth[:4] = prediction[:4].roll((1, 2), (1, 2))
    expected = [reference_contour(one.numpy(), other.numpy()) for one, other in zip(prediction, truth, strict=True)]
    assert contour_accuracy(prediction, truth).tolist() == pytest.approx(expected, abs=1e-6)


def test_edges_are_lines_and_widened_lines_are_disks() -> None:
    square = torch.zeros(1, 9, 9, dtype=torch.bool)
    square[:, 3:6, 3:6] = True
    line = torch.zeros(9, 9, dtype=torch.bool)
    line[2:6, 2:6] = True
    line[3:5, 3:5] = False  # a ring one pixel wide
    assert torch.equal(edges(square)[0], line)
    dot = torch.zeros(1, 11, 11, dtype=torch.bool)
    dot[:, 5, 5] = True
    assert torch.equal(dilate(dot, 4)[0, 1:10, 1:10], torch.from_numpy(disk(4)).bool())


def test_recall_counts_frames_above_one_half_and_decay_is_from_first_to_last_quarter() -> None:
    falling = summarize(torch.linspace(1, 0, 9))
    assert falling.mean == pytest.approx(0.5)
    assert falling.recall == pytest.approx(4 / 9)
    assert falling.decay == pytest.approx(0.75)  # frames 0 to 2 less frames 6 to 8
    assert summarize(torch.ones(1)).decay == 0


def test_first_and_last_frame_and_padding_do_not_count() -> None:
    samples = points(1, 6, "stay")
    masks_ = samples.labels["masks"].value.clone()
    masks_[:, 4:] = 0  # the last frame that is there, and padding
    present = torch.tensor([[True] * 5 + [False]])
    changed = Samples(samples.observed, samples.data, {"masks": Labels(masks_, ("ground", "one", "two"))}, present)
    assert measured(changed, layer=2)["copy.J.mean"] == 1


def test_what_nobody_knows_does_not_count() -> None:
    samples = points(1, 5, "stay")
    masks_ = samples.labels["masks"].value.clone()
    masks_[:, 2, :8, :8] = -1
    changed = Samples(samples.observed, samples.data, {"masks": Labels(masks_, ("ground", "one", "two"))})
    assert measured(changed, layer=2)["copy.J.mean"] == 1


def test_alike_colours_have_the_larger_product() -> None:
    levels = torch.tensor([[10, 10, 10], [12, 12, 12], [90, 90, 90], [250, 250, 250]]).to(torch.uint8)
    vectors = torch.nn.functional.normalize(color_features(levels[:, :, None, None])[:, :, 0, 0], dim=1)
    products = vectors[0] @ vectors.T
    assert products.tolist() == sorted(products.tolist(), reverse=True)


def test_every_object_is_an_item_and_the_picture_shows_frames() -> None:
    found = measured(points(3, 5, "trade"), layer=2)
    items, figure, moving = found["items"], found["tracks"], found["moving"]
    assert isinstance(items, Items)
    assert items.correct.tolist() == [True] * 6
    assert isinstance(figure, Figure)
    assert Image.open(io.BytesIO(figure.png)).size == (5 * (CELL * PLACES + 2), 3 * (CELL * PLACES + 2))
    assert Image.open(io.BytesIO(moving.png)).n_frames == 5


def test_data_without_masks_and_layers_that_do_not_exist_are_refused() -> None:
    samples = points(1, 5, "stay")
    bare = Samples(samples.observed, samples.data)
    with pytest.raises(PretaskError, match="with `masks`, and objects in the first of them; got none"):
        measured(bare)
    with pytest.raises(PretaskError, match=r"tracking\.layer from 1 to 2; got 7"):
        measured(samples, layer=7)
    with pytest.raises(PretaskError, match="at least 3 frames"):
        measured(points(1, 2, "stay"))

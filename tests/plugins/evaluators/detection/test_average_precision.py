"""Average precision: boxes are counted by the rules of PASCAL VOC and COCO, by hand, and by the library for COCO."""

import numpy as np
import pytest
import torch
from pretask_plugins.evaluators.detection.average_precision import (
    COCO_OVERLAPS,
    ELEVEN,
    HUNDRED_ONE,
    Found,
    There,
    average_precision,
    bootstrap,
    match_all,
    resampled_precision,
)

LEFT, RIGHT = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]


def found(*boxes: tuple[list[float], float], classes: list[int] | None = None) -> Found:
    corners = torch.tensor([box for box, _ in boxes]).view(-1, 4)
    labels = torch.tensor(classes or [0] * len(boxes), dtype=torch.long)
    return Found(corners, labels, torch.tensor([score for _, score in boxes]))


def there(*boxes: list[float], classes: list[int] | None = None, difficult: list[bool] | None = None) -> There:
    labels = torch.tensor(classes or [0] * len(boxes), dtype=torch.long)
    return There(
        torch.tensor(boxes).view(-1, 4), labels, torch.tensor(difficult or [False] * len(boxes), dtype=torch.bool)
    )


def score(boxes: list[Found], objects: list[There], points: np.ndarray | None = None, classes: int = 1) -> float:
    return average_precision(match_all(boxes, objects, classes, "voc"), points)


def test_a_second_box_on_an_object_is_wrong_and_precision_is_read_from_each_recall_on() -> None:
    boxes, objects = [found((LEFT, 0.9), (LEFT, 0.8), (RIGHT, 0.7))], [there(LEFT, RIGHT)]
    assert score(boxes, objects) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert score(boxes, objects, ELEVEN) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert score(boxes, objects, HUNDRED_ONE) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_scores_are_in_one_order_over_all_images_and_classes_are_averaged() -> None:
    objects = [there(LEFT), there(LEFT, RIGHT, classes=[0, 1])]
    wrong_first = [found((RIGHT, 0.9)), found((LEFT, 0.8))]
    assert score(wrong_first, objects) == pytest.approx(0.5 * 0.5)
    assert score(wrong_first, objects, classes=2) == pytest.approx(0.5 * 0.25)  # the second class is never found
    assert score(wrong_first, objects, classes=3) == score(wrong_first, objects, classes=2)  # the third one is nowhere


def test_half_of_the_union_is_enough_and_less_is_not() -> None:
    enough, short = [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 4.9]
    assert score([found((enough, 0.9))], [there(LEFT)]) == 1
    assert score([found((short, 0.9))], [there(LEFT)]) == 0


def test_what_is_difficult_is_neither_found_nor_missed() -> None:
    objects = [there(LEFT, RIGHT, difficult=[True, False])]
    assert score([found((LEFT, 0.9), (LEFT, 0.85), (RIGHT, 0.8))], objects) == 1
    assert score([found((LEFT, 0.9))], objects) == 0


def test_voc_holds_a_box_against_the_nearest_object_and_coco_against_the_nearest_that_is_free() -> None:
    two = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 12.0]]
    boxes = [found(([0.0, 0.0, 10.0, 10.0], 0.9), ([0.0, 0.0, 10.0, 10.5], 0.8))]
    by_voc, by_coco = (match_all(boxes, [there(*two)], 1, rule)[0].right[0].tolist() for rule in ("voc", "coco"))
    assert by_voc == [True, False]
    assert by_coco == [True, True]


def test_nothing_found_is_0_and_no_object_of_any_class_is_nothing_to_measure() -> None:
    assert score([found()], [there(LEFT)]) == 0
    assert match_all([found((LEFT, 0.5))], [there()], 1, "voc") == []


def random_case(images: int, seed: int) -> tuple[list[Found], list[There]]:
    """Objects at random, and boxes that are some of them moved, and some that are nowhere."""
    draw = np.random.default_rng(seed)
    boxes, objects = [], []
    for _ in range(images):
        count = int(draw.integers(1, 6))
        corners = np.concatenate(
            [(start := draw.uniform(0, 60, (count, 2))), start + draw.uniform(8, 30, (count, 2))], 1
        )
        moved = np.concatenate([corners + draw.normal(0, 2, corners.shape), corners[:1] + 15])
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        classes, difficult = draw.integers(0, 3, count), np.zeros(count, bool)
        labels = np.append(np.where(draw.random(count) < 0.8, classes, draw.integers(0, 3, count)), 0)
        tensors = [torch.tensor(array, dtype=torch.float32) for array in (moved, draw.random(len(moved)), corners)]
        boxes.append(Found(tensors[0], torch.tensor(labels), tensors[1]))
        objects.append(There(tensors[2], torch.tensor(classes), torch.tensor(difficult)))
    return boxes, objects


def test_images_that_count_twice_are_as_good_as_images_that_are_there_twice_and_the_interval_holds_the_value() -> None:
    boxes, objects = random_case(12, 1)
    times = np.array([2.0, 0, 1] * 4)
    repeated = [number for number, count in enumerate(times) for _ in range(int(count))]
    again = match_all([boxes[number] for number in repeated], [objects[number] for number in repeated], 3, "voc")
    every = match_all(boxes, objects, 3, "voc")
    assert resampled_precision(every, times[None]).item() == pytest.approx(average_precision(again))
    low, high = bootstrap(every, 0, 100)
    assert low < average_precision(every) < high
    assert (low, high) == bootstrap(every, 0, 100) != bootstrap(every, 1, 100)


@pytest.mark.exhaustive  # an extra
def test_ap_is_that_of_the_reference_library() -> None:
    from torchmetrics.detection import MeanAveragePrecision

    boxes, objects = random_case(30, 2)
    metric = MeanAveragePrecision(backend="faster_coco_eval")
    metric.update(
        [{"boxes": one.corners, "scores": one.scores, "labels": one.classes} for one in boxes],
        [{"boxes": one.corners, "labels": one.classes} for one in objects],
    )
    wanted = metric.compute()
    every = match_all(boxes, objects, 3, "coco", COCO_OVERLAPS)
    assert average_precision(every, HUNDRED_ONE) == pytest.approx(float(wanted["map"]), abs=1e-6)
    halves = match_all(boxes, objects, 3, "coco")
    assert average_precision(halves, HUNDRED_ONE) == pytest.approx(float(wanted["map_50"]), abs=1e-6)

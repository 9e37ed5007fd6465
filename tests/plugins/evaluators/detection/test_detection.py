"""Detection: an encoder becomes the backbone of a detector that learns where objects are, and stays as it was."""

import copy
from typing import Literal

import pytest
import torch
from pretask import Budget, InputSpec, PretaskError, Task
from pretask.composition import compose
from pretask_plugins.data.image.shapes import Shapes
from pretask_plugins.data.image.voc import Voc
from pretask_plugins.evaluators.detection.average_precision import Found, There
from pretask_plugins.evaluators.detection.detection import VocDetection, find_objects, mirror_one
from pretask_plugins.evaluators.detection.detector import Shape, build_detector, find_maps
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.models.mlp import Mlp
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.splits.whole import Whole

SMALL = {"width": 32, "proposals": 16, "anchors": (8, 12), "stride": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Voc:
    folder = tmp_path_factory.mktemp("voc")
    found = Voc(**Voc.write_example(folder))
    assert len(found("train")) == 24
    return found


@pytest.fixture(scope="module")
def task(data: Voc) -> Task:
    def convnet(*specs: InputSpec) -> Convnet:
        return Convnet(*specs, width=8, depth=2)

    return compose(data("train").observed, Whole(), convnet, Elbo)


def test_objects_are_found_better_after_training_and_the_encoder_is_left_alone(data: Voc, task: Task) -> None:
    before = copy.deepcopy(task.model.state_dict())
    numbers = [dict(VocDetection(**SMALL, steps=steps, rate=3e-3)(task, data, Budget(seed=0))) for steps in (1, 60)]
    assert numbers[1]["AP50"] > numbers[0]["AP50"] + 0.2
    assert numbers[1]["AP50_low"] <= numbers[1]["AP50"] <= numbers[1]["AP50_high"]
    assert numbers[1]["AP"] <= numbers[1]["AP50"]
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())


@pytest.mark.parametrize(
    ("frozen", "moves", "statistics"), [("nothing", True, True), ("norms", True, False), ("all", False, False)]
)
def test_what_is_frozen_does_not_move(data: Voc, task: Task, frozen: str, moves: bool, statistics: bool) -> None:
    evaluator = VocDetection(**SMALL, steps=1, frozen=frozen)
    detector = evaluator.fit(task, data("train"), data.boxes("train"), 0)
    old, new = dict(task.model.named_parameters()), dict(detector.backbone.model.named_parameters())
    assert torch.equal(old["first.weight"], new["first.weight"]) == (not moves)
    assert torch.equal(old["norm.weight"], new["norm.weight"]) == (frozen != "nothing")
    assert torch.equal(task.model.norm.running_mean, detector.backbone.model.norm.running_mean) == (not statistics)


def test_c4_reads_the_deepest_map_that_is_fine_enough_and_fpn_one_of_each_stride(data: Voc, task: Task) -> None:
    images = data("train").data[:2]
    assert [read.stride for read in find_maps(task, images, Shape("c4", 4, 32, (8,), 16))] == [4]
    assert [read.stride for read in find_maps(task, images, Shape("fpn", 4, 32, (8,), 16))] == [4, 8]
    with pytest.raises(PretaskError, match=r"at most 1 pixels apart; got layers of stride 2, 4, 8.*voc-detection\.st"):
        find_maps(task, images, Shape("c4", 1, 32, (8,), 16))


@pytest.mark.parametrize("form", ["c4", "fpn"])
def test_an_encoder_without_a_map_is_refused(data: Voc, form: Literal["c4", "fpn"]) -> None:
    flat = compose(data("train").observed, Whole(), Mlp, Elbo)
    with pytest.raises(PretaskError, match=r"an encoder with a map.*got layers of stride none"):
        find_maps(flat, data("train").data[:1], Shape(form, 4, 32, (8,), 16))


def test_a_pyramid_takes_a_step(data: Voc, task: Task) -> None:
    images = data("train").data[:2]
    detector = build_detector(task, 2, images, Shape("fpn", 16, 16, (8,), 8)).train()
    targets = [{"boxes": torch.tensor([[2.0, 2, 12, 12]]), "labels": torch.tensor([1])} for _ in range(2)]
    losses = detector([*images.float()], targets)
    torch.stack([*losses.values()]).sum().backward()
    assert all(weight.grad is not None for weight in detector.backbone.parameters())


def test_a_mirrored_image_has_its_boxes_where_its_objects_are() -> None:
    image = torch.zeros(1, 4, 10)
    image[0, 1:3, 2:5] = 1
    turned, target = mirror_one(image, {"boxes": torch.tensor([[2.0, 1, 5, 3]])})
    left, top, right, bottom = target["boxes"][0].int().tolist()
    assert turned[0, top:bottom, left:right].mean() == 1
    assert turned.sum() == 6


def test_an_object_is_found_once_by_a_sure_box_of_its_class() -> None:
    truth = There(
        torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]),
        torch.tensor([0, 1, 0]),
        torch.tensor([False, False, True]),
    )
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
    found = Found(boxes, torch.tensor([0, 0, 0]), torch.tensor([0.9, 0.8, 0.9]))
    assert find_objects(found, truth).tolist() == [True, False]  # the second is of another class, the third difficult
    assert find_objects(Found(boxes, torch.tensor([0, 0, 1]), torch.tensor([0.4, 0.3, 0.6])), truth).tolist() == [
        False,
        True,
    ]


def test_data_without_boxes_are_refused(task: Task) -> None:
    with pytest.raises(PretaskError, match="data with boxes around objects"):
        list(VocDetection(**SMALL)(task, Shapes(size=8, test_size=8, image_size=32), Budget()))

"""Voc-detection: objects in boxes, found by an R-CNN whose backbone is the encoder. Version 1.

The detector (detector.py) is trained on the images and boxes of the training part, the encoder with it unless it is
frozen, for a fixed number of steps: AdamW with a rate that rises over the first tenth of the steps and falls to 0 along
a cosine, gradients clipped at 1, images mirrored at random. The test part is looked at once. Every encoder gets the
same schedule, and heads that begin alike.

`AP50` stands beside an interval over test images drawn anew. `recall` counts the objects that a box of score 0.5 or
more has found, object by object, so that two encoders can be compared in pairs.

Source: Girshick et al., CVPR 2014; Doersch, Gupta and Efros, ICCV 2015, section 4.3 (detection as the measure of an
encoder); He et al., CVPR 2020, appendix A.1 (the schedule is the same for every encoder).
Differs: a single detector trained end to end, where Doersch et al. train an R-CNN on proposals made beforehand; images
    have one size, and no other augmentation than mirroring.
Axes: B images, H W image, M objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from pretask import Budget, Data, Draws, Figure, Items, PretaskError, Recipe, Samples, Task
from pretask.composition import seed_ambient, seed_randomness
from pretask.options import FractionBelowOne, NonNegativeFloat, PositiveFloat, PositiveInt, SampleCount, Size
from pretask.order import positions
from pretask.samples import source_of
from torch import Tensor, nn
from torchvision.ops import box_iou

from pretask_plugins.evaluators.detection.average_precision import (
    COCO_OVERLAPS,
    ELEVEN,
    HALF,
    HUNDRED_ONE,
    Found,
    There,
    average_precision,
    bootstrap,
    match_all,
)
from pretask_plugins.evaluators.detection.detector import WHO, Shape, build_detector
from pretask_plugins.evaluators.detection.pictures import draw_found
from pretask_plugins.shared.boxes import Boxes, HasBoxes

CLIP = 1.0  # norm of the gradient, at most
MIRRORED = 0.5  # fraction of the training images
SURE = 0.5  # score from which a box counts for `recall`
SCALED_ON = 16  # images whose features say their scale

Yielded = Iterator[tuple[str, float | Items | Figure]]


@dataclass(frozen=True, kw_only=True)
class VocDetection:
    """A detector of objects, trained with the network below it.

    Args:
        form: c4 (one map) or fpn (a pyramid).
        stride: Pixels from one position of C4's map to the next, at most.
        width: Of the head, and of the maps of an FPN.
        anchors: Sides of C4's anchors, pixels.
        proposals: Regions of an image that the head looks at.
        steps: Optimizer steps.
        batch: Images of a step.
        rate: Learning rate.
        weight_decay: Of all weights.
        warmup: Fraction of the steps in which the rate rises.
        frozen: What of the encoder is not trained: nothing, norms (scale, shift and statistics of batch normalizations)
            or all.
    """

    form: Literal["c4", "fpn"] = "c4"
    stride: Size = 16
    width: Size = 256
    anchors: tuple[PositiveInt, ...] = (16, 32, 64, 128, 256)
    proposals: PositiveInt = 128
    steps: PositiveInt = 1000
    batch: SampleCount = 4
    rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    warmup: FractionBelowOne = 0.1
    frozen: Literal["nothing", "norms", "all"] = "nothing"

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the data have no boxes."""
        require_boxes(data, "train"), require_boxes(data, "test")

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `AP50` with its interval, `AP50_11_points`, `AP`, `recall` with items, and a picture.

        Raises:
            PretaskError: The data have no boxes, or the encoder no map that is fine enough.
        """
        train, test = data("train"), data("test")
        known, truth = (require_boxes(data, part) for part in ("train", "test"))
        with seed_randomness(budget.seed):
            detector = self.fit(task, train, known, budget.seed)
        found = predict(detector, test, task.device, self.batch)
        there = [There(*truth.of_image(number)) for number in range(len(truth))]
        yield from score(found, there, len(truth.names), budget.seed)
        yield "train_objects", float(((known.classes >= 0) & ~known.difficult).sum())
        yield "boxes", draw_found(test, found, truth)

    def fit(self, task: Task, samples: Samples, boxes: Boxes, seed: int) -> Any:
        """Train a detector on a copy of the task's network."""
        samples = samples.resident(task.device)
        shape = Shape(self.form, self.stride, self.width, self.anchors, self.proposals)
        shown = samples.batch(torch.arange(min(SCALED_ON, len(samples))), task.device).data
        detector = build_detector(task, len(boxes.names), shown, shape)
        encoder: nn.Module = detector.backbone.model
        freeze(encoder, self.frozen)
        weights = [weight for weight in detector.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=0.0, weight_decay=self.weight_decay)
        count = self.steps * self.batch
        recipe = Recipe(lr=self.rate, batch=self.batch, samples=count, warmup=self.warmup, schedule="cosine")
        detector.train()
        settle(encoder, self.frozen)
        for step in range(self.steps):
            index = positions(seed, step * self.batch, self.batch, len(samples))[0]
            images = samples.batch(index, task.device).data
            seed_ambient(seed, step)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step)
            targets = [as_target(boxes, int(at), task.device) for at in index]
            losses = detector(*mirror(images.float(), targets, Draws(index, seed, step)))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(torch.stack([*losses.values()]).sum())
            nn.utils.clip_grad_norm_(weights, CLIP)
            optimizer.step()
        return detector


def require_boxes(data: Data, part: str) -> Boxes:
    """Return the objects of a part; raise PretaskError where the data know of none."""
    source = source_of(data)
    if not isinstance(source, HasBoxes):
        raise PretaskError(WHO, "data with boxes around objects", "data without", "Use --on voc, or data with boxes.")
    return source.boxes(part)


def freeze(model: nn.Module, frozen: str) -> None:
    """Keep what is not trained from changing: all of an encoder, or its batch normalizations."""
    if frozen == "all":
        model.requires_grad_(False)
    if frozen == "norms":
        for norm in list_norms(model):
            norm.requires_grad_(False)


def settle(model: nn.Module, frozen: str) -> None:
    """Put what is frozen in evaluation, so that statistics of batches do not move either."""
    if frozen == "all":
        model.eval()
    if frozen == "norms":
        for norm in list_norms(model):
            norm.eval()


def list_norms(model: nn.Module) -> list[nn.Module]:
    """List the normalizations whose statistics follow the batch."""
    return [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def as_target(boxes: Boxes, image: int, device: torch.device) -> dict[str, Tensor]:
    """Return the objects of a training image as torchvision's detectors take them: class 0 is the ground.

    Difficult objects are left out, as VOC's own training does.
    """
    corners, classes, difficult = boxes.of_image(image)
    return {"boxes": corners[~difficult].to(device), "labels": classes[~difficult].to(device) + 1}


def mirror(
    images: Float[Tensor, "B C H W"], targets: list[dict[str, Tensor]], draws: Draws
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Mirror some of the images, with their boxes."""
    turned = draws.branch(WHO).bernoulli("mirror", MIRRORED)
    pairs = [
        mirror_one(image, target) if turn else (image, target)
        for image, target, turn in zip(images, targets, turned.tolist(), strict=True)
    ]
    return [image for image, _ in pairs], [target for _, target in pairs]


def mirror_one(image: Float[Tensor, "C H W"], target: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Mirror an image and its boxes."""
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    return image.flip(2), {**target, "boxes": torch.stack([width - right, top, width - left, bottom], 1)}


def predict(detector: Any, samples: Samples, device: torch.device, batch: int) -> list[Found]:
    """Return the boxes that are found in every image."""
    detector.eval()
    with torch.no_grad():
        made = [one for shown in samples.batches(batch, device) for one in detector([*shown.data.float()])]
    return [Found(one["boxes"].cpu(), one["labels"].cpu() - 1, one["scores"].cpu()) for one in made]


def score(found: list[Found], there: list[There], classes: int, seed: int) -> Yielded:
    """Yield the numbers that boxes are judged by."""
    by_voc = match_all(found, there, classes, "voc", HALF)
    if not by_voc:
        raise PretaskError(WHO, "objects to find in the test part", "none that is not difficult", "Use more data.")
    yield "AP50", average_precision(by_voc)
    low, high = bootstrap(by_voc, seed)
    yield "AP50_low", low
    yield "AP50_high", high
    yield "AP50_11_points", average_precision(by_voc, ELEVEN)
    yield "AP", average_precision(match_all(found, there, classes, "coco", COCO_OVERLAPS), HUNDRED_ONE)
    correct = torch.cat([find_objects(boxes, truth) for boxes, truth in zip(found, there, strict=True)])
    yield "recall", float(correct.double().mean())
    yield "recall", Items(correct)


def find_objects(boxes: Found, truth: There) -> Tensor:
    """Return which objects of an image, difficult ones left out, a box of high score and the right class has found."""
    wanted = (~truth.difficult).nonzero()[:, 0]
    sure = (boxes.scores >= SURE).nonzero()[:, 0]
    sure = sure[boxes.scores[sure].argsort(descending=True, stable=True)]
    overlap = box_iou(boxes.corners[sure], truth.corners[wanted])
    overlap = overlap * (boxes.classes[sure][:, None] == truth.classes[wanted])
    hit = torch.zeros(len(wanted), dtype=torch.bool)
    for row in overlap:
        free = row.where(~hit, torch.zeros_like(row))
        if len(free) and free.max() >= HALF[0]:
            hit[free.argmax()] = True
    return hit

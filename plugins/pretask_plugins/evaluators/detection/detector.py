"""Detector: an R-CNN of torchvision on the maps of an encoder.

    C4   one map of the encoder: the deepest whose positions are at most `stride` pixels apart
    FPN  a map of every stride from 4 pixels on, joined from the deepest down

A region proposal network says where objects may be, features of these regions are read from the maps, and a head of two
layers says class and corners. What is trained of the encoder, and whether its normalizations follow the batch, are
options of the evaluator.

Source: Girshick et al., CVPR 2014; Ren et al., NeurIPS 2015 (the region proposal network); Lin et al., CVPR 2017 (FPN).
Differs: in the paper's C4 form the last stage of a residual network is the head of every region; an encoder of any kind
    has no such stage, so the head is the two layers of the FPN form in both.
Axes: B images, C channels, H W image, D width.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from pretask import Batch, Features, PretaskError, Task
from pretask.composition import encode_whole
from pretask.pretext_score import evaluation_mode
from torch import Tensor, nn

from pretask_plugins.shared.feature_maps import read_map

WHO = "voc-detection"
MIN_STRIDE = 4  # pixels from one position of the finest map of an FPN to the next
RATIOS = (0.5, 1.0, 2.0)  # height over width of anchors
LEVELS_PER_ANCHOR = 8  # side of an anchor over the stride of its level


@dataclass(frozen=True)
class Shape:
    """How large a detector is.

    Args:
        form: c4 or fpn.
        stride: Pixels from one position of C4's map to the next, at most.
        width: Of the head, and of the maps of an FPN.
        anchors: Sides of C4's anchors, pixels.
        proposals: Regions of an image that the head looks at.
    """

    form: Literal["c4", "fpn"]
    stride: int
    width: int
    anchors: Sequence[int]
    proposals: int


@dataclass(frozen=True)
class Map:
    """A layer of the encoder that is read as a map.

    Args:
        layer: Its number.
        width: Of the vector at a position.
        stride: Pixels from one position to the next.
        scale: Root mean square of its numbers before training, by which it is divided, so that one rate suits any
            encoder; 1 where that is 0.
    """

    layer: int
    width: int
    stride: float
    scale: float


class Backbone(nn.Module):
    """The maps of an encoder, as torchvision's detectors want them.

    Args:
        task: Whose model is copied, and whose split says how whole images are shown.
        maps: Those that are read.
        width: Of the maps that are given on.
        joined: Whether they are joined from the deepest down (FPN).
    """

    def __init__(self, task: Task, maps: Sequence[Map], width: int, joined: bool) -> None:
        super().__init__()
        from torchvision.ops import FeaturePyramidNetwork

        self.split, self.maps = task.split, maps
        self.model = copy.deepcopy(task.model)
        widths = [read.width for read in maps]
        self.join = FeaturePyramidNetwork(widths, width) if joined else None
        self.out_channels = width if joined else widths[0]

    def forward(self, images: Float[Tensor, "B C H W"]) -> Mapping[str, Tensor]:
        """Return maps by name; images are of 0 to 255."""
        _, features = encode_whole(self.split, self.model, Batch(images.round().to(torch.uint8)), layers=True)
        layers = features.layers or (features,)
        found = OrderedDict(
            (f"{number}", read_map(layers[read.layer]) / read.scale) for number, read in enumerate(self.maps)
        )
        joined: Mapping[str, Tensor] = found if self.join is None else self.join(found)
        return joined


def find_maps(task: Task, images: UInt8[Tensor, "B C H W"], shape: Shape) -> list[Map]:
    """Choose the maps of an encoder that are read, by how it shows some images.

    Raises:
        PretaskError: No layer keeps positions on a grid, or none is fine enough.
    """
    with evaluation_mode(task), torch.no_grad():
        features = task.encode(Batch(images), layers=True)
    maps = [
        measure_map(number, layer, (images.shape[2], images.shape[3]))
        for number, layer in enumerate(features.layers or (features,))
        if len(layer.grid) == 2
    ]
    fine = [read for read in maps if read.stride <= shape.stride]
    chosen = choose_pyramid(maps) if shape.form == "fpn" else fine[-1:]
    if not chosen:
        strides = ", ".join(f"{read.stride:g}" for read in maps) or "none"
        needs, do = "an encoder with a map", "Take a model that keeps positions."
        if shape.form == "c4":
            needs = f"{needs} whose positions are at most {shape.stride} pixels apart"
            do = f"Raise --set {WHO}.stride, or take a model that keeps positions."
        raise PretaskError(WHO, needs, f"layers of stride {strides}", do)
    return chosen


def measure_map(number: int, layer: Features, size: tuple[int, int]) -> Map:
    """Return what is to know of a layer as a map of images of some height and width."""
    values = read_map(layer)
    stride = max(side / positions for side, positions in zip(size, layer.grid, strict=True))
    return Map(number, values.shape[1], stride, float(values.square().mean().sqrt()) or 1.0)


def choose_pyramid(maps: Sequence[Map]) -> list[Map]:
    """Choose the last map of each stride from 4 pixels on; the last one of all where none is so coarse."""
    by_stride = {round(read.stride): read for read in maps}
    coarse = [read for stride, read in sorted(by_stride.items()) if stride >= MIN_STRIDE]
    return coarse or list(maps[-1:])


def build_detector(task: Task, classes: int, images: UInt8[Tensor, "B C H W"], shape: Shape) -> Any:
    """Build an R-CNN on a copy of the task's model.

    Args:
        task: Whose encoder is the backbone.
        classes: Of objects.
        images: Some of the training images, which say their size and the scale of features.
        shape: How large it is.
    """
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

    maps = find_maps(task, images, shape)
    backbone = Backbone(task, maps, shape.width, shape.form == "fpn")
    names = [f"{number}" for number in range(len(maps))]
    sides = (
        tuple((round(LEVELS_PER_ANCHOR * read.stride),) for read in maps)
        if shape.form == "fpn"
        else (tuple(shape.anchors),)
    )
    return FasterRCNN(
        backbone,
        num_classes=None,
        rpn_anchor_generator=AnchorGenerator(sides, (RATIOS,) * len(maps)),
        box_roi_pool=MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(backbone.out_channels * 49, shape.width),
        box_predictor=FastRCNNPredictor(shape.width, classes + 1),  # the first class is the ground
        rpn_pre_nms_top_n_train=2 * shape.proposals,
        rpn_pre_nms_top_n_test=2 * shape.proposals,
        rpn_post_nms_top_n_train=shape.proposals,
        rpn_post_nms_top_n_test=shape.proposals,
        box_batch_size_per_image=shape.proposals,
        image_mean=[0.0] * images.shape[1],  # the encoder scales colors itself
        image_std=[1.0] * images.shape[1],
        fixed_size=(images.shape[3], images.shape[2]),  # as they are: torchvision would enlarge them to 800 pixels
        size_divisible=1,
    ).to(task.device)

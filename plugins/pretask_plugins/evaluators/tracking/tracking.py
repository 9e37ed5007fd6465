"""Tracking: the first mask of a clip is given; what frozen features make of it in the frames after it.

Nothing is trained. Features of every frame, taken one by one, carry the mask on (propagation.py); it is held against
the true one by region and contour (scores.py), but for the first and the last frame, object by object. How labels are
copied (layer, radius, number of positions, temperature) is chosen on clips of the training part, for every encoder and
every baseline alike, so that none of them loses by a read-out that fits another. Beside it stand the first mask copied,
which still things are good for, and raw pixels as features (encoders.py): gray ones, and colors, which are an oracle
for an encoder of gray frames.

Source: Perazzi et al., CVPR 2016; Vondrick et al., ECCV 2018, section 4.
Axes: B clips, T frames, C channels or labels, H W image, R ways to copy, h w positions, O objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product, tee
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Batch, Budget, Data, Figure, Items, Samples, Task
from pretask.cache import cached
from pretask.options import DepthOrZero, Interval, NonNegativeInt, Size, SizeOrZero
from pretask.pretext_score import evaluation_mode
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.tracking.encoders import (
    Encoder,
    count_layers,
    encode_frames,
    raw_encoders,
    select_head,
    select_layer,
)
from pretask_plugins.evaluators.tracking.pictures import draw_tracks
from pretask_plugins.evaluators.tracking.propagation import Copying, Propagation
from pretask_plugins.evaluators.tracking.tracks import (
    Track,
    check_masks,
    find_shortest,
    mean_j_and_f,
    name_scores,
    one_hot,
    score_objects,
)

MAX_PIXELS = 1 << 17  # of the clips that are worked on at once, in one frame
VALIDATION_CLIPS = 8  # evenly spread over the training part, on which is chosen how labels are copied
VALIDATION_STEP = 4  # from one frame of these to the next that is scored
RADII = (3, 6, 12)  # positions
TOP_KS = (5, 10, 20)
# Cosines of centered features spread over [-1, 1]; those of raw gray levels that look the same differ by thousandths.
TEMPERATURES = (0.002, 0.01, 0.05, 0.1, 0.2)
EDITION = 1  # of what baselines are; those of another are measured anew


@dataclass(frozen=True)
class Readout:
    """How labels are copied: what features, from where, from how many, how sharply."""

    layer: int
    radius: int
    copying: Copying


@dataclass(frozen=True)
class Tracking:
    """Masks carried on by top-k affinity in a window, with a queue of frames.

    Args:
        layer: Whose features are taken, counted from 1; chosen on clips of the training part when 0.
        top_k: Positions that a position copies from; chosen so when 0.
        radius: Positions along each axis that these may be away; chosen so when 0.
        context_frames: Of the past that are looked back at, beside the first.
        temperature: Of the softmax over these positions; chosen so when 0.
        center: Whether the mean over the first frame's positions is removed from features before they are compared.
        vectors: Of the encoder, or those that the objective's head makes of its output and compares (64 numbers in the
            paper).
        stride: Pixels from one position to the next at least; finer maps are averaged.
        max_clips: Of the test part that are tracked, at most; 0 for all.
    """

    layer: DepthOrZero = 0
    top_k: NonNegativeInt = 0
    radius: SizeOrZero = 0
    context_frames: SizeOrZero = 7
    temperature: Annotated[float, Interval(ge=0, le=1e6)] = 0.0
    center: bool = True
    vectors: Literal["encoder", "head"] = "encoder"
    stride: Size = 4
    max_clips: NonNegativeInt = 64

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no masks to follow."""
        check_masks(data("test"))

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Figure]]:
        """Yield `J&F`, mean, recall and decay of `J` and `F`, those of the baselines, a picture; `track.accuracy`, with
        items, the fraction of tracks whose J&F is above a half.

        Raises:
            PretaskError: There are no masks, clips are too short, or features have no positions.
        """
        test = data("test")
        check_masks(test)
        with evaluation_mode(task), torch.no_grad():
            encoders = self.select_encoders(task, test)
            scores = self.score_readouts(encoders, data, task.device)
            best = max(scores, key=lambda readout: scores[readout])
            yield from name_choice(best, scores)
            tracks = self.track_objects(encoders[best.layer], best, test, task.device)
            yield from name_scores("", tracks)
            yield from self.score_baselines(data, budget, task.device).items()
        found = torch.tensor([track.j_and_f > 0.5 for track in tracks])
        yield "track.accuracy", float(found.float().mean())
        yield "track.accuracy", Items(found)
        yield "tracks", draw_tracks([track.picture for track in tracks if track.picture is not None])

    def select_encoders(self, task: Task, samples: Samples) -> dict[int, Encoder]:
        """Return the encoders among which is chosen, by layer; the head stands on the last one."""
        count = count_layers(task, samples.data[:1, 0].to(task.device))
        if self.vectors == "head":
            return {count: select_head(task)}
        return {layer: select_layer(task, layer) for layer in ([self.layer] if self.layer else range(1, count + 1))}

    def score_readouts(
        self, encoders: Mapping[int, Encoder], data: Data, device: torch.device, center: bool | None = None
    ) -> dict[Readout, float]:
        """Return J&F of every way to copy labels on some clips of the training part; 0 where there is one way only."""
        radii, ways = self.list_radii_and_ways()
        if len(encoders) * len(radii) * len(ways) == 1:
            return {Readout(next(iter(encoders)), radii[0], ways[0]): 0.0}
        train = data("train")
        check_masks(train)
        few = replace(self, center=self.center if center is None else center)
        numbers = torch.linspace(0, len(train) - 1, min(VALIDATION_CLIPS, len(train))).round().long()
        step = max(1, min(VALIDATION_STEP, (find_shortest(train) - 1) // 2))
        scores: dict[Readout, float] = {}
        for layer, encode in encoders.items():
            tracks = few.track_in_ways(encode, layer, train, numbers, device, step)
            scores |= {readout: mean_j_and_f(found) for readout, found in tracks.items()}
        return scores

    def list_radii_and_ways(self) -> tuple[list[int], list[Copying]]:
        """Return the radii and ways to copy among which is chosen: those of the options, where they are set."""
        top_ks = [self.top_k] if self.top_k else TOP_KS
        temperatures = [self.temperature] if self.temperature else TEMPERATURES
        return [self.radius] if self.radius else [*RADII], [Copying(*way) for way in product(top_ks, temperatures)]

    def score_baselines(self, data: Data, budget: Budget, device: torch.device) -> dict[str, float]:
        """Return the measures of `copy` and of raw pixels; they are kept, since they are the same for all encoders."""
        test, train = data("test"), data("train")
        if budget.cache is None or not test.fingerprint or not train.fingerprint:
            return self.measure_baselines(data, device)
        options = {**asdict(self), "layer": 0, "center": False, "vectors": ""}
        facts = {"options": options, "test": test.fingerprint, "train": train.fingerprint, "edition": EDITION}

        def make(_: Path) -> dict[str, float]:
            return self.measure_baselines(data, device)

        return cached("tracking-baselines", facts, make, folder=Path(budget.cache))[1]

    def measure_baselines(self, data: Data, device: torch.device) -> dict[str, float]:
        """Return the measures of `copy`, `gray`, `gray_patch` and `color`."""
        test = data("test")
        scores = dict(name_scores("copy.", self.copy_masks(test, device)))
        for name, encode in raw_encoders(self.stride).items():
            # Their vectors have a length of 1 as they are, and products that fall with the difference of levels.
            validation = self.score_readouts({1: encode}, data, device, center=False)
            best = max(validation, key=lambda readout: validation[readout])
            tracks = replace(self, center=False).track_objects(encode, best, test, device)
            scores |= name_scores(f"{name}.", tracks)
        return scores

    def track_objects(self, encode: Encoder, readout: Readout, samples: Samples, device: torch.device) -> list[Track]:
        """Track every object of every clip with one read-out."""
        copying = readout.copying
        fixed = replace(self, radius=readout.radius, top_k=copying.top_k, temperature=copying.temperature)
        return fixed.track_in_ways(encode, readout.layer, samples, self.list_clips(samples), device)[readout]

    def track_in_ways(
        self,
        encode: Encoder,
        layer: int,
        samples: Samples,
        numbers: Int[Tensor, " N"],
        device: torch.device,
        step: int = 1,
    ) -> dict[Readout, list[Track]]:
        """Track every object of some clips with every radius and way to copy, and score every `step`-th frame."""
        radii, ways = self.list_radii_and_ways()
        readouts = [Readout(layer, *pair) for pair in product(radii, ways)]
        tracks: dict[Readout, list[Track]] = {readout: [] for readout in readouts}
        for truth, batch in read_clips(samples, numbers, device):
            first = one_hot(truth[:, 0], int(truth[:, 0].max()) + 1)
            predictions = self.propagate_masks(encode, batch.data, first, step)
            for readout, scored in zip(readouts, score_objects(predictions, truth, batch), strict=True):
                tracks[readout] += scored
        return tracks

    def copy_masks(self, samples: Samples, device: torch.device) -> list[Track]:
        """Track every object of every clip by its first mask."""
        tracks: list[Track] = []
        for truth, batch in read_clips(samples, self.list_clips(samples), device):
            first = truth[:, :1].clamp(min=0)
            tracks += next(score_objects(((frame, first) for frame in range(truth.shape[1])), truth, batch))
        return tracks

    def list_clips(self, samples: Samples) -> Int[Tensor, " N"]:
        """Return the numbers of the clips that are tracked."""
        return torch.arange(min(self.max_clips or len(samples), len(samples)))

    def propagate_masks(
        self, encode: Encoder, clips: UInt8[Tensor, "B T C H W"], first: Float[Tensor, "B K H W"], step: int
    ) -> Iterator[tuple[int, Int[Tensor, "B R H W"]]]:
        """Yield number and labels of every `step`-th frame, from the first on, by every radius and way to copy."""
        radii, ways = self.list_radii_and_ways()
        yield 0, first.argmax(1)[:, None].expand(-1, len(radii) * len(ways), -1, -1)
        start, *streams = tee(encode_frames(encode, clips, self.stride, self.center), 1 + len(radii))
        height, width = next(start).shape[1:3]
        del start  # or it would keep all frames
        labels = F.adaptive_avg_pool2d(first, (height, width)).movedim(1, 3)
        copied = [
            Propagation(radius=radius, context_frames=self.context_frames).copy_in_ways(stream, labels, ways)
            for radius, stream in zip(radii, streams, strict=True)
        ]
        for frame, maps in enumerate(zip(*copied, strict=True), start=1):
            if frame % step:
                continue
            probability = torch.cat(maps, 3).permute(0, 3, 4, 1, 2)  # (B, R, K, h, w)
            smooth = F.interpolate(probability.flatten(0, 1), first.shape[2:], mode="bilinear", align_corners=False)
            yield frame, smooth.argmax(1).view(*probability.shape[:2], *first.shape[2:])


def read_clips(
    samples: Samples, numbers: Int[Tensor, " N"], device: torch.device
) -> Iterator[tuple[Int[Tensor, "B T H W"], Batch]]:
    """Yield the masks and frames of some clips at a time."""
    masks = samples.labels["masks"].value
    size = max(1, MAX_PIXELS // (masks.shape[-1] * masks.shape[-2]))
    for start in range(0, len(numbers), size):
        index = numbers[start : start + size]
        yield masks[index].to(device), samples.batch(index, device)


def name_choice(best: Readout, scores: Mapping[Readout, float]) -> Iterator[tuple[str, float]]:
    """Yield the best J&F of every layer on clips of the training part, and what was chosen by it."""
    for layer in sorted({readout.layer for readout in scores} if len(scores) > 1 else ()):
        of_layer = [score for readout, score in scores.items() if readout.layer == layer]
        yield f"layer{layer}.validation_J&F", max(of_layer)
    yield "layer", float(best.layer)
    yield "radius", float(best.radius)
    yield "top_k", float(best.copying.top_k)
    yield "temperature", best.copying.temperature

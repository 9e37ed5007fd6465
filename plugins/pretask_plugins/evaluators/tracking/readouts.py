"""Read-outs: labels of the first frame, carried on by an encoder, in many ways; the best of them on the training part.

What masks and keypoints have in common: how labels are copied (layer, radius, number of positions, temperature) is
chosen on clips of the training part, for every encoder and every baseline alike, so that none of them loses by a
read-out that fits another.

Source: Jabri, Owens and Efros, NeurIPS 2020, section 4.1. Differs: read-outs are chosen, where the paper has one.
Axes: B clips, T frames, C channels or labels, H W image, R ways to copy, h w positions, N clips that are tracked.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product, tee
from pathlib import Path
from typing import Annotated, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Budget, Data, Figure, Items, Samples, Task
from pretask.cache import cached
from pretask.options import DepthOrZero, Interval, NonNegativeInt, Size, SizeOrZero
from pretask.pretext_score import evaluation_mode
from torch import Tensor

from pretask_plugins.evaluators.tracking.encoders import (
    Encoder,
    count_layers,
    encode_frames,
    raw_encoders,
    select_head,
    select_layer,
)
from pretask_plugins.evaluators.tracking.pictures import Clip, draw_moving, draw_tracks
from pretask_plugins.evaluators.tracking.propagation import CopiedLabels, Copying, Propagation

VALIDATION_CLIPS = 8  # evenly spread over the training part, on which is chosen how labels are copied
VALIDATION_STEP = 4  # from one frame of these to the next that is scored
RADII = (3, 6, 12)  # positions
TOP_KS = (5, 10, 20)
# Cosines of centered features spread over [-1, 1]; those of raw gray levels that look the same differ by thousandths.
TEMPERATURES = (0.002, 0.01, 0.05, 0.1, 0.2)
MAX_PIXELS = 1 << 17  # of the clips that are worked on at once, in one frame
EDITION = 1  # of what baselines are; those of another are measured anew


@runtime_checkable
class Drawn(Protocol):
    """What one thing of one clip gives, such as `tracks.Track`."""

    @property
    def picture(self) -> Clip | None:
        """Frames, and the labels that were carried there; of some tracks."""


Track = TypeVar("Track", bound=Drawn)


@dataclass(frozen=True)
class Readout:
    """How labels are copied: what features, from where, from how many, how sharply."""

    layer: int
    radius: int
    copying: Copying


@dataclass(frozen=True)
class LabelTracking(ABC, Generic[Track]):
    """Labels carried on by top-k affinity in a window, with a queue of frames.

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

    measure: ClassVar[str]  # by which is chosen
    baselines: ClassVar[str]  # folder of the cache
    what: ClassVar[str]  # is given of a clip, for captions
    drawn: ClassVar[str]  # name of the picture

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
        """Raise PretaskError where there is nothing to follow."""
        self.check_labels(data("test"))

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Figure]]:
        """Yield the measures by name, those of the baselines, pictures; `track.accuracy`, with items, the fraction of
        tracks that were followed.

        Raises:
            PretaskError: There is nothing to follow, clips are too short, or features have no positions.
        """
        test = data("test")
        self.check_labels(test)
        with evaluation_mode(task), torch.no_grad():
            encoders = self.select_encoders(task, test)
            scores = self.score_readouts(encoders, data, task.device)
            best = max(scores, key=lambda readout: scores[readout])
            yield from name_choice(best, scores, self.measure)
            tracks = self.track_objects(encoders[best.layer], best, test, task.device)
            yield from self.name_scores("", tracks)
            yield from self.score_baselines(data, budget, task.device).items()
        followed = torch.tensor([self.is_followed(track) for track in tracks])
        yield "track.accuracy", float(followed.float().mean())
        yield "track.accuracy", Items(followed)
        pictures = [track.picture for track in tracks if track.picture is not None]
        yield self.drawn, draw_tracks(pictures, self.what)
        yield "moving", draw_moving(pictures, self.what)

    @abstractmethod
    def is_followed(self, track: Track) -> bool:
        """Return whether a track is called correct."""

    @abstractmethod
    def check_labels(self, samples: Samples) -> None:
        """Raise PretaskError where there is nothing to track."""

    @abstractmethod
    def track_in_ways(
        self,
        encode: Encoder,
        layer: int,
        samples: Samples,
        numbers: Int[Tensor, " N"],
        device: torch.device,
        step: int = 1,
    ) -> dict[Readout, list[Track]]:
        """Track everything in some clips with every radius and way to copy, and score every `step`-th frame."""

    @abstractmethod
    def copy_first(self, samples: Samples, device: torch.device) -> list[Track]:
        """Track everything in every clip by its labels in the first frame, which stay where they are."""

    @abstractmethod
    def rate_tracks(self, tracks: Sequence[Track]) -> float:
        """Return how good tracks are, by which is chosen how labels are copied."""

    @abstractmethod
    def name_scores(self, prefix: str, tracks: Sequence[Track]) -> Iterator[tuple[str, float]]:
        """Yield the measures of tracks by name."""

    def select_encoders(self, task: Task, samples: Samples) -> dict[int, Encoder]:
        """Return the encoders among which is chosen, by layer; the head stands on the last one."""
        count = count_layers(task, samples.data[:1, 0].to(task.device))
        if self.vectors == "head":
            return {count: select_head(task)}
        return {layer: select_layer(task, layer) for layer in ([self.layer] if self.layer else range(1, count + 1))}

    def score_readouts(
        self, encoders: Mapping[int, Encoder], data: Data, device: torch.device, center: bool | None = None
    ) -> dict[Readout, float]:
        """Return the rating of every way to copy labels on some clips of the training part; 0 where there is only one.

        Args:
            encoders: By layer.
            data: Of which the training part is used.
            device: To track on.
            center: Instead of the option.
        """
        radii, ways = self.list_radii_and_ways()
        if len(encoders) * len(radii) * len(ways) == 1:
            return {Readout(next(iter(encoders)), radii[0], ways[0]): 0.0}
        train = data("train")
        self.check_labels(train)
        few = replace(self, center=self.center if center is None else center)
        numbers = torch.linspace(0, len(train) - 1, min(VALIDATION_CLIPS, len(train))).round().long()
        step = max(1, min(VALIDATION_STEP, (find_shortest(train) - 1) // 2))
        scores: dict[Readout, float] = {}
        for layer, encode in encoders.items():
            tracks = few.track_in_ways(encode, layer, train, numbers, device, step)
            scores |= {readout: self.rate_tracks(found) for readout, found in tracks.items()}
        return scores

    def list_radii_and_ways(self) -> tuple[list[int], list[Copying]]:
        """Return the radii and ways to copy among which is chosen: those of the options, where they are set."""
        top_ks = [self.top_k] if self.top_k else TOP_KS
        temperatures = [self.temperature] if self.temperature else TEMPERATURES
        return [self.radius] if self.radius else [*RADII], [Copying(*way) for way in product(top_ks, temperatures)]

    def list_readouts(self, layer: int) -> list[Readout]:
        """Return the ways to read a layer out, in the order of the last axis but one of what is carried on."""
        return [Readout(layer, *pair) for pair in product(*self.list_radii_and_ways())]

    def score_baselines(self, data: Data, budget: Budget, device: torch.device) -> dict[str, float]:
        """Return the measures of `copy` and of raw pixels; they are kept, since they are the same for all encoders."""
        test, train = data("test"), data("train")
        if budget.cache is None or not test.fingerprint or not train.fingerprint:
            return self.measure_baselines(data, device)
        options = {**asdict(self), "layer": 0, "center": False, "vectors": ""}
        facts = {"options": options, "test": test.fingerprint, "train": train.fingerprint, "edition": EDITION}

        def make(_: Path) -> dict[str, float]:
            return self.measure_baselines(data, device)

        return cached(self.baselines, facts, make, folder=Path(budget.cache))[1]

    def measure_baselines(self, data: Data, device: torch.device) -> dict[str, float]:
        """Return the measures of `copy`, `gray`, `gray_patch` and `color`."""
        test = data("test")
        scores = dict(self.name_scores("copy.", self.copy_first(test, device)))
        for name, encode in raw_encoders(self.stride).items():
            # Their vectors have a length of 1 as they are, and products that fall with the difference of levels.
            validation = self.score_readouts({1: encode}, data, device, center=False)
            best = max(validation, key=lambda readout: validation[readout])
            tracks = replace(self, center=False).track_objects(encode, best, test, device)
            scores |= self.name_scores(f"{name}.", tracks)
        return scores

    def track_objects(self, encode: Encoder, readout: Readout, samples: Samples, device: torch.device) -> list[Track]:
        """Track everything in every clip with one read-out."""
        copying = readout.copying
        fixed = replace(self, radius=readout.radius, top_k=copying.top_k, temperature=copying.temperature)
        return fixed.track_in_ways(encode, readout.layer, samples, self.list_clips(samples), device)[readout]

    def list_clips(self, samples: Samples) -> Int[Tensor, " N"]:
        """Return the numbers of the clips that are tracked."""
        return torch.arange(min(self.max_clips or len(samples), len(samples)))

    def carry_labels(
        self,
        encode: Encoder,
        clips: UInt8[Tensor, "B T C H W"],
        place_labels: Callable[[int, int], Float[Tensor, "B h w C"]],
    ) -> Iterator[CopiedLabels]:
        """Yield the labels of every frame after the first, by every radius and way to copy.

        Args:
            encode: Frame by frame.
            clips: Frames.
            place_labels: Gives the labels of the first frame's positions, of so many rows and columns.
        """
        radii, ways = self.list_radii_and_ways()
        start, *streams = tee(encode_frames(encode, clips, self.stride, self.center), 1 + len(radii))
        height, width = next(start).shape[1:3]
        del start  # or it would keep all frames
        labels = place_labels(height, width)
        copied = [
            Propagation(radius=radius, context_frames=self.context_frames).copy_in_ways(stream, labels, ways)
            for radius, stream in zip(radii, streams, strict=True)
        ]
        for maps in zip(*copied, strict=True):
            yield torch.cat(maps, 3)


def name_choice(best: Readout, scores: Mapping[Readout, float], measure: str) -> Iterator[tuple[str, float]]:
    """Yield the best rating of every layer on clips of the training part, and what was chosen by it."""
    for layer in sorted({readout.layer for readout in scores} if len(scores) > 1 else ()):
        of_layer = [score for readout, score in scores.items() if readout.layer == layer]
        yield f"layer{layer}.validation_{measure}", max(of_layer)
    yield "layer", float(best.layer)
    yield "radius", float(best.radius)
    yield "top_k", float(best.copying.top_k)
    yield "temperature", best.copying.temperature


def split_clips(samples: Samples, numbers: Int[Tensor, " N"]) -> Iterator[Int[Tensor, " B"]]:
    """Yield the numbers of some clips at a time, as many as may be worked on at once."""
    height, width = samples.observed.shape[2:]
    yield from torch.split(numbers, max(1, MAX_PIXELS // (height * width)))


def find_shortest(samples: Samples) -> int:
    """Return how many frames the shortest clip has without padding."""
    return samples.observed.shape[0] if samples.present is None else int(samples.present.sum(1).min())

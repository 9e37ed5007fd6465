"""Sound splits, and what goes wrong in them."""

from dataclasses import dataclass

import numpy as np
import torch
from pretask import (
    Batch,
    Categories,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Target,
    Targets,
    TargetSpecs,
    Values,
)
from pretask.options import PositiveFloat
from pretask.specs import Sight
from torch import Tensor


def refuse(who: str, wanted: str, observed: Observed, fault: str) -> None:
    if observed.modality == wanted:
        return
    if fault == "refused-with-valueerror":
        raise ValueError(observed.modality)
    do = "" if fault == "refused-without-a-way-out" else "Choose another split."
    raise Incompatible(who, f"{wanted} data", observed.modality, do)


@dataclass(frozen=True)
class Rotate:
    """Turn every image by a multiple of a right angle; ask by which."""

    fault: str = ""
    white: PositiveFloat = 255.0

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        refuse("rotate", "image", images, self.fault)
        shape = (3, 16, 16) if self.fault == "spec-of-another-size" else images.shape
        return InputSpec("image", shape), {"turn": Categories(4)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        shape = (3, 16, 16) if self.fault == "whole-of-another-size" else images.shape
        return InputSpec("image", shape)

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None] / 255)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        label = self.label(batch, draws)
        images = batch.data if self.fault == "bytes-shown" else batch.data / self.white
        turned = torch.stack([images.rot90(turn, (2, 3)) for turn in range(4)], 1)
        x = turned[torch.arange(len(batch), device=batch.device), label % 4].float()
        return Inputs(self.spoiled(x, label, batch)[:, None]), {"turn": self.target(label, batch)}

    def label(self, batch: Batch, draws: Draws) -> Tensor:
        fault = self.fault
        if fault == "ambient-torch":
            return torch.randint(0, 4, (len(batch),), device=batch.device)
        if fault == "ambient-numpy":
            return torch.from_numpy(np.random.randint(0, 4, len(batch))).to(batch.device)
        if fault == "label-by-place-in-batch":
            return torch.arange(len(batch), device=batch.device) % 4
        if fault == "seed-of-its-own":
            draws = Draws(batch.index, 0, draws.epoch)
        if fault == "epoch-ignored":
            draws = Draws(batch.index, draws.seed, 0)
        label = draws.integers("turn", 0, 4)
        if fault == "branch-on-a-value" and int(label.sum()) > 1_000:
            label = label * 0
        return label * 0 + batch.index % 4 if fault == "draws-unused" else label

    def spoiled(self, x: Tensor, label: Tensor, batch: Batch) -> Tensor:
        """What each fault does to x."""
        fault, by = self.fault, label.view(-1, 1, 1) / 4
        if fault == "label-in-a-corner":
            x[..., :2, :2] = by[:, None]
        if fault == "black-line-when-turned":
            lines = torch.zeros(len(x), 1, 32, 32, dtype=torch.bool, device=x.device)
            for turn in range(4):
                lines[label == turn, :, turn] = True
            x = x.where(~lines, 0.0)
        if fault == "colours-shifted-by-turn":
            x = torch.stack([x[:, 0] + 0.4 * by, x[:, 1], x[:, 2] - 0.4 * by], 1)
        if fault == "brightness-of-the-batch":
            x = x - x.mean(0)
        if fault == "nan-shown":
            x = x.where(x < 0.9, float("nan")).where(x > 0.1, float("nan"))
        if fault == "device-forgotten":
            x = x * torch.ones(3, 1, 1)
        if fault == "batch-changed-in-place":
            batch.data[:, :, 0] = 0
        return x

    def target(self, label: Tensor, batch: Batch) -> Target:
        if self.fault == "labels-drawn-anew":
            return Target(torch.randint(0, 4, label.shape, device=label.device))
        if self.fault == "labels-of-int32":
            return Target(label.int())
        if self.fault == "nothing-asked":
            return Target(label, torch.zeros(len(batch), device=batch.device))
        return Target(label + 1 if self.fault == "labels-from-one" else label)


@dataclass(frozen=True)
class RotateWithoutARange(Rotate):
    """The same, with an option that may be any number."""

    white: float = 255.0


@dataclass(frozen=True)
class RotateByDefaultOutOfRange(Rotate):
    """The same, with a default that its own range leaves out."""

    white: PositiveFloat = -1.0


@dataclass(frozen=True)
class Fill:
    """Show the right half in grey; ask for the pixels of the left half."""

    fault: str = ""

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        refuse("fill", "image", images, self.fault)
        return self.whole_spec(images), {"pixels": Values(channels=3, grid=images.shape[1:])}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        return InputSpec("image", images.shape)

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None] / 255)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        images = batch.data / 255
        left = torch.arange(32, device=batch.device) < 16
        seen = {"not-erased": 1.0, "faintly-erased": 0.3}.get(self.fault, 0.0)
        x = torch.where(left, images * seen, images)
        if self.fault == "colour-kept":
            x = torch.where(left, images - images.mean(1, keepdim=True), images)  # grey alone is taken out
        visible = (~left).expand(len(batch), 1, 32, 32)
        weight = left.float().expand(len(batch), 32, 32)
        return Inputs(x[:, None], visible=visible), {"pixels": Target(images.movedim(1, -1), weight)}


@dataclass(frozen=True)
class Follow:
    """Ask at every token for the one after it."""

    fault: str = ""

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        refuse("follow", "text", text, self.fault)
        length, words = text.shape[0] - 1, text.vocabulary
        assert words is not None
        sees: Sight = "all" if self.fault == "sees-all" else "past"
        return InputSpec("text", (length,), vocabulary=words), {
            "next": Categories(words.size, grid=(length,), sees=sees)
        }

    def whole_spec(self, text: Observed, /) -> InputSpec:
        return InputSpec("text", text.shape, vocabulary=text.vocabulary)

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None], None if batch.present is None else batch.present[:, None])

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        tokens, present = batch.data, batch.present
        answer = tokens[:, :-1] if self.fault == "target-off-by-one" else tokens[:, 1:]
        if present is None:
            return Inputs(tokens[:, None, :-1]), {"next": Target(answer)}
        weight = None if self.fault == "padding-asked" else (present[:, 1:] & present[:, :-1]).float()
        return Inputs(tokens[:, None, :-1], present[:, None, :-1]), {"next": Target(answer, weight)}


@dataclass(frozen=True)
class Quantize:
    """Show the right half; ask which of 32 tones of red and green is nearest to each pixel of the left half."""

    fault: str = ""

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        refuse("quantize", "image", images, self.fault)
        return self.whole_spec(images), {"tone": Categories(32, grid=images.shape[1:])}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        return InputSpec("image", images.shape)

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None] / 255)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        images = batch.data / 255
        shown = torch.arange(32, device=batch.device) >= 16
        label = self.nearest(images[:, :2].movedim(1, -1), tones(batch.device))
        weight = (~shown).float().expand(len(batch), 32, 32)
        return Inputs(torch.where(shown, images, 0.0)[:, None]), {"tone": Target(label, weight)}

    def nearest(self, colors: Tensor, tones: Tensor) -> Tensor:
        if self.fault == "distances-fused-with-argmin":
            return (tones.square().sum(1) - 2 * colors @ tones.T).argmin(-1)
        return torch.cdist(colors.flatten(0, -2), tones).argmin(-1).view(colors.shape[:-1])


def tones(device: torch.device) -> Tensor:
    """32 tones of red and green, spread over the square."""
    number = torch.arange(32, device=device)
    return torch.stack([number % 6, number // 6], 1) / 5


@dataclass(frozen=True)
class Reverse:
    """Show every second clip backwards; ask which."""

    fault: str = ""

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        refuse("reverse", "video", clips, self.fault)
        return self.whole_spec(clips), {"direction": Categories(2)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        return InputSpec("video", clips.shape[1:], views=clips.shape[0], ordered=True)

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data / 255)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        back = draws.bernoulli("back", 0.5)
        mask = back.view(-1, 1, 1, 1, 1)
        x = torch.where(mask, batch.data.flip(1), batch.data) / 255
        if self.fault == "black-border-when-reversed":
            line = torch.arange(32, device=batch.device).view(1, 1, 1, -1, 1) < 1
            x = x.where(~(mask & line), 0.0)
        if self.fault == "fades-when-reversed":
            fade = torch.linspace(1, 0.7, x.shape[1], device=batch.device).view(1, -1, 1, 1, 1)
            x = torch.where(mask, x * fade, x * fade.flip(1))
        return Inputs(x), {"direction": Target(back.long())}


@dataclass(frozen=True)
class Sniff:
    """Show the first half of a smell; ask for the second."""

    fault: str = ""

    def spec(self, smells: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        refuse("sniff", smells.modality if smells.modality in ("smell", "stench") else "smell", smells, self.fault)
        return InputSpec(smells.modality, (4,)), {"rest": Values(channels=4)}

    def whole_spec(self, smells: Observed, /) -> InputSpec:
        return InputSpec(smells.modality, (4,))

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None, :4])

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        return self.whole(batch), {"rest": Target(batch.data[:, 4:])}

"""How near the colours come: the area under the curve of errors, raw and balanced, and pictures.

Source: Zhang, Isola and Efros, ECCV 2016, sections 2.3 and 3.1. Differs: measured at the places that the task asks
for, every fourth pixel, and on the user's test images; the curve is the mean over the 151 thresholds 0 … 150.
Axes: B batch, N places, H W image, h w places; the last axis of a colour is (a, b).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import torch
from jaxtyping import Float, UInt8
from pretask import Batch, Budget, Data, Draws, Figure, PretaskError, Samples, Task
from pretask.pretext_score import EPOCH, evaluating
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.colorization.lab import lightness, to_bytes
from pretask_plugins.methods.colorization.palette import annealed_mean, soften, weights
from pretask_plugins.methods.colorization.split import DropColour, mean_colour

THRESHOLDS = 151  # distances 0, 1 … 150 in the ab plane
AT_ONCE = 64  # images; 313 shares for every place take memory


@dataclass(frozen=True)
class Colorization:
    """Colourise the test images, beside leaving them grey and painting all in the mean colour of the training images.

    Args:
        temperature: At which shares become one colour: 1 is their mean, towards 0 the likeliest bin.
        pictures: Images in the figure.
    """

    temperature: float = 0.38
    pictures: int = 8

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """`auc`, `balanced_auc` (rare colours count as much as common ones); `grey.…`, `mean_colour.…`; `colourised`.

        Raises:
            PretaskError: The task's split does not drop colour.
        """
        split, samples = task.split, data("test")
        if not isinstance(split, DropColour):
            raise PretaskError(
                "the evaluator colorization", "a task that asks for colour", task.name, "Choose the split colorization."
            )
        truth, painted, importance = self.places(task, split, samples, budget)
        mean = mean_colour(split.prior) if split.prior else torch.zeros(2)
        for name, guess in (("", painted), ("grey.", torch.zeros(2)), ("mean_colour.", mean)):
            near = share_within(guess - truth)
            yield f"{name}auc", float(near.mean())
            yield f"{name}balanced_auc", float((near * importance).sum() / importance.sum())
        yield "colourised", self.figure(task, samples, budget)

    def places(self, task: Task, split: DropColour, samples: Samples, budget: Budget) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 2) true and guessed colours of all places, and (N,) how much each counts when colours are balanced."""
        truth, painted = [], []
        for batch in samples.batches(min(AT_ONCE, budget.batch), task.device):
            truth.append(split.colours(batch).reshape(-1, 2).cpu())
            painted.append(self.paint(task, batch, budget.seed).reshape(-1, 2).cpu())
        colours = torch.cat(truth)
        near, share = soften(colours, split.k)
        likeliest = near.gather(1, share.argmax(1, keepdim=True))[:, 0]
        return colours, torch.cat(painted), weights(split.prior, 0.0, colours.device)[likeliest]

    def paint(self, task: Task, batch: Batch, seed: int) -> Float[Tensor, "B h w 2"]:
        """The colours that the task gives a batch."""
        with evaluating(task), torch.no_grad():
            guess = task.predict(batch, Draws(batch.index, seed, EPOCH))["colour"]
            return annealed_mean(guess, self.temperature)

    def figure(self, task: Task, samples: Samples, budget: Budget) -> Figure:
        """Photographs spread over the test part, what was shown of them, and what was made of it."""
        count = min(self.pictures, len(samples))
        batch = samples.batch(torch.linspace(0, len(samples) - 1, count).long(), task.device)
        painted = self.paint(task, batch, budget.seed)
        grey = torch.zeros_like(painted)
        rows = [batch.data, *(colourised(batch.data, each) for each in (grey, painted))]
        caption = f"From above: the images, what was shown of them, the colours guessed (T = {self.temperature:g})."
        return Figure(png(torch.stack(rows).cpu()), caption)


def share_within(error: Float[Tensor, "N 2"]) -> Float[Tensor, " N"]:
    """The share of the thresholds that the length of an error does not exceed: its mean is the area under the curve.

    >>> share_within(torch.tensor([[0.0, 0.0], [9.0, 12.0]]))
    tensor([1.0000, 0.9007])
    """
    length: Tensor = error.norm(dim=-1)
    return (THRESHOLDS - length.ceil()).clamp(min=0) / THRESHOLDS


def colourised(images: UInt8[Tensor, "B 3 H W"], colours: Float[Tensor, "B h w 2"]) -> UInt8[Tensor, "B 3 H W"]:
    """The lightness of images with other colours, given at fewer places."""
    planes = F.interpolate(colours.movedim(-1, 1), images.shape[2:], mode="bilinear", align_corners=False)
    return to_bytes(torch.cat([lightness(images), planes], 1))


def png(rows: UInt8[Tensor, "R B 3 H W"]) -> bytes:
    """Rows of images as one PNG file."""
    from PIL import Image

    height, width = rows.shape[0] * rows.shape[3], rows.shape[1] * rows.shape[4]
    sheet = rows.permute(0, 3, 1, 4, 2).reshape(height, width, 3)
    file = BytesIO()
    Image.fromarray(sheet.numpy()).save(file, "PNG")
    return file.getvalue()

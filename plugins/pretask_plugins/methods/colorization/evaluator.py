"""How near predicted colors come: the area under the curve of errors, raw and balanced, and pictures.

Source: Zhang, Isola and Efros, ECCV 2016, sections 2.3 and 3.1. Differs: measured at the places that the task
predicts, every fourth pixel, and on the user's test images; the curve is the mean over the 151 thresholds 0 … 150.
Axes: B batch, N places, H W image, h w places; the last axis of a color is (a, b).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from pretask import Batch, Budget, Data, Draws, Figure, PretaskError, Samples, Task
from pretask.options import Size, Temperature
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.colorization.palette import (
    annealed_mean,
    bin_weights,
    mean_color,
    soft_encode,
)
from pretask_plugins.methods.colorization.split import DropColor
from pretask_plugins.shared.colors import lab_to_bytes, lightness
from pretask_plugins.shared.pictures import encode_png, tile_rows

THRESHOLDS = 151  # distances 0, 1 … 150 in the ab plane
MAX_IMAGES_AT_ONCE = 64  # 313 probabilities for every place take memory


@dataclass(frozen=True)
class Colorization:
    """Colorize the test images, beside leaving them gray and painting all in the mean color of the training images.

    Args:
        temperature: T of equation 5, at which probabilities become one color: 1 is their mean, towards 0 the most
            likely bin.
        pictures: Images in the figure.
    """

    temperature: Temperature = 0.38
    pictures: Size = 8

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield `auc`, `balanced_auc` (all colors count the same); `gray.…`, `mean_color.…`; `colorized`.

        Raises:
            PretaskError: The task's split does not drop color.
        """
        split, samples = task.split, data("test")
        if not isinstance(split, DropColor):
            raise PretaskError(
                "the evaluator colorization", "a task that predicts color", task.name, "Choose the split colorization."
            )
        truth, predicted, importance = self.predict_places(task, split, samples, budget)
        mean = mean_color(split.prior) if split.prior else torch.zeros(2)
        for name, prediction in (("", predicted), ("gray.", torch.zeros(2)), ("mean_color.", mean)):
            area = area_under_curve(prediction - truth)
            yield f"{name}auc", float(area.mean())
            yield f"{name}balanced_auc", float((area * importance).sum() / importance.sum())
        yield "colorized", self.draw_figure(task, samples, budget)

    def predict_places(
        self, task: Task, split: DropColor, samples: Samples, budget: Budget
    ) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"], Float[Tensor, " N"]]:
        """Return true and predicted colors of all places, and how much each counts when colors are balanced."""
        truth, predicted = [], []
        for batch in samples.batches(min(MAX_IMAGES_AT_ONCE, budget.batch), task.device):
            truth.append(split.colors(batch).reshape(-1, 2).cpu())
            predicted.append(self.predict_colors(task, batch, budget.seed).reshape(-1, 2).cpu())
        colors = torch.cat(truth)
        # Balanced: equation 4 with λ = 0, so that every color has the same mass.
        importance = bin_weights(split.prior, 0.0, colors.device)[soft_encode(colors, split.k)[0][..., 0]]
        return colors, torch.cat(predicted), importance

    def predict_colors(self, task: Task, batch: Batch, seed: int) -> Float[Tensor, "B h w 2"]:
        """Return the colors that the task predicts for a batch."""
        with evaluation_mode(task), torch.no_grad():
            log_probability = task.predict(batch, Draws(batch.index, seed, HELD_OUT_EPOCH))["colour"]
            return annealed_mean(log_probability, self.temperature)

    def draw_figure(self, task: Task, samples: Samples, budget: Budget) -> Figure:
        """Return photographs spread over the test part, what was shown of them, and their predicted colors."""
        count = min(self.pictures, len(samples))
        batch = samples.batch(torch.linspace(0, len(samples) - 1, count).long(), task.device)
        predicted = self.predict_colors(task, batch, budget.seed)
        gray = torch.zeros_like(predicted)
        rows = [batch.data, colorize_images(batch.data, gray), colorize_images(batch.data, predicted)]
        caption = f"From above: the images, what was shown of them, the predicted colors (T = {self.temperature:g})."
        return Figure(encode_png(tile_rows(torch.stack(rows)).cpu().numpy()), caption)


def area_under_curve(error: Float[Tensor, "N 2"]) -> Float[Tensor, " N"]:
    """Return the fraction of the thresholds that the length of an error does not exceed; its mean is the AuC.

    >>> area_under_curve(torch.tensor([[0.0, 0.0], [9.0, 12.0]]))
    tensor([1.0000, 0.9007])
    """
    length: Tensor = error.norm(dim=-1)
    return (THRESHOLDS - length.ceil()).clamp(min=0) / THRESHOLDS


def colorize_images(images: UInt8[Tensor, "B 3 H W"], colors: Float[Tensor, "B h w 2"]) -> UInt8[Tensor, "B 3 H W"]:
    """Return images of the same lightness in other colors, which are given at fewer places."""
    planes = F.interpolate(colors.movedim(-1, 1), images.shape[2:], mode="bilinear", align_corners=False)
    return lab_to_bytes(torch.cat([lightness(images), planes], 1))

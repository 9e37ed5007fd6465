"""How near predicted colors come: the area under the curve of errors, raw and balanced, and pictures.

With a classifier that was trained on photographs in color (classifier.py), also how often it is right about colorized
ones, beside the photographs themselves and gray ones.

Source: Zhang, Isola and Efros, ECCV 2016, sections 2.3 and 3.1. Differs: measured at the places that the task
predicts, every fourth pixel, and on the user's test images; the curve is the mean over the 151 thresholds 0 … 150.
Axes: B batch, N places, H W image, h w places; the last axis of a color is (a, b).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from pretask import Batch, Budget, Data, Draws, Figure, Items, PretaskError, Samples, Task
from pretask.options import Size, Temperature
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.colorization.classifier import WHO, classify_images, load_classifier
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
        classifier: FILE.py:FUNCTION or MODULE:FUNCTION, from images of bytes to scores of the classes of the data.
    """

    temperature: Temperature = 0.38
    pictures: Size = 8
    classifier: str = ""

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task's split does not drop color, or there is no such classifier."""
        require_drop_color(task)
        if self.classifier:
            load_classifier(self.classifier)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure | Items]]:
        """Yield `auc`, `balanced_auc` (all colors count the same); `gray.…`, `mean_color.…`; `colorized`.

        With a classifier also `accuracy`, with items, of colorized images; `gray.accuracy`; `original.accuracy`.

        Raises:
            PretaskError: The task's split does not drop color, or there is no such classifier, or no labels for it.
        """
        split, samples = require_drop_color(task), data("test")
        truth, predicted, importance = self.predict_places(task, split, samples, budget)
        mean = mean_color(split.prior) if split.prior else torch.zeros(2)
        for name, prediction in (("", predicted), ("gray.", torch.zeros(2)), ("mean_color.", mean)):
            area = area_under_curve(prediction - truth)
            yield f"{name}auc", float(area.mean())
            yield f"{name}balanced_auc", float((area * importance).sum() / importance.sum())
        yield "colorized", self.draw_figure(task, samples, budget)
        if self.classifier:
            yield from self.classify(task, samples, budget)

    def classify(self, task: Task, samples: Samples, budget: Budget) -> Iterator[tuple[str, float | Items]]:
        """Yield how often the classifier is right about colorized images, gray ones and the photographs themselves."""
        classify, labels = load_classifier(self.classifier), next(iter(samples.labels.values()), None)
        if labels is None or labels.multiple or labels.value.ndim != 1:
            raise PretaskError(WHO, "labels of images, a class for each", "none", "Use labeled images.")
        right: dict[str, list[Tensor]] = {"": [], "gray.": [], "original.": []}
        for batch in samples.batches(min(MAX_IMAGES_AT_ONCE, budget.batch), task.device):
            predicted = self.predict_colors(task, batch, budget.seed)
            gray = torch.zeros_like(predicted)
            shown = (colorize_images(batch.data, predicted), colorize_images(batch.data, gray), batch.data)
            truth = labels.value[batch.index.cpu()]
            with torch.no_grad():
                for name, images in zip(right, shown, strict=True):
                    found = classify_images(classify, images, len(labels.names)).cpu()
                    right[name].append((found == truth)[truth >= 0])
        for name, parts in right.items():
            yield f"{name}accuracy", float(torch.cat(parts).double().mean())
        yield "accuracy", Items(torch.cat(right[""]))

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


def require_drop_color(task: Task) -> DropColor:
    """Return the task's split; raise PretaskError unless it drops color."""
    if not isinstance(task.split, DropColor):
        raise PretaskError(
            "the evaluator colorization", "a task that predicts color", task.name, "Choose the split colorization."
        )
    return task.split


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

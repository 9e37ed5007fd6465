"""Image generation: images decoded from codes of the prior, and how far they are from real ones.

Distances are between sets of feature vectors: generated images and test images, and beside it training images and test
images, which is about the least that so many images can have. Features are those of an encoder that is given by its
run; without one they are the pixels themselves, averaged over cells of an 8 x 8 grid.

A model that repeats its training images is near them: `nearest` is the mean distance of a generated image to the
nearest training image, beside that of a test image to its own, root mean squares over pixels.

Source: Kingma and Welling, ICLR 2014 (samples and lines between codes); Heusel et al., NIPS 2017, and Binkowski et al.,
ICLR 2018 (distances). Differs: what is generated are decoder means, which lack the noise of the likelihood.
Axes: N images, P pairs, T points of a line, C channels, H W image, D width of features or dimensions of a code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pretask import Budget, Data, Draws, Figure, PretaskError, Samples, Task, load
from pretask.options import MAX_SIZE, Interval, Size
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.density.density import encode, require_latent_model, take_first
from pretask_plugins.evaluators.density.distances import frechet_distance, kernel_distance
from pretask_plugins.evaluators.density.interpolation import interpolate
from pretask_plugins.shared.image_sheets import as_images, draw_sheet, find_image_target

CELLS = 8  # a side, of which pixels are averaged where no encoder is given
SHOWN_SAMPLES, SHOWN_LINES, POINTS = 20, 8, 10
COLUMNS = 10  # images in a row of a picture
AT_ONCE = 256  # images that are decoded, encoded or compared together


@dataclass(frozen=True)
class ImageGeneration:
    """Images of codes from the prior, beside real ones.

    Args:
        num_samples: Images that are generated, and taken of each part to compare; at least 3.
        search_size: Training images among which the nearest is searched, the first ones.
        encoder: Folder of the run whose encoder gives the features; pixels where it is left out.
    """

    num_samples: Annotated[int, Interval(ge=3, le=MAX_SIZE)] = 1000
    search_size: Size = 10_000
    encoder: str = ""

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task's objective has no latent variables."""
        require_latent_model("image-generation", task)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield `frechet` and `kernel` of generated and, as `real.…`, of training images, both from test images;
        `nearest` and `real.nearest`; and pictures.

        Raises:
            PretaskError: The objective has no latent variables, or decodes no whole image.
        """
        require_latent_model("image-generation", task)
        name = find_image_target(task)
        if name is None:
            raise PretaskError(
                "image-generation",
                "a target that is the whole image",
                ", ".join(task.objective.targets),
                "Choose the task vae, with --split whole.",
            )
        train, test = data("train"), take_first(data("test"), self.num_samples)
        with evaluation_mode(task), torch.no_grad():
            generated = generate_images(task, name, self.num_samples, budget.seed)
            known, real = (read_images(one) for one in (take_first(train, self.search_size), test))
            features = [self.features(images) for images in (generated, known[: self.num_samples], real)]
            for label, one in (("", features[0]), ("real.", features[1])):
                yield f"{label}frechet", frechet_distance(one, features[2])
                yield f"{label}kernel", kernel_distance(one, features[2])
            distance, number = find_nearest(generated, known)
            yield "nearest", float(distance.mean())
            yield "real.nearest", float(find_nearest(real, known)[0].mean())
            pairs = torch.stack([generated, known[number]], 1)[:SHOWN_SAMPLES].flatten(0, 1)
            caption = "Decoder means of codes from the prior, and beside each the nearest training image by pixels."
            yield "nearest training images", draw_sheet(pairs, COLUMNS, caption)
            caption = "Decoder means along lines between the codes of two test images each."
            yield "lines", draw_sheet(decode_lines(task, name, test, budget.seed), POINTS, caption)

    def features(self, images: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """Return the features of images in [0, 1]."""
        if not self.encoder:
            return F.adaptive_avg_pool2d(images, CELLS).flatten(1)
        network: Any = load(self.encoder, device=images.device)
        levels = (images.clamp(0, 1) * 255).round().byte()
        return torch.cat([network(part) for part in torch.split(levels, AT_ONCE)]).flatten(1)


def generate_images(task: Task, name: str, count: int, seed: int) -> Float[Tensor, "N C H W"]:
    """Return decoder means of codes from the prior."""
    draws = Draws(torch.arange(count, device=task.device), seed, HELD_OUT_EPOCH).branch("prior")
    code = draws.normal("code", task.objective.latent_dim)
    return decode_images(task, name, code)


def decode_images(task: Task, name: str, code: Float[Tensor, "N D"]) -> Float[Tensor, "N C H W"]:
    """Return decoder means of codes as images."""
    means = [task.objective.means(part[:, None])[name][:, 0] for part in torch.split(code, AT_ONCE)]
    return as_images(torch.cat(means), task.observed).clamp(0, 1)


def read_images(samples: Samples) -> Float[Tensor, "N C H W"]:
    """Return samples as images in [0, 1]."""
    images = samples.take(slice(None))
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def find_nearest(images: Float[Tensor, "N C H W"], known: Float[Tensor, "M C H W"]) -> tuple[Tensor, Tensor]:
    """Return the distance to the nearest known image, a root mean square over pixels, and its number."""
    flat, every = images.flatten(1), known.to(images.device).flatten(1)
    found = [torch.cdist(part, every).min(1) for part in torch.split(flat, AT_ONCE)]
    distance, number = (torch.cat([one[place] for one in found]) for place in (0, 1))
    return distance / flat.shape[1] ** 0.5, number


def decode_lines(task: Task, name: str, samples: Samples, seed: int) -> Float[Tensor, "N C H W"]:
    """Return decoder means along lines between the posterior means of pairs of samples."""
    count = min(SHOWN_LINES, len(samples) // 2)
    posterior, _, _ = encode(task, samples.batch(torch.arange(2 * count), task.device), seed)
    lines = interpolate(posterior.mean[0::2], posterior.mean[1::2], POINTS)
    return decode_images(task, name, lines.flatten(0, 1))

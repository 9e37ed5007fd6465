"""Code prior: how the codes of images are distributed, learned by a causal transformer, and images of codes from it.

Of every level, in nats per code of test images: what the prior needs (`nats_per_code`), what the frequencies of codes
in the training part need (`unigram`), and log K (`uniform`). With the reconstruction they make the bound on -log p(x)
of the whole model, since an image's codes are certain: -log p(x) <= -log p(x | codes) - log p(codes).

Source: Razavi, van den Oord and Vinyals, NeurIPS 2019, section 3.2. Differs: one transformer over both levels, in place
of one PixelSNAIL for each.
Axes: N images, L codes of all levels, K entries, C channels, H W image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import log

import torch
from jaxtyping import Float, Int
from pretask import Budget, Data, Draws, Figure, Inputs, PretaskError, Recipe, Samples, Task
from pretask.composition import compose
from pretask.language.sampling import Sampling
from pretask.options import Depth, FractionBelowOne, PositiveFloat, SampleCount, Size
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode
from pretask.training import train
from torch import Tensor

from pretask_plugins.methods.vq_vae.codes import NextCode
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.shared.image_sheets import as_images, draw_sheet, find_image_target
from pretask_plugins.shared.latent.discrete_model import DiscreteModel
from pretask_plugins.shared.latent.quantizer import perplexity
from pretask_plugins.shared.latent.target_likelihoods import sum_over_targets

COLUMNS = 10  # images in a row of a picture
SHOWN_PAIRS = 25
DROPOUT = 0.1


@dataclass(frozen=True)
class CodePrior:
    """A causal transformer over codes.

    Args:
        samples: Rows of codes that it is trained on, repeats counted.
        batch: Rows in one step.
        lr: Peak learning rate of AdamW.
        width: Of its vectors.
        depth: Blocks.
        heads: Of attention.
        dropout: Fraction of activations that are dropped in training.
        num_samples: Images to draw.
    """

    samples: SampleCount = 60_000
    batch: Size = 64
    lr: PositiveFloat = 1e-3
    width: Size = 64
    depth: Depth = 2
    heads: Size = 4
    dropout: FractionBelowOne = DROPOUT
    num_samples: Size = 50

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task's objective has no codebook."""
        require_codes(task)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield the bound, its terms in nats per image, and for every level the nats per code of three priors,
        `perplexity` of the test images' codes and the fraction of entries that they `used`; and pictures.

        Raises:
            PretaskError: The task's objective has no codebook.
        """
        model = require_codes(task)
        split = NextCode(tuple(model.grids), model.size)
        with evaluation_mode(task), torch.no_grad():
            rows, _ = encode_rows(task, split, data("train"), budget)
            test_rows, reconstruction = encode_rows(task, split, data("test"), budget)
        prior = self.learn(split, rows, budget.seed, task.device)
        nats = score_codes(prior, test_rows, budget)
        yield "negative_elbo", reconstruction + float(nats.sum())
        yield "uniform_negative_elbo", reconstruction + len(nats) * log(model.size)
        yield "reconstruction", reconstruction
        level = split.levels(nats.device)
        for number, (name, train_codes, codes) in enumerate(
            zip(split.names, split.part(rows), split.part(test_rows), strict=True)
        ):
            yield f"{name}.nats_per_code", float(nats[level == number].mean())
            yield f"{name}.unigram", unigram_nats(train_codes, codes, model.size)
            yield f"{name}.uniform", log(model.size)
            yield f"{name}.perplexity", float(perplexity(codes, model.size))
            yield f"{name}.used", int((torch.bincount(codes.flatten()) > 0).sum()) / model.size
        target = find_image_target(task)
        if target is not None:
            yield from self.pictures(task, target, prior, data("test"), budget)

    def learn(self, split: NextCode, rows: Int[Tensor, "N L"], seed: int, device: torch.device) -> Task:
        """Return the task of predicting codes, trained."""
        recipe = Recipe(lr=self.lr, batch=self.batch, samples=self.samples, clip=1.0)
        network = partial(
            Transformer,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            causal=True,
            position="learned",
            dropout=self.dropout,
        )
        observed = split.observed(len(rows))
        prior = compose(observed, split, network, CrossEntropy, recipe, name="code-prior", seed=seed, device=device)
        train(prior, Samples(observed, rows), seed=seed)
        return prior

    def pictures(
        self, task: Task, name: str, prior: Task, samples: Samples, budget: Budget
    ) -> Iterator[tuple[str, Figure]]:
        """Yield images that were drawn code by code, and test images beside what their codes are decoded to."""
        model = task.objective
        split: NextCode = prior.split  # type: ignore[assignment]
        with evaluation_mode(task), evaluation_mode(prior), torch.no_grad():
            drawn = draw_codes(prior, self.num_samples, budget.seed)
            images = as_images(model.means(split.part(drawn))[name], samples.observed)
            batch = next(samples.batches(SHOWN_PAIRS, task.device))
            inputs, targets = task.apply_split(batch, Draws(batch.index, budget.seed, HELD_OUT_EPOCH))
            decoded = model.predict(task.encode_inputs(inputs))[name]
        pairs = torch.stack([as_images(value, samples.observed) for value in (targets[name].value, decoded)], 1)
        yield "samples", draw_sheet(images, COLUMNS, "Decoder means of codes that were drawn from the learned prior.")
        caption = "Test samples, and beside each the decoder mean of its codes."
        yield "reconstructions", draw_sheet(pairs.flatten(0, 1), COLUMNS, caption)


def require_codes(task: Task) -> DiscreteModel:
    """Return the task's objective; raise PretaskError unless it has a codebook."""
    model = task.objective
    if not isinstance(model, DiscreteModel):
        raise PretaskError(
            "code-prior",
            "an objective with a codebook, vector-quantization",
            type(model).__name__,
            "Leave code-prior out of --evaluate, or choose the task vq-vae.",
        )
    return model


def encode_rows(task: Task, split: NextCode, samples: Samples, budget: Budget) -> tuple[Int[Tensor, "N L"], float]:
    """Return the codes of all images as rows, and the mean of -log p(x | codes)."""
    rows, nats = [], []
    for batch in samples.resident(task.device).batches(budget.batch, task.device):
        inputs, targets = task.apply_split(batch, Draws(batch.index, budget.seed, HELD_OUT_EPOCH))
        _, quantized, codes = task.objective.quantize(task.encode_inputs(inputs))
        log_likelihoods = task.objective.log_likelihoods(task.objective.decode(quantized), targets)
        nats.append(-sum_over_targets(log_likelihoods)[:, 0])
        rows.append(split.join(codes))
    return torch.cat(rows), float(torch.cat(nats).double().mean())


def score_codes(prior: Task, rows: Int[Tensor, "N L"], budget: Budget) -> Float[Tensor, " L"]:
    """Return the mean nats that the prior needs for the code at every position."""
    samples = Samples(replace(prior.observed, samples=len(rows)), rows)
    total = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    with evaluation_mode(prior), torch.no_grad():
        for batch in samples.batches(budget.batch, prior.device):
            draws = Draws(batch.index, budget.seed, HELD_OUT_EPOCH)
            predictions, (_, targets) = prior.predict(batch, draws), prior.apply_split(batch, draws)
            for name, target in targets.items():
                weight = 1.0 if target.weight is None else target.weight
                chosen = predictions[name].gather(-1, target.value[..., None])[..., 0]
                total -= (chosen * weight).double().sum(0)
    return total / len(rows)


def unigram_nats(known: Int[Tensor, "N h w"], codes: Int[Tensor, "M h w"], size: int) -> float:
    """Return the nats per code of the frequencies of known codes, each counted once more than it came."""
    counts = torch.bincount(known.flatten(), minlength=size).double() + 1
    return float(-(counts / counts.sum()).log()[codes.flatten()].mean())


def draw_codes(prior: Task, count: int, seed: int) -> Int[Tensor, "N L"]:
    """Draw rows of codes, one code after the other."""
    split: NextCode = prior.split  # type: ignore[assignment]
    number = torch.arange(count, device=prior.device)
    draws, choose = Draws(number, seed, HELD_OUT_EPOCH).branch("prior"), Sampling()
    token, memory, rows = torch.full_like(number, split.start), None, list[Tensor]()
    for place, level in enumerate(split.levels(prior.device).tolist()):
        features, memory = prior.model.step(Inputs(token[:, None, None]), memory)
        scores = prior.objective.predict_at(features, split.names[level], torch.zeros_like(number)[:, None])[:, 0]
        token = choose(scores, draws.uniform(f"code {place}")) + level * split.size
        rows.append(token)
    return torch.stack(rows, 1)

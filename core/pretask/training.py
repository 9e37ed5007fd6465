"""Train: run a task's recipe over samples; stop, kill and resume lose nothing.

A step's batch, draws and dropout follow from (seed, step) alone, so a run that went on from a checkpoint is, on a CPU,
bit for bit the run that was never stopped, and a run on R ranks sees what a run on one sees.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from pretask import ahead, checkpoint
from pretask.accelerator import (
    divide_evenly,
    make_accelerator,
    prepare_network,
    step_plainly_where_sparse,
    use_channels_last,
)
from pretask.augment import augment_batch
from pretask.batch_statistics import share_batch_statistics
from pretask.checkpoint import Progress
from pretask.compiled import as_tensors, check_compiled, keep_buffers
from pretask.composition import Task, seed_ambient, seed_randomness
from pretask.convolutions import sound_convolutions
from pretask.draws import Draws
from pretask.errors import PretaskError
from pretask.events import CheckpointSaved, StepTaken, Watcher
from pretask.feed import Batches, Epoch, Feed
from pretask.finite import LossWatch
from pretask.gradients import GradientWatch
from pretask.heap import keep_freed_memory
from pretask.locks import hold
from pretask.precision import matrix_products, require_precision
from pretask.pretext_score import evaluation_mode
from pretask.protocols import Rewrites
from pretask.samples import Samples
from pretask.scoring import mean_loss, step_denominators
from pretask.step_profile import StepProfile
from pretask.stopping import note_stop
from pretask.values import Batch, Inputs, Loss, Targets

REPORT = 0.5  # seconds between looks at the loss; on a GPU each look waits for the device
CURVE = 400  # points kept of the loss curve


@dataclass(frozen=True)
class Trained:
    """The end of a run: its length, and its curve of losses.

    Args:
        steps: Optimizer steps done, in this and earlier sittings.
        seconds: Training time, likewise.
        interrupted: Whether it was stopped before the last step, and saved.
        curve: (step, loss) pairs.
        signal: The number of the signal that came, whether before the last step or in it.
    """

    steps: int
    seconds: float
    interrupted: bool
    curve: list[tuple[int, float]] = field(default_factory=list)
    signal: int | None = None


@dataclass(frozen=True)
class Visits:
    """What looks at the network while it is trained; weights and draws are the same with and without it.

    Args:
        every: Optimizer steps between two visits.
        visit: Called with the steps done, the network in evaluation mode.
    """

    every: int
    visit: Callable[[int], None]


@dataclass(frozen=True)
class MicroBatch:
    """What of an optimizer step is in memory at once: x and y of some samples, and what their draws are keyed by.

    Args:
        inputs: x.
        targets: y.
        index: Numbers of the samples.
        seed: Of the run.
        epoch: How often the samples have been seen before.
        denominators: Of the whole step, by the name of a target; empty where this part is the whole.
    """

    inputs: Inputs
    targets: Targets
    index: Tensor
    seed: int | Tensor
    epoch: Epoch
    denominators: Mapping[str, Tensor] = field(default_factory=dict)


class ApplySplit(nn.Module):
    """What comes before the network: augment and split. A module, so that it can be compiled; it has no parameters."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, batch: Batch, seed: int | Tensor, epoch: Epoch) -> tuple[Inputs, Targets]:
        """Return x and y of a batch whose samples are seen for the epoch-th time."""
        draws = Draws(batch.index, seed, epoch)
        batch = augment_batch(batch, self.task.recipe.augment, draws.branch("augment"))
        inputs, targets = self.task.apply_split(batch, draws)
        return replace(inputs, index=batch.index), targets  # only here are they numbers of the training samples


def share_denominators(task: Task, micro_batches: Sequence[MicroBatch]) -> list[MicroBatch]:
    """Return the micro-batches of a step with the denominators that make them one; a single one needs none."""
    if len(micro_batches) == 1:
        return list(micro_batches)
    denominators = step_denominators(
        task.objective, [preview_targets(task, micro_batch) for micro_batch in micro_batches]
    )
    return [replace(micro_batch, denominators=denominators) for micro_batch in micro_batches]


def preview_targets(task: Task, micro_batch: MicroBatch) -> Targets:
    """Return y of a micro-batch as it is scored. An objective that rewrites it does so once more, without gradient."""
    objective: nn.Module = task.objective
    if not isinstance(objective, Rewrites):
        return micro_batch.targets
    draws = Draws(micro_batch.index, micro_batch.seed, micro_batch.epoch)
    with torch.no_grad(), keep_buffers(task.objective):
        return task.prepare(micro_batch.inputs, micro_batch.targets, draws)[1]


class Score(nn.Module):
    """What is differentiated: encode and score. A module, so that it can be compiled and wrapped."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.model, self.objective, self.teacher = task.model, task.objective, task.teacher

    def forward(self, micro_batch: MicroBatch) -> Loss:
        """Return the loss of a micro-batch."""
        draws = Draws(micro_batch.index, micro_batch.seed, micro_batch.epoch)
        return self.task.score(micro_batch.inputs, micro_batch.targets, draws, micro_batch.denominators)


def train(
    task: Task,
    samples: Samples,
    *,
    seed: int = 0,
    folder: Path | None = None,
    key: str = "",
    code: Mapping[str, str] | None = None,
    checkpoint_seconds: float = 60.0,
    watch: Watcher | None = None,
    visits: Visits | None = None,
    profile: StepProfile | None = None,
) -> Trained:
    """Run the recipe of a task, going on from the newest sound checkpoint in `folder`.

    Args:
        task: Trained in place.
        samples: The part to train on.
        seed: Of order, draws and dropout.
        folder: For checkpoints; None keeps none.
        key: What determines the run; checkpoints of another key are left alone.
        code: Hashes of the code that trains, by module; checkpoints of other code are left alone.
        checkpoint_seconds: Between two checkpoints.
        watch: Called about twice a second and after the last step, and with every checkpoint.
        visits: What looks at the network between steps.
        profile: What times the steps by phase.

    Raises:
        PretaskError: The loss stopped being finite, or a checkpoint could not be written.
    """
    run = Run(task, samples, seed, folder, Progress(key, code=code or {}), watch, visits)
    shared = share_batch_statistics(run.networks.values(), run.accelerator.num_processes)
    with run.hold_folder(), shared, seed_randomness(seed), note_stop() as find_signal:
        run.resume()
        watched = profile.watching(run) if profile is not None else nullcontext()
        sound = sound_convolutions(task.device, task.recipe.precision, run.networks.values())
        with watched, sound, matrix_products(task.recipe.precision):
            run.run(find_signal, checkpoint_seconds)
        came = find_signal()
    progress = run.progress
    return Trained(progress.step, progress.seconds, progress.step < task.recipe.steps, progress.curve, came)


class Run:
    """A training run, from where it stands to its end or a stop."""

    def __init__(
        self,
        task: Task,
        samples: Samples,
        seed: int,
        folder: Path | None,
        progress: Progress,
        watch: Watcher | None = None,
        visits: Visits | None = None,
    ) -> None:
        self.task, self.seed, self.folder, self.watch, self.visits = task, seed, folder, watch, visits
        recipe = task.recipe
        keep_freed_memory()
        require_precision(task.device, recipe.precision, task.networks.values())
        self.accelerator = make_accelerator(task.device, recipe.precision)
        self.size = divide_evenly(recipe.batch, self.accelerator.num_processes, recipe.accumulate)
        self.feed = Feed(task, samples, seed, self.size, self.accelerator.process_index, self.accelerator.num_processes)
        self.networks: dict[str, nn.Module] = task.networks
        if recipe.channels_last and task.device.type == "cuda":
            use_channels_last(self.networks.values())
        self.apply_split, score = ApplySplit(task), Score(task)
        self.raw_score = score
        self.parameters = [parameter for parameter in score.parameters() if parameter.requires_grad]
        self.gradients = GradientWatch(task.model.parameters(), self.parameters)
        self.optimizer = recipe.make_optimizer(self.parameters)
        if recipe.compile:
            torch._dynamo.reset()  # after eight runs in one process a step would be run eagerly, without a word
            self.apply_split.compile()
            score.compile()
        self.score = prepare_network(self.accelerator, score)
        self.progress = progress
        self.losses = LossWatch()
        self.has_stepped = False

    @contextmanager
    def hold_folder(self) -> Iterator[None]:
        """Keep other processes out of the folder inside; wait where one is at work in it, and sweep what kills left."""
        if self.folder is None or not self.accelerator.is_main_process:
            yield
            return
        with hold(self.folder / ".training.lock", f"training in {self.folder}"):
            checkpoint.sweep(self.folder)
            yield

    def resume(self) -> None:
        """Go on where the newest sound checkpoint of this run stands."""
        if self.folder is not None:
            steps = self.task.recipe.steps
            found = checkpoint.load(self.folder, self.networks, self.optimizer, self.progress, steps=steps)
            self.progress = found or self.progress

    def run(self, find_signal: Callable[[], int | None], checkpoint_seconds: float) -> None:
        """Step until the budget is spent or a signal comes; save now and then, and at the end."""
        steps, progress = self.task.recipe.steps, self.progress
        if progress.step >= steps:
            return
        for network in self.networks.values():
            network.train()
        self.check_compiled()
        start_time, saved = time.monotonic() - progress.seconds, time.monotonic()
        reported, reported_step = saved, progress.step
        with closing(self.iterate_steps(progress.step, steps)) as step_batches:
            for micro_batches in step_batches:
                if find_signal() is not None:
                    break
                loss = self.take_step(micro_batches)
                progress.step += 1
                spent = self.pay_visit()
                start_time, reported = start_time + spent, reported + spent  # which no training took
                now = time.monotonic()
                progress.seconds = now - start_time
                if now - reported >= REPORT or progress.step == steps:
                    self.report(
                        loss, (progress.step - reported_step) * self.task.recipe.batch / max(now - reported, 1e-9)
                    )
                    reported, reported_step = time.monotonic(), progress.step
                if now - saved >= checkpoint_seconds or progress.step == self.task.recipe.stable_steps:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def check_compiled(self) -> None:
        """Refuse to train where the compiler was wrong, which would teach something else than the record says."""
        if self.task.recipe.compile:
            batch, epoch = self.fetch(self.progress.step)[0]
            check_compiled(self.apply_split, self.raw_score, batch, *self.as_arguments(batch, epoch))

    def fetch(self, step: int) -> Batches:
        """Fetch this rank's samples of a step, in as many micro-batches as are accumulated."""
        return self.feed.fetch(step)

    def iterate_steps(self, first: int, last: int) -> Generator[list[MicroBatch], None, None]:
        """Yield what the steps first … last - 1 encode and score; of small steps, several are made at once."""
        made: list[list[MicroBatch]] = []
        with closing(self.feed.iterate_batches(first, last, self.together)) as feed:
            for steps, batches in feed:
                made += self.make_steps(batches, steps)[max(first - steps.start, 0) :]
                if steps.stop % self.waiting == 0 or steps.stop == last:
                    yield from made
                    made.clear()

    @cached_property
    def together(self) -> int:
        """How many steps are split together: several where that gives the same bits, which is tried on the first."""
        count = ahead.count_together(self.feed.samples, self.task.recipe, self.accelerator.num_processes)
        if count == 1:
            return 1
        try:
            tried = self.cut_steps(self.feed.fetch(0, count), range(count))
        except ahead.Uncut:
            return 1
        alone = [self.make_micro_batches(self.fetch(step)) for step in range(count)]
        return count if ahead.is_same(tried, alone) else 1

    @cached_property
    def waiting(self) -> int:
        """How many steps are made before the first of them is trained; a GPU loses nothing by its splits."""
        if self.together == 1 or self.task.device.type != "cpu":
            return self.together
        return ahead.count_waiting(self.make_micro_batches(self.fetch(0)), self.together)

    def make_steps(self, batches: Batches, steps: range) -> list[list[MicroBatch]]:
        """Return what some steps encode and score, of their batches; several come in one batch."""
        if len(steps) == 1:
            return [self.make_micro_batches(batches)]
        try:
            return self.cut_steps(batches, steps)
        except ahead.Uncut:
            return [self.make_micro_batches(self.fetch(step)) for step in steps]

    def cut_steps(self, batches: Batches, steps: range) -> list[list[MicroBatch]]:
        """Return the same of several steps, split together; raises Uncut where not every tensor has rows of all."""
        ((batch, epoch),) = batches
        parts = ahead.cut((*self.apply_split(batch, self.seed, epoch), batch.index), len(steps))
        return [
            [MicroBatch(inputs, targets, index, self.seed, self.feed.epoch_of(step))]
            for (inputs, targets, index), step in zip(parts, steps, strict=True)
        ]

    def take_step(self, micro_batches: list[MicroBatch]) -> Loss:
        """Make one optimizer step."""
        recipe, step = self.task.recipe, self.progress.step
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        loss = self.differentiate(micro_batches)
        self.gradients.note()
        self.update()
        self.task.follow((step + 1) / recipe.steps)
        return loss

    def update(self) -> None:
        """Step the optimizer on the gradients, clipped where the recipe says so."""
        if self.task.recipe.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.task.recipe.clip)
        if not self.has_stepped:
            step_plainly_where_sparse(self.optimizer)
            self.has_stepped = True
        self.optimizer.step()

    def make_micro_batches(self, batches: Batches) -> list[MicroBatch]:
        """Return the micro-batches of a step, all split before the first is encoded: that needs the step's weight."""
        keys = [self.as_arguments(batch, epoch) for batch, epoch in batches]
        split_batches = [self.apply_split(batch, *key) for (batch, _), key in zip(batches, keys, strict=True)]
        return share_denominators(
            self.task,
            [
                MicroBatch(inputs, targets, batch.index, *key)
                for (inputs, targets), (batch, _), key in zip(split_batches, batches, keys, strict=True)
            ],
        )

    def differentiate(self, micro_batches: list[MicroBatch]) -> Loss:
        """Set the gradient of every parameter to that of the step's loss, and return the loss."""
        step, losses = self.progress.step, []
        self.optimizer.zero_grad(set_to_none=True)
        for number, micro_batch in enumerate(micro_batches):
            seed_ambient(self.seed, step, number, self.accelerator.process_index)
            last = number + 1 == len(micro_batches)  # only then are gradients exchanged between ranks
            with nullcontext() if last else self.accelerator.no_sync(self.score):
                loss: Loss = self.score(micro_batch)
                self.backward(loss.total / len(micro_batches) if len(micro_batches) > 1 else loss.total)
            self.losses.note(step, loss.total)
            losses.append(loss)
        return mean_loss(losses)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those of the parameters."""
        torch.autograd.backward(loss)

    def as_arguments(self, batch: Batch, epoch: Epoch) -> tuple[int | Tensor, Epoch]:
        """Seed and epoch as they are, or as tensors where numbers would make torch.compile start again every epoch."""
        if not self.task.recipe.compile:
            return self.seed, epoch
        return as_tensors(batch, self.seed, epoch)

    def report(self, loss: Loss, samples_per_second: float) -> None:
        """Look at the loss: stop if it was not finite or nothing can be learned, else keep a point and tell."""
        self.stop_if_bad(loss)
        progress = self.progress
        self.gradients.check(loss.total, self.task.recipe.steps)
        progress.curve.append((progress.step, float(loss.total.detach())))
        if len(progress.curve) > CURVE:
            progress.curve = progress.curve[::2]
        if self.watch is not None and self.accelerator.is_main_process:
            losses = {name: float(value.detach()) for name, value in {"total": loss.total, **loss.parts}.items()}
            recipe, step = self.task.recipe, progress.step
            self.watch(StepTaken(step, recipe.steps, losses, recipe.rate(step - 1), samples_per_second))

    def pay_visit(self) -> float:
        """Let the network be looked at where it is time to, as it is in evaluation; return the seconds that took."""
        if self.visits is None or self.progress.step % self.visits.every or not self.accelerator.is_main_process:
            return 0.0
        self.stop_if_bad()
        start = time.monotonic()
        with seed_randomness(self.seed), evaluation_mode(self.task):
            self.visits.visit(self.progress.step)
        return time.monotonic() - start

    def stop_if_bad(self, loss: Loss | None = None) -> None:
        """Raise if a step's loss was not finite; the newest checkpoint is from before."""
        step = self.losses.find_first_bad()
        if step is None:
            return
        value = f" ({float(loss.total.detach())} at step {self.progress.step})" if loss is not None else ""
        raise PretaskError(
            "training",
            "a finite loss at every step",
            f"none from step {step + 1} of {self.task.recipe.steps} on{value}",
            f"Lower recipe.lr or set recipe.clip{self.name_last_good()}.",
        )

    def name_last_good(self) -> str:
        """Return where the newest checkpoint is, as the end of a sentence; nothing where there is none."""
        newest = next(iter(checkpoint.find_newest_first(self.folder)), None) if self.folder is not None else None
        return f"; the last good weights are in {newest}" if newest is not None else ""

    def save(self) -> None:
        """Keep a checkpoint, unless the weights are no longer finite."""
        self.stop_if_bad()
        if self.folder is None or not self.accelerator.is_main_process:
            return
        if not checkpoint.is_finite(self.networks):
            raise PretaskError(
                "the checkpoint",
                "finite weights",
                f"NaN or infinity after step {self.progress.step}",
                f"Lower recipe.lr or set recipe.clip{self.name_last_good()}.",
            )
        stable = self.task.recipe.stable_steps  # from where a longer run can go on
        saved = checkpoint.save(self.folder, self.networks, self.optimizer, self.progress, spare=stable)
        if self.watch is not None:
            self.watch(CheckpointSaved(self.progress.step, saved))

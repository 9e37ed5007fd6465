"""End to end: steps of training as a user gets them, beside lightly and the Trainer of transformers.

Views: two of every image to a ResNet-18 with a projection head and a contrastive loss, our exemplar pair beside
lightly's SimCLR, from the same decoded photographs. Tokens: masked language modeling by a BERT of 4 x 256, ours beside
the Trainer with its collator. Theirs get their best setting: a fused optimizer, and the number of workers at which they
are fastest. CPU time counts the workers'. `ratio` is their time over ours. Where steps are split together, ours are
timed in whole groups of them. Where the processor multiplies bfloat16, views are trained in it, too, beside lightly in
float32 (what one option of ours gains) and in bfloat16.
"""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pretask import Observed, PretaskError, Recipe, Samples, Vocabulary
from pretask.fitting import fit_split
from pretask_registry import Registry, build
from torch import Tensor, nn

from benchmarks.speed.bfloat16 import multiplies_bfloat16
from benchmarks.speed.peers_images import LIGHTLY, as_pictures, make_images
from benchmarks.speed.peers_text import FIRST, ROLES, SIZE, TRANSFORMERS, make_collator, make_tokens
from benchmarks.speed.race import (
    Times,
    judge,
    print_heading,
    print_race,
    require_peer,
    summarize,
    synchronize,
    whole_groups,
)
from benchmarks.speed.workloads import ENDLESS, build_run

GOAL, GPU_GOAL, BF16_GOAL = 1.0, 3.0, 1.5
SIDE, PATCH = 128, 56
VIEWS, TOKENS = 64, 16  # samples of a step
STEPS, WARMUP_STEPS, ROUNDS = 15, 1, 3
Train = Callable[[int], object]  # so many steps
Ours = tuple[Train, int]  # our training, and how many of its steps are split together
Both = tuple[Ours, Callable[[int], Train]]  # and what makes theirs of a number of workers
Build = Callable[[torch.device, int, str, str], Both]


def measure_end_to_end(
    device: torch.device,
    batch: int | None = None,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    workers: Sequence[int] = (0, 1, 2),
    precision: str = "fp32",
) -> dict[str, Any]:
    """Return by kind of data how long theirs take for as many samples, at their best number of workers."""
    print_heading()
    measured: dict[str, Any] = {}
    for name, (build_both, its_batch, of_ours, of_theirs, goal) in list_races(device, precision).items():
        size = batch or its_batch
        (ours, together), make_theirs = build_both(device, size, of_ours, of_theirs)
        whole = whole_groups(steps, together)
        try:
            found = {count: race_training(ours, make_theirs(count), device, whole, rounds) for count in workers}
        except PretaskError as missing:
            print(f"{name:44}left out: {missing}")
            continue
        best = min(found, key=lambda count: found[count]["ratio"])
        others = {str(count): numbers["ratio"] for count, numbers in found.items()}
        fastest_on_wall = min(numbers["ratio_wall"] for numbers in found.values())
        judged = judge(found[best], goal)
        measured[name] = {**judged, "batch": size, "workers": best, "by workers": others, "ratio_wall": fastest_on_wall}
        print_race(f"{name}, batch {size}, {best} workers", measured[name])
    return measured


def list_races(device: torch.device, precision: str) -> dict[str, tuple[Build, int, str, str, float | None]]:
    """Return by name what builds both, samples of a step, the precision of ours and of theirs, and the goal."""
    goal = GOAL if device.type == "cpu" else GPU_GOAL
    races: dict[str, tuple[Build, int, str, str, float | None]] = {
        "views, ResNet-18": (build_views, VIEWS, precision, precision, goal),
        "tokens, BERT 4 x 256": (build_tokens, TOKENS, precision, precision, goal),
    }
    if device.type == "cpu" and precision == "fp32" and multiplies_bfloat16():
        races["views, ours in bf16"] = build_views, VIEWS, "bf16", "fp32", BF16_GOAL
        races["views, both in bf16"] = build_views, VIEWS, "bf16", "bf16", None
    return races


def race_training(ours: Train, theirs: Train, device: torch.device, steps: int, rounds: int) -> dict[str, float]:
    """Time steps of both in turn."""
    for train in (ours, theirs):
        train(WARMUP_STEPS)
    plan = (ours, theirs, ours)
    return summarize(
        [[time_training(train, steps, device) for train in plan] for _ in range(rounds)],
        0 if device.type == "cpu" else 1,
    )


def time_training(train: Train, steps: int, device: torch.device) -> Times:
    """Return CPU seconds of a step, workers included, and wall seconds."""
    synchronize(device)
    before, begin = os.times(), time.perf_counter()
    train(steps)
    synchronize(device)
    after = os.times()
    return (sum(after[:4]) - sum(before[:4])) / steps, (time.perf_counter() - begin) / steps


def train_ours(
    samples: Samples, parts: Sequence[Any], batch: int, optimizer: str, device: torch.device, precision: str
) -> Ours:
    """Return what makes steps of our training, and how many of them are split together."""
    split = fit_split(parts[0], samples.observed, samples.batches(64, torch.device("cpu")), None, name="end to end")
    recipe = Recipe(optimizer=optimizer, batch=batch, samples=ENDLESS, precision=precision)  # type: ignore[arg-type]
    run = build_run(samples, split, parts[1], parts[2], recipe, device)
    run.waiting = run.together  # so that whole groups are timed
    made = run.iterate_steps(0, ENDLESS)

    def train(steps: int) -> None:
        for micro_batches in islice(made, steps):
            run.take_step(micro_batches)
            run.progress.step += 1

    return train, run.together


def build_parts(split: str, model: str, objective: str, /, **options: Any) -> list[Any]:
    """Return built-in parts by name, with the options of each."""
    registry = Registry.load()
    named = {"split": split, "model": model, "objective": objective}
    return [build(registry.find(kind, name), options.get(kind, {})) for kind, name in named.items()]


def build_views(device: torch.device, batch: int, precision: str, of_theirs: str) -> Both:
    """Return our training of a ResNet-18 on two views, and what makes lightly's by workers."""
    images = make_images(max(256, 2 * batch), SIDE)
    samples = Samples(Observed("image", (3, SIDE, SIDE), samples=len(images)), images)
    parts = build_parts(
        "exemplar-pair",
        "timm",
        "info-nce",
        split={"patch": PATCH},
        model={"name": "resnet18"},
        objective={"hidden": (512,), "out_dim": 128},
    )
    ours = train_ours(samples, parts, batch, "sgd", device, precision)
    return ours, lambda workers: train_lightly(images, batch, workers, device, of_theirs)


class Views(torch.utils.data.Dataset[Any]):
    """Decoded photographs, transformed when they are asked for."""

    def __init__(self, pictures: Sequence[Any], transform: Callable[[Any], Any]) -> None:
        self.pictures, self.transform = pictures, transform

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> Any:
        return self.transform(self.pictures[number % len(self.pictures)])


def train_lightly(images: Tensor, batch: int, workers: int, device: torch.device, precision: str) -> Train:
    """Return what makes steps of SimCLR by lightly."""
    transform = require_peer("lightly.transforms", LIGHTLY).SimCLRTransform(input_size=PATCH)
    heads, losses = require_peer("lightly.models.modules", LIGHTLY), require_peer("lightly.loss", LIGHTLY)
    timm = require_peer("timm", "timm")
    network = nn.Sequential(timm.create_model("resnet18", num_classes=0), heads.SimCLRProjectionHead(512, 512, 128)).to(
        device
    )
    loss, views = losses.NTXentLoss(), Views(as_pictures(images), transform)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.05, fused=True)

    def train(steps: int) -> None:
        pinned = device.type == "cuda"
        loader = torch.utils.data.DataLoader(
            torch.utils.data.Subset(views, range(steps * batch)), batch, num_workers=workers, pin_memory=pinned
        )
        for first, second in loader:
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                vectors = [network(view.to(device, non_blocking=pinned)) for view in (first, second)]
            loss(*(vector.float() for vector in vectors)).backward()
            optimizer.step()

    return train


def build_tokens(device: torch.device, batch: int, precision: str, of_theirs: str) -> Both:
    """Return our training of a BERT, and what makes that of transformers by workers."""
    tokens = make_tokens(1024, 128)[:, 1:]
    observed = Observed("text", (127,), "int64", len(tokens), Vocabulary(SIZE, ROLES))
    options = {"width": 256, "depth": 4, "heads": 4}
    parts = build_parts("mask-tokens", "bert", "cross-entropy", model=options, objective={"hidden": (256,)})
    ours = train_ours(Samples(observed, tokens), parts, batch, "adamw", device, precision)
    return ours, lambda workers: train_transformers(tokens, batch, workers, device, of_theirs)


def train_transformers(tokens: Tensor, batch: int, workers: int, device: torch.device, precision: str) -> Train:
    """Return what makes steps of the Trainer of transformers, each time a training of its own."""
    transformers = require_peer("transformers", TRANSFORMERS)
    transformers.logging.set_verbosity_error()
    config = transformers.BertConfig(
        vocab_size=SIZE, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
    )
    network, special = transformers.BertForMaskedLM(config).to(device), (tokens < FIRST).long()
    rows = [
        {"input_ids": row.tolist(), "special_tokens_mask": mask.tolist()}
        for row, mask in zip(tokens, special, strict=True)
    ]

    def train(steps: int) -> None:
        with TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = transformers.TrainingArguments(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=batch,
                dataloader_num_workers=workers,
                optim="adamw_torch_fused",
                bf16=precision == "bf16",
                use_cpu=device.type == "cpu",
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            )
            transformers.Trainer(network, settings, make_collator("pt"), rows).train()

    return train

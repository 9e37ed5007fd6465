"""Extraction: the frozen encoder's features of every layer, in one pass over the samples, cached by content.

Features are those of the stream that has seen most. Where a model offers past and future but nothing that has seen
both, they are put side by side, as ELMo hands them on: both directions count.

An entry of the cache is found by the hash of the weights, of the data, of the split, of how features are pooled and of
the kind of device, so that nothing stale can be read. Data without a fingerprint is not cached.
Axes: N samples, B batch, V views, L positions of a sample, P positions that
are asked for, D width.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pretask.cache import cached, rows_file
from pretask.compose import Task
from pretask.errors import PretaskError
from pretask.held_out import evaluating
from pretask.protocols import Budget
from pretask.samples import Samples
from pretask.specs import SEES_AT_MOST
from pretask.values import Features

POOLING = "summary of every layer, views side by side"
POSITIONS = "positions of every layer, views side by side"
LayerFeatures = Mapping[str, Float[Tensor, "_ _"]]  # layers may differ in width


def extract(
    task: Task, samples: Samples, budget: Budget, positions: Bool[Tensor, "N L"] | None = None
) -> LayerFeatures:
    """The pooled features of all samples by layer, `layer1` to the output, float32 on the CPU.

    Args:
        task: Its encoder is only looked at: evaluation mode, no gradient, the same weights and statistics as before.
        samples: Shown undivided (`split.whole`).
        budget: Batch size, and the folder of the cache.
        positions: Where given, features of these positions, sample by sample, in place of pooled ones.

    Raises:
        PretaskError: A feature is not a finite number, or the encoder does not keep the positions.
    """
    if budget.cache is None or not samples.fingerprint:
        batches = list(layer_batches(task, samples, budget, positions))
        return {name: torch.cat([each[name] for each in batches]) for name in (batches[0] if batches else ())}
    facts = {
        "weights": weights_key(task.model),
        "data": samples.fingerprint,
        "split": fingerprint_of(task.split),
        "pooling": POOLING if positions is None else f"{POSITIONS} {fingerprint_of(positions)}",
        "dtype": "float32",
        "device": task.device.type,
    }

    def make(folder: Path) -> Mapping[str, Any]:
        write_layers(folder, layer_batches(task, samples, budget, positions), rows)
        return {}

    rows = len(samples) if positions is None else int(positions.sum())
    arrays, _ = cached("features", facts, make, folder=Path(budget.cache))
    ordered = sorted(arrays, key=lambda name: int(name.removeprefix("layer")))
    return {name: torch.from_numpy(arrays[name]) for name in ordered}


def write_layers(folder: Path, batches: Iterable[LayerFeatures], rows: int) -> None:
    """A file for every layer, of which no more than a batch is ever in memory."""
    with ExitStack() as files:
        append: dict[str, Callable[[np.ndarray], None]] = {}
        for batch in batches:
            for name, layer in batch.items():
                if name not in append:
                    file = rows_file(folder / f"{name}.npy", (rows, layer.shape[1]), "float32")
                    append[name] = files.enter_context(file)
                append[name](layer.numpy())


def layer_batches(
    task: Task, samples: Samples, budget: Budget, positions: Bool[Tensor, "N L"] | None = None
) -> Iterator[LayerFeatures]:
    """Every layer's features of all samples, or of the positions asked for, a batch at a time."""
    with evaluating(task), torch.no_grad():
        for batch in samples.resident(task.device).batches(budget.batch, task.device):
            features = task.encode(batch, layers=True)
            wanted = None if positions is None else positions[batch.index.cpu()].to(task.device)
            every = features.layers or (features,)
            layers = [pooled(layer) if wanted is None else picked(task.name, layer, wanted) for layer in every]
            yield {
                f"layer{number}": finite(task.name, layer.float().cpu(), number)
                for number, layer in enumerate(layers, start=1)
            }


def finite(who: str, layer: Float[Tensor, "B D"], number: int) -> Float[Tensor, "B D"]:
    """The features; raises PretaskError where one is not a finite number."""
    if not bool(layer.isfinite().all()):
        raise PretaskError(
            who,
            "finite features to be measured by",
            f"{int((~layer.isfinite()).any(1).sum())} of {len(layer)} samples of a batch without, in layer {number}",
            "Train with a smaller recipe.lr, or in fp32.",
        )
    return layer


def pooled(features: Features) -> Float[Tensor, "B VD"]:
    """The summary of the widest stream, views side by side."""
    return widest(features.summary).flatten(1)


def picked(who: str, features: Features, positions: Bool[Tensor, "B L"]) -> Float[Tensor, "P VD"]:
    """The vectors of the widest stream at some positions, views side by side; raises PretaskError for another grid."""
    vectors = widest(features.streams).transpose(1, 2).flatten(2)  # (B, N, V D)
    if vectors.shape[:2] != positions.shape:
        raise PretaskError(
            who,
            f"features at all {positions.shape[1]} positions of a sample",
            f"features at {vectors.shape[1]}",
            "Choose a model that keeps positions.",
        )
    return vectors[positions]


def widest(by_sight: Mapping[str, Tensor]) -> Tensor:
    """What has seen most; past and future side by side where nothing has seen both."""
    if "all" not in by_sight and {"past", "future"} <= set(by_sight):
        return torch.cat([by_sight["past"], by_sight["future"]], -1)
    return by_sight[next(sight for sight in SEES_AT_MOST["all"] if sight in by_sight)]


def weights_key(model: nn.Module) -> str:
    """Hash of all parameters and buffers with their names, and of the model's settings as its text shows them."""
    digest = blake2b(str(model).encode(), digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(bytes_of(value))
    return digest.hexdigest()


def bytes_of(value: Tensor) -> bytes:
    """The bytes of a tensor of any type."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def fingerprint_of(part: Any) -> str:
    """Hash of what a part is: its class, its options and what it was fitted to, however deep inside."""
    digest = blake2b(digest_size=16)
    for piece in pieces(part):
        digest.update(len(piece).to_bytes(8) + piece)
    return digest.hexdigest()


def pieces(part: Any) -> Iterator[bytes]:
    """All that tells two values apart, bit by bit."""
    if isinstance(part, np.ndarray):
        part = torch.from_numpy(part.copy())
    yield f"{type(part).__module__}.{type(part).__qualname__}".encode()
    if isinstance(part, Tensor):
        yield f"{part.dtype} {tuple(part.shape)}".encode()
        yield bytes_of(part)
    elif hasattr(part, "__qualname__"):  # a function or a class
        yield part.__qualname__.encode()
    elif isinstance(part, nn.Module):
        yield weights_key(part).encode()
    elif isinstance(part, Mapping):
        yield from inside(part.items())
    elif isinstance(part, (list, tuple)):
        yield from inside(part)
    elif is_dataclass(part):
        yield from inside((field.name, getattr(part, field.name)) for field in fields(part))
    elif f"at {hex(id(part))}" in repr(part):  # its text is only an address
        yield from inside(sorted(vars(part).items()))
    else:
        yield repr(part).encode()


def inside(parts: Iterable[Any]) -> Iterator[bytes]:
    """The pieces of every member, between marks."""
    yield b"("
    for part in parts:
        yield from pieces(part)
    yield b")"

"""Extraction: the frozen encoder's features of every layer, in one pass over the samples, cached by content.

Every layer is pooled in every way that it offers (pooling.py). All of it comes of one pass and lies in one entry of the
cache, a file for each layer and pooling, of which a probe opens those that it reads.

An entry is found by the hash of the weights, of the data, of the split, of how features are pooled and of the kind of
device, so that nothing stale can be read. Data without a fingerprint is not cached.
Axes: N samples, B batch, V views, L positions of a sample, P positions that
are requested, D width.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pretask.cache import all_wanted, cached, create_rows_file
from pretask.composition import Task, encode_whole
from pretask.errors import PretaskError
from pretask.hashing import tensor_bytes, weights_key
from pretask.pooling import KNOWN_POOLINGS, POOLINGS, find_content, join_widest, list_special_ids, pool
from pretask.pretext_score import evaluation_mode
from pretask.protocols import Budget
from pretask.samples import Samples
from pretask.values import Batch, Features, Inputs

POOLED = "content positions in every way of pooling, views side by side"
POSITIONS = "positions of every layer, views side by side"
LayerFeatures = Mapping[str, Float[Tensor, "_ _"]]  # layers may differ in width
ReadLayer = Callable[[Features, Inputs, Batch], Mapping[str, Tensor]]  # vectors of a layer, by what follows its name


def extract(task: Task, samples: Samples, budget: Budget, poolings: Collection[str] = POOLINGS) -> LayerFeatures:
    """Compute the pooled features of all samples, float32 on the CPU.

    Args:
        task: Its encoder is only looked at: evaluation mode, no gradient, the same weights and statistics as before.
        samples: Shown undivided (`split.whole`).
        budget: Batch size, and the folder of the cache.
        poolings: Those that are wanted. A layer is without the ones that it does not offer.

    Returns:
        By layer and pooling, from `layer1.mean` to the output's, in the order of KNOWN_POOLINGS.

    Raises:
        PretaskError: A feature is not a finite number.
    """
    vocabulary = task.split.whole_spec(samples.observed).vocabulary
    named = [name for name in KNOWN_POOLINGS if name in poolings and name not in POOLINGS]
    made = (*POOLINGS, *named)

    def read_layer(layer: Features, inputs: Inputs, batch: Batch) -> Mapping[str, Tensor]:
        return {f".{name}": vectors for name, vectors in pool(layer, find_content(inputs, vocabulary), made).items()}

    description = {"pooling": ", and ".join([POOLED, *named]), "special": list_special_ids(vocabulary)}
    return read_layers(
        task,
        samples,
        budget,
        read_layer,
        description,
        len(samples),
        is_wanted=lambda name: name.partition(".")[2] in poolings,
    )


def extract_positions(task: Task, samples: Samples, budget: Budget, positions: Bool[Tensor, "N L"]) -> LayerFeatures:
    """Compute the features of some positions, float32 on the CPU; by layer, from `layer1` to the output.

    Args:
        task: See `extract`; `samples` and `budget` as well.
        samples: See there.
        budget: See there.
        positions: Which ones.

    Raises:
        PretaskError: A feature is not a finite number, or the encoder does not keep the positions.
    """

    def read_layer(layer: Features, inputs: Inputs, batch: Batch) -> Mapping[str, Tensor]:
        return {"": pick_positions(task.name, layer, positions[batch.index.cpu()].to(task.device))}

    description = {"pooling": f"{POSITIONS} {fingerprint_of(positions)}"}
    return read_layers(task, samples, budget, read_layer, description, int(positions.sum()))


def read_layers(
    task: Task,
    samples: Samples,
    budget: Budget,
    read_layer: ReadLayer,
    description: Mapping[str, Any],
    rows: int,
    is_wanted: Callable[[str], bool] = all_wanted,
) -> LayerFeatures:
    """Read something of all layers of all samples: from the cache, else in one pass over them.

    Args:
        task: The encoder.
        samples: To be encoded.
        budget: Batch size, and the folder of the cache.
        read_layer: What is wanted of a layer.
        description: What tells it from other ways to read a layer.
        rows: How many vectors come of all samples.
        is_wanted: Which of the names; the others are cached, and not opened.
    """
    if budget.cache is None or not samples.fingerprint:
        return join_batches(
            {name: vectors for name, vectors in batch.items() if is_wanted(name)}
            for batch in iterate_layers(task, samples, budget, read_layer)
        )
    description = {
        "weights": weights_key(task.model),
        "data": samples.fingerprint,
        "split": fingerprint_of(task.split),
        **description,
        "dtype": "float32",
        "device": task.device.type,
    }

    def make(folder: Path) -> Mapping[str, Any]:
        write_layers(folder, iterate_layers(task, samples, budget, read_layer), rows)
        return {}

    arrays, _ = cached("features", description, make, folder=Path(budget.cache), is_wanted=is_wanted)
    return {name: torch.from_numpy(arrays[name]) for name in sorted(arrays, key=place_of)}


def join_batches(batches: Iterable[LayerFeatures]) -> LayerFeatures:
    """Concatenate the features of all batches."""
    found = list(batches)
    return {name: torch.cat([batch[name] for batch in found]) for name in (found[0] if found else ())}


def place_of(name: str) -> tuple[int, int]:
    """Return where a name stands among others: by layer, then by pooling.

    >>> sorted(["layer10.mean", "layer2.last", "layer2.mean"], key=place_of)
    ['layer2.mean', 'layer2.last', 'layer10.mean']
    """
    layer, _, pooling = name.partition(".")
    return int(layer.removeprefix("layer")), KNOWN_POOLINGS.index(pooling) if pooling else 0


def write_layers(folder: Path, batches: Iterable[LayerFeatures], rows: int) -> None:
    """Write a file for every layer, of which no more than a batch is ever in memory."""
    with ExitStack() as files:
        append: dict[str, Callable[[np.ndarray], None]] = {}
        for batch in batches:
            for name, layer in batch.items():
                if name not in append:
                    file = create_rows_file(folder / f"{name}.npy", (rows, layer.shape[1]), "float32")
                    append[name] = files.enter_context(file)
                append[name](layer.numpy())


def iterate_layers(task: Task, samples: Samples, budget: Budget, read_layer: ReadLayer) -> Iterator[LayerFeatures]:
    """Yield what is read of every layer of all samples, a batch at a time."""
    with evaluation_mode(task), torch.no_grad():
        for batch in samples.resident(task.device).batches(budget.batch, task.device):
            inputs, features = encode_whole(task.split, task.model, batch, layers=True)
            yield {
                f"layer{number}{name}": require_finite(task.name, vectors.float().cpu(), number)
                for number, layer in enumerate(features.layers or (features,), start=1)
                for name, vectors in read_layer(layer, inputs, batch).items()
            }


def require_finite(who: str, layer: Float[Tensor, "B D"], number: int) -> Float[Tensor, "B D"]:
    """Return the features; raise PretaskError where one is not a finite number."""
    if not bool(layer.isfinite().all()):
        raise PretaskError(
            who,
            "finite features to be measured by",
            f"{int((~layer.isfinite()).any(1).sum())} of {len(layer)} samples of a batch without, in layer {number}",
            "Train with a smaller recipe.lr, or in fp32.",
        )
    return layer


def pick_positions(who: str, features: Features, positions: Bool[Tensor, "B L"]) -> Float[Tensor, "P VD"]:
    """Pick the vectors of the widest stream at some positions, views joined; raise PretaskError for another grid."""
    vectors = join_widest(features.streams).transpose(1, 2).flatten(2)  # (B, N, V D)
    if vectors.shape[:2] != positions.shape:
        raise PretaskError(
            who,
            f"features at all {positions.shape[1]} positions of a sample",
            f"features at {vectors.shape[1]}",
            "Choose a model that keeps positions.",
        )
    return vectors[positions]


def fingerprint_of(part: Any) -> str:
    """Hash of what a part is: its class, its options and what it was fitted to, however deep inside."""
    digest = blake2b(digest_size=16)
    for piece in iterate_pieces(part):
        digest.update(len(piece).to_bytes(8) + piece)
    return digest.hexdigest()


def iterate_pieces(part: Any) -> Iterator[bytes]:
    """Yield the bytes of all that tells two values apart."""
    if isinstance(part, np.ndarray):
        part = torch.from_numpy(part.copy())
    yield f"{type(part).__module__}.{type(part).__qualname__}".encode()
    if isinstance(part, Tensor):
        yield f"{part.dtype} {tuple(part.shape)}".encode()
        yield tensor_bytes(part)
    elif hasattr(part, "__qualname__"):  # a function or a class
        yield part.__qualname__.encode()
    elif isinstance(part, nn.Module):
        yield weights_key(part).encode()
    elif isinstance(part, Mapping):
        yield from iterate_members(part.items())
    elif isinstance(part, (list, tuple)):
        yield from iterate_members(part)
    elif is_dataclass(part):
        yield from iterate_members((field.name, getattr(part, field.name)) for field in fields(part))
    elif f"at {hex(id(part))}" in repr(part):  # its text is only an address
        yield from iterate_members(sorted(vars(part).items()))
    else:
        yield repr(part).encode()


def iterate_members(parts: Iterable[Any]) -> Iterator[bytes]:
    """Yield the pieces of every member, between marks."""
    yield b"("
    for part in parts:
        yield from iterate_pieces(part)
    yield b")"

"""Export: the encoder of a run as files that other libraries read, each tried before it is written."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pretask import Incompatible, PretaskError
from pretask.checkpoint import tensors_as_bytes
from pretask.encoder import Encoder
from pretask.exporting import ExportedNetwork, OffersExport
from pretask.protocols import averages_views
from pretask.shape_pass import make_empty_inputs
from pretask.values import Inputs
from torch import Tensor

from pretask_bench.artifacts.formats import Artifact, find_exporter
from pretask_bench.artifacts.save import write_files
from pretask_bench.artifacts.task_file import TOKENIZER, TaskFile, read_task

TOLERANCE = 1e-5  # to which another library must give the same features
Files = Mapping[str, bytes]


def export(artifact: Artifact, to: str, out: Path) -> list[Path]:
    """Write an encoder as another library reads it; return the files.

    Args:
        artifact: What is exported.
        to: One of FORMATS.
        out: Folder of the files.

    Raises:
        Incompatible: The library has no such architecture.
        PretaskError: A library is missing, the features are not the same in it, or the folder cannot be written.
    """
    files = find_exporter(to)(artifact)
    write_files(out, files)
    return [out / name for name in files]


def export_torch(artifact: Artifact) -> Files:
    """Return a state dict, which `torch.load(…, weights_only=True)` reads."""
    buffer = io.BytesIO()
    torch.save({name: value.cpu() for name, value in artifact.encoder.model.state_dict().items()}, buffer)
    return {"encoder.pt": buffer.getvalue()}


def export_timm(artifact: Artifact) -> Files:
    """Return timm's weights, and a file that says how to make the network and what to show it."""
    import timm

    encoder, task = artifact.encoder, read_task(artifact.folder)
    network = find_network(encoder, task, "timm")
    made = timm.create_model(**network.config).eval()
    made.load_state_dict(dict(network.weights))
    shown = draw_inputs(encoder)
    images = (shown.data[:, 0] - network.mean) / network.std
    expected = encode(encoder, shown)
    with torch.no_grad():
        calls = {"model(x)": made(images), **average(made, made.forward_features(images))}
    call = next((name for name, found in calls.items() if is_same(found, expected)), None)
    if call is None:
        raise differ("timm", *calls.values(), expected=expected)
    told = {
        **network.config,
        "mean": network.mean,
        "std": network.std,
        "shape": list(task.whole.shape),
        "features": call,
        "input": describe_input(encoder, task),
    }
    return {"model.safetensors": tensors_as_bytes(network.weights), "config.json": as_json(told)}


def average(network: Any, features: Tensor) -> dict[str, Tensor]:
    """Return the means over the positions of timm's maps or tokens, by how they are computed."""
    if features.ndim == 4:
        return {f"model.forward_features(x).mean({axes})": features.mean(axes) for axes in ((2, 3), (1, 2))}
    prefix = getattr(network, "num_prefix_tokens", 0)
    return {f"model.forward_features(x)[:, {prefix}:].mean(1)": features[:, prefix:].mean(1)}


def describe_input(encoder: Encoder, task: TaskFile) -> str:
    """Return what the network is shown of an image."""
    images, split = draw_samples(encoder), task.parts["split"].id
    if averages_views(encoder.split):
        shows = f"each of {encoder.spec.views} versions of the image that the split {split} shows"
        return f"{shows}, then (x - mean) / std; the encoder's features are the mean of theirs"
    shown = encoder.split.whole(encoder.prepare(images)).data[:, 0].cpu()
    if shown.shape == images.shape and torch.allclose(shown, images / 255, atol=1e-6):
        return "RGB pixels / 255, then (x - mean) / std"
    return f"what the split {split} shows of the image, then (x - mean) / std"


def export_transformers(artifact: Artifact) -> Files:
    """Return a folder of the transformers library: weights, configuration and, where there is one, tokenizer."""
    from transformers import AutoConfig, AutoModel

    encoder, task = artifact.encoder, read_task(artifact.folder)
    network = find_network(encoder, task, "transformers")
    made: Any = AutoModel.from_config(AutoConfig.for_model(**network.config)).eval()
    made.load_state_dict(dict(network.weights))
    shown = draw_inputs(encoder)
    tokens = torch.nn.functional.pad(
        shown.data[:, 0], (len(network.before), 0), value=special(task, network.before[0]) if network.before else 0
    )
    with torch.no_grad():
        found = made(input_ids=tokens).last_hidden_state[:, 0 if network.before else -1]
    expected = encode(encoder, shown)
    if not is_same(found, expected):
        raise differ("transformers", found, expected=expected)
    files = {"config.json": as_json(network.config), "model.safetensors": tensors_as_bytes(network.weights)}
    tokenizer = encoder.preparation.tokenizer
    return files if tokenizer is None else {**files, **tokenizer_files(tokenizer, task, network)}


def special(task: TaskFile, role: str) -> int:
    """Return the id of a special token."""
    vocabulary = task.whole.vocabulary
    number = None if vocabulary is None else vocabulary.id(role)
    if number is None:
        raise Incompatible("the export", f"a vocabulary with the token '{role}'", "none", "Export it --to torch.")
    return number


def tokenizer_files(content: str, task: TaskFile, network: ExportedNetwork) -> Files:
    """Return the tokenizer with the tokens that stand around every text, as the encoder puts them."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer.from_str(content)
    names = {role: made.id_to_token(number) for role, number in (task.whole.vocabulary or task.whole).special}  # type: ignore[union-attr]
    around = [*network.before, *(["end"] if "end" in names else [])]
    before, after = "".join(f"{names[role]} " for role in network.before), f" {names['end']}" if "end" in names else ""
    made.post_processor = TemplateProcessing(
        single=f"{before}$A{after}", special_tokens=[(names[role], special(task, role)) for role in around]
    )
    words = {"pad": "pad_token", "unknown": "unk_token", "mask": "mask_token", "end": "eos_token", "class": "cls_token"}
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": task.whole.shape[0] + len(network.before),
        "padding_side": "right",
        **{words[role]: token for role, token in names.items() if role in words},
    }
    return {TOKENIZER: made.to_str().encode(), "tokenizer_config.json": as_json(told)}


def draw_samples(encoder: Encoder) -> Tensor:
    """Return two samples of the encoder's own form."""
    observed, generator = encoder.observed, torch.Generator().manual_seed(0)
    if observed.vocabulary is not None:
        return torch.randint(0, observed.vocabulary.size, (2, *observed.shape), generator=generator)
    if observed.dtype == "uint8":
        return torch.randint(0, 256, (2, *observed.shape), generator=generator, dtype=torch.uint8)
    return torch.randn(2, *observed.shape, generator=generator) / 10


def draw_inputs(encoder: Encoder) -> Inputs:
    """Return inputs of the model whose content does not matter: numbers in [0, 1], or tokens."""
    generator, empty = torch.Generator().manual_seed(0), make_empty_inputs(encoder.spec, device="cpu").data
    if encoder.spec.vocabulary is None:
        return Inputs(torch.rand(empty.shape, generator=generator)[:, : count_views(encoder)])
    ordinary = len(encoder.spec.vocabulary.special)
    return Inputs(torch.randint(ordinary, encoder.spec.vocabulary.size, empty.shape, generator=generator))


def count_views(encoder: Encoder) -> int:
    """Return how many views a network sees at once: one, where they are versions whose features are averaged."""
    return 1 if averages_views(encoder.split) else encoder.spec.views


def encode(encoder: Encoder, shown: Inputs) -> Tensor:
    """Return the pooled vectors of what the model is shown."""
    with torch.no_grad():
        return encoder.pool_own(encoder.model(shown))


def find_network(encoder: Encoder, task: TaskFile, library: str) -> ExportedNetwork:
    """Return the network as a library builds it; raise Incompatible where it has no such architecture."""
    found = encoder.model.export(library) if isinstance(encoder.model, OffersExport) else None
    views = count_views(encoder)
    if found is None or views > 1:
        got = task.parts["model"].id + (f" of {views} views" if views > 1 else "")
        do = "Export it --to torch or --to hub, which take any."
        raise Incompatible(f"pretask export --to {library}", f"a model that is an architecture of {library}", got, do)
    weights = {name: value.detach().cpu() for name, value in found.weights.items()}
    return ExportedNetwork(weights, found.config, found.mean, found.std, found.before)


def is_same(found: Tensor | None, expected: Tensor) -> bool:
    """Return whether another library gave the same features."""
    return (
        found is not None
        and found.shape == expected.shape
        and torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    )


def differ(library: str, *found: Tensor | None, expected: Tensor) -> PretaskError:
    """Return the error of a library that gives other features of the same weights."""
    gaps = [float((one - expected).abs().max()) for one in found if one is not None and one.shape == expected.shape]
    got = f"features that differ by {min(gaps):.2g}" if gaps else "features of another shape"
    do = "Export it --to torch or --to hub."
    return PretaskError(f"pretask export --to {library}", f"the same features to {TOLERANCE}", got, do)


def as_json(content: Mapping[str, Any]) -> bytes:
    """Return a JSON file."""
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()

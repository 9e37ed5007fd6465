"""Formats: what an encoder can be exported as, and where the files of each are made; light, for the command lists them.

torch          encoder.pt, a state dict by pretask's names
timm           model.safetensors for timm.create_model(…, checkpoint_path=…), and what to call it with
transformers   a folder for AutoModel.from_pretrained and AutoTokenizer.from_pretrained
onnx           model.onnx, from samples to vectors, preparation of pixels included
hub            a folder to upload: weights, task.json, a model card with the record's numbers
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

FORMATS: Mapping[str, str] = {
    "timm": "pretask_bench.artifacts.export:export_timm",
    "torch": "pretask_bench.artifacts.export:export_torch",
    "transformers": "pretask_bench.artifacts.export:export_transformers",
    "onnx": "pretask_bench.artifacts.onnx:export_onnx",
    "hub": "pretask_bench.artifacts.hub:export_hub",
}


@dataclass(frozen=True)
class Artifact:
    """What is exported.

    Args:
        folder: Of the run.
        encoder: As it was loaded of the folder.
        registry: Of which its parts are.
    """

    folder: Path
    encoder: Any
    registry: Any


def find_exporter(to: str) -> Callable[[Artifact], Mapping[str, bytes]]:
    """Return what makes the files of a format, by their names in the folder."""
    module, _, name = FORMATS[to].partition(":")
    exporter: Callable[[Artifact], Mapping[str, bytes]] = getattr(import_module(module), name)
    return exporter
